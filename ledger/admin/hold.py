"""Holds that fraud signals placed: staff release them or confirm the fraud, for a reason."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from ledger.admin.timeline import timeline
from ledger.holds import confirm, release
from ledger.models import FraudHold
from rako.core.admin import ReadOnlyAdmin, log_acts
from rako.core.admin_text import badge, money_column, time_column
from rako.core.errors import RakoError

_TONES = {"open": "held", "released": "good", "confirmed": "bad"}


@admin.register(FraudHold)
class FraudHoldAdmin(ReadOnlyAdmin):
    """Suspicious sales, which wait for staff: the oldest first."""

    has_stream = True
    list_display = (
        *("rule", "standing", "found", "commission", "merchant", "builder", "placed"),
        *("conversion_id", "id"),
    )
    list_display_links = ("rule", "id")
    list_filter = ("state", "rule")
    list_select_related = ("conversion__merchant", "conversion__builder")
    date_hierarchy = "placed_at"
    search_fields = ("conversion__merchant__name", "conversion__builder__name")
    search_help_text = "Merchant, builder, or an id (hold, conversion, agent, builder, merchant)."
    id_fields = ("pk", "conversion", "conversion__agent", "conversion__builder", "conversion__merchant")
    actions = ("release_now", "confirm_now")
    fieldsets = (
        (None, {"fields": ("id", "standing", "rule", "measured", "threshold", "placed")}),
        ("The sale", {"fields": ("conversion", "sale_status", "merchant", "builder", "flagged", "commission")}),
        ("How it ended", {"fields": ("ended", "reason")}),
        ("Ledger entries", {"fields": ("entries",), "classes": ("rako-bare",)}),
    )
    placed = time_column("placed_at", "placed at")
    ended = time_column("ended_at", "ended at")
    commission = money_column("conversion__commission_minor", "commission", "conversion__currency")

    def get_ordering(self, request: HttpRequest) -> Any:
        return (F("ended_at").asc(nulls_first=True), "pk")

    @admin.display(description="measured")
    def found(self, hold: FraudHold) -> str:
        """Beside the most that is not suspicious."""
        return f"{hold.measured:,}, at most {hold.threshold:,}"

    @admin.display(description="state", ordering="state")
    def standing(self, hold: FraudHold) -> SafeString:
        """Open ones stand out."""
        return badge(hold.state, _TONES[hold.state])

    @admin.display(description="merchant", ordering="conversion__merchant__name")
    def merchant(self, hold: FraudHold) -> str:
        """Whose sale it is."""
        return str(hold.conversion.merchant)

    @admin.display(description="builder", ordering="conversion__builder__name")
    def builder(self, hold: FraudHold) -> str:
        """Who would earn."""
        return str(hold.conversion.builder)

    @admin.display(description="status of the sale")
    def sale_status(self, hold: FraudHold) -> str:
        """Where it stands."""
        return hold.conversion.status.replace("_", " ")

    @admin.display(description="fraud found before")
    def flagged(self, hold: FraudHold) -> str | SafeString:
        """Whether staff have confirmed fraud of this builder's."""
        found = hold.conversion.builder.fraud_found_at
        return "no" if found is None else badge(f"{found:%Y-%m-%d}", "bad")

    @admin.display(description="from first to last")
    def entries(self, hold: FraudHold) -> str:
        """The hold's own stream."""
        return render_to_string("admin/ledger/_timeline.html", {"timeline": timeline(hold.pk)})

    def has_review_permission(self, request: HttpRequest) -> bool:
        """Releasing and confirming is a right of its own."""
        return self.may(request, "review")

    def action_fits(self, action: str, row: FraudHold) -> bool:
        return row.state == FraudHold.State.OPEN

    @admin.action(description="Release…", permissions=["review"])
    def release_now(self, request: HttpRequest, chosen: QuerySet[Any]) -> HttpResponse | None:
        """Nothing is wrong with these sales: they go on."""
        title = "Release: these sales go on, and the same rule never holds them again"
        return self._end(request, chosen, "release_now", title, release, "Released")

    @admin.action(description="Confirm fraud…", permissions=["review"])
    def confirm_now(self, request: HttpRequest, chosen: QuerySet[Any]) -> HttpResponse | None:
        """These sales were fraud: their commissions are gone, and their builders flagged."""
        title = "Confirm fraud: the commissions are gone, the builders are flagged, and all holds on these sales end"
        return self._end(request, chosen, "confirm_now", title, confirm, "Fraud confirmed")

    def _end(
        self,
        request: HttpRequest,
        chosen: QuerySet[Any],
        action: str,
        title: str,
        act: Callable[[FraudHold, str], None],
        said: str,
    ) -> HttpResponse | None:
        reason = self.ask_reason(request, chosen, action, title)
        if isinstance(reason, HttpResponse):
            return reason
        ended = []
        for hold in chosen:
            try:
                act(hold, reason)
                ended.append(hold)
            except RakoError as error:
                self.message_user(request, f"{hold}: {error}.", messages.WARNING)
        log_acts(request, ended, f"{said}: {reason}")
        if ended:
            self.message_user(request, f"{said}: {len(ended)} hold(s).", messages.SUCCESS)
        return None
