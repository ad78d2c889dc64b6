"""manage.py resettle"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from rako.core.progress import progress
from settlement.management.commands.settle import period
from settlement.models import Batch
from settlement.recomputing import differences


class Command(BaseCommand):
    help = (
        "Reckon closed months again from the ledger and compare every byte with what was written. Changes nothing; "
        "exit 3 if anything differs. Safe to repeat."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--period", type=period, metavar="YYYY-MM")
        which.add_argument("--all", action="store_true", help="every closed month")
        parser.add_argument("--check", action="store_true", required=True, help="compare; there is nothing else to do")

    def handle(self, *args: Any, **options: Any) -> None:
        rows = Batch.objects.order_by("period")
        if options["period"]:
            rows = rows.filter(period=options["period"].text)
        batches = list(rows)
        if not batches and options["period"]:
            raise CommandError(f"{options['period']} is not closed", returncode=2)
        found = 0
        for batch in progress(batches, total=len(batches), label="months"):
            for difference in differences(batch):
                found += 1
                self.stdout.write(f"{batch.period} {difference}")
        self.stdout.write(f"{len(batches)} months reckoned again, {found} differences")
        if found:
            raise SystemExit(3)
