"""The webhook inbox: what PSPs sent, byte for byte, and what became of it."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q
from django.utils import timezone

from merchants.models import Connection
from rako.core.ids import UlidField


class WebhookReceipt(models.Model):
    """One authentic statement of a PSP: a delivery, or what it answered when reconciliation asked.

    What was received is immutable; the columns below `sha256` tell how it was processed.
    """

    class Source(models.TextChoices):
        WEBHOOK = "webhook"
        RECONCILIATION = "reconciliation"

    class State(models.TextChoices):
        RECEIVED = "received"
        PROCESSED = "processed"

    id = UlidField(primary_key=True)
    connection = models.ForeignKey(Connection, models.PROTECT, related_name="receipts")
    source = models.CharField(max_length=14, choices=Source, default=Source.WEBHOOK, db_default="webhook")
    event_id = models.CharField(max_length=255)
    event_type = models.CharField(max_length=100)
    received_at = models.DateTimeField(default=timezone.now, editable=False)
    headers = models.JSONField()
    body = models.BinaryField()
    sha256 = models.CharField(max_length=64)

    state = models.CharField(max_length=10, choices=State, default=State.RECEIVED)
    attempts = models.PositiveIntegerField(default=0)
    processed_at = models.DateTimeField(null=True, blank=True)
    result = models.CharField(max_length=30, blank=True, help_text="conversion_recorded, duplicate, ignored, …")
    failed_check = models.CharField(max_length=30, blank=True)
    reason = models.CharField(max_length=300, blank=True)
    conversion = models.ForeignKey(
        "ledger.Conversion", models.PROTECT, null=True, blank=True, related_name="webhook_receipts"
    )
    awaits = ArrayField(
        models.CharField(max_length=255),
        default=list,
        blank=True,
        help_text="The objects at the PSP that an unmatched event names.",
    )
    retry_at = models.DateTimeField(null=True, blank=True, help_text="When an unmatched event is looked at again.")

    class Meta:
        constraints = [
            # Kept for ever: the same delivery never counts twice.
            models.UniqueConstraint(fields=["connection", "event_id"], name="webhook_event_stored_once"),
            models.CheckConstraint(condition=Q(state__in=["received", "processed"]), name="webhook_state_is_known"),
        ]
        indexes = [
            models.Index(fields=["received_at"], condition=Q(state="received"), name="webhook_to_process"),
            # Read whenever a checkout's objects at the PSP become known: its events may have been faster.
            GinIndex(fields=["awaits"], condition=Q(result="unmatched"), name="webhook_awaiting"),
            models.Index(fields=["retry_at"], condition=Q(result="unmatched"), name="webhook_to_retry"),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} {self.event_id}"
