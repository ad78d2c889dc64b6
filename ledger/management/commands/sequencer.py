"""manage.py sequencer"""

import logging
import signal
import threading
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection

from ledger.publishing import WITNESS_SECONDS, Publisher, SignerLost
from ledger.sequencer import LogError, Sequencer
from rako.core.tlog.signer import Refused
from rako.core.tlog.tree import TreeError

log = logging.getLogger("rako.ledger")

# A checkpoint at most so often.
PUBLISH_SECONDS = 1.0
TROUBLE_SECONDS = 1.0
# The log or its signer is not what it was: an operator must look.
KNOWN_TROUBLE = (LogError, TreeError, Refused, SignerLost)


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
        run(stop, options["interval"])

    def _once(self) -> None:
        try:
            sequencer, total = Sequencer(), 0
            while taken := sequencer.tick():
                total += taken
            checkpoint = Publisher().publish()
        except KNOWN_TROUBLE as error:
            raise CommandError(f"{type(error).__name__}: {error}") from None
        size = checkpoint.pk if checkpoint else 0
        self.stdout.write(f"{total} entries sequenced, the newest checkpoint has {size}")


def run(stop: threading.Event, interval: float) -> None:
    """Sequence and publish until `stop`. Side by side: a witness that hangs, or a signer that refuses, does not keep
    entries out of the log."""
    publishing = threading.Thread(target=_publish, args=(stop,), daemon=True)
    publishing.start()
    _sequence(stop, interval)
    publishing.join(WITNESS_SECONDS)


def _sequence(stop: threading.Event, interval: float) -> None:
    sequencer = Sequencer()
    while not stop.is_set():
        began = time.monotonic()
        try:
            is_more = sequencer.tick() >= 1000  # a backlog is not slept on
        except LogError as error:
            log.error("ledger log: %s", error)
            stop.wait(TROUBLE_SECONDS)
        except DatabaseError as error:
            log.warning("the sequencer could not write and tries again: %s", _first_line(error))
            connection.close()
            stop.wait(TROUBLE_SECONDS)
        else:
            stop.wait(0 if is_more else max(0.0, interval - (time.monotonic() - began)))
    connection.close()


def _publish(stop: threading.Event) -> None:
    publisher = None
    while not stop.is_set():
        try:
            publisher = publisher or Publisher()
            publisher.publish()
        except Exception as error:
            # What must not be signed is not, until an operator has looked; then the signer is opened anew.
            is_bug = not isinstance(error, (DatabaseError, OSError, *KNOWN_TROUBLE))
            log.error("nothing is published: %s: %s", type(error).__name__, _first_line(error), exc_info=is_bug)
            publisher = None
            connection.close()
        stop.wait(PUBLISH_SECONDS)
    connection.close()


def _first_line(error: Exception) -> str:
    """Without the details that PostgreSQL adds: they show rows."""
    return str(error).partition("\n")[0]
