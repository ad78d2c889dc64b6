"""A merchant's payment processor, with its credentials encrypted at rest."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from merchants.models.merchant import Merchant
from rako.core.encryption import EncryptedJsonField
from rako.core.ids import UlidField


class Connection(models.Model):
    """A link to a merchant's own account at a PSP. Its id is part of the webhook address.

    Only `checkout.connections` makes one and moves its status; `active` alone sells. `pending` waits for the secret
    that its webhooks are signed with: the PSP gives it only for an address, and the address needs our id.
    """

    class Status(models.TextChoices):
        PENDING = "pending"
        ACTIVE = "active"
        DEGRADED = "degraded"
        DISCONNECTED = "disconnected"

    class Mode(models.TextChoices):
        KEY = "key", "an API key of the merchant's"
        CONNECT = "connect", "Stripe Connect"

    id = UlidField(primary_key=True)
    merchant = models.ForeignKey(Merchant, models.PROTECT, related_name="connections")
    kind = models.CharField(max_length=20, help_text="The connector: sandbox, stripe, hyperswitch.")
    mode = models.CharField(max_length=8, choices=Mode, default=Mode.KEY, db_default="key", editable=False)
    account_id = models.CharField(max_length=64)
    is_live = models.BooleanField(default=False, editable=False)
    status = models.CharField(max_length=12, choices=Status, default=Status.ACTIVE)
    credentials = EncryptedJsonField(editable=False)
    webhook_secrets = EncryptedJsonField(editable=False, help_text="Newest first; two while a secret is rotated.")
    connected_at = models.DateTimeField(default=timezone.now, editable=False)
    disconnected_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        constraints = [
            # Not of the active ones alone: a pending or degraded one becomes active without asking about others.
            models.UniqueConstraint(
                fields=["merchant"], condition=~Q(status="disconnected"), name="connection_one_standing_per_merchant"
            ),
            # One PSP account never answers for two merchants.
            models.UniqueConstraint(
                fields=["kind", "account_id"], condition=~Q(status="disconnected"), name="connection_one_per_account"
            ),
            models.CheckConstraint(
                condition=Q(status__in=["pending", "active", "degraded", "disconnected"]),
                name="connection_status_is_known",
            ),
            models.CheckConstraint(condition=Q(mode__in=["key", "connect"]), name="connection_mode_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.merchant} on {self.kind} ({self.account_id})"


class OAuthState(models.Model):
    """A way to a PSP on which staff sent a merchant, good for one return. Only the state's digest is kept.

    `session_sha256` is of the admin session that began it: nobody finishes what another began.
    """

    state_sha256 = models.CharField(primary_key=True, max_length=64)
    session_sha256 = models.CharField(max_length=64)
    merchant = models.ForeignKey(Merchant, models.CASCADE, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    used_at = models.DateTimeField(null=True)
