"""A closed month, the commissions it settled, and those that it left for the next."""

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from ledger.models import Conversion
from rako.core.append_only import AppendOnlyModel
from rako.core.ids import UlidField
from rako.core.money import EXPONENTS
from settlement.models.documents import Statement


class Batch(AppendOnlyModel):
    """One month's settlement. It is a pure function of the ledger's first `cut` entries, the batches before it, and
    `inputs`; `document` is its result in canonical JSON, which an entry of the ledger holds the hash of."""

    id = UlidField(primary_key=True)
    period = models.CharField(max_length=7, unique=True, help_text="YYYY-MM, in UTC.")
    rule_version = models.PositiveSmallIntegerField()
    cut = models.BigIntegerField(help_text="How many entries of the log were looked at.")
    inputs = models.JSONField(help_text="What the result depends on beside the ledger.")
    line_count = models.BigIntegerField()
    lines_sha256 = models.CharField(max_length=64)
    document = models.BinaryField()
    document_sha256 = models.CharField(max_length=64)
    closed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "batches"
        ordering = ["-period"]
        constraints = [
            models.CheckConstraint(
                condition=Q(period__regex=r"^[0-9]{4}-(0[1-9]|1[0-2])$"), name="batch_period_is_month"
            )
        ]

    def __str__(self) -> str:
        return self.period


class Line(AppendOnlyModel):
    """What one conversion adds to one batch, in minor units: negative where it takes back what an earlier one added.

    `up_to_seq` is the last entry of the conversion's stream that is settled by it. Lines come by the million: no
    foreign key of theirs is checked, for what they refer to is never deleted.
    """

    pk = models.CompositePrimaryKey("conversion", "batch")
    batch = models.ForeignKey(Batch, models.PROTECT, related_name="lines", db_constraint=False, db_index=False)
    conversion = models.ForeignKey(
        Conversion, models.PROTECT, related_name="settlement_lines", db_constraint=False, db_index=False
    )
    currency = models.CharField(max_length=3)
    merchant_id = models.CharField(max_length=26, db_collation="C")
    builder_id = models.CharField(max_length=26, db_collation="C")
    commission_minor = models.BigIntegerField()
    fee_minor = models.BigIntegerField()
    payout_minor = models.BigIntegerField()
    reversed_vat_rate = models.DecimalField(
        max_digits=5,
        decimal_places=4,
        null=True,
        help_text="Of what is taken back: that of the invoice which charged it last.",
    )
    up_to_seq = models.PositiveIntegerField()
    is_late = models.BooleanField(
        help_text="It happened in a month that was closed when it was told; not what only waited."
    )
    statement = models.ForeignObject(
        Statement,
        models.DO_NOTHING,
        from_fields=["batch", "builder_id", "currency"],
        to_fields=["batch", "builder", "currency"],
        related_name="lines",
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(commission_minor=F("fee_minor") + F("payout_minor")), name="line_split_adds_up"
            ),
            models.CheckConstraint(condition=Q(currency__in=list(EXPONENTS)), name="line_currency_is_known"),
            models.CheckConstraint(
                condition=Q(commission_minor__lt=0, reversed_vat_rate__isnull=False)
                | Q(commission_minor__gte=0, reversed_vat_rate=None),
                name="line_takes_back_at_a_rate",
            ),
        ]
        indexes = [
            models.Index(fields=["batch", "merchant_id", "conversion"], name="line_of_merchant"),
            models.Index(fields=["batch", "builder_id", "conversion"], name="line_of_builder"),
        ]

    def __str__(self) -> str:
        return f"{self.conversion_id} in {self.batch_id}"


class Waiting(AppendOnlyModel):
    """A conversion with entries that a batch did not settle. The next one looks at those after `after_seq` again."""

    class Reason(models.TextChoices):
        HELD = "held", "disputed, or held by a fraud signal"
        FINDINGS = "findings", "its merchant's payments do not agree with their processor"
        LATER = "later", "belongs to a later month"

    pk = models.CompositePrimaryKey("batch", "conversion")
    batch = models.ForeignKey(Batch, models.PROTECT, related_name="waiting", db_constraint=False, db_index=False)
    conversion = models.ForeignKey(Conversion, models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    reason = models.CharField(max_length=8, choices=Reason)
    after_seq = models.PositiveIntegerField()
    payout_minor = models.BigIntegerField(help_text="What the builder would have been credited, had it not to wait.")

    class Meta:
        verbose_name_plural = "waiting"

    def __str__(self) -> str:
        return f"{self.conversion_id}: {self.reason}"
