"""Hosted pages and payments.

A payment's final states and a page's are final in PostgreSQL as well: the first migration installs a trigger
that refuses to reopen them; the second keeps amounts as they were.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from checkout.connectors.sandbox import ids
from checkout.connectors.sandbox.models.accounts import Account
from rako.core.money import EXPONENTS, Money, to_decimal

# How long a charge without the buyer waits for a step-up before it is canceled.
STEP_UP_WINDOW = timedelta(minutes=30)
_SYMBOLS = {"GBP": "£", "EUR": "€", "USD": "$"}


class Sale(models.Model):
    """What a page and a payment have in common: whose it is, how much, for what, and the caller's own words."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+")
    request_digest = models.CharField(max_length=64, blank=True)
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    merchant_name = models.TextField()
    item_name = models.TextField()
    metadata = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        abstract = True

    @property
    def money(self) -> Money:
        """The amount with its currency."""
        return Money(self.amount_minor, self.currency)

    @property
    def price(self) -> str:
        """For people: `£1,234.50`."""
        major = to_decimal(self.amount_minor, self.currency)
        return f"{_SYMBOLS.get(self.currency, '')}{major:,.{EXPONENTS[self.currency]}f}"


class PageStatus(models.TextChoices):
    """Whether a page takes payments."""

    OPEN = "open"
    COMPLETE = "complete"
    EXPIRED = "expired"


class PagePayment(models.TextChoices):
    """Whether the money of a page is there."""

    UNPAID = "unpaid"
    PROCESSING = "processing"
    PAID = "paid"


class PaymentPage(Sale):
    """A hosted payment page (a checkout session, in PSPs' words)."""

    id = ids.PrefixedIdField(ids.PAGE)
    idempotency_key = models.CharField(max_length=255)
    success_url = models.TextField()
    cancel_url = models.TextField()
    status = models.CharField(max_length=8, choices=PageStatus, default=PageStatus.OPEN)
    payment_status = models.CharField(max_length=10, choices=PagePayment, default=PagePayment.UNPAID)
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(name="sandbox_page_once_per_key", fields=["account", "idempotency_key"]),
            models.CheckConstraint(name="sandbox_page_amount", condition=Q(amount_minor__gt=0)),
            models.CheckConstraint(name="sandbox_page_currency", condition=Q(currency__regex="^[A-Z]{3}$")),
            models.CheckConstraint(name="sandbox_page_status", condition=Q(status__in=PageStatus.values)),
            models.CheckConstraint(
                name="sandbox_page_money",
                condition=Q(payment_status="unpaid")
                | Q(payment_status__in=["processing", "paid"], status=PageStatus.COMPLETE),
            ),
        ]
        indexes = [
            models.Index(name="sandbox_page_open", fields=["expires_at"], condition=Q(status=PageStatus.OPEN)),
        ]

    def __str__(self) -> str:
        return self.pk

    @property
    def url(self) -> str:
        """Where the buyer pays."""
        return f"{settings.RAKO_BASE_URL}/sandbox/pay/{self.pk}"

    def takes_payment(self, now: datetime) -> bool:
        """Whether the buyer can still pay here."""
        return self.status == PageStatus.OPEN and now < self.expires_at and not self.account.is_closed


class PaymentStatus(models.TextChoices):
    """Where a payment stands; the last three are final."""

    REQUIRES_PAYMENT_METHOD = "requires_payment_method"
    REQUIRES_ACTION = "requires_action"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


class Payment(Sale):
    """One payment. A page has at most one, used again for each card the buyer tries."""

    id = ids.PrefixedIdField(ids.PAYMENT)
    page = models.OneToOneField(PaymentPage, on_delete=models.PROTECT, null=True, related_name="payment")
    idempotency_key = models.CharField(max_length=255, null=True)  # a page's payment has none
    status = models.CharField(max_length=23, choices=PaymentStatus, default=PaymentStatus.REQUIRES_PAYMENT_METHOD)
    decline_code = models.CharField(max_length=40, blank=True)
    card_brand = models.CharField(max_length=20, blank=True)
    card_last4 = models.CharField(max_length=4, blank=True)
    off_session = models.BooleanField(default=False)
    settles_as = models.CharField(max_length=9, blank=True)
    settles_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="sandbox_payment_once_per_key", fields=["account", "idempotency_key"]),
            models.CheckConstraint(name="sandbox_payment_amount", condition=Q(amount_minor__gt=0)),
            models.CheckConstraint(name="sandbox_payment_currency", condition=Q(currency__regex="^[A-Z]{3}$")),
            models.CheckConstraint(name="sandbox_payment_status", condition=Q(status__in=PaymentStatus.values)),
            models.CheckConstraint(name="sandbox_payment_last4", condition=Q(card_last4__regex="^([0-9]{4})?$")),
            models.CheckConstraint(
                name="sandbox_payment_origin",
                condition=Q(off_session=True, page=None, idempotency_key__isnull=False)
                | Q(off_session=False, page__isnull=False, idempotency_key=None),
            ),
            models.CheckConstraint(
                name="sandbox_payment_settles",
                condition=Q(status="processing", settles_as__in=["succeeded", "failed"], settles_at__isnull=False)
                | Q(~Q(status="processing"), settles_as="", settles_at=None),
            ),
        ]
        indexes = [
            models.Index(name="sandbox_payment_settling", fields=["settles_at"], condition=Q(status="processing")),
            models.Index(name="sandbox_payment_step_up", fields=["created_at"], condition=Q(status="requires_action")),
            models.Index(name="sandbox_payment_listed", fields=["account", "created_at", "id"]),
        ]

    def __str__(self) -> str:
        return self.pk

    @property
    def charge_id(self) -> str:
        """What the payment is called once it took money, in the words of refunds and disputes."""
        return ids.CHARGE + self.pk.removeprefix(ids.PAYMENT)

    @property
    def expires_at(self) -> datetime:
        """Until when a step-up can be answered."""
        return self.page.expires_at if self.page else self.created_at + STEP_UP_WINDOW

    def is_answerable(self, now: datetime) -> bool:
        """Whether the buyer is asked to approve or refuse, and still can."""
        if self.status != PaymentStatus.REQUIRES_ACTION or self.account.is_closed:
            return False
        return self.page.takes_payment(now) if self.page else now < self.expires_at

    @property
    def step_up_url(self) -> str:
        """Where the buyer approves or refuses."""
        if self.page:
            return f"{self.page.url}/step-up"
        return f"{settings.RAKO_BASE_URL}/sandbox/payments/{self.pk}/step-up"
