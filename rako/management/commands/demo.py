"""manage.py demo"""

import json
import subprocess
import sys
import time
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from rako.demo import DemoFailed, Walk, Walked
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
                walked = Walk(server.base_url, self.stdout.write).run()
        except (ServerFailed, DemoFailed) as error:
            raise CommandError(f"{error} (see {log})") from None
        self.stdout.write("\n  9. The server is stopped, and the ledger verified: every hash, every chain, every guard")
        self.stdout.write("     ", ending="")
        call_command("verify_ledger", stdout=self.stdout)
        self._prove(walked)
        self.stdout.write(f"\nConversion {walked.conversion_id} stands. {time.monotonic() - started:.1f} s in all.")
        self.stdout.write("Next: `make serve`, then look at it in the admin.")

    def _prove(self, walked: Walked) -> None:
        """Check the merchant's proof as the merchant would: offline, with a program that shares no code with us."""
        proof, keys = (settings.RAKO_DATA_DIR / name for name in (f"{walked.conversion_id}.proof.json", "jwks.json"))
        proof.write_text(json.dumps(walked.proof))
        keys.write_text(json.dumps(walked.code_keys))
        command = [sys.executable, "-I", str(settings.BASE_DIR / "tools" / "verify_proof.py"), str(proof)]
        pins = {"--log-key": walked.log_keys["checkpoint"], "--receipt-key": walked.log_keys["receipt"]}
        pinned = [word for option, found in pins.items() for key in found for word in (option, key)]
        self.stdout.write(f"\n  10. The merchant's proof is verified offline: {proof}")
        self.stdout.write("      python tools/verify_proof.py <proof> with the keys published before the sale")
        checked = subprocess.run(  # noqa: S603  # our own program, no shell
            [*command, *pinned, "--code-key", str(keys)], capture_output=True, text=True, check=False
        )
        self.stdout.write("".join(f"      {line}\n" for line in checked.stdout.splitlines()), ending="")
        if checked.returncode:
            raise CommandError(f"the proof was refused: {checked.stdout}{checked.stderr}")
