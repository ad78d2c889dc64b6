"""The sandbox PSP's records in the admin: to be read, and events to be sent again."""

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib import admin, messages
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest

from checkout.connectors.sandbox import events
from checkout.connectors.sandbox.models import Delivery, Event, Payment, PaymentPage

# Generic for the type checker only.
if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin


class RecordAdmin(_ModelAdmin):
    """Records: nobody adds, edits or deletes them by hand."""

    list_select_related = ("account",)
    ordering = ("-pk",)
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False


class SaleAdmin(RecordAdmin):
    """What pages and payments have in common."""

    @admin.display(description="amount", ordering="amount_minor")
    def amount(self, sale: PaymentPage | Payment) -> str:
        """The price with its currency."""
        return str(sale.money)


class PaymentPageAdmin(SaleAdmin):
    """Hosted pages."""

    list_display = (
        "id",
        "merchant_name",
        "item_name",
        "amount",
        "status",
        "payment_status",
        "created_at",
        "expires_at",
    )
    list_filter = ("status", "payment_status", "currency", "created_at")
    search_fields = ("=id", "=idempotency_key", "merchant_name", "item_name", "=account__id")


class PaymentAdmin(SaleAdmin):
    """Payments; the card's last four digits are all there is of it."""

    list_display = (
        "id",
        "merchant_name",
        "amount",
        "status",
        "decline_code",
        "card_last4",
        "off_session",
        "created_at",
    )
    list_filter = ("status", "off_session", "decline_code", "currency", "created_at")
    search_fields = ("=id", "=idempotency_key", "merchant_name", "item_name", "=page__id", "=account__id")


class EventAdmin(RecordAdmin):
    """Events, which can be sent again."""

    list_display = ("id", "type", "account", "created_at")
    list_filter = ("type", "created_at")
    search_fields = ("=id", "=account__id", "=payload__data__object__id")
    actions = ("send_again",)

    def has_send_permission(self, request: HttpRequest) -> bool:
        """Whoever may see events may have them sent: the receiver has to bear repetition anyway."""
        return self.has_view_permission(request)

    @admin.action(description="Send again", permissions=["send"])
    def send_again(self, request: HttpRequest, chosen: QuerySet[Event]) -> None:
        """A new delivery of each event."""
        for event in chosen:
            events.send(event)
        self.message_user(request, f"{len(chosen)} event(s) will be sent again.", messages.SUCCESS)


class DeliveryAdmin(RecordAdmin):
    """Deliveries and how they went."""

    list_display = ("id", "event", "attempts", "last_status_code", "last_error", "next_attempt_at", "delivered_at")
    list_filter = (("delivered_at", admin.EmptyFieldListFilter), "last_status_code")
    list_select_related = ("event",)
    search_fields = ("=event__id", "event__type")


if settings.RAKO_MODE == "sandbox":
    admin.site.register(PaymentPage, PaymentPageAdmin)
    admin.site.register(Payment, PaymentAdmin)
    admin.site.register(Event, EventAdmin)
    admin.site.register(Delivery, DeliveryAdmin)
