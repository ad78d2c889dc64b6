"""Money on its way to builders."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from rako.core.append_only import AppendOnlyModel
from rako.core.encryption import EncryptedJsonField
from rako.core.ids import UlidField
from rako.core.money import EXPONENTS
from sessions_app.models import Builder


class BankAccount(models.Model):
    """Where a builder is paid in one currency. What identifies the account is encrypted; `hint` is its end."""

    builder = models.ForeignKey(Builder, models.PROTECT, related_name="bank_accounts")
    currency = models.CharField(max_length=3, choices=[(code, code) for code in EXPONENTS])
    holder = models.CharField(max_length=70, help_text="The account holder's name, as the bank knows it.")
    account = EncryptedJsonField(editable=False, help_text="{iban, bic}")
    hint = models.CharField(max_length=8, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["builder", "currency"], name="bank_account_one_per_currency")]

    def __str__(self) -> str:
        return f"{self.holder} …{self.hint}"


class PayoutFile(AppendOnlyModel):
    """Payment instructions as they were handed to the bank: the same bytes, however often they are fetched."""

    id = UlidField(primary_key=True)
    provider = models.CharField(max_length=12)
    currency = models.CharField(max_length=3)
    content = models.BinaryField()
    sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return str(self.id)


class Payout(models.Model):
    """One payment to one builder, ordered by a settlement. Only `settlement.payouts` moves its state.

    Its id is the reference that the bank repeats, so that no payment is made twice: a retry keeps it.
    """

    class State(models.TextChoices):
        PENDING = "pending", "waits to be handed to the bank"
        SUBMITTED = "submitted", "handed to the bank"
        PAID = "paid"
        FAILED = "failed", "refused by the bank"

    id = UlidField(primary_key=True)
    builder = models.ForeignKey(Builder, models.PROTECT, related_name="payouts")
    batch = models.ForeignKey("settlement.Batch", models.PROTECT, related_name="payouts", db_constraint=False)
    currency = models.CharField(max_length=3)
    amount_minor = models.BigIntegerField()
    state = models.CharField(max_length=9, choices=State, default=State.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    file = models.ForeignKey(PayoutFile, models.PROTECT, null=True, blank=True, related_name="payouts")
    failure = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    submitted_at = models.DateTimeField(null=True, blank=True)
    paid_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["batch", "builder", "currency"], name="payout_one_per_batch"),
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="payout_is_positive"),
            models.CheckConstraint(condition=Q(currency__in=list(EXPONENTS)), name="payout_currency_is_known"),
            models.CheckConstraint(
                condition=Q(state="paid", paid_at__isnull=False)
                | Q(state__in=["pending", "submitted", "failed"], paid_at=None),
                name="payout_is_paid_at_a_time",
            ),
        ]
        indexes = [
            models.Index(fields=["builder", "-id"], name="payout_of_builder"),
            models.Index(fields=["state"], condition=Q(state__in=["pending", "submitted"]), name="payout_under_way"),
        ]

    def __str__(self) -> str:
        return str(self.id)
