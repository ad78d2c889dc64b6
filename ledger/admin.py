"""The ledger in the admin: to be read. Nobody adds, changes or deletes here, superusers neither."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet, Sum
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ledger.models import Conversion, Entry, Evidence
from rako.core.admin import ReadOnlyAdmin, ReadOnlyInline
from rako.core.admin_text import change_url, list_url, money_column, money_text, pretty_json, time_column

_SUMS = ("transaction_value_minor", "commission_minor", "network_fee_minor", "builder_payout_minor")


class EvidenceInline(ReadOnlyInline):
    """What proves the sale."""

    model = Evidence
    fields = ("source", "level", "reference", "transaction_value", "occurred", "received")
    ordering = ("pk",)
    occurred = time_column("occurred_at", "occurred at")
    received = time_column("received_at", "received at")
    transaction_value = money_column("transaction_value_minor", "transaction value")


@admin.register(Conversion)
class ConversionAdmin(ReadOnlyAdmin):
    """Sales credited to recommendations, with who gets what."""

    list_display = (
        "recorded_at",
        "merchant",
        "builder",
        "transaction_value",
        "commission",
        "network_fee",
        "builder_payout",
        "status",
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
    inlines = (EvidenceInline,)
    fieldsets = (
        (None, {"fields": ("id", "status", "verification_level", "attribution_path", "merchant", "order_reference")}),
        (
            "Money",
            {"fields": ("transaction_value", "commission_type", "commission", "network_fee", "builder_payout")},
        ),
        ("Attribution", {"fields": ("session", "recommendation", "agent", "builder", "offer", "code_sha256")}),
        ("Time", {"fields": ("converted", "recorded", "validation_days", "validation_ends_at")}),
        ("Ledger entries", {"fields": ("timeline",), "classes": ("wide",)}),
    )
    transaction_value = money_column("transaction_value_minor", "transaction value")
    commission = money_column("commission_minor", "commission")
    network_fee = money_column("network_fee_minor", "network fee")
    builder_payout = money_column("builder_payout_minor", "builder's payout")
    converted = time_column("converted_at", "converted at")
    recorded = time_column("recorded_at", "recorded at")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The list with the sums of all rows it is narrowed to, not only of those on the page."""
        response = super().changelist_view(request, extra_context)
        if isinstance(response, TemplateResponse) and response.context_data and "cl" in response.context_data:
            response.context_data["totals"] = totals(response.context_data["cl"].queryset)
        return response

    @admin.display(description="from first to last")
    def timeline(self, conversion: Conversion) -> str:
        """The conversion's stream, entry by entry."""
        entries = Entry.objects.filter(stream_id=conversion.pk).order_by("stream_seq")
        rows = [{"entry": entry, "url": change_url(entry), "body": pretty_json(entry.body)} for entry in entries]
        return render_to_string("admin/ledger/timeline.html", {"rows": rows})


@admin.register(Evidence)
class EvidenceAdmin(ReadOnlyAdmin):
    """Authenticated statements that sales happened."""

    list_display = (
        "id",
        "source",
        "level",
        "merchant",
        "reference",
        "transaction_value",
        "conversion_id",
        "received_at",
    )
    list_filter = ("source", "level", "currency")
    list_select_related = ("merchant",)
    date_hierarchy = "received_at"
    search_fields = ("reference__exact", "sha256__exact", "merchant__name")
    search_help_text = "Merchant, exact reference, SHA-256, or the id of the evidence, conversion or merchant."
    id_fields = ("pk", "conversion", "merchant")
    fields = (
        "id",
        "conversion",
        "merchant",
        "source",
        "level",
        "reference",
        "transaction_value",
        "occurred",
        "received",
        "sha256",
        "pretty_details",
    )
    transaction_value = money_column("transaction_value_minor", "transaction value")
    occurred = time_column("occurred_at", "occurred at")
    received = time_column("received_at", "received at")

    @admin.display(description="details")
    def pretty_details(self, evidence: Evidence) -> SafeString:
        """What else was told."""
        return pretty_json(evidence.details)


@admin.register(Entry)
class EntryAdmin(ReadOnlyAdmin):
    """The facts, in the order in which they were recorded."""

    list_display = ("id", "kind", "stream", "stream_seq", "entry_id", "recorded")
    list_filter = ("kind",)
    date_hierarchy = "recorded_at"
    search_fields = ("kind", "idempotency_key__exact")
    search_help_text = "Kind, exact idempotency key, or the id of an entry or a stream (a conversion or a receipt)."
    id_fields = ("entry_id", "stream_id")
    fieldsets = (
        (None, {"fields": ("id", "entry_id", "kind", "stream", "stream_seq", "idempotency_key")}),
        ("Time", {"fields": ("occurred", "recorded")}),
        ("Content", {"fields": ("leaf_hash_hex", "pretty_body"), "classes": ("wide",)}),
    )
    occurred = time_column("occurred_at", "occurred at")
    recorded = time_column("recorded_at", "recorded at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Entry]:
        return super().get_queryset(request).defer("body")

    @admin.display(description="stream", ordering="stream_id")
    def stream(self, entry: Entry) -> SafeString:
        """The stream's id, leading to its entries."""
        return format_html('<a href="{}">{}</a>', list_url(Entry, stream_id=entry.stream_id), entry.stream_id)

    @admin.display(description="leaf hash")
    def leaf_hash_hex(self, entry: Entry) -> SafeString:
        """RFC 6962 leaf hash of the body, as PostgreSQL computed it."""
        return format_html("<code>{}</code>", bytes(entry.leaf_hash).hex())

    @admin.display(description="body")
    def pretty_body(self, entry: Entry) -> SafeString:
        """The authoritative body, indented to be read."""
        return pretty_json(entry.body)


def totals(conversions: QuerySet[Conversion]) -> list[dict[str, str]]:
    """What these conversions come to, a row for each currency."""
    sums = {name.removesuffix("_minor"): Sum(name) for name in _SUMS}
    rows: Any = conversions.order_by("currency").values("currency").annotate(count=Count("pk"), **sums)
    return [
        {name: money_text(row[name], row["currency"]) for name in sums} | {"count": f"{row['count']:,}"} for row in rows
    ]
