"""Merchants and their keys."""

import re
from decimal import Decimal
from typing import Any, Self
from urllib.parse import urlsplit

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone

from rako.core.api_keys import ApiKey, key_kind
from rako.core.ids import UlidField

_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]\Z")


def check_host(host: str) -> None:
    """Raises ValidationError unless the text is a plain lower-case DNS name: no port, no address literal."""
    if len(host) > 253 or not _HOST.match(host):
        raise ValidationError(f"{host} is not a host name")


class Merchant(models.Model):
    """A seller. Suspending or closing it withdraws all its offers at once; nothing of it is ever deleted."""

    class Status(models.TextChoices):
        ACTIVE = "active"
        SUSPENDED = "suspended"
        CLOSED = "closed"

    id = UlidField(primary_key=True)
    name = models.CharField(max_length=120, unique=True)
    hosts = ArrayField(
        models.CharField(max_length=253, validators=[check_host]),
        default=list,
        blank=True,
        help_text="Hosts that offers and tracked links may lead to, comma-separated.",
    )
    contact_email = models.EmailField(blank=True)
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    network_fee_rate = models.DecimalField(
        max_digits=5,
        decimal_places=4,
        default=Decimal("0.2000"),
        help_text="The network's share of a commission, as agreed: 0.2 is 20 %.",
    )
    requires_authorization = models.BooleanField(
        default=False, help_text="Autonomous purchases need the buyer's mandate (`authorization`)."
    )
    refunds_reverse_cpa = models.BooleanField(
        default=False,
        db_default=False,
        verbose_name="part refunds reverse the CPA",
        help_text="A part refund takes its share of fixed commissions, too; otherwise only a full one does.",
    )
    accepts_extension = models.BooleanField(
        default=False, db_default=False, help_text="Pays for sales that a browser extension brought, by its own report."
    )
    accepts_influence = models.BooleanField(
        default=False, db_default=False, help_text="Pays for sales that an answer influenced, by its own report."
    )
    legal_name = models.CharField(max_length=200, blank=True, help_text="As it stands on invoices; the name, if empty.")
    billing_address = models.TextField(max_length=500, blank=True)
    billing_country = models.CharField(max_length=2, blank=True, help_text="ISO 3166-1 alpha-2, such as GB.")
    vat_number = models.CharField(max_length=20, blank=True)
    vat_rate = models.DecimalField(
        max_digits=5,
        decimal_places=4,
        default=Decimal(0),
        db_default=Decimal(0),
        help_text="VAT on the invoices it gets: 0.2 is 20 %; none for reverse charge.",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(condition=Q(vat_rate__gte=0) & Q(vat_rate__lt=1), name="merchant_vat_is_a_share"),
            models.CheckConstraint(
                condition=Q(network_fee_rate__gte=0) & Q(network_fee_rate__lte=1), name="merchant_fee_is_a_share"
            ),
            models.CheckConstraint(
                condition=Q(status__in=["active", "suspended", "closed"]), name="merchant_status_is_known"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def serves(self, url: str) -> bool:
        """Whether an address is an http(s) page on one of the merchant's own hosts: what stops open redirects."""
        try:
            parts = urlsplit(url)
            plain = parts.port is None and parts.username is None and parts.password is None
        except ValueError:
            return False
        return plain and parts.scheme in {"http", "https"} and parts.hostname in self.hosts and "\\" not in url


@key_kind("merchant")
class MerchantKey(ApiKey):
    """A merchant's API key."""

    merchant = models.ForeignKey(Merchant, models.PROTECT, related_name="keys")

    # A suspended merchant still owes and reports outcomes; only a closed one is gone.
    owner_lookup = """
        key.id, key.name, key.prefix, merchant.id AS merchant_id, merchant.name AS merchant_name
        FROM merchants_merchantkey key
        JOIN merchants_merchant merchant ON merchant.id = key.merchant_id
        WHERE key.digest = %s AND merchant.status <> 'closed'
    """

    @classmethod
    def with_owner(cls, row: tuple[Any, ...]) -> Self:
        """The key with its merchant."""
        key = cls.from_db("default", ["id", "name", "prefix", "merchant_id"], row[:4])
        key.merchant = Merchant.from_db("default", ["id", "name"], row[3:])
        return key
