"""manage.py import_conversions FILE.csv"""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from ledger.imports import MerchantUnknown, find_merchant, import_sales, read_sales
from rako.core.row_commands import add_output, read, tell

OUTCOMES = ("recorded", "attached", "known")


class Command(BaseCommand):
    help = (
        "Import sales from a merchant's records, a result per row; a bad row spoils no other. Exit 3 if some were "
        "refused. Repeating is safe: what is recorded is known."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="columns: the fields of POST /v1/conversions")
        parser.add_argument("--merchant", help="name or id; otherwise a column `merchant` names it row by row")
        add_output(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        try:
            merchant = find_merchant(options["merchant"]) if options["merchant"] else None
        except MerchantUnknown:
            raise CommandError(f"no merchant is called {options['merchant']!r}", returncode=2) from None
        rows = read(path, lambda: read_sales(path, with_merchant=merchant is None))
        results = import_sales(rows, merchant, is_dry_run=options["dry_run"])
        try:
            tell(self, results, options, outcomes=OUTCOMES, label="sales", total=len(rows))
        except DatabaseError as error:
            raise CommandError(f"could not finish, repeating is safe: {error}") from None
