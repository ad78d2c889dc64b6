"""manage.py replay_webhook ID"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from checkout import inbox
from checkout.models import WebhookReceipt


class Command(BaseCommand):
    help = "Process a stored webhook again from its stored bytes; safe to repeat, a payment is attributed once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", help="the receipt's id, or the PSP's event id")

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = options["id"]
        found = WebhookReceipt.objects.filter(pk=wanted) | WebhookReceipt.objects.filter(event_id=wanted)
        receipts = list(found.values_list("pk", flat=True)[:2])
        if len(receipts) != 1:
            raise CommandError(f"{'no' if not receipts else 'more than one'} webhook has the id {wanted}")
        receipt, result = inbox.process(receipts[0], again=True)
        said = ", ".join(part for part in (result.status, result.failed_check, result.reason) if part)
        self.stdout.write(f"{receipt.pk} {receipt.event_type}: {said}")
        if result.status in {"rejected", "unmatched"}:
            raise SystemExit(3)
