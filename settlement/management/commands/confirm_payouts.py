"""manage.py confirm_payouts"""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from rako.core.csv_rows import Row, read_rows
from rako.core.row_commands import add_output, read, tell
from settlement.imports import OUTCOMES, PAYOUT_COLUMNS, take_answers


class Command(BaseCommand):
    help = (
        "Record what the bank says of payouts, from a CSV file (payout, result, reason, file) or of a single one; a "
        "result for each. Exit 3 if one is refused. What is recorded already is only told again: safe to repeat."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("csv", nargs="?", type=Path, metavar="FILE.csv")
        which.add_argument("--payout", metavar="ID", help="a single payout")
        said = parser.add_mutually_exclusive_group()
        said.add_argument("--paid", action="store_true")
        said.add_argument("--failed", action="store_true", help="needs a --reason")
        parser.add_argument("--reason", default="")
        parser.add_argument("--file", default="", metavar="ID", help="the payout file that is answered")
        add_output(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["payout"] is None:
            rows = read(options["csv"], lambda: read_rows(options["csv"], *PAYOUT_COLUMNS))
        elif options["paid"] == options["failed"]:
            raise CommandError("--payout needs --paid or --failed", returncode=2)
        else:
            result = "paid" if options["paid"] else "failed"
            names = ("payout", "reason", "file")
            rows = [Row(1, {"result": result} | {name: options[name] for name in names})]
        results = take_answers(rows, is_dry_run=options["dry_run"])
        tell(self, results, options, outcomes=OUTCOMES, label="payouts", total=len(rows))
