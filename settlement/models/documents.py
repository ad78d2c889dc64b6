"""What a batch tells each side: invoices and credit notes to merchants, statements to builders."""

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from merchants.models import Merchant
from rako.core.append_only import AppendOnlyModel
from rako.core.ids import UlidField
from rako.core.money import EXPONENTS
from sessions_app.models import Builder
from settlement.models.payouts import Payout

_KNOWN_CURRENCY = Q(currency__in=list(EXPONENTS))


class Counter(models.Model):
    """The last number that a series of documents has given. Its row is locked while one is given: none is skipped."""

    series = models.CharField(primary_key=True, max_length=12)
    last = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.series} {self.last}"


class Invoice(models.Model):
    """An invoice for the commissions of a month, or a credit note for what was reversed of earlier ones.

    All is a fact but `paid_at`: when the merchant's payments and credit notes had covered it, the oldest first; of a
    credit note, when it was set against what the merchant owed.
    """

    class Kind(models.TextChoices):
        INVOICE = "invoice"
        CREDIT_NOTE = "credit_note"

    id = UlidField(primary_key=True)
    kind = models.CharField(max_length=11, choices=Kind)
    number = models.CharField(max_length=20, unique=True)
    batch = models.ForeignKey("settlement.Batch", models.PROTECT, related_name="invoices", db_constraint=False)
    merchant = models.ForeignKey(Merchant, models.PROTECT, related_name="invoices")
    currency = models.CharField(max_length=3)
    line_count = models.BigIntegerField()
    net_minor = models.BigIntegerField(help_text="Positive, on credit notes too.")
    vat_rate = models.DecimalField(max_digits=5, decimal_places=4)
    vat_minor = models.BigIntegerField()
    total_minor = models.BigIntegerField()
    seller = models.JSONField()
    buyer = models.JSONField()
    issued_on = models.DateField()
    due_on = models.DateField()
    paid_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(
                fields=["batch", "merchant", "currency", "kind", "vat_rate"], name="invoice_one_of_a_kind_per_batch"
            ),
            models.CheckConstraint(
                condition=Q(total_minor=F("net_minor") + F("vat_minor"), net_minor__gt=0, vat_minor__gte=0),
                name="invoice_total_adds_up",
            ),
            models.CheckConstraint(condition=Q(kind__in=["invoice", "credit_note"]), name="invoice_kind_is_known"),
            models.CheckConstraint(condition=_KNOWN_CURRENCY, name="invoice_currency_is_known"),
        ]
        indexes = [models.Index(fields=["merchant", "-id"], name="invoice_of_merchant")]

    def __str__(self) -> str:
        return self.number


class MerchantPayment(AppendOnlyModel):
    """Money that a merchant paid on its invoices, once per reference of the bank's."""

    id = UlidField(primary_key=True)
    merchant = models.ForeignKey(Merchant, models.PROTECT, related_name="payments_made")
    currency = models.CharField(max_length=3)
    amount_minor = models.BigIntegerField()
    reference = models.CharField(max_length=140)
    received_on = models.DateField()
    recorded_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "reference"], name="merchant_payment_recorded_once"),
            models.CheckConstraint(condition=Q(amount_minor__gt=0) & _KNOWN_CURRENCY, name="merchant_payment_is_money"),
        ]

    def __str__(self) -> str:
        return self.reference


class Statement(models.Model):
    """What a month brought a builder in one currency. `closing` is carried forward; below zero, the builder owes it.

    All is a fact but `payout`, which is set once: the payout that has paid its balance.
    """

    id = UlidField(primary_key=True)
    number = models.CharField(max_length=20, unique=True)
    batch = models.ForeignKey("settlement.Batch", models.PROTECT, related_name="statements", db_constraint=False)
    builder = models.ForeignKey(Builder, models.PROTECT, related_name="statements")
    currency = models.CharField(max_length=3)
    line_count = models.BigIntegerField()
    opening_minor = models.BigIntegerField()
    earned_minor = models.BigIntegerField()
    reversed_minor = models.BigIntegerField(help_text="Zero or less.")
    paid_minor = models.BigIntegerField()
    closing_minor = models.BigIntegerField()
    payout = models.ForeignKey(Payout, models.PROTECT, null=True, blank=True, related_name="statements")

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["batch", "builder", "currency"], name="statement_one_per_batch"),
            models.CheckConstraint(
                condition=Q(
                    closing_minor=F("opening_minor") + F("earned_minor") + F("reversed_minor") - F("paid_minor"),
                    earned_minor__gte=0,
                    reversed_minor__lte=0,
                    paid_minor__gte=0,
                ),
                name="statement_adds_up",
            ),
            models.CheckConstraint(condition=_KNOWN_CURRENCY, name="statement_currency_is_known"),
        ]
        indexes = [models.Index(fields=["builder", "currency", "-id"], name="statement_of_builder")]

    def __str__(self) -> str:
        return self.number
