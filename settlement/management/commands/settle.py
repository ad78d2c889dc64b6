"""manage.py settle"""

import json
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError

from rako.core.money import major_text
from settlement.closing import CannotSettle, settle
from settlement.periods import Period
from settlement.receivables import cover_invoices


class Command(BaseCommand):
    help = (
        "Close a month: invoices and credit notes for merchants, statements and payouts for builders, all at once or "
        "not at all. A month that is closed is only told again: safe to repeat."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--period", type=period, required=True, metavar="YYYY-MM")
        parser.add_argument("--dry-run", action="store_true", help="show what it would come to; nothing is kept")
        parser.add_argument("--json", action="store_true", help="the whole document")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            batch = settle(options["period"], is_dry_run=options["dry_run"])
        except CannotSettle as error:
            raise CommandError(str(error)) from None
        if not options["dry_run"]:
            cover_invoices()
        told = orjson.loads(batch.document)
        if options["json"]:
            self.stdout.write(json.dumps(told))
            return
        for row in told["invoices"]:
            self._tell(row["number"], row["merchant_id"], row["currency"], net=row["net_minor"], vat=row["vat_minor"])
        for row in told["statements"]:
            names = ("opening", "earned", "reversed", "paid", "closing")
            self._tell(
                row["number"], row["builder_id"], row["currency"], **{name: row[f"{name}_minor"] for name in names}
            )
        self.stdout.write(
            f"{batch.period}{' (dry run, nothing kept)' if options['dry_run'] else ''}: {batch.line_count} lines, "
            f"{len(told['invoices'])} invoices and credit notes, {len(told['statements'])} statements, "
            f"{told['waiting']['count']} conversions wait"
        )

    def _tell(self, number: str, party: str, currency: str, **amounts: int) -> None:
        shown = "  ".join(f"{name} {major_text(amount, currency)}" for name, amount in amounts.items())
        self.stdout.write(f"{number}  {party}  {currency}  {shown}")


def period(text: str) -> Period:
    """A month given as an argument."""
    try:
        return Period(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
