"""The disputes' queue, and the page on which staff decide one."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from ledger.admin.timeline import timeline
from ledger.dispute_decisions import decide
from ledger.models import Dispute
from rako.core.admin import ReadOnlyAdmin, ReasonForm, log_acts
from rako.core.admin_text import badge, change_url, money_column, money_text, time_column
from rako.core.errors import RakoError
from rako.core.money import from_text

State, Decision = Dispute.State, Dispute.Decision
_TONES = {State.UNDER_REVIEW: "held", State.DECIDED: "good", State.WITHDRAWN: "open"}


class DecisionForm(ReasonForm):
    """What staff decide, and why."""

    decision = forms.ChoiceField(
        choices=[("", "choose…"), *Decision.choices], help_text="What each does to the sale is said above."
    )
    value = forms.CharField(
        max_length=16, required=False, help_text="For a decision in part: the value that the sale then has, as 12.34."
    )
    field_order = ("decision", "value", "reason")

    def __init__(self, *args: Any, currency: str, **options: Any) -> None:
        super().__init__(*args, **options)
        self._currency = currency
        self.fields["reason"].help_text = "Both sides read it, and it is kept for ever."
        del self.fields["reason"].widget.attrs["autofocus"]  # what there is to read comes first

    def clean_value(self) -> int | None:
        text = self.cleaned_data["value"].strip()
        try:
            return from_text(text, self._currency) if text else None
        except ValueError as error:
            raise forms.ValidationError(f"The value {error}.") from None


@admin.register(Dispute)
class DisputeAdmin(ReadOnlyAdmin):
    """Contested sales, those that are due first on top."""

    has_stream = True
    list_display = ("due", "standing", "kind_text", "claimed_value", "merchant", "agent", "opened_by", "opened", "id")
    list_display_links = ("kind_text", "id")
    list_filter = ("state", "kind", "opened_by", "decision")
    date_hierarchy = "opened_at"
    search_fields = ("merchant__name", "agent__name", "agent__builder__name", "order_reference__exact")
    search_help_text = "Merchant, agent, builder, the exact order reference, or any id on the page."
    id_fields = ("pk", "conversion", "recommendation", "merchant", "agent")
    fieldsets = (
        (None, {"fields": ("id", "standing", "kind_text", "opened_by", "due", "merchant", "agent")}),
        ("At stake", {"fields": ("stake",), "classes": ("rako-bare",)}),
        ("What both sides say", {"fields": ("said",), "classes": ("rako-bare",)}),
        ("Decision", {"fields": ("decision", "decided_value", "decided_by", "reason", "ended")}),
        ("Ledger entries", {"fields": ("entries",), "classes": ("rako-bare",)}),
    )
    claimed_value = money_column("claimed_value_minor", "claimed value")
    decided_value = money_column("decided_value_minor", "decided value")
    opened = time_column("opened_at", "opened at")
    ended = time_column("ended_at", "ended at")

    def get_ordering(self, request: HttpRequest) -> Any:
        return (F("due_at").asc(nulls_last=True), "-pk")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Dispute]:
        related = ("merchant", "agent__builder", "recommendation", "conversion__recommendation", "conversion__merchant")
        return super().get_queryset(request).select_related(*related)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Without a decision where there is none."""
        parts = super().get_fieldsets(request, obj)
        return parts if obj is None or obj.is_ended else [part for part in parts if part[0] != "Decision"]

    def get_urls(self) -> list[Any]:
        page = self.admin_site.admin_view(self.decide_page)
        return [path("<str:pk>/decide/", page, name="ledger_dispute_decide"), *super().get_urls()]

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """Deciding is a right of its own."""
        return self.may(request, "decide")

    def object_links(self, request: HttpRequest, row: Dispute) -> list[tuple[str, str]]:
        if row.state != State.UNDER_REVIEW or not self.has_decide_permission(request):
            return []
        return [("Decide…", reverse("admin:ledger_dispute_decide", args=[row.pk]))]

    def decide_page(self, request: HttpRequest, pk: str) -> HttpResponse:
        """The form in which staff decide, beside what is at stake."""
        if not self.has_decide_permission(request):
            raise PermissionDenied
        dispute = get_object_or_404(self.get_queryset(request), pk=pk)
        form = DecisionForm(request.POST if request.method == "POST" else None, currency=dispute.currency)
        if form.is_valid() and self._decided(request, dispute, form.cleaned_data):
            return redirect(change_url(dispute))
        context = self.admin_site.each_context(request) | {
            "opts": self.opts,
            "original": dispute,
            "title": f"Decide: {self.kind_text(dispute)}",
            "form": form,
            "stake": self.stake(dispute),
            "said": self.said(dispute),
        }
        return TemplateResponse(request, "admin/ledger/decide.html", context)

    def _decided(self, request: HttpRequest, dispute: Dispute, given: dict[str, Any]) -> bool:
        decision = Decision(given["decision"])
        try:
            decide(dispute, decision, given["reason"], given["value"])
        except RakoError as error:
            self.message_user(request, f"Not decided: {error}.", messages.ERROR)
            return False
        log_acts(request, [dispute], f"Decided, {decision}: {given['reason']}")
        self.message_user(request, f"The dispute is decided: {decision}.", messages.SUCCESS)
        return True

    @admin.display(description="kind", ordering="kind")
    def kind_text(self, dispute: Dispute) -> str:
        """In words."""
        return dispute.kind.replace("_", " ")

    @admin.display(description="state", ordering="state")
    def standing(self, dispute: Dispute) -> SafeString:
        """What waits for staff stands out."""
        return badge(dispute.state.replace("_", " "), _TONES.get(State(dispute.state), "open"))

    @admin.display(description="due", ordering="due_at")
    def due(self, dispute: Dispute) -> str | SafeString:
        """How long whoever's turn it is has left."""
        if dispute.due_at is None:
            return "–"
        left = dispute.due_at - timezone.now()
        return badge(f"{-left.days - 1} d overdue", "bad") if left.days < 0 else f"in {left.days + 1} d"

    @admin.display(description="at stake")
    def stake(self, dispute: Dispute) -> str:
        """The sale as it stands, what is claimed, and the commission that hangs on it."""
        return render_to_string("admin/ledger/_stake.html", _stake(dispute))

    @admin.display(description="what both sides say")
    def said(self, dispute: Dispute) -> str:
        """Messages and evidence, in order."""
        return render_to_string("admin/ledger/_statements.html", {"statements": dispute.statements.all()})

    @admin.display(description="from first to last")
    def entries(self, dispute: Dispute) -> str:
        """The dispute's own stream."""
        return render_to_string("admin/ledger/_timeline.html", {"timeline": timeline(dispute.pk)})


def _stake(dispute: Dispute) -> dict[str, Any]:
    sale, currency = dispute.conversion, dispute.currency
    claimed = money_text(dispute.claimed_value_minor, currency)
    facts = [] if dispute.claimed_value_minor is None else [("Claimed value", claimed)]
    if sale is None:
        order = dispute.order_reference or "not given"
        return {"facts": [*facts, ("Order", order), ("Sold at", f"{dispute.sold_at:%Y-%m-%d %H:%M} UTC")]}
    return {
        "facts": [
            *facts,
            ("Value of the sale", money_text(sale.value_minor, currency)),
            ("Commission left", money_text(sale.retained_commission_minor, currency)),
            ("Builder’s payout", money_text(sale.retained_payout_minor, currency)),
            ("Network fee", money_text(sale.retained_fee_minor, currency)),
            ("Commission at first", money_text(sale.commission_minor, currency)),
        ],
        "sale": sale,
        "status": sale.status.replace("_", " "),
        "url": change_url(sale),
        "events": sale.events.order_by("occurred_at", "pk"),
    }
