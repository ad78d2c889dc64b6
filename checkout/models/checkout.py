"""Checkouts: one attempt each to have a recommended offer paid at the merchant's own PSP."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from merchants.models import Connection, Merchant
from rako.core.encryption import EncryptedJsonField
from rako.core.facts import Appended
from rako.core.ids import UlidField
from rako.core.money import EXPONENTS, MAX_MINOR
from sessions_app.models import Recommendation, Session


class Checkout(models.Model):
    """A handoff; never proof of payment. Its id is the `transactionId` and the PSP's idempotency key.

    The row is committed before the PSP is called (`creating`) and finished after; the worker finishes or voids
    what a crash left behind. Only `states` moves `state`, and states each move in the ledger.
    """

    class State(models.TextChoices):
        CREATING = "creating"  # committed, the PSP's answer not yet recorded
        OPEN = "open"  # the buyer can pay
        EXPIRING = "expiring"  # being closed at the PSP in favour of another recommendation
        PROCESSING = "processing"  # paid, but the money is on its way
        UNKNOWN = "unknown"  # a charge whose outcome the PSP has not told
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        EXPIRED = "expired"
        VOID = "void"  # nothing reached the PSP

    class Mode(models.TextChoices):
        CHECKOUT = "checkout"
        AUTONOMOUS = "autonomous"

    class Backend(models.TextChoices):
        ORCHESTRATED = "orchestrated"
        DIRECT = "direct"

    LIVE = (State.CREATING, State.OPEN, State.EXPIRING, State.PROCESSING, State.UNKNOWN)

    id = UlidField(primary_key=True)
    session = models.ForeignKey(Session, models.PROTECT, related_name="checkouts")
    recommendation = models.ForeignKey(Recommendation, models.PROTECT, related_name="checkouts")
    merchant = models.ForeignKey(Merchant, models.PROTECT, related_name="checkouts")
    connection = models.ForeignKey(Connection, models.PROTECT, null=True, blank=True, related_name="checkouts")
    mode = models.CharField(max_length=10, choices=Mode, default=Mode.CHECKOUT)
    backend = models.CharField(max_length=12, choices=Backend, default=Backend.ORCHESTRATED)
    state = models.CharField(max_length=10, choices=State, default=State.CREATING)
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    psp_id = models.CharField(max_length=255, blank=True, help_text="The PSP's object: `paymentId` on the wire.")
    confirmation = models.CharField(max_length=255, blank=True, help_text="The PSP's payment id. Not a conversion.")
    url = models.CharField(max_length=2000, blank=True)
    failure = models.CharField(max_length=200, blank=True)
    # What a charge was asked with, until its outcome is known: the same request is sent again, under the same key.
    payment_method = EncryptedJsonField(null=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)
    expires_at = models.DateTimeField()

    # Not a column: the entry of the start, while it is at hand. `states.started` finds it.
    started: Appended | None = None

    class Meta:
        constraints = [
            # One live transaction per session (protocol, section 6), whatever races for it.
            models.UniqueConstraint(
                fields=["session"],
                condition=Q(state__in=["creating", "open", "expiring", "processing", "unknown"]),
                name="checkout_one_live_per_session",
            ),
            models.CheckConstraint(
                condition=Q(amount_minor__gt=0) & Q(amount_minor__lte=MAX_MINOR), name="checkout_amount_is_positive"
            ),
            models.CheckConstraint(condition=Q(currency__in=list(EXPONENTS)), name="checkout_currency_is_known"),
            models.CheckConstraint(
                condition=Q(backend="direct", connection=None) | Q(backend="orchestrated", connection__isnull=False),
                name="checkout_is_at_a_psp_unless_direct",
            ),
        ]
        indexes = [
            # The worker reads only what may have been left half-done or is to end.
            models.Index(
                fields=["updated_at"],
                condition=Q(state__in=["creating", "expiring", "unknown"]),
                name="checkout_half_done",
            )
        ]

    def __str__(self) -> str:
        return str(self.id)


class PspObject(models.Model):
    """Which checkout an object at a PSP belongs to. Metadata at the PSP can be edited there; this cannot be here."""

    connection = models.ForeignKey(Connection, models.PROTECT, related_name="+")
    psp_id = models.CharField(max_length=255)
    checkout = models.ForeignKey(Checkout, models.PROTECT, related_name="psp_objects")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["connection", "psp_id"], name="psp_object_of_one_checkout")]

    def __str__(self) -> str:
        return self.psp_id


class Authorization(models.Model):
    """A buyer's mandate for one autonomous purchase, spent on one checkout and given back if that is declined."""

    agent_id = models.CharField(max_length=26)
    reference = models.CharField(max_length=100)
    checkout = models.ForeignKey(Checkout, models.PROTECT, related_name="authorizations")
    max_amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(default=timezone.now, editable=False)
    released_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["agent_id", "reference"], condition=Q(released_at=None), name="authorization_single_use"
            )
        ]

    def __str__(self) -> str:
        return self.reference
