"""manage.py import_payments FILE.csv"""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from rako.core.csv_rows import read_rows
from rako.core.row_commands import add_output, read, tell
from settlement.imports import OUTCOMES, PAYMENT_COLUMNS, take_payments


class Command(BaseCommand):
    help = (
        "Record what merchants paid on their invoices, from a CSV file (merchant, amount, currency, reference, "
        "received_on); a result for each row. Exit 3 if one is refused. A reference is recorded once: safe to repeat."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("csv", type=Path, metavar="FILE.csv")
        add_output(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        rows = read(options["csv"], lambda: read_rows(options["csv"], *PAYMENT_COLUMNS))
        results = take_payments(rows, is_dry_run=options["dry_run"])
        tell(self, results, options, outcomes=OUTCOMES, label="payments", total=len(rows))
