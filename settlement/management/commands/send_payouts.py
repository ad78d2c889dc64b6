"""manage.py send_payouts"""

import json
from argparse import ArgumentParser
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from rako.core.encryption import UndecipherableError
from rako.core.errors import RakoError
from rako.core.money import EXPONENTS
from settlement.models import Payout
from settlement.payouts import send_payouts
from settlement.providers.registry import provider_here


class Command(BaseCommand):
    help = (
        "Hand pending payouts over to the bank, in files that the admin has; those without a bank account and those of "
        "builders flagged for fraud wait. Exit 3 while some do. What was handed over is not again: safe to repeat."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--currency", choices=sorted(EXPONENTS), default="", help="of these payouts alone")
        parser.add_argument("--dry-run", action="store_true", help="make the files, and keep nothing")
        parser.add_argument("--json", action="store_true", help="a line for each file, and one for the tally")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            sent = send_payouts(options["currency"], is_dry_run=options["dry_run"])
            waiting = _waiting(options["currency"])
        except (RakoError, UndecipherableError) as error:
            raise CommandError(str(error)) from None
        tally = {"files": len(sent), "payouts": sum(row.count for row in sent), **waiting}
        if options["json"]:
            for row in sent:
                told = {"file": row.file_id, "currency": row.currency, "payouts": row.count}
                self.stdout.write(json.dumps(told | {"total_minor": row.total.amount_minor}))
            self.stdout.write(json.dumps(tally))
        else:
            for row in sent:
                self.stdout.write(f"{row.file_id}  {row.count} payouts  {row.total}")
            kept = " (dry run, nothing kept)" if options["dry_run"] else ""
            self.stdout.write(
                f"{tally['payouts']} payouts in {tally['files']} files{kept}; {waiting['without_account']} wait for a "
                f"bank account, {waiting['unsupported']} are in a currency that the provider does not pay, "
                f"{waiting['flagged']} are of builders flagged for fraud"
            )
        if any(waiting.values()):
            raise SystemExit(3)


def _waiting(currency: str) -> dict[str, int]:
    """What cannot be handed over for now, and why."""
    pending = Payout.objects.pending().filter(**{"currency": currency} if currency else {})
    counts = Counter(pending.values_list("currency", flat=True))
    unsupported = counts.keys() - provider_here().currencies
    return {
        "without_account": pending.exclude(currency__in=unsupported).without_account().count(),
        "flagged": pending.exclude(currency__in=unsupported).with_account().flagged().count(),
        "unsupported": sum(counts[code] for code in unsupported),
    }
