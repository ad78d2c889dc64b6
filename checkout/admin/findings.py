"""What reconciliation with payment processors found: to be read, and to be accepted by staff for a reason."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from checkout.models import Finding
from checkout.reconciliation.findings import accept
from merchants.admin.merchant import SECRETS
from rako.core.admin import ReadOnlyAdmin, log_acts
from rako.core.admin_text import badge, time_column

_TONES = {"open": "held", "resolved": "good", "accepted": "open"}


@admin.register(Finding)
class FindingAdmin(ReadOnlyAdmin):
    """Differences between what a payment processor says and what is recorded."""

    list_display = (
        *("what", "standing", "detail", "merchant", "money", "reference", "at_psp"),
        *("first_seen_at", "last_seen_at"),
    )
    list_display_links = ("what",)
    list_filter = ("state", "is_money", "kind", "connection__kind")
    date_hierarchy = "last_seen_at"
    ordering = ("-last_seen_at", "-pk")
    search_fields = ("reference__exact", "merchant__name")
    search_help_text = "Merchant, the exact reference at the PSP, or an id (finding, connection, checkout, merchant)."
    id_fields = ("pk", "connection", "merchant", "checkout")
    actions = ("accept_now",)
    fieldsets = (
        (None, {"fields": ("id", "what", "standing", "money", "detail")}),
        ("About", {"fields": ("merchant", "connection", "reference", "checkout")}),
        ("Time", {"fields": ("first_seen", "last_seen", "ended", "reason")}),
    )
    first_seen = time_column("first_seen_at", "first seen at")
    last_seen = time_column("last_seen_at", "last seen at")
    ended = time_column("ended_at", "ended at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Finding]:
        rows = super().get_queryset(request).select_related("merchant", "connection__merchant", "checkout")
        return rows.defer(*(f"connection__{name}" for name in SECRETS))

    @admin.display(description="finding", ordering="kind")
    def what(self, finding: Finding) -> str:
        """What differs, in words."""
        return Finding.Kind(finding.kind).label

    @admin.display(description="state", ordering="state")
    def standing(self, finding: Finding) -> SafeString:
        """Open ones stand out."""
        return badge(finding.state, _TONES[finding.state])

    @admin.display(description="money", ordering="is_money")
    def money(self, finding: Finding) -> str:
        """Whether it holds up the merchant's settlement while it is open."""
        if not finding.is_money:
            return "no"
        return "holds settlement" if finding.state == Finding.State.OPEN else "yes"

    @admin.display(description="connection", ordering="connection")
    def at_psp(self, finding: Finding) -> str:
        """Through which account at which PSP."""
        return f"{finding.connection.kind} {finding.connection.account_id}"

    def has_accept_permission(self, request: HttpRequest) -> bool:
        """Accepting is the one change that staff make."""
        return self.may(request, "change")

    def action_fits(self, action: str, row: Finding) -> bool:
        return row.state == Finding.State.OPEN

    @admin.action(description="Accept…", permissions=["accept"])
    def accept_now(self, request: HttpRequest, chosen: QuerySet[Any]) -> HttpResponse | None:
        """Leave them as they are: they hold up no settlement any more, until they say something else."""
        title = "Accept: it stays as it is, and holds up no settlement any more"
        reason = self.ask_reason(request, chosen, "accept_now", title)
        if isinstance(reason, HttpResponse):
            return reason
        accepted = [finding for finding in chosen if accept(finding, reason)]
        log_acts(request, accepted, f"Accepted: {reason}")
        level = messages.SUCCESS if accepted else messages.WARNING
        self.message_user(request, f"{len(accepted)} finding(s) accepted.", level)
        return None
