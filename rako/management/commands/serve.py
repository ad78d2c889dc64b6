"""manage.py serve"""

import contextlib
import os
import signal
import time
from argparse import ArgumentParser
from typing import Any, NoReturn

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from rako.checks import refuse_unsafe_start
from rako.demo_keys import DEMO_ADMIN, DEMO_AGENT_KEY, DEMO_MERCHANT_KEY
from rako.serving import Server, ServerFailed, serving


class Command(BaseCommand):
    help = "Migrate, then run web, worker and sequencer until Ctrl-C, in sandbox mode with demo data. Safe to repeat."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=3456)
        parser.add_argument("--workers", type=int, default=2, help="web processes")

    def handle(self, *args: Any, **options: Any) -> None:
        refuse_unsafe_start()
        prepare()
        signal.signal(signal.SIGTERM, _interrupt)
        # What the operator configured stays; otherwise links lead to the port that is served.
        public = settings.RAKO_MODE == "live" or "RAKO_BASE_URL" in os.environ
        with contextlib.suppress(KeyboardInterrupt):
            try:
                with serving(options["port"], workers=options["workers"], public=public) as server:
                    self._announce(server)
                    while (ended := server.ended()) is None:
                        time.sleep(0.5)
                raise CommandError(f"the {ended} process ended")
            except ServerFailed as error:
                raise CommandError(str(error)) from None
        self.stdout.write("stopped")

    def _announce(self, server: Server) -> None:
        self.stdout.write(f"Rako serves on {server.base_url} (Ctrl-C stops it)")
        self.stdout.write(f"  API reference  {server.base_url}/docs")
        self.stdout.write(f"  admin          {server.base_url}/admin/")
        if settings.RAKO_MODE == "sandbox":
            self.stdout.write(f"  admin login    {DEMO_ADMIN[0]} / {DEMO_ADMIN[1]}")
            self.stdout.write(f"  agent key      {DEMO_AGENT_KEY}")
            self.stdout.write(f"  merchant key   {DEMO_MERCHANT_KEY}")


def prepare() -> None:
    """Bring the database up to date and, in sandbox mode, the demo registry with it."""
    call_command("migrate", verbosity=0)
    if settings.RAKO_MODE == "sandbox":
        call_command("load_demo")


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt
