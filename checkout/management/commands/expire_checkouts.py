"""manage.py expire_checkouts"""

from typing import Any

from django.core.management.base import BaseCommand

from checkout.recovery import expire_checkouts


class Command(BaseCommand):
    help = (
        "End open checkouts whose time is over, at the processor, too. The worker does so every minute. Safe to repeat."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{expire_checkouts(at_most=None)} checkouts ended")
