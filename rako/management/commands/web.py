"""manage.py web"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection
from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels

from rako.checks import refuse_unsafe_start

# More than the calls to payment processors that are made at once (`checkout.calls`): those wait, and the others serve.
THREADS = 48
_KILL_TIMEOUT_SECONDS = 10


class Command(BaseCommand):
    help = "Serve the API and the pages until a signal; put a TLS proxy in front. Run once per address."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=3456)
        parser.add_argument("--workers", type=int, default=2, help="processes")
        parser.add_argument("--threads", type=int, default=THREADS, help="requests at a time per process")

    def handle(self, *args: Any, **options: Any) -> None:
        refuse_unsafe_start()
        # This process, not only its workers, counts as a user of the embedded server: they end without a word.
        connection.ensure_connection()
        # The workers are forked: a connection or a pool that they inherited would be one socket for all of them.
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined]  # of the PostgreSQL backends
        Granian(
            "rako.wsgi:application",
            address=options["host"],
            port=options["port"],
            interface=Interfaces.WSGI,
            workers=options["workers"],
            blocking_threads=options["threads"],
            websockets=False,
            # Granian's would print query strings, and `?api_key=` with them: rako.access has a line without.
            log_access=False,
            log_level=LogLevels.error,
            respawn_failed_workers=True,
            workers_kill_timeout=_KILL_TIMEOUT_SECONDS,
        ).serve()
