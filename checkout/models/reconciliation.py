"""What reconciliation with a PSP found, and how far it has come."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from checkout.models.checkout import Checkout
from merchants.models import Connection, Merchant
from rako.core.ids import UlidField


class Finding(models.Model):
    """A difference between what a PSP says and what is recorded. One row for each kind and object, seen again or not.

    It ends by itself when the difference is gone, or is accepted by staff with a reason. While a merchant has an open
    one about money, nothing of theirs is settled.
    """

    class Kind(models.TextChoices):
        MISSING_LOCAL = "missing_local", "paid there, no conversion here"
        MISSING_AT_PSP = "missing_at_psp", "a conversion here, no payment there"
        AMOUNT_MISMATCH = "amount_mismatch", "another amount"
        CURRENCY_MISMATCH = "currency_mismatch", "another currency"
        STATUS_MISMATCH = "status_mismatch", "paid here, not paid there"
        REFUND_MISSING = "refund_missing", "a refund there that is not recorded"
        REFUND_EXTRA = "refund_extra", "a refund here that is none there"
        REFUND_TOTAL_MISMATCH = "refund_total_mismatch", "refunds come to another sum"
        DISPUTE_MISSING = "dispute_missing", "a dispute there that is not recorded"
        DISPUTE_STATE_MISMATCH = "dispute_state_mismatch", "a dispute ended otherwise"
        DUPLICATE_PAYMENT = "duplicate_payment", "one checkout paid twice"
        UNKNOWN_RESOLVED = "unknown_resolved", "the outcome of a charge is known there"
        LATE_PAYMENT = "late_payment", "paid after the attribution window"
        FOREIGN_METADATA = "foreign_metadata", "our metadata on a payment that is not ours"
        STALE_PENDING = "stale_pending", "pending for too long"
        WEBHOOK_GAP = "webhook_gap", "an event that never arrived"
        CONNECTION_ERROR = "connection_error", "the PSP could not be read"

    class State(models.TextChoices):
        OPEN = "open"
        RESOLVED = "resolved"
        ACCEPTED = "accepted"

    # Those that say that money stands otherwise than recorded.
    MONEY = (
        *(Kind.MISSING_LOCAL, Kind.MISSING_AT_PSP, Kind.AMOUNT_MISMATCH, Kind.CURRENCY_MISMATCH, Kind.STATUS_MISMATCH),
        *(Kind.REFUND_MISSING, Kind.REFUND_EXTRA, Kind.REFUND_TOTAL_MISMATCH, Kind.DISPUTE_MISSING),
        *(Kind.DISPUTE_STATE_MISMATCH, Kind.DUPLICATE_PAYMENT),
    )

    id = UlidField(primary_key=True)
    connection = models.ForeignKey(Connection, models.PROTECT, related_name="findings")
    merchant = models.ForeignKey(Merchant, models.PROTECT, related_name="payment_findings")
    checkout = models.ForeignKey(Checkout, models.PROTECT, null=True, blank=True, related_name="findings")
    kind = models.CharField(max_length=24, choices=Kind)
    reference = models.CharField(max_length=255, help_text="The object at the PSP, or our checkout or event.")
    is_money = models.BooleanField()
    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    detail = models.CharField(max_length=500, blank=True)
    first_seen_at = models.DateTimeField(default=timezone.now, editable=False)
    last_seen_at = models.DateTimeField(default=timezone.now, editable=False)
    ended_at = models.DateTimeField(null=True, blank=True, editable=False)
    reason = models.CharField(max_length=300, blank=True, help_text="Why it was accepted.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["connection", "kind", "reference"], name="finding_one_per_object"),
            models.CheckConstraint(
                condition=Q(state="open", ended_at=None)
                | Q(state__in=["resolved", "accepted"], ended_at__isnull=False),
                name="finding_ends_once",
            ),
        ]
        indexes = [
            # Settlement asks by merchant; a run asks for what is open on its objects.
            models.Index(fields=["merchant"], condition=Q(state="open", is_money=True), name="finding_holds_money"),
            models.Index(fields=["connection", "reference"], name="finding_of_object"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.reference}"


class ReadingPosition(models.Model):
    """How far a connection's lists have been read: whole windows up to `read_until`, and the page a run stopped at."""

    connection = models.ForeignKey(Connection, models.PROTECT, related_name="+")
    objects_read = models.CharField(max_length=12, help_text="payments, refunds, disputes or events")
    read_until = models.DateTimeField(null=True)
    since = models.DateTimeField(null=True)
    until = models.DateTimeField(null=True)
    cursor = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["connection", "objects_read"], name="reading_position_one_per_list")
        ]

    def __str__(self) -> str:
        return f"{self.objects_read} of {self.connection_id}"
