"""Money on its way to builders."""

from django.db import models
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

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


class PayoutFile(models.Model):
    """Payment instructions as they were handed to the bank: the same text, however often it is fetched.

    All is a fact, the text by its hash: it names bank accounts, so it is encrypted, and only its key ever changes.
    """

    id = UlidField(primary_key=True)
    provider = models.CharField(max_length=12)
    currency = models.CharField(max_length=3)
    content = EncryptedJsonField(editable=False)
    sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-id"]
        permissions = [("download_payoutfile", "Can download payment instructions")]

    def __str__(self) -> str:
        return str(self.id)


class PayoutQuerySet(QuerySet["Payout"]):
    """Payouts by what can be done with them."""

    def pending(self) -> "PayoutQuerySet":
        """Those that nobody was told to make yet."""
        return self.filter(state=Payout.State.PENDING)

    def with_account(self) -> "PayoutQuerySet":
        """Those whose builder has said where to."""
        return self.filter(Exists(_accounts()))

    def without_account(self) -> "PayoutQuerySet":
        """Those that wait for a bank account."""
        return self.filter(~Exists(_accounts()))

    def payable(self) -> "PayoutQuerySet":
        """Those whose builder's earnings are not in doubt: staff have found no fraud, or lifted the flag."""
        return self.filter(builder__fraud_found_at=None)

    def flagged(self) -> "PayoutQuerySet":
        """Those that wait because staff found that a sale of the builder's was fraud."""
        return self.filter(builder__fraud_found_at__isnull=False)

    def with_hint(self) -> "PayoutQuerySet":
        """Each with the end of the account that it would go to now, as `hint`."""
        return self.annotate(hint=Subquery(_accounts().values("hint")))


def _accounts() -> QuerySet[BankAccount]:
    return BankAccount.objects.filter(builder=OuterRef("builder"), currency=OuterRef("currency"))


class Payout(models.Model):
    """One payment to one builder, ordered by a settlement. Only `settlement.payouts` moves its state.

    Its id is the reference that the bank repeats, so that no payment is made twice: a retry keeps it. `file` is the
    last that it was in; `attempts` counts them.
    """

    class State(models.TextChoices):
        PENDING = "pending", "waits to be handed to the bank"
        SUBMITTED = "submitted", "handed to the bank"
        PAID = "paid", "paid by the bank"
        FAILED = "failed", "refused or sent back by the bank"

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

    objects = PayoutQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        permissions = [
            ("confirm_payout", "Can say what became of a payout"),
            ("retry_payout", "Can have a failed payout made again"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["batch", "builder", "currency"], name="payout_one_per_batch"),
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="payout_is_positive"),
            models.CheckConstraint(condition=Q(currency__in=list(EXPONENTS)), name="payout_currency_is_known"),
            models.CheckConstraint(
                condition=Q(state="paid", paid_at__isnull=False)
                | Q(state__in=["pending", "submitted", "failed"], paid_at=None),
                name="payout_is_paid_at_a_time",
            ),
            # Which file, and that no submitted one changes it, is for the trigger `settlement_payout_moves`.
            models.CheckConstraint(
                condition=Q(state="pending") | Q(file__isnull=False, submitted_at__isnull=False, attempts__gte=1),
                name="payout_is_submitted_in_a_file",
            ),
        ]
        indexes = [
            models.Index(fields=["builder", "-id"], name="payout_of_builder"),
            models.Index(fields=["state"], condition=Q(state__in=["pending", "submitted"]), name="payout_under_way"),
        ]

    def __str__(self) -> str:
        return str(self.id)
