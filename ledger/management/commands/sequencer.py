"""manage.py sequencer"""

import logging
import signal
import threading
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection

from ledger.publishing import Publisher, SignerLost
from ledger.sequencer import LogError, Sequencer
from rako.core.tlog.signer import Refused

log = logging.getLogger("rako.ledger")

# A checkpoint at most so often, and the same wait after trouble.
PUBLISH_SECONDS = 1.0


class Command(BaseCommand):
    help = (
        "Take committed ledger entries into the Merkle log and publish signed checkpoints, until a signal. "
        "Any number may run: one works at a time."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--interval", type=float, default=0.2, help="seconds between two looks")
        parser.add_argument("--once", action="store_true", help="sequence and publish all there is, then stop")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["once"]:
            self._once()
            return
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        _run(stop, options["interval"])

    def _once(self) -> None:
        try:
            sequencer, total = Sequencer(), 0
            while taken := sequencer.tick():
                total += taken
            checkpoint = Publisher().publish()
        except (LogError, Refused, SignerLost) as error:
            raise CommandError(f"{type(error).__name__}: {error}") from None
        size = checkpoint.pk if checkpoint else 0
        self.stdout.write(f"{total} entries sequenced, the newest checkpoint has {size}")


def _run(stop: threading.Event, interval: float) -> None:
    sequencer, publisher = Sequencer(), None
    published_at = float("-inf")
    while not stop.is_set():
        began = time.monotonic()
        try:
            is_more = sequencer.tick() >= 1000  # a backlog is not slept on
            if began - published_at >= PUBLISH_SECONDS:
                published_at = began
                publisher = publisher or Publisher()
                publisher.publish()
        except (LogError, Refused, SignerLost) as error:
            # Entries are still taken; what must not be signed is not, until an operator has looked.
            log.error("ledger log: %s: %s", type(error).__name__, error)
            stop.wait(PUBLISH_SECONDS)
        except DatabaseError as error:
            log.warning("the sequencer lost the database and tries again: %s", type(error).__name__)
            connection.close()
            stop.wait(PUBLISH_SECONDS)
        else:
            stop.wait(0 if is_more else max(0.0, interval - (time.monotonic() - began)))
