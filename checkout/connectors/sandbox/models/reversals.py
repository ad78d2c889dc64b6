"""What takes money back: refunds and disputes.

That refunds never come to more than was paid, that a dispute is of a paid payment and for no more than it, and that
ended ones stay ended is held by triggers of the second migration.
"""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from checkout.connectors.sandbox import ids
from checkout.connectors.sandbox.models.sales import Payment
from rako.core.money import Money


class Reversal(models.Model):
    """What refunds and disputes have in common. The currency is the payment's."""

    amount_minor = models.BigIntegerField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    payment: models.ForeignKey[Payment, Payment]

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def money(self) -> Money:
        """The amount with its currency."""
        return Money(self.amount_minor, self.payment.currency)


class RefundStatus(models.TextChoices):
    """Where a refund stands. One that succeeded fails later if the buyer's bank sends it back; failed is final."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Refund(Reversal):
    """Money on its way back to the buyer, because the merchant wants it so."""

    id = ids.PrefixedIdField(ids.REFUND)
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="refunds")
    status = models.CharField(max_length=9, choices=RefundStatus)
    settles_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(name="sandbox_refund_amount", condition=Q(amount_minor__gt=0)),
            models.CheckConstraint(name="sandbox_refund_status", condition=Q(status__in=RefundStatus.values)),
            models.CheckConstraint(
                name="sandbox_refund_settles",
                condition=Q(status="pending", settles_at__isnull=False) | Q(~Q(status="pending"), settles_at=None),
            ),
        ]
        indexes = [
            models.Index(name="sandbox_refund_settling", fields=["settles_at"], condition=Q(status="pending")),
            models.Index(name="sandbox_refund_listed", fields=["created_at", "id"]),
        ]


class DisputeStatus(models.TextChoices):
    """Where a dispute stands. The two that begin with "warning" are an inquiry's, which takes no money."""

    INQUIRY = "warning_needs_response"
    INQUIRY_CLOSED = "warning_closed"
    OPEN = "needs_response"
    LOST = "lost"
    WON = "won"


UNDECIDED = (DisputeStatus.INQUIRY, DisputeStatus.OPEN)


class Dispute(Reversal):
    """A buyer's bank asks after a payment, or takes it back."""

    id = ids.PrefixedIdField(ids.DISPUTE)
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="disputes")
    status = models.CharField(max_length=22, choices=DisputeStatus)

    class Meta:
        constraints = [
            models.CheckConstraint(name="sandbox_dispute_amount", condition=Q(amount_minor__gt=0)),
            models.CheckConstraint(name="sandbox_dispute_status", condition=Q(status__in=DisputeStatus.values)),
            models.UniqueConstraint(
                name="sandbox_dispute_one_open", fields=["payment"], condition=Q(status__in=UNDECIDED)
            ),
        ]
        indexes = [models.Index(name="sandbox_dispute_listed", fields=["created_at", "id"])]
