"""Where a merchant sends the events of its orders."""

from django.db import models
from django.utils import timezone

from merchants.models.merchant import Merchant
from rako.core.encryption import EncryptedJsonField


class OrderFeed(models.Model):
    """The secrets under which a merchant signs its ACP order events to us. Only `merchants.order_feeds` makes them."""

    merchant = models.OneToOneField(Merchant, models.PROTECT, primary_key=True, related_name="order_feed")
    secrets = EncryptedJsonField(editable=False, help_text="Newest first; two while one is rotated.")
    issued_at = models.DateTimeField(default=timezone.now, editable=False, help_text="When the newest was.")

    def __str__(self) -> str:
        return f"Orders of {self.merchant}"
