"""manage.py import_offers FILE.csv"""

import json
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from merchants.imports import BadFile, import_rows, read_rows
from rako.core.progress import progress


class Command(BaseCommand):
    help = "Import offers from a CSV file, a result per row; a bad row spoils no other, and repeating is safe."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="columns: see docs/registry.md")
        parser.add_argument("--json", action="store_true", help="one JSON object per row and one for the tally")
        parser.add_argument("--quiet", action="store_true", help="show refused rows and the tally only")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            rows = read_rows(options["file"])
        except (OSError, BadFile) as error:
            raise CommandError(f"{options['file']}: {error}") from None
        tally: Counter[str] = Counter()
        for result in progress(import_rows(rows), total=len(rows), label="offers"):
            tally[result.outcome] += 1
            if options["json"]:
                self.stdout.write(json.dumps({name: getattr(result, name) for name in result.__slots__}))
            elif result.outcome == "refused" or not options["quiet"]:
                self.stdout.write(f"line {result.line}: {result.outcome} {result.offer} {result.detail}".rstrip())
        counts = {name: tally[name] for name in ("created", "updated", "unchanged", "refused")}
        self.stdout.write(
            json.dumps(counts) if options["json"] else ", ".join(f"{n} {name}" for name, n in counts.items())
        )
        if tally["refused"]:
            raise SystemExit(3)
