"""manage.py import_offers FILE.csv"""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from merchants.imports import import_rows, read_offers
from rako.core.row_commands import add_output, read, tell

OUTCOMES = ("created", "updated", "unchanged")


class Command(BaseCommand):
    help = (
        "Import offers from a CSV file, a result per row; a bad row spoils no other. Exit 3 if some were refused. "
        "Repeating is safe."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="columns: see docs/registry.md")
        add_output(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        rows = read(path, lambda: read_offers(path))
        results = import_rows(rows, is_dry_run=options["dry_run"])
        tell(self, results, options, outcomes=OUTCOMES, label="offers", total=len(rows))
