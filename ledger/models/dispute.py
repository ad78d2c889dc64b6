"""Disputes between a merchant and a builder's agent, and what both said in them."""

from typing import Any

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from ledger.models.conversion import Conversion, Path
from merchants.models import Merchant
from rako.core.append_only import AppendOnlyModel
from rako.core.ids import UlidField
from rako.core.money import EXPONENTS, MAX_MINOR
from sessions_app.models import Agent, Recommendation

_VALUED = ("wrong_amount", "missing_sale")


class Side(models.TextChoices):
    """Who speaks or decides."""

    MERCHANT = "merchant"
    BUILDER = "builder"
    STAFF = "staff"


class Dispute(models.Model):
    """A contested sale. What was claimed is a fact; only dispute_moves.py moves `state` and what goes with it.

    That of a missing sale has no conversion until it is upheld.
    """

    class Kind(models.TextChoices):
        MISSING_SALE = "missing_sale"
        WRONG_AMOUNT = "wrong_amount"
        REFUSED_CONVERSION = "refused_conversion"
        CLAWBACK = "clawback"
        MERCHANT_DISPUTE = "merchant_dispute"

    class State(models.TextChoices):
        OPEN = "open"
        AWAITING_MERCHANT = "awaiting_merchant"
        AWAITING_BUILDER = "awaiting_builder"
        UNDER_REVIEW = "under_review"
        DECIDED = "decided"
        WITHDRAWN = "withdrawn"

    class Decision(models.TextChoices):
        UPHELD = "upheld"
        PARTLY = "partly"
        REJECTED = "rejected"

    ENDED = (State.DECIDED, State.WITHDRAWN)

    id = UlidField(primary_key=True)
    kind = models.CharField(max_length=20, choices=Kind)
    opened_by = models.CharField(max_length=8, choices=[(side, side) for side in (Side.MERCHANT, Side.BUILDER)])
    merchant = models.ForeignKey(Merchant, models.PROTECT, related_name="disputes")
    agent = models.ForeignKey(Agent, models.PROTECT, related_name="disputes")
    recommendation = models.ForeignKey(Recommendation, models.PROTECT, related_name="disputes")
    conversion = models.ForeignKey(Conversion, models.PROTECT, null=True, blank=True, related_name="disputes")
    currency = models.CharField(max_length=3)
    claimed_value_minor = models.BigIntegerField(null=True, blank=True, help_text="The sale's value as claimed.")
    order_reference = models.CharField(max_length=200, blank=True, help_text="Of a missing sale, if it is known.")
    sold_at = models.DateTimeField(null=True, blank=True, help_text="When the missing sale is said to have happened.")
    attribution_path = models.CharField(
        max_length=12,
        choices=[(path, path) for path in (Path.AAP_FLOW, Path.TRACKED_LINK)],
        default=Path.AAP_FLOW,
        db_default=Path.AAP_FLOW,
        help_text="By which the missing sale is claimed.",
    )
    opened_at = models.DateTimeField(default=timezone.now)
    state = models.CharField(max_length=17, choices=State, default=State.OPEN)
    due_at = models.DateTimeField(null=True, blank=True, help_text="Until when it waits for whoever comes next.")
    decision = models.CharField(max_length=8, choices=Decision, blank=True)
    decided_value_minor = models.BigIntegerField(null=True, blank=True)
    decided_by = models.CharField(max_length=8, choices=Side, blank=True, help_text="Staff, or the side that conceded.")
    reason = models.CharField(max_length=300, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        permissions = [("decide_dispute", "Can decide disputes")]
        constraints = [
            # A sale is held by one dispute at a time, and nobody holds it for ever by the same one again and again.
            models.UniqueConstraint(
                fields=["recommendation"],
                condition=~Q(state__in=["decided", "withdrawn"]),
                name="dispute_one_open_per_recommendation",
            ),
            models.UniqueConstraint(
                fields=["recommendation", "kind", "opened_by"],
                condition=~Q(state="withdrawn"),
                name="dispute_decided_once",
            ),
            models.CheckConstraint(
                condition=Q(conversion__isnull=False) | Q(kind="missing_sale"), name="dispute_is_about_a_sale"
            ),
            models.CheckConstraint(
                condition=~Q(kind__in=_VALUED) | Q(claimed_value_minor__isnull=False), name="dispute_names_the_value"
            ),
            models.CheckConstraint(
                condition=(Q(claimed_value_minor=None) | Q(claimed_value_minor__range=(0, MAX_MINOR)))
                & (Q(decided_value_minor=None) | Q(decided_value_minor__range=(0, MAX_MINOR))),
                name="dispute_values_are_not_negative",
            ),
            models.CheckConstraint(condition=Q(currency__in=list(EXPONENTS)), name="dispute_currency_is_known"),
            models.CheckConstraint(
                condition=Q(state="decided", ended_at__isnull=False, due_at=None) & ~Q(decision="") & ~Q(decided_by="")
                | Q(state="withdrawn", ended_at__isnull=False, due_at=None, decision="", decided_by="")
                | ~Q(state__in=["decided", "withdrawn"])
                & Q(ended_at=None, due_at__isnull=False, decision="", decided_by=""),
                name="dispute_ends_once",
            ),
            models.CheckConstraint(
                condition=Q(attribution_path="aap_flow") | Q(attribution_path="tracked_link", kind="missing_sale"),
                name="dispute_claims_a_path",
            ),
            models.CheckConstraint(
                condition=Q(ended_at=None) | Q(ended_at__gte=F("opened_at")), name="dispute_ends_after_it_began"
            ),
        ]
        indexes = [
            # Each side pages through its own, newest first; the queue and the clock read what is open by its date.
            models.Index(fields=["merchant", "-id"], name="dispute_of_merchant"),
            models.Index(fields=["agent", "-id"], name="dispute_of_agent"),
            models.Index(fields=["due_at"], condition=~Q(state__in=["decided", "withdrawn"]), name="dispute_due"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"

    @property
    def is_ended(self) -> bool:
        return self.state in self.ENDED

    @property
    def other_side(self) -> Side:
        """Whose answer the opener waits for."""
        return Side.BUILDER if self.opened_by == Side.MERCHANT else Side.MERCHANT


class DisputeStatement(AppendOnlyModel):
    """What a side said in a dispute, for both sides to read: a message, or evidence.

    The ledger has no more than a salted hash of it.
    """

    class Kind(models.TextChoices):
        MESSAGE = "message"
        EVIDENCE = "evidence"

    id = UlidField(primary_key=True)
    dispute = models.ForeignKey(Dispute, models.PROTECT, related_name="statements")
    kind = models.CharField(max_length=8, choices=Kind)
    side = models.CharField(max_length=8, choices=[(side, side) for side in (Side.MERCHANT, Side.BUILDER)])
    description = models.CharField(max_length=1000, blank=True, help_text="What the evidence is.")
    text = models.TextField(blank=True)
    sha256 = models.CharField(max_length=64, blank=True, help_text="Hex digest of a document that the side holds.")
    salt = models.CharField(max_length=32, editable=False)
    said_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="message", sha256="", description="") & ~Q(text="")
                | Q(kind="evidence") & ~Q(description="") & ~Q(sha256=""),
                name="dispute_statement_says_something",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} by {self.side}"

    def content(self) -> dict[str, Any]:
        """What its hash is of."""
        return {"description": self.description, "salt": self.salt, "text": self.text}
