"""Conversions in the admin: who gets what, how it came to that, and the proof to take away."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, F, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.safestring import SafeString

from ledger.admin.evidence import EventInline, EvidenceInline, MilestoneInline
from ledger.admin.journey import journey
from ledger.admin.timeline import timeline
from ledger.models import Conversion, Opening, Status
from ledger.proofs import NotSequencedYet, conversion_proof
from ledger.settled import standing, with_settlement
from rako.core.admin import ReadOnlyAdmin
from rako.core.admin_text import badge, change_url, money_column, money_text, time_column
from rako.core.errors import RakoError

# What is left of each amount that was recorded.
_LEFT = {
    "transaction_value": Coalesce("corrected_value_minor", "transaction_value_minor"),
    "commission": F("commission_minor") - F("reversed_commission_minor"),
    "network_fee": F("network_fee_minor") - F("reversed_fee_minor"),
    "builder_payout": F("builder_payout_minor") - F("reversed_payout_minor"),
}
# How each status reads at a glance; others are on their way.
_TONES = {
    Status.VALIDATED: "good",
    Status.SETTLED: "good",
    Status.RESOLVED: "good",
    Status.DISPUTED: "held",
    Status.REJECTED: "bad",
    Status.CLAWED_BACK: "bad",
}
_PARTIES = tuple(Opening.Party.values)


@admin.register(Conversion)
class ConversionAdmin(ReadOnlyAdmin):
    """Sales credited to recommendations, with who gets what."""

    list_display = (
        "recorded",
        "standing",
        "merchant",
        "builder",
        "transaction_value",
        "commission",
        "network_fee",
        "builder_payout",
        "verification_level",
        "attribution_path",
        "id",
    )
    list_filter = (
        "status",
        "verification_level",
        "attribution_path",
        "commission_type",
        "currency",
        "validation_ends_at",
    )
    list_select_related = ("merchant", "builder")
    date_hierarchy = "recorded_at"
    search_fields = ("order_reference__exact", "merchant__name", "builder__name", "agent__name")
    search_help_text = "Merchant, builder, agent, the exact order reference, or any id on the page."
    id_fields = ("pk", "session", "recommendation", "agent", "builder", "merchant", "offer")
    inlines = (EvidenceInline, MilestoneInline, EventInline)
    fieldsets = (
        (None, {"fields": ("id", "standing", "verification_level", "attribution_path", "merchant", "order_reference")}),
        (
            "Money",
            {
                "fields": (
                    *("transaction_value", "refunded", "commission_type", "commission", "network_fee"),
                    *("builder_payout", "reversed_commission"),
                )
            },
        ),
        ("From search to payout", {"fields": ("steps",), "classes": ("rako-bare",)}),
        ("Attribution", {"fields": ("session", "recommendation", "agent", "builder", "offer", "code_sha256")}),
        ("Time", {"fields": ("converted", "recorded", "validation_days", "validation_ends")}),
        ("Ledger entries", {"fields": ("entries",), "classes": ("rako-bare",)}),
    )
    transaction_value = money_column("value_minor", "transaction value", ordering=_LEFT["transaction_value"])
    commission = money_column("retained_commission_minor", "commission", ordering=_LEFT["commission"])
    network_fee = money_column("retained_fee_minor", "network fee", ordering=_LEFT["network_fee"])
    builder_payout = money_column("retained_payout_minor", "builder's payout", ordering=_LEFT["builder_payout"])
    refunded = money_column("refunded_minor", "refunded during validation")
    reversed_commission = money_column("reversed_commission_minor", "commission taken back")
    converted = time_column("converted_at", "converted at")
    recorded = time_column("recorded_at", "recorded at")
    validation_ends = time_column("validation_ends_at", "validation ends at")
    has_stream = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Conversion]:
        return with_settlement(super().get_queryset(request))

    def get_urls(self) -> list[Any]:
        proof = self.admin_site.admin_view(self.proof)
        return [path("<str:pk>/proof/<str:party>/", proof, name="ledger_conversion_proof"), *super().get_urls()]

    def object_links(self, request: HttpRequest, row: Conversion) -> list[tuple[str, str]]:
        page = "admin:ledger_conversion_proof"
        return [(f"Proof for the {party}", reverse(page, args=[row.pk, party])) for party in _PARTIES]

    def proof(self, request: HttpRequest, pk: str, party: str) -> HttpResponse:
        """The file by which a party proves the sale to anyone; or, while there is none, why."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        conversion = get_object_or_404(Conversion.objects.select_related("recommendation"), pk=pk)
        if party not in _PARTIES:
            raise Http404
        try:
            content = conversion_proof(conversion, party)
        except NotSequencedYet:
            wait = "Its newest entry is not in a signed checkpoint yet, which takes about a second: please try again."
            self.message_user(request, wait, messages.WARNING)
            return redirect(change_url(conversion))
        except RakoError as error:
            self.message_user(request, f"There is no proof: {error}.", messages.ERROR)
            return redirect(change_url(conversion))
        headers = {
            "Content-Disposition": f'attachment; filename="conversion-{conversion.pk}.proof.json"',
            "Cache-Control": "no-store",  # it opens what is sealed
        }
        return JsonResponse(content, headers=headers)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The list with the sums of all rows it is narrowed to, not only of those on the page."""
        response = super().changelist_view(request, extra_context)
        if isinstance(response, TemplateResponse) and response.context_data and "cl" in response.context_data:
            response.context_data["totals"] = totals(response.context_data["cl"].queryset)
        return response

    @admin.display(description="status", ordering="status")
    def standing(self, conversion: Conversion) -> SafeString:
        """Where the sale stands, so that what is held stands out."""
        status = standing(conversion)
        tone = "held" if conversion.is_held else _TONES.get(status, "open")
        held = ", held" if conversion.is_held and status != Status.DISPUTED else ""
        return badge(status.replace("_", " ") + held, tone)

    @admin.display(description="from search to payout")
    def steps(self, conversion: Conversion) -> str:
        """The sale's way in short, across all streams."""
        return render_to_string("admin/ledger/_journey.html", {"steps": journey(conversion)})

    @admin.display(description="from first to last")
    def entries(self, conversion: Conversion) -> str:
        """The first page of the conversion's own stream."""
        return render_to_string("admin/ledger/_timeline.html", {"timeline": timeline(conversion.pk)})


def totals(conversions: QuerySet[Conversion]) -> list[dict[str, str]]:
    """What these conversions come to, a row for each currency."""
    sums = {name: Sum(amount) for name, amount in _LEFT.items()}
    rows: Any = conversions.order_by("currency").values("currency").annotate(count=Count("pk"), **sums)
    return [
        {name: money_text(row[name], row["currency"]) for name in sums} | {"count": f"{row['count']:,}"} for row in rows
    ]
