"""manage.py demo"""

import time
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from rako.demo import DemoFailed, Walk
from rako.management.commands.serve import prepare
from rako.serving import ServerFailed, serving


class Command(BaseCommand):
    help = "Walk the main job over HTTP on a free port, verify the ledger, leave nothing running; safe to repeat."

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.RAKO_MODE != "sandbox":
            raise CommandError("the demo exists only in sandbox mode")
        started = time.monotonic()
        prepare()
        settings.RAKO_DATA_DIR.mkdir(parents=True, exist_ok=True)
        log = settings.RAKO_DATA_DIR / "demo.log"
        try:
            with serving(log_file=log) as server:
                self.stdout.write(f"Rako is up on {server.base_url} (log: {log.name} in the data folder)")
                conversion = Walk(server.base_url, self.stdout.write).run()
        except (ServerFailed, DemoFailed) as error:
            raise CommandError(f"{error} (see {log})") from None
        self.stdout.write("\n  8. The ledger is verified: every hash, every chain, every guard")
        self.stdout.write("     ", ending="")
        call_command("verify_ledger", stdout=self.stdout)
        self.stdout.write(
            f"\nConversion {conversion['conversionId']} stands. {time.monotonic() - started:.1f} s in all."
        )
        self.stdout.write("Next: `make serve`, then look at it in the admin.")
