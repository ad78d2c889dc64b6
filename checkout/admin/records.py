"""Checkouts, their objects at the PSP, buyers' mandates, and the webhook inbox."""

import logging
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from checkout import inbox
from checkout.models import Authorization, Checkout, PspObject, WebhookReceipt
from merchants.admin.merchant import SECRETS
from rako.core.admin import ReadOnlyAdmin, ReadOnlyInline, log_acts
from rako.core.admin_text import money_column, pretty_json, time_column

log = logging.getLogger("rako.webhooks")
_SECRETS_OF_CONNECTION = tuple(f"connection__{name}" for name in SECRETS)
_MOST_AT_ONCE = 50


class PspObjectInline(ReadOnlyInline):
    """The checkout's objects at the PSP."""

    model = PspObject
    fields = ("psp_id", "created_at")


class AuthorizationInline(ReadOnlyInline):
    """The buyer's mandate it was paid under."""

    model = Authorization
    fields = ("reference", "max_amount", "expires_at", "used_at", "released_at")
    max_amount = money_column("max_amount_minor", "at most")


@admin.register(Checkout)
class CheckoutAdmin(ReadOnlyAdmin):
    """Handoffs to payment processors; never proof of payment."""

    has_stream = True
    list_display = ("created_at", "merchant", "amount", "state", "mode", "backend", "failure", "id")
    list_filter = ("state", "mode", "backend", "currency")
    date_hierarchy = "created_at"
    search_fields = ("merchant__name", "psp_id__exact", "confirmation__exact")
    search_help_text = "Merchant, an exact PSP id, or an id (checkout, session, recommendation, merchant)."
    id_fields = ("pk", "session", "recommendation", "merchant", "connection")
    inlines = (PspObjectInline, AuthorizationInline)
    fieldsets = (
        (None, {"fields": ("id", "state", "failure", "amount", "mode", "backend")}),
        ("For whom", {"fields": ("merchant", "session", "recommendation")}),
        ("At the PSP", {"fields": ("connection", "psp_id", "confirmation", "url")}),
        ("Time", {"fields": ("created_at", "updated_at", "expires_at")}),
    )
    amount = money_column("amount_minor", "amount")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Checkout]:
        rows = super().get_queryset(request).select_related("merchant", "connection__merchant")
        return rows.defer(*_SECRETS_OF_CONNECTION)


@admin.register(PspObject)
class PspObjectAdmin(ReadOnlyAdmin):
    """Which checkout an object at a PSP belongs to."""

    list_display = ("psp_id", "checkout_id", "account", "created_at")
    list_filter = ("created_at",)
    search_fields = ("psp_id__exact",)
    search_help_text = "The exact id at the PSP, or the id of a checkout or connection."
    id_fields = ("checkout", "connection")
    fields = ("psp_id", "checkout", "connection", "created_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[PspObject]:
        rows = super().get_queryset(request).select_related("connection__merchant")
        return rows.defer(*_SECRETS_OF_CONNECTION)

    @admin.display(description="connection")
    def account(self, item: PspObject) -> str:
        """Whose account at which PSP."""
        return str(item.connection)


@admin.register(Authorization)
class AuthorizationAdmin(ReadOnlyAdmin):
    """Buyers' mandates for autonomous purchases."""

    list_display = ("reference", "agent_id", "checkout_id", "max_amount", "expires_at", "used_at", "released_at")
    list_filter = (("released_at", admin.EmptyFieldListFilter), "currency")
    date_hierarchy = "used_at"
    search_fields = ("reference__exact",)
    search_help_text = "The exact reference, or the id of an agent or a checkout."
    id_fields = ("agent_id", "checkout")
    fields = ("reference", "agent_id", "checkout", "max_amount", "expires_at", "used_at", "released_at")
    max_amount = money_column("max_amount_minor", "at most")


@admin.register(WebhookReceipt)
class WebhookReceiptAdmin(ReadOnlyAdmin):
    """The inbox: what PSPs sent, byte for byte, and what became of it."""

    has_stream = True
    list_display = ("received_at", "event_type", "merchant", "result", "failed_check", "state", "attempts", "id")
    list_filter = ("state", "result", "failed_check", "event_type")
    date_hierarchy = "received_at"
    search_fields = ("event_id__exact", "connection__merchant__name")
    search_help_text = "Merchant, the PSP's exact event id, or an id (receipt, connection, conversion, merchant)."
    id_fields = ("pk", "connection", "conversion", "connection__merchant")
    actions = ("process_again",)
    fieldsets = (
        (None, {"fields": ("id", "connection", "event_type", "event_id", "received")}),
        ("What became of it", {"fields": ("state", "result", "failed_check", "reason", "conversion")}),
        ("Processing", {"fields": ("attempts", "processed_at", "awaits", "retry_at")}),
        ("As received", {"fields": ("sha256", "pretty_headers", "pretty_body"), "classes": ("wide",)}),
    )
    received = time_column("received_at", "received at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookReceipt]:
        rows = super().get_queryset(request).select_related("connection__merchant", "conversion")
        return rows.defer("body", "headers", *_SECRETS_OF_CONNECTION)

    @admin.display(description="merchant", ordering="connection__merchant__name")
    def merchant(self, receipt: WebhookReceipt) -> str:
        """Whose PSP sent it."""
        return str(receipt.connection.merchant)

    @admin.display(description="headers")
    def pretty_headers(self, receipt: WebhookReceipt) -> SafeString:
        """The headers that were kept."""
        return pretty_json(receipt.headers)

    @admin.display(description="body")
    def pretty_body(self, receipt: WebhookReceipt) -> SafeString:
        """The body, indented to be read; the bytes themselves are what `sha256` is of."""
        return pretty_json(receipt.body)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        """Processing again is the one thing to be done here."""
        return self.may(request, "change")

    @admin.action(description="Process again", permissions=["replay"])
    def process_again(self, request: HttpRequest, chosen: QuerySet[Any]) -> None:
        """Harmless: a payment is attributed once. Useful after a refusal whose cause is gone."""
        receipts = list(chosen.order_by("received_at")[: _MOST_AT_ONCE + 1])
        if len(receipts) > _MOST_AT_ONCE:
            self.message_user(request, f"At most {_MOST_AT_ONCE} at a time: choose fewer.", messages.ERROR)
            return
        for receipt in receipts:
            level, told = _process(receipt.pk)
            log_acts(request, [receipt], f"Processed again: {told}")
            self.message_user(request, f"{receipt.event_type} {receipt.event_id}: {told}", level)


def _process(receipt_id: str) -> tuple[int, str]:
    """Process a receipt again; returns how to say it, and what came of it."""
    try:
        _, result = inbox.process(receipt_id, again=True)
    except Exception as error:  # one broken receipt must not hide what became of the others
        log.exception("webhook %s could not be processed again", receipt_id)
        return messages.ERROR, f"failed ({type(error).__name__}); the server's log has the cause"
    said = ", ".join(part for part in (result.status, result.failed_check, result.reason) if part)
    refused = result.status in {"rejected", "unmatched"}
    return messages.WARNING if refused else messages.SUCCESS, said
