"""Conversions and the evidence behind them."""

from django.db import models
from django.db.models import Q
from django.db.models.fields.json import KeyTextTransform
from django.db.models.lookups import IsNull
from django.utils import timezone

from merchants.models import Merchant, Offer
from rako.core.append_only import AppendOnlyModel
from rako.core.ids import UlidField
from rako.core.money import EXPONENTS, MAX_MINOR, major_text
from sessions_app.models import Agent, Builder, Recommendation, Session


class Path(models.TextChoices):
    """How the sale is attributed to the recommendation (protocol, section 4); the first has the highest priority."""

    AAP_FLOW = "aap_flow"
    TRACKED_LINK = "tracked_link"
    EXTENSION = "extension"
    INFLUENCE = "influence"


class Level(models.TextChoices):
    """How the sale was verified (protocol, section 3)."""

    ORCHESTRATED = "orchestrated"
    MERCHANT_REPORTED = "merchant_reported"
    PAYMENT_OBSERVED = "payment_observed"
    RECONCILED = "reconciled"


class Status(models.TextChoices):
    """Where a sale stands (protocol, section 3). `lifecycle` derives it from facts and alone moves it.

    `settlement_pending` and `settled` are said of a validated sale by the settlement that has it, and never stored.
    """

    UNMATCHED = "unmatched"
    MATCHED = "matched"
    PENDING_VALIDATION = "pending_validation"
    VALIDATED = "validated"
    SETTLEMENT_PENDING = "settlement_pending"
    SETTLED = "settled"
    REJECTED = "rejected"
    DISPUTED = "disputed"
    RESOLVED = "resolved"
    CLAWED_BACK = "clawed_back"


# Nearly all sales came by the AAP flow: a page of those is found soon.
_RARE = ~Q(attribution_path=Path.AAP_FLOW.value)
# Whose validation may end. What is disputed waits until it is resolved.
DUE = (Status.PENDING_VALIDATION, Status.RESOLVED)


class Conversion(models.Model):
    """A sale credited to one recommendation, with the commission it earns.

    The row is a fact but for where it stands – `status`, `verification_level`, `validation_ends_at`, `is_held`,
    `is_superseded`, and what was corrected, refunded and reversed – which PostgreSQL lets change; each change is an
    entry of the conversion's stream.
    """

    Status = Status

    id = UlidField(primary_key=True)
    status = models.CharField(max_length=20, choices=Status, default=Status.MATCHED)
    attribution_path = models.CharField(max_length=12, choices=Path)
    verification_level = models.CharField(max_length=20, choices=Level)
    session = models.ForeignKey(Session, models.PROTECT, related_name="conversions")
    recommendation = models.ForeignKey(Recommendation, models.PROTECT, related_name="conversions")
    # Indexed below, by which each side pages through its own.
    agent = models.ForeignKey(Agent, models.PROTECT, related_name="conversions", db_index=False)
    builder = models.ForeignKey(Builder, models.PROTECT, related_name="conversions")
    merchant = models.ForeignKey(Merchant, models.PROTECT, related_name="conversions", db_index=False)
    offer = models.ForeignKey(Offer, models.PROTECT, related_name="conversions")
    code_sha256 = models.CharField(max_length=64)
    order_reference = models.CharField(max_length=200)
    transaction_value_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    commission_type = models.CharField(max_length=10)
    commission_minor = models.BigIntegerField(help_text="After the path's multiplier.")
    network_fee_minor = models.BigIntegerField()
    builder_payout_minor = models.BigIntegerField()
    network_fee_rate = models.DecimalField(max_digits=5, decimal_places=4, help_text="0.2 is 20 %.")
    refunds_reverse_cpa = models.BooleanField(
        default=False, db_default=False, help_text="A part refund takes its share of fixed amounts, as then agreed."
    )
    validation_days = models.PositiveSmallIntegerField()
    converted_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=timezone.now)
    # As far as the sale itself tells; a later event may start validation.
    first_validation_ends_at = models.DateTimeField(null=True, blank=True)
    validation_ends_at = models.DateTimeField(null=True, blank=True)
    is_held = models.BooleanField(default=False, db_default=False, help_text="Not settled for now: disputed or held.")
    is_superseded = models.BooleanField(
        default=False, db_default=False, help_text="A path of higher priority has the order."
    )
    # Written as differences to what was recorded: so a sale to which nothing happened has none.
    corrected_value_minor = models.BigIntegerField(null=True, blank=True, help_text="The transaction value after all.")
    refunded_minor = models.BigIntegerField(default=0, db_default=0, help_text="What takes back commission.")
    reversed_commission_minor = models.BigIntegerField(
        default=0, db_default=0, help_text="What was taken back of the commission; below zero, a correction added it."
    )
    reversed_fee_minor = models.BigIntegerField(default=0, db_default=0)
    reversed_payout_minor = models.BigIntegerField(default=0, db_default=0)

    class Meta:
        ordering = ["-recorded_at", "-id"]
        constraints = [
            # A session is one transaction (protocol, section 6): two payments never earn two commissions.
            models.UniqueConstraint(
                fields=["session"], condition=Q(is_superseded=False), name="conversion_one_per_session"
            ),
            models.UniqueConstraint(
                fields=["merchant", "order_reference"],
                condition=Q(is_superseded=False),
                name="conversion_one_per_order",
            ),
            models.CheckConstraint(
                condition=Q(commission_minor=models.F("network_fee_minor") + models.F("builder_payout_minor")),
                name="conversion_split_adds_up",
            ),
            models.CheckConstraint(
                condition=Q(network_fee_minor__gte=0)
                & Q(builder_payout_minor__gte=0)
                & Q(transaction_value_minor__gte=0)
                & Q(transaction_value_minor__lte=MAX_MINOR),
                name="conversion_amounts_are_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(
                    reversed_commission_minor=models.F("reversed_fee_minor") + models.F("reversed_payout_minor"),
                    reversed_fee_minor__lte=models.F("network_fee_minor"),
                    reversed_payout_minor__lte=models.F("builder_payout_minor"),
                )
                & Q(refunded_minor__gte=0),
                name="conversion_keeps_no_less_than_nothing",
            ),
            models.CheckConstraint(condition=Q(currency__in=list(EXPONENTS)), name="conversion_currency_is_known"),
            # A sale without a recommendation has no row: `unmatched` is for evidence alone.
            models.CheckConstraint(
                condition=Q(status__in=[value for value in Status.values if value != Status.UNMATCHED]),
                name="conversion_status_is_known",
            ),
        ]
        indexes = [
            # Each side pages through its own conversions, newest first.
            models.Index(fields=["merchant", "-id"], name="conversion_of_merchant"),
            models.Index(fields=["agent", "-id"], name="conversion_of_agent"),
            # And through some of them: a page of a rare kind must not read all others.
            models.Index(fields=["merchant", "status", "-id"], name="conversion_merchant_status"),
            models.Index(fields=["agent", "status", "-id"], name="conversion_agent_status"),
            models.Index(fields=["merchant", "verification_level", "-id"], name="conversion_merchant_level"),
            models.Index(fields=["agent", "verification_level", "-id"], name="conversion_agent_level"),
            models.Index(
                fields=["merchant", "attribution_path", "-id"], condition=_RARE, name="conversion_merchant_path"
            ),
            models.Index(fields=["agent", "attribution_path", "-id"], condition=_RARE, name="conversion_agent_path"),
            # Superseded ones, too: the unique constraint's index has only the others.
            models.Index(fields=["merchant", "order_reference"], name="conversion_of_order"),
            # What each side's earnings leave out.
            models.Index(fields=["merchant"], condition=Q(is_held=True), name="conversion_held_of_merchant"),
            models.Index(fields=["builder"], condition=Q(is_held=True), name="conversion_held_of_builder"),
            # close_validation_periods reads only this slice.
            models.Index(
                fields=["validation_ends_at", "id"],
                condition=Q(status__in=[status.value for status in DUE]),
                name="conversion_due",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pk} ({major_text(self.transaction_value_minor, self.currency)} {self.currency})"

    @property
    def value_minor(self) -> int:
        """What the sale is worth by now: as recorded, or as last corrected."""
        return self.transaction_value_minor if self.corrected_value_minor is None else self.corrected_value_minor

    @property
    def retained_commission_minor(self) -> int:
        """What is left of the commission."""
        return self.commission_minor - self.reversed_commission_minor

    @property
    def retained_fee_minor(self) -> int:
        """What is left of the network's fee."""
        return self.network_fee_minor - self.reversed_fee_minor

    @property
    def retained_payout_minor(self) -> int:
        """What is left of the builder's payout."""
        return self.builder_payout_minor - self.reversed_payout_minor


class Evidence(AppendOnlyModel):
    """An authenticated statement that a sale happened. The first makes the conversion, later ones attach to it."""

    class Source(models.TextChoices):
        PSP_EVENT = "psp_event"
        MERCHANT_REPORT = "merchant_report"
        DECISION = "decision"  # of a dispute about a missing sale
        RECONCILIATION = "reconciliation"  # the merchant's own records, compared with ours

    id = UlidField(primary_key=True)
    conversion = models.ForeignKey(Conversion, models.PROTECT, related_name="evidence")
    # The conversion's. Without a constraint of its own: that would have all proofs of a merchant lock one row.
    merchant = models.ForeignKey(Merchant, models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    source = models.CharField(max_length=20, choices=Source)
    level = models.CharField(max_length=20, choices=Level)
    path = models.CharField(max_length=12, choices=Path, default=Path.AAP_FLOW, db_default=Path.AAP_FLOW)
    reference = models.CharField(
        max_length=255, help_text="The payment's id at the PSP, or the merchant's order reference."
    )
    transaction_value_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    sha256 = models.CharField(max_length=64, help_text="Hex digest of the bytes that were received.")
    details = models.JSONField(default=dict)

    class Meta:
        verbose_name_plural = "evidence"
        constraints = [
            # A payment or an order is attributed once by each path, however often and by whomever it is told.
            models.UniqueConstraint(fields=["merchant", "source", "path", "reference"], name="evidence_attributed_once")
        ]
        indexes = [  # check_fraud_signals asks which other sales a payment was named for
            models.Index(
                KeyTextTransform("payment_reference", "details"),
                condition=Q(IsNull(KeyTextTransform("payment_reference", "details"), False)),
                name="evidence_payment_reference",
            )
        ]

    def __str__(self) -> str:
        return f"{self.source} {self.reference}"


class Event(AppendOnlyModel):
    """Something that happened to a sale after it: a refund, a dispute, the end of its validation …

    An event may come before the sale it belongs to is recorded: then it waits without a conversion, which PostgreSQL
    lets be set once.
    """

    class Kind(models.TextChoices):
        VALIDATION_STARTED = "validation_started"
        VALIDATED = "validated"
        CORRECTED = "corrected"  # the transaction value is another after all
        REFUNDED = "refunded"
        REFUND_FAILED = "refund_failed"
        CANCELLED = "cancelled"
        DISPUTE_OPENED = "dispute_opened"
        DISPUTE_WON = "dispute_won"
        DISPUTE_LOST = "dispute_lost"
        HELD = "held"  # by a fraud signal, until staff release or confirm it
        RELEASED = "released"
        FRAUD_FOUND = "fraud_found"
        SUPERSEDED = "superseded"  # a path of higher priority has the order; the reference is its conversion
        REINSTATED = "reinstated"  # what reversed the sale before did so wrongly

    id = UlidField(primary_key=True)
    conversion = models.ForeignKey(Conversion, models.PROTECT, null=True, related_name="events")
    merchant = models.ForeignKey(Merchant, models.PROTECT, related_name="+")
    kind = models.CharField(max_length=20, choices=Kind)
    sale_reference = models.CharField(
        max_length=255, help_text="The payment's id at the PSP, or the merchant's order reference."
    )
    reference = models.CharField(max_length=255, help_text="What tells this event from others of its kind.")
    amount_minor = models.BigIntegerField(null=True, help_text="What was refunded, or the value it is corrected to.")
    reason = models.CharField(max_length=300, blank=True)
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField(default=timezone.now)
    sha256 = models.CharField(max_length=64, blank=True, help_text="Hex digest of the bytes that told of it.")
    is_inherited = models.BooleanField(
        default=False, db_default=False, help_text="It was told of the conversion that this one superseded."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["merchant", "kind", "reference"], condition=Q(is_inherited=False), name="event_told_once"
            ),
            models.UniqueConstraint(
                fields=["conversion", "kind", "reference"],
                condition=Q(is_inherited=True),
                name="event_inherited_once",
            ),
            models.CheckConstraint(
                condition=Q(amount_minor__isnull=True) | Q(amount_minor__gt=0, amount_minor__lte=MAX_MINOR),
                name="event_amounts_are_positive",
            ),
        ]
        # What waits for its sale: looked through whenever a sale is recorded.
        indexes = [
            models.Index(
                fields=["merchant", "sale_reference"], condition=Q(conversion__isnull=True), name="event_waiting"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.reference}"


class Milestone(AppendOnlyModel):
    """A merchant's word of how a sale goes on: what was installed, activated, paid, approved (protocol, section 1)."""

    class Name(models.TextChoices):
        INSTALL_SCHEDULED = "install_scheduled"
        SERVICE_ACTIVATED = "service_activated"
        FIRST_BILL_PAID = "first_bill_paid"
        APPROVED = "approved"
        POLICY_STARTED = "policy_started"

    id = UlidField(primary_key=True)
    conversion = models.ForeignKey(Conversion, models.PROTECT, related_name="milestones", db_index=False)
    name = models.CharField(max_length=20, choices=Name)
    reference = models.CharField(max_length=200, help_text="The merchant's own.")
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField(default=timezone.now)
    sha256 = models.CharField(max_length=64, help_text="Hex digest of what was reported.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["conversion", "name", "reference"], name="milestone_told_once"),
            models.CheckConstraint(
                condition=Q(
                    name__in=[
                        *("install_scheduled", "service_activated", "first_bill_paid", "approved", "policy_started"),
                    ]
                ),
                name="milestone_name_is_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.reference}"
