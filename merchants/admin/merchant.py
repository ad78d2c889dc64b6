"""Merchants, their keys, and the authority's signing keys."""

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from merchants.admin.forms import MerchantForm
from merchants.models import Connection, Merchant, MerchantKey, Offer, SigningKey
from merchants.order_feeds import address_of, drop_old, has_old_secret, issue_secret
from rako.core.admin import RakoAdmin, ReadOnlyAdmin, ReadOnlyInline, log_acts
from rako.core.admin_text import percent_text
from rako.core.key_admin import ApiKeyAdmin, key_state

# Never even loaded for a page.
SECRETS = ("credentials", "webhook_secrets")
_ACTS_ON = {"suspend": ("active",), "reactivate": ("suspended", "closed"), "close": ("active", "suspended")}


class ConnectionInline(ReadOnlyInline):
    """The merchant's payment processors, past ones too."""

    model = Connection
    fields = ("kind", "account_id", "status", "connected_at", "disconnected_at")
    ordering = ("-connected_at",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("merchant").defer(*SECRETS)


class MerchantKeyInline(ReadOnlyInline):
    """The merchant's keys."""

    model = MerchantKey
    fields = ("name", "prefix", "state", "tier", "created_at", "expires_at")
    ordering = ("-pk",)

    @admin.display(description="state")
    def state(self, key: MerchantKey) -> str:
        """Whether it works."""
        return key_state(key)


@admin.register(Merchant)
class MerchantAdmin(RakoAdmin):
    """Sellers. Their status changes by actions alone, so that there is a reason for every change."""

    form = MerchantForm
    list_display = ("name", "status", "psp", "active_offers", "fee", "shown_hosts", "created_at")
    list_filter = ("status", "requires_authorization")
    search_fields = ("name", "contact_email", "hosts")
    search_help_text = "Name, e-mail address, host, or id."
    date_hierarchy = "created_at"
    inlines = (ConnectionInline, MerchantKeyInline)
    actions = ("suspend", "reactivate", "close", "issue_order_secret", "drop_old_order_secret")
    readonly_fields = ("id", "created_at", "payment_processor")
    fieldsets = (
        (None, {"fields": ("name", "status", "contact_email", "hosts")}),
        (
            "Terms",
            {
                "fields": (
                    *("network_fee_rate", "refunds_reverse_cpa", "accepts_extension", "accepts_influence"),
                    *("requires_authorization", "payment_processor"),
                )
            },
        ),
        (
            "Billing",
            {"fields": ("legal_name", "billing_address", "billing_country", "vat_number", "vat_rate")},
        ),
        ("Record", {"fields": ("id", "created_at")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        standing = Connection.objects.filter(merchant=OuterRef("pk")).exclude(status="disconnected")
        live = standing.filter(status="active").values("kind")[:1]
        offers = Offer.objects.filter(merchant=OuterRef("pk"), status="active").order_by().values("merchant")
        counted = offers.annotate(count=Count("pk")).values("count")
        merchants = super().get_queryset(request)
        return merchants.annotate(  # type: ignore[no-any-return]
            live_psp=Subquery(live), connection_id=Subquery(standing.values("pk")[:1]), offer_count=Subquery(counted)
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Merchant | None = None) -> tuple[str, ...]:
        return self.readonly_fields if obj is None else (*self.readonly_fields, "status")

    @admin.display(description="PSP", ordering="live_psp")
    def psp(self, merchant: Any) -> str:
        """The live connection's connector."""
        return merchant.live_psp or "not connected"

    @admin.display(description="active offers", ordering="offer_count")
    def active_offers(self, merchant: Any) -> int:
        """How many offers agents could find if the merchant is active."""
        return merchant.offer_count or 0

    @admin.display(description="network fee", ordering="network_fee_rate")
    def fee(self, merchant: Merchant) -> str:
        """The network's share in percent."""
        return percent_text(merchant.network_fee_rate * 100)

    @admin.display(description="hosts")
    def shown_hosts(self, merchant: Merchant) -> str:
        """The hosts offers may lead to."""
        return ", ".join(merchant.hosts) or "none"

    @admin.display(description="payment processor")
    def payment_processor(self, merchant: Any) -> str:
        """What the merchant is connected to, or the way to connect it."""
        if merchant._state.adding:
            return "Connect one after saving."
        if merchant.connection_id:
            address = reverse("admin:merchants_connection_change", args=[merchant.connection_id])
            said = merchant.live_psp or "Not working: nothing can be sold"
            return format_html('{} <a href="{}">See the connection</a>', said, address)
        address = reverse("admin:merchants_connection_add", query={"merchant": merchant.pk})
        shown = format_html('Not connected: nothing can be sold. <a href="{}">Connect…</a>', address)
        if settings.RAKO_STRIPE_CLIENT_ID:
            connect = reverse("admin:merchants_connection_oauth", args=[merchant.pk])
            shown += format_html(' <a href="{}">Connect with Stripe…</a>', connect)
        return shown

    def has_status_permission(self, request: HttpRequest) -> bool:
        """Suspending, closing and reactivating."""
        return self.may(request, "change")

    def action_fits(self, action: str, row: Merchant) -> bool:
        if action == "drop_old_order_secret":
            return has_old_secret(row)
        return row.status in _ACTS_ON.get(action, ("active", "suspended"))

    @admin.action(description="Suspend…", permissions=["status"])
    def suspend(self, request: HttpRequest, chosen: QuerySet[Any]) -> HttpResponse | None:
        """Withdraw all their offers at once; outcomes can still be reported."""
        title = "Suspend: all offers are withdrawn at once; outcomes can still be reported"
        return self._set(request, chosen, ("suspend", title), "Suspended", "suspended")

    @admin.action(description="Reactivate…", permissions=["status"])
    def reactivate(self, request: HttpRequest, chosen: QuerySet[Any]) -> HttpResponse | None:
        """Put their active offers back."""
        title = "Reactivate: active offers are found again, keys work again"
        return self._set(request, chosen, ("reactivate", title), "Reactivated", "active")

    @admin.action(description="Close…", permissions=["status"])
    def close(self, request: HttpRequest, chosen: QuerySet[Any]) -> HttpResponse | None:
        """End the business with them: their keys end as well."""
        title = "Close: all offers are withdrawn and the merchant's keys work no more"
        return self._set(request, chosen, ("close", title), "Closed", "closed")

    @admin.action(description="New secret for ACP order events", permissions=["status"])
    def issue_order_secret(self, request: HttpRequest, chosen: QuerySet[Any]) -> None:
        """Issue it and show it this once; the one before it is accepted until it is dropped, or the next is issued."""
        merchants = list(Merchant.objects.filter(pk__in=chosen.order_by().values("pk")).exclude(status="closed"))
        said = "The secret of {} is <code>{}</code> – copy it now, it is not shown again. Events go to <code>{}</code>."
        for merchant in merchants:
            _, secret = issue_secret(merchant)
            self.message_user(request, format_html(said, merchant, secret, address_of(merchant)), messages.SUCCESS)
        log_acts(request, merchants, "New secret for ACP order events")

    @admin.action(description="Drop the old secret for ACP order events", permissions=["status"])
    def drop_old_order_secret(self, request: HttpRequest, chosen: QuerySet[Any]) -> None:
        """Accept the newest alone."""
        merchants = [row for row in Merchant.objects.filter(pk__in=chosen.order_by().values("pk")) if drop_old(row)]
        log_acts(request, merchants, "Dropped the old secret for ACP order events")
        self.message_user(request, f"{len(merchants)} old secret(s) dropped.", messages.SUCCESS)

    def _set(
        self, request: HttpRequest, chosen: QuerySet[Any], asked: tuple[str, str], said: str, status: str
    ) -> HttpResponse | None:
        reason = self.ask_reason(request, chosen, *asked)
        if isinstance(reason, HttpResponse):
            return reason
        self.move(request, chosen.filter(status__in=_ACTS_ON[asked[0]]), f"{said}: {reason}", status=status)
        return None


@admin.register(MerchantKey)
class MerchantKeyAdmin(ApiKeyAdmin):
    """Merchants' keys."""

    owner = "merchant"
    list_select_related = ("merchant",)
    autocomplete_fields = ("merchant",)
    search_fields = ("name", "prefix", "merchant__name")
    id_fields = ("pk", "merchant")


@admin.register(SigningKey)
class SigningKeyAdmin(ReadOnlyAdmin):
    """The public keys AAP Codes verify under; rotated with `manage.py rotate_signing_key`."""

    list_display = ("key_id", "is_current", "valid_from", "valid_to")
    search_fields = ("key_id",)
    ordering = ("-valid_from",)
    fields = ("key_id", "is_current", "valid_from", "valid_to", "pem")

    @admin.display(description="signs now", boolean=True)
    def is_current(self, key: SigningKey) -> bool:
        """Whether codes are issued under it at present."""
        return key.valid_from <= timezone.now() and (key.valid_to is None or key.valid_to > timezone.now())

    @admin.display(description="public key")
    def pem(self, key: SigningKey) -> str:
        """The key as SPKI PEM."""
        return format_html('<pre class="rako-block">{}</pre>', key.public_key)
