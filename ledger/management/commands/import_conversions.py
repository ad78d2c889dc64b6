"""manage.py import_conversions FILE.csv"""

import json
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from ledger.imports import MerchantUnknown, find_merchant, import_sales, read_sales
from merchants.imports import BadFile
from rako.core.progress import progress


class Command(BaseCommand):
    help = (
        "Import sales from a merchant's records, a result per row; a bad row spoils no other. Exit 3 if some were "
        "refused. Repeating is safe: what is recorded is known."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="columns: the fields of POST /v1/conversions")
        parser.add_argument("--merchant", help="name or id; otherwise a column `merchant` names it row by row")
        parser.add_argument("--dry-run", action="store_true", help="judge all rows and keep nothing")
        parser.add_argument("--json", action="store_true", help="one JSON object per row and one for the tally")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            merchant = find_merchant(options["merchant"]) if options["merchant"] else None
            rows = read_sales(options["file"], with_merchant=merchant is None)
        except MerchantUnknown:
            raise CommandError(f"no merchant is called {options['merchant']!r}", returncode=2) from None
        except (OSError, BadFile) as error:
            raise CommandError(f"{options['file']}: {error}") from None
        tally: Counter[str] = Counter()
        try:
            results = import_sales(rows, merchant, is_dry=options["dry_run"])
            for result in progress(results, total=len(rows), label="sales"):
                tally[result.outcome] += 1
                if options["json"]:
                    self.stdout.write(json.dumps({name: getattr(result, name) for name in result.__slots__}))
                elif result.outcome == "refused":
                    self.stdout.write(f"line {result.line}: refused {result.order}: {result.detail}")
        except DatabaseError as error:
            raise CommandError(f"could not finish, repeating is safe: {error}") from None
        self._tell(tally, **options)
        if tally["refused"]:
            raise SystemExit(3)

    def _tell(self, tally: Counter[str], **options: Any) -> None:
        counts = {name: tally[name] for name in ("recorded", "attached", "known", "refused")}
        text = ", ".join(f"{count} {name}" for name, count in counts.items())
        kept = " (nothing was kept)" if options["dry_run"] else ""
        self.stdout.write(json.dumps(counts) if options["json"] else text + kept)
