"""Merchants' connections to payment processors: made, looked after, ended."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.utils.safestring import SafeString
from django.views.decorators.debug import sensitive_post_parameters

from checkout.admin.connection_forms import asks, connect_form
from checkout.admin.connection_pages import ConnectionPages
from checkout.connection_wire import webhook_address
from checkout.connections import check, connect, disconnect_and_leave, drop_old_webhook_secret
from checkout.connections.rotation import takes_secret
from checkout.connectors.registry import is_known
from merchants.admin.merchant import SECRETS
from merchants.models import Connection
from rako.core.admin import log_acts
from rako.core.admin_text import badge, change_url
from rako.core.encryption import UndecipherableError
from rako.core.errors import RakoError

Status = Connection.Status
_MOST_AT_ONCE = 10
_TONES = {"pending": "open", "active": "good", "degraded": "bad", "disconnected": "open"}
_TO_DO = {
    "pending": (
        "Sells nothing yet. Have the processor send its events to the webhook address below, "
        "then add the signing secret that it shows."
    ),
    "degraded": (
        "Sells nothing: the processor refused the key, or it lacks a right. “Check now” tells which. "
        "Once the merchant has put it right, check again, or replace the key."
    ),
}
_CONNECT_DEGRADED = (
    "Sells nothing: Stripe no longer lets the platform in. “Check now” tells more; "
    "else disconnect, and connect the merchant with Stripe anew."
)


@admin.register(Connection)
class ConnectionAdmin(ConnectionPages):
    """Merchants' payment processors. Credentials are neither loaded nor shown."""

    list_display = ("merchant", "standing", "kind", "account_id", "is_live", "connected_at", "disconnected_at", "id")
    list_filter = ("status", "kind", "mode", "is_live")
    list_select_related = ("merchant",)
    ordering = ("-pk",)
    date_hierarchy = "connected_at"
    search_fields = ("account_id__exact", "merchant__name")
    search_help_text = "Merchant, exact account id, or the id of a connection or a merchant."
    id_fields = ("pk", "merchant")
    autocomplete_fields = ("merchant",)
    actions = ("check_now", "drop_old_secret", "disconnect_now")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Connection]:
        return super().get_queryset(request).select_related("merchant").defer(*SECRETS)

    def get_fields(self, request: HttpRequest, obj: Connection | None = None) -> tuple[str, ...]:
        if obj is None:
            return ("merchant", "kind", *asks())
        to_do = ("to_do",) if obj.status in _TO_DO else ()
        account = ("id", "merchant", "kind", "mode", "account_id", "is_live")
        return ("standing", *to_do, *account, "webhook_address", "secrets", "connected_at", "disconnected_at")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        form = {} if change else {"form": connect_form()}
        return super().get_form(request, obj, change, **options | form)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Checking, disconnecting and giving new secrets are the changes that staff make."""
        return self.may(request, "change")

    def is_known(self, row: Connection) -> bool:
        return is_known(row.kind)

    @method_decorator(sensitive_post_parameters())
    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None) -> Any:
        """Connect a merchant, or say why not: outside the transaction that the admin's own view opens."""
        if request.method == "POST" and self.has_add_permission(request):
            form = self.get_form(request)(request.POST)
            if form.is_valid():
                return self._connect(request, form)
        alone = {"show_save_and_add_another": False, "show_save_and_continue": False, "title": "Connect a merchant"}
        return super().add_view(request, form_url, alone | (extra_context or {}))

    def _connect(self, request: HttpRequest, form: Any) -> HttpResponse:
        given, merchant = form.given(), form.cleaned_data["merchant"]
        try:
            made = connect(merchant, **given)
        except RakoError as error:
            self.message_user(request, f"{str(error).rstrip('.')}.", messages.ERROR)
            # Back to the form with what is no secret.
            kept = {"merchant": merchant.pk, "kind": given["kind"], "account_id": given["account_id"]}
            return redirect(f"{request.path}?{urlencode(kept)}")
        self.log_addition(request, made, f"Connected to {made.kind}: {made.account_id}")
        waits = made.status == Status.PENDING
        told = ("Not selling yet: see what to do.", messages.WARNING) if waits else ("Connected.", messages.SUCCESS)
        self.message_user(request, *told)
        return redirect(change_url(made))

    def action_fits(self, action: str, row: Connection) -> bool:
        if row.status == Status.DISCONNECTED:
            return False
        if action == "drop_old_secret":
            return self.is_known(row) and takes_secret(row) and _count_secrets(row) == "two"
        return True

    @admin.display(description="status", ordering="status")
    def standing(self, connection: Connection) -> SafeString:
        """Where it stands."""
        return badge(connection.status, _TONES.get(connection.status, "bad"))

    @admin.display(description="what to do")
    def to_do(self, connection: Connection) -> str:
        """What keeps it from selling, and the way out."""
        if connection.status == Status.DEGRADED and connection.mode == Connection.Mode.CONNECT:
            return _CONNECT_DEGRADED
        return _TO_DO[connection.status]

    @admin.display(description="webhook address")
    def webhook_address(self, connection: Connection) -> str:
        """Where the PSP sends its events."""
        return webhook_address(connection)

    @admin.display(description="webhook secrets")
    def secrets(self, connection: Connection) -> str:
        """How many are accepted; they are counted, not shown."""
        if not self.is_known(connection) or not takes_secret(connection):
            return (
                "the platform's, in the settings" if connection.mode == Connection.Mode.CONNECT else "the processor's"
            )
        count = _count_secrets(connection)
        return "two: drop the old one once the processor signs with the new one" if count == "two" else count

    @admin.action(description="Check now", permissions=["operate"])
    def check_now(self, request: HttpRequest, chosen: QuerySet[Any]) -> None:
        """Ask the processor whether the key is good; a degraded connection that is works again."""
        connections = list(chosen.order_by("pk")[: _MOST_AT_ONCE + 1])
        if len(connections) > _MOST_AT_ONCE:
            self.message_user(request, f"At most {_MOST_AT_ONCE} at a time: choose fewer.", messages.ERROR)
            return
        for connection in connections:
            try:
                said, level = f"good; the connection is {check(connection).status}", messages.SUCCESS
            except RakoError as error:
                said, level = str(error).rstrip("."), messages.ERROR
            except UndecipherableError:
                said, level = "its credentials are encrypted under a key that is not configured", messages.ERROR
            log_acts(request, [connection], f"Checked: {said}")
            self.message_user(request, f"{connection}: {said}.", level)

    @admin.action(description="Drop old webhook secret", permissions=["operate"])
    def drop_old_secret(self, request: HttpRequest, chosen: QuerySet[Any]) -> None:
        """Keep the newest secret alone."""
        for connection in chosen.order_by("pk"):
            try:
                dropped = takes_secret(connection) and drop_old_webhook_secret(connection)
            except RakoError as error:
                self.message_user(request, f"{connection}: {error}.", messages.ERROR)
                continue
            if dropped:
                log_acts(request, [connection], "Dropped the old webhook secret")
            said = "the old webhook secret is dropped" if dropped else "there was no old webhook secret"
            self.message_user(request, f"{connection}: {said}.", messages.SUCCESS if dropped else messages.WARNING)

    @admin.action(description="Disconnect…", permissions=["operate"])
    def disconnect_now(self, request: HttpRequest, chosen: QuerySet[Any]) -> HttpResponse | None:
        """Sell nothing more through them; what was paid before is still recorded."""
        title = "Disconnect: nothing more is sold; what was paid before is still recorded"
        reason = self.ask_reason(request, chosen, "disconnect_now", title)
        if isinstance(reason, HttpResponse):
            return reason
        connections = list(chosen.exclude(status="disconnected"))
        left = [disconnect_and_leave(connection) for connection in connections]
        log_acts(request, connections, f"Disconnected: {reason}")
        self.message_user(request, f"{len(connections)} connection(s) disconnected.", messages.SUCCESS)
        if not all(left):
            remains = "Stripe could not be told: the merchant can remove Rako in Stripe's own settings."
            self.message_user(request, remains, messages.WARNING)
        return None


def _count_secrets(connection: Connection) -> str:
    try:
        return ("none yet", "one", "two")[min(len(connection.webhook_secrets), 2)]
    except UndecipherableError:
        return "not readable: encrypted under a key that is not configured"
