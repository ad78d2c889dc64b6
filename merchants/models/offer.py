"""Offers and their effective-dated commission terms."""

import unicodedata
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Length
from django.utils import timezone

from merchants.models.merchant import Merchant
from merchants.verticals import CHOICES, VERTICALS, check_criteria
from rako.core.append_only import AppendOnlyModel
from rako.core.errors import BadRequest
from rako.core.ids import UlidField
from rako.core.money import EXPONENTS, major_text, number_to_wire, to_wire

CURRENCIES = [(code, code) for code in EXPONENTS]
UNLIMITED = 2_147_483_647
# With these, even the longest hybrid terms fit an AAP Code of 500 characters, which is what PSPs allow a metadata
# value (protocol, section 2; its own cap of 80 bytes would leave such a code at 515).
MAX_PRICE_MINOR = 99_999_999
LONGEST_NAMES = 68  # bytes of provider and name together, as they stand in JSON
# JSON spells a control character with six bytes, and no page shows one.
CONTROL = r"[[:cntrl:]]"


def plain_text(text: str) -> None:
    """Raises ValidationError if a text holds control characters."""
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise ValidationError("Control characters are not allowed.")


class JsonBytes(Length):
    """A text's length in bytes as it stands in JSON, without the quotes: what it costs in an AAP Code."""

    template = "octet_length(to_json((%(expressions)s)::text)::text) - 2"


class CriterionNumber(models.Func):
    """A whole number out of `criteria`, as the stored column that searches filter by; `unlimited` beats any number."""

    arity = 0
    output_field = models.IntegerField()
    template = f"CASE criteria->>'%(key)s' WHEN 'unlimited' THEN {UNLIMITED} ELSE (criteria->>'%(key)s')::integer END"

    def __init__(self, key: str) -> None:
        super().__init__(key=key)

    def deconstruct(self) -> Any:
        return f"{self.__module__}.{type(self).__qualname__}", (self.extra["key"],), {}


class Offer(models.Model):
    """Something a merchant sells through agents, at a price that its AAP Code signs."""

    class Status(models.TextChoices):
        ACTIVE = "active"
        WITHDRAWN = "withdrawn"

    id = UlidField(primary_key=True)
    merchant = models.ForeignKey(Merchant, models.PROTECT, related_name="offers")
    vertical = models.CharField(max_length=12, choices=CHOICES)
    provider = models.CharField(max_length=60, validators=[plain_text])
    name = models.CharField(max_length=70, validators=[plain_text])
    price_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3, choices=CURRENCIES, default="GBP")
    intro_price_minor = models.BigIntegerField(null=True, blank=True)
    intro_months = models.PositiveSmallIntegerField(null=True, blank=True)
    criteria = models.JSONField(default=dict, blank=True)
    url = models.CharField(
        max_length=500,
        validators=[URLValidator(["https", "http"])],
        help_text="The offer's page on one of the merchant's hosts.",
    )
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)
    # Stored copies of the two numeric criteria that searches filter by, kept true by PostgreSQL itself.
    data_gb = models.GeneratedField(
        expression=CriterionNumber("data_gb"), output_field=models.IntegerField(null=True), db_persist=True
    )
    contract_months = models.GeneratedField(
        expression=CriterionNumber("contract_months"), output_field=models.IntegerField(null=True), db_persist=True
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "provider", "name"], name="offer_named_once_per_merchant"),
            # Target of the terms' composite foreign key: terms always carry their offer's vertical.
            models.UniqueConstraint(fields=["id", "vertical"], name="offer_and_vertical"),
            models.CheckConstraint(condition=Q(vertical__in=list(VERTICALS)), name="offer_vertical_is_known"),
            models.CheckConstraint(condition=Q(currency__in=list(EXPONENTS)), name="offer_currency_is_known"),
            models.CheckConstraint(condition=Q(status__in=["active", "withdrawn"]), name="offer_status_is_known"),
            models.CheckConstraint(
                condition=Q(price_minor__gt=0) & Q(price_minor__lte=MAX_PRICE_MINOR), name="offer_price_is_positive"
            ),
            models.CheckConstraint(
                condition=Q(intro_price_minor=None, intro_months=None)
                | Q(intro_price_minor__isnull=False, intro_months__isnull=False)
                & Q(intro_price_minor__gte=0, intro_price_minor__lt=models.F("price_minor"), intro_months__gte=1),
                name="offer_intro_price_has_months_and_is_lower",
            ),
            models.CheckConstraint(
                condition=~Q(provider__regex=CONTROL) & ~Q(name__regex=CONTROL), name="offer_texts_have_no_controls"
            ),
            models.CheckConstraint(
                condition=models.lookups.LessThanOrEqual(JsonBytes("provider") + JsonBytes("name"), LONGEST_NAMES),
                name="offer_provider_and_name_fit_the_code",
            ),
        ]
        indexes = [
            # The order of every search is price, then id; only active offers are ever searched.
            models.Index(
                fields=["vertical", "price_minor", "id"], condition=Q(status="active"), name="offer_search_vertical"
            ),
            models.Index(fields=["price_minor", "id"], condition=Q(status="active"), name="offer_search_all"),
            # The selective filters: where few offers match, the order's own index would be walked to its end.
            models.Index(
                fields=["provider", "price_minor", "id"], condition=Q(status="active"), name="offer_search_provider"
            ),
            models.Index(
                fields=["contract_months", "price_minor", "id"],
                condition=Q(status="active"),
                name="offer_search_months",
            ),
            models.Index(fields=["data_gb"], condition=Q(status="active"), name="offer_search_data"),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.name} ({major_text(self.price_minor, self.currency)} {self.currency})"

    @property
    def is_available(self) -> bool:
        """Whether it can be bought now: itself and its merchant active."""
        return self.status == self.Status.ACTIVE and self.merchant.status == Merchant.Status.ACTIVE

    def clean(self) -> None:
        if self.vertical in VERTICALS:
            try:
                self.criteria = check_criteria(self.vertical, self.criteria)
            except BadRequest as error:
                raise ValidationError({"criteria": str(error)}) from None
        if self.merchant_id and self.url and not self.merchant.serves(self.url):
            raise ValidationError({"url": "The page is not on one of the merchant's registered hosts."})


def _at_least(column: str, floor: int | Decimal | None) -> Q | None:
    """Present and no less than the floor. IS NOT NULL is said: a CHECK that comes to NULL lets the row pass."""
    return None if floor is None else Q((f"{column}__isnull", False), (f"{column}__gte", floor))


def _floor_rule() -> Q:
    """What the commission table of the protocol allows (section 4), as one condition for PostgreSQL."""
    rule = Q(pk__in=[])
    for name, vertical in VERTICALS.items():
        cpa = _at_least("amount_minor", vertical.floor_cpa_minor)
        rate = _at_least("rate", vertical.floor_rate)
        rate = rate and rate & Q(rate__lte=100)
        if cpa:
            rule |= Q(vertical=name, type="cpa", rate=None) & cpa
        if rate:
            rule |= Q(vertical=name, type="percentage", amount_minor=None) & rate
        if cpa and rate:
            rule |= Q(vertical=name, type="hybrid") & cpa & rate
    return rule


class CommissionTerms(AppendOnlyModel):
    """What a sale of an offer pays from a moment on: facts, so a change is a new row that supersedes the old one."""

    class Type(models.TextChoices):
        CPA = "cpa", "CPA (fixed amount)"
        PERCENTAGE = "percentage", "Percentage of the sale"
        HYBRID = "hybrid", "Hybrid (base plus percentage)"

    id = UlidField(primary_key=True)
    offer = models.ForeignKey(Offer, models.PROTECT, related_name="terms")
    vertical = models.CharField(max_length=12, choices=CHOICES, editable=False)
    type = models.CharField(max_length=10, choices=Type)
    amount_minor = models.BigIntegerField(null=True, blank=True, help_text="CPA amount or hybrid base, minor units.")
    rate = models.DecimalField(max_digits=6, decimal_places=3, null=True, blank=True, help_text="Percent of the sale.")
    effective_from = models.DateTimeField(default=timezone.now)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name_plural = "commission terms"
        ordering = ["offer", "-effective_from"]
        constraints = [
            models.UniqueConstraint(fields=["offer", "effective_from"], name="terms_one_per_moment"),
            models.CheckConstraint(condition=_floor_rule(), name="terms_meet_the_floor"),
            models.CheckConstraint(
                condition=Q(amount_minor=None) | Q(amount_minor__lte=MAX_PRICE_MINOR), name="terms_amount_is_bounded"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} from {self.effective_from:%Y-%m-%d}"

    def clean(self) -> None:
        if self.offer_id:
            self.vertical = self.offer.vertical
        if self.type and self.vertical:
            check_terms(self.vertical, self.type, self.amount_minor, self.rate)

    def save(self, *args: Any, **options: Any) -> None:
        self.vertical = self.offer.vertical
        super().save(*args, **options)


def check_terms(vertical: str, type_: str, amount_minor: int | None, rate: Decimal | None) -> None:
    """Raises ValidationError with the reason why the protocol does not allow these terms in that vertical."""
    rules = VERTICALS[vertical]
    for wanted, given, floor, what in (
        (type_ != "percentage", amount_minor, rules.floor_cpa_minor, "an amount"),
        (type_ != "cpa", rate, rules.floor_rate, "a percentage"),
    ):
        if not wanted and given is not None:
            raise ValidationError(f"A {type_} commission has no {what.split()[-1]}")
        if wanted and floor is None:
            raise ValidationError(f"A {type_} commission is not offered for {vertical}")
        if wanted and (given is None or floor is None or given < floor):
            least = f"{floor / 100:.2f}" if what == "an amount" and floor is not None else floor
            raise ValidationError(f"A {type_} commission for {vertical} needs {what} of at least {least}")
    if rate is not None and rate > 100:
        raise ValidationError("A percentage is at most 100")


def wire_commission(type_: str, amount_minor: int | None, rate: Decimal | None, currency: str) -> dict[str, Any]:
    """Terms as the AAP Code carries them: `{type, value[, min]}` (protocol, section 2)."""
    amount = None if amount_minor is None else to_wire(amount_minor, currency)
    if rate is None:
        return {"type": type_, "value": amount}
    value = {"type": type_, "value": number_to_wire(rate)}
    return value if amount is None else value | {"min": amount}
