"""manage.py conformance"""

import json
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from rako.conformance_subject import revoke_keys, subject
from rako.management.commands.serve import prepare
from rako.serving import ServerFailed, serving


class Command(BaseCommand):
    help = "Run the conformance suite against a server of our own on a free port, with the demo data; safe to repeat."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--junit", type=Path, metavar="FILE", help="write the results as JUnit XML")
        parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the results as Markdown")
        parser.add_argument(
            "--rule", action="append", default=[], metavar="NAME", help="test this one only; repeatable"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.RAKO_MODE != "sandbox":
            raise CommandError("only a sandbox is tested: the suite makes sales")
        prepare()
        settings.RAKO_DATA_DIR.mkdir(parents=True, exist_ok=True)
        log, config = (settings.RAKO_DATA_DIR / f"conformance.{suffix}" for suffix in ("log", "toml"))
        try:
            with serving(log_file=log) as server:
                code = self._test(subject(server.base_url) | {"server_log": str(log)}, config, options)
        except (ServerFailed, ImproperlyConfigured) as error:
            raise CommandError(f"{error} (see {log})") from None
        if code:
            raise CommandError("the suite found failures" if code == 3 else "the suite could not run", returncode=code)

    def _test(self, told: dict[str, Any], config: Path, options: dict[str, Any]) -> int:
        try:
            write(config, told)
            return self._run(config, options)
        finally:
            revoke_keys(told)
            config.unlink(missing_ok=True)

    def _run(self, config: Path, options: dict[str, Any]) -> int:
        command = [sys.executable, "-m", "conformance", "--config", str(config)]
        for name in ("junit", "markdown"):
            if options[name]:
                command += [f"--{name}", str(options[name].resolve())]
        for name in options["rule"]:
            command += ["--rule", name]
        done = subprocess.run(command, cwd=settings.BASE_DIR, check=False)  # noqa: S603  # our own program, no shell
        return done.returncode


def write(path: Path, found: dict[str, Any]) -> None:
    """The configuration as TOML, whose texts are JSON's; it has keys, so nobody else reads it."""
    path.touch(mode=0o600)
    lines: list[str] = []
    tables = [(f"[{name}]", value) for name, value in found.items() if isinstance(value, dict)]
    tables += [("[[other_merchants]]", other) for other in found["other_merchants"]]
    simple = {name: value for name, value in found.items() if isinstance(value, str)}
    for head, table in [("", simple), *tables]:
        lines += [head, *(f"{name} = {json.dumps(value)}" for name, value in table.items())]
    path.write_text("\n".join(lines) + "\n")
