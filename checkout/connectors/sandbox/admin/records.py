"""The sandbox PSP's records in the admin: to be read, and events to be sent again."""

from typing import ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from checkout.connectors.sandbox import accounts, events
from checkout.connectors.sandbox.models import Account, Event, Refund
from checkout.connectors.sandbox.models.reversals import Reversal
from checkout.connectors.sandbox.models.sales import Sale
from rako.core.admin import ReadOnlyAdmin, log_acts

_SECRETS = ("secret_key", "webhook_secret")


class AccountAdmin(ReadOnlyAdmin):
    """Merchants' accounts. Their secrets are neither loaded nor shown."""

    list_display = ("id", "display_name", "is_closed", "created_at")
    list_filter = ("is_closed", "created_at")
    search_fields = ("=id", "display_name")
    fields = ("id", "display_name", "webhook_path", "is_closed", "created_at")
    actions = ("revoke_key",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Account]:
        return super().get_queryset(request).defer(*_SECRETS)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Revoking is the one change that staff make."""
        return self.may(request, "change")

    def action_fits(self, action: str, row: Account) -> bool:
        return not row.is_closed

    @admin.action(description="Revoke key…", permissions=["revoke"])
    def revoke_key(self, request: HttpRequest, chosen: QuerySet[Account]) -> HttpResponse | None:
        """The key opens nothing any more, and whoever listens is told so; what happened before stays."""
        title = "Revoke the key: nothing can be asked of the account any more, and its open pages take no payment"
        reason = self.ask_reason(request, chosen, "revoke_key", title)
        if isinstance(reason, HttpResponse):
            return reason
        revoked = [account for account in chosen if accounts.close_account(account.pk)]
        log_acts(request, revoked, f"Key revoked: {reason}")
        self.message_user(request, f"{len(revoked)} key(s) revoked.", messages.SUCCESS)
        return None


class SaleAdmin(ReadOnlyAdmin):
    """What pages and payments have in common."""

    list_select_related: ClassVar[tuple[str, ...]] = ("account",)

    @admin.display(description="amount", ordering="amount_minor")
    def amount(self, sale: Sale) -> str:
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


class ReversalAdmin(ReadOnlyAdmin):
    """Refunds and disputes; they are made and moved on their payment's page."""

    list_display = ("id", "payment", "amount", "status", "created_at")
    list_filter = ("status", "created_at")
    list_select_related = ("payment",)
    search_fields = ("=id", "=payment__id", "=payment__account__id")

    @admin.display(description="amount", ordering="amount_minor")
    def amount(self, reversal: Reversal) -> str:
        """The amount with its currency."""
        return str(reversal.money)

    def get_fields(self, request: HttpRequest, obj: Reversal | None = None) -> tuple[str, ...]:
        shown = ("id", "payment", "amount", "status", "created_at")
        return (*shown, "settles_at") if self.model is Refund else shown


class EventAdmin(ReadOnlyAdmin):
    """Events, which can be sent again."""

    list_display = ("id", "type", "account", "created_at")
    list_filter = ("type", "created_at")
    list_select_related = ("account",)
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


class DeliveryAdmin(ReadOnlyAdmin):
    """Deliveries and how they went."""

    list_display = ("id", "event", "attempts", "last_status_code", "last_error", "next_attempt_at", "delivered_at")
    list_filter = (("delivered_at", admin.EmptyFieldListFilter), "last_status_code")
    list_select_related = ("event",)
    search_fields = ("=event__id", "event__type")
