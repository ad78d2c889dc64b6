"""A merchant's payment processor, with its credentials encrypted at rest."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from merchants.models.merchant import Merchant
from rako.core.encryption import EncryptedJsonField
from rako.core.ids import UlidField


class Connection(models.Model):
    """A link to a merchant's own account at a PSP. Its id is part of the webhook address."""

    class Status(models.TextChoices):
        ACTIVE = "active"
        DEGRADED = "degraded"
        DISCONNECTED = "disconnected"

    id = UlidField(primary_key=True)
    merchant = models.ForeignKey(Merchant, models.PROTECT, related_name="connections")
    kind = models.CharField(max_length=20, help_text="The connector: sandbox, stripe, hyperswitch.")
    account_id = models.CharField(max_length=64)
    is_live = models.BooleanField(default=False, editable=False)
    status = models.CharField(max_length=12, choices=Status, default=Status.ACTIVE)
    credentials = EncryptedJsonField(editable=False)
    webhook_secrets = EncryptedJsonField(editable=False, help_text="Newest first; two while a secret is rotated.")
    connected_at = models.DateTimeField(default=timezone.now, editable=False)
    disconnected_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["merchant"], condition=Q(status="active"), name="connection_one_active_per_merchant"
            ),
            # One PSP account never answers for two merchants.
            models.UniqueConstraint(
                fields=["kind", "account_id"], condition=~Q(status="disconnected"), name="connection_one_per_account"
            ),
            models.CheckConstraint(
                condition=Q(status__in=["active", "degraded", "disconnected"]), name="connection_status_is_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.merchant} on {self.kind} ({self.account_id})"
