"""manage.py check_fraud_signals"""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from ledger.fraud_signals import check_signals


class Command(BaseCommand):
    help = (
        "Hold recent sales that a fraud signal finds suspicious, until staff release or confirm them; with --dry-run "
        "only tell; exit 3 if any is found. Safe to repeat: a rule holds a sale once."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="hold nothing")
        parser.add_argument("--json", action="store_true", help="tell it as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = check_signals(dry_run=options["dry_run"])
        except DatabaseError as error:
            raise CommandError(f"could not finish: {error}") from None
        rows = [{"conversionId": each.conversion_id, **each.signal._asdict()} for each in found]
        if options["json"]:
            self.stdout.write(json.dumps({"dryRun": options["dry_run"], "count": len(rows), "holds": rows}))
        else:
            for row in rows:
                self.stdout.write(f"{row['conversionId']}: {row['rule']} {row['measured']}, at most {row['threshold']}")
            self.stdout.write(f"{len(rows)} holds {'to place' if options['dry_run'] else 'placed'}")
        if rows:
            raise SystemExit(3)
