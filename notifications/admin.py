"""Outgoing webhooks in the admin: where they go and what came of them; staff switch endpoints and send again."""

from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from notifications.endpoints import Because, disable, enable, resend
from notifications.models import Attempt, Endpoint, Message
from rako.core.admin import ReadOnlyAdmin, ReadOnlyInline, log_acts
from rako.core.admin_text import badge, pretty_json, time_column
from rako.core.errors import RakoError

_TONES = {Message.State.PENDING: "open", Message.State.DELIVERED: "good", Message.State.FAILED: "bad"}


class _ActsWithReason(ReadOnlyAdmin):
    """Records that staff may act on, saying why."""

    def act(
        self, request: HttpRequest, chosen: QuerySet[Any], action: str, title: str, do: Callable[[Any], object]
    ) -> HttpResponse | None:
        """Do it to each one that it can be done to, and tell of the others."""
        reason = self.ask_reason(request, chosen, action, title)
        if isinstance(reason, HttpResponse):
            return reason
        done = []
        for row in chosen:
            try:
                do(row)
                done.append(row)
            except RakoError as error:
                self.message_user(request, f"{row}: {error}.", messages.WARNING)
        log_acts(request, done, f"{action.replace('_', ' ').capitalize()}: {reason}")
        if done:
            self.message_user(request, f"{len(done)} done.", messages.SUCCESS)
        return None


@admin.register(Endpoint)
class EndpointAdmin(_ActsWithReason):
    """Addresses of merchants and builders. Their owners make and change them; their secrets are on no page."""

    list_display = ("standing", "url", "owner_name", "types", "failing", "id")
    list_display_links = ("url", "id")
    list_filter = ("state", "disabled_because")
    date_hierarchy = "created_at"
    search_fields = ("url", "merchant__name", "builder__name")
    search_help_text = "Part of the address, merchant, builder, or an id (endpoint, merchant, builder)."
    id_fields = ("pk", "merchant", "builder")
    actions = ("enable_now", "disable_now")
    fieldsets = (
        (None, {"fields": ("id", "standing", "url", "description", "merchant", "builder", "types")}),
        ("Time", {"fields": ("created", "failing", "disabled", "overlap")}),
    )
    created = time_column("created_at", "made at")
    disabled = time_column("disabled_at", "disabled at")
    failing = time_column("failing_since", "failing since")
    overlap = time_column("old_secret_until", "old secret until")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Endpoint]:
        rows: QuerySet[Endpoint] = super().get_queryset(request)
        return rows.select_related("merchant", "builder").defer("secret", "old_secret")

    @admin.display(description="state", ordering="state")
    def standing(self, endpoint: Endpoint) -> SafeString:
        """What needs somebody stands out."""
        if endpoint.state == Endpoint.State.DISABLED:
            return badge(f"disabled: {endpoint.disabled_because}", "bad")
        return badge("failing", "held") if endpoint.failing_since else badge("enabled", "good")

    @admin.display(description="owner")
    def owner_name(self, endpoint: Endpoint) -> str:
        """The merchant or builder."""
        return str(endpoint.merchant or endpoint.builder)

    @admin.display(description="event types")
    def types(self, endpoint: Endpoint) -> str:
        """Which it wants."""
        return ", ".join(endpoint.event_types) or "all"

    def has_switch_permission(self, request: HttpRequest) -> bool:
        """Enabling and disabling is a right of its own."""
        return self.may(request, "switch")

    def action_fits(self, action: str, row: Endpoint) -> bool:
        return (action == "disable_now") == (row.state == Endpoint.State.ENABLED)

    @admin.action(description="Enable…", permissions=["switch"])
    def enable_now(self, request: HttpRequest, chosen: QuerySet[Any]) -> HttpResponse | None:
        """What waits is sent at once."""
        return self.act(request, chosen, "enable_now", "Send to this address again, first what waits", enable)

    @admin.action(description="Disable…", permissions=["switch"])
    def disable_now(self, request: HttpRequest, chosen: QuerySet[Any]) -> HttpResponse | None:
        """The owner's other endpoints are told."""
        title = "Send nothing more to this address: nothing is queued for it until it is enabled"
        return self.act(request, chosen, "disable_now", title, lambda row: disable(row, Because.STAFF))


class AttemptInline(ReadOnlyInline):
    """What came of each attempt."""

    model = Attempt
    fields = ("attempted", "status_code", "error", "duration_ms")
    attempted = time_column("attempted_at", "at")
    show_change_link = False


@admin.register(Message)
class MessageAdmin(_ActsWithReason):
    """What was sent, or will be; kept for 30 days."""

    list_display = ("standing", "event_type", "endpoint", "attempts_made", "due", "created", "id")
    list_display_links = ("event_type", "id")
    list_filter = ("state", "event_type")
    date_hierarchy = "created_at"
    search_fields = ("endpoint__url", "entry_id__exact")
    search_help_text = "Part of the address, or an id (message without msg_, endpoint, ledger entry)."
    id_fields = ("pk", "endpoint", "entry_id")
    actions = ("resend_now",)
    inlines: ClassVar[tuple[Any, ...]] = (AttemptInline,)
    fieldsets = (
        (None, {"fields": ("id", "standing", "event_type", "endpoint", "entry_id", "attempts_made")}),
        ("Payload", {"fields": ("shown_payload",)}),
        ("Time", {"fields": ("created", "due", "leased", "ended")}),
    )
    created = time_column("created_at", "made at")
    due = time_column("due_at", "next attempt at")
    leased = time_column("leased_until", "on its way until")
    ended = time_column("ended_at", "ended at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        rows: QuerySet[Message] = super().get_queryset(request)
        return rows.select_related("endpoint").defer("endpoint__secret", "endpoint__old_secret")

    @admin.display(description="state", ordering="state")
    def standing(self, message: Message) -> SafeString:
        """Where it stands."""
        return badge(message.state, _TONES[Message.State(message.state)])

    @admin.display(description="payload")
    def shown_payload(self, message: Message) -> SafeString:
        """What is sent, indented."""
        return pretty_json(message.payload.encode())

    def has_resend_permission(self, request: HttpRequest) -> bool:
        """Sending again is a right of its own."""
        return self.may(request, "resend")

    @admin.action(description="Send again…", permissions=["resend"])
    def resend_now(self, request: HttpRequest, chosen: QuerySet[Any]) -> HttpResponse | None:
        """Under the same id: the receiver may take it for a repeat."""
        title = "Send this again, under its old id"
        return self.act(request, chosen, "resend_now", title, lambda row: resend(row.endpoint, row))
