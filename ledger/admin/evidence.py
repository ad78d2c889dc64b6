"""What is told of sales: the evidence that they happened, and the events after them."""

from django.contrib import admin
from django.utils.safestring import SafeString

from ledger.models import Event, Evidence, Milestone
from rako.core.admin import ReadOnlyAdmin, ReadOnlyInline
from rako.core.admin_text import money_column, money_text, pretty_json, time_column


class EvidenceInline(ReadOnlyInline):
    """What proves the sale."""

    model = Evidence
    fields = ("source", "level", "path", "reference", "transaction_value", "occurred", "received")
    ordering = ("pk",)
    occurred = time_column("occurred_at", "occurred at")
    received = time_column("received_at", "received at")
    transaction_value = money_column("transaction_value_minor", "transaction value")


class EventInline(ReadOnlyInline):
    """What happened to the sale after it."""

    model = Event
    fields = ("kind", "amount", "reference", "reason", "occurred", "received")
    ordering = ("occurred_at", "pk")
    verbose_name_plural = "what happened to it"
    occurred = time_column("occurred_at", "occurred at")
    received = time_column("received_at", "received at")
    amount = money_column("amount_minor", "amount", "conversion__currency")


class MilestoneInline(ReadOnlyInline):
    """How the sale went on, by the merchant's word."""

    model = Milestone
    fields = ("name", "reference", "occurred", "received")
    ordering = ("occurred_at", "pk")
    occurred = time_column("occurred_at", "occurred at")
    received = time_column("received_at", "received at")


@admin.register(Evidence)
class EvidenceAdmin(ReadOnlyAdmin):
    """Authenticated statements that sales happened."""

    list_display = (
        "id",
        "source",
        "level",
        "path",
        "merchant",
        "reference",
        "transaction_value",
        "conversion_id",
        "received",
    )
    list_filter = ("source", "level", "path", "currency")
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
        "path",
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


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    """What happened to sales after them. Those without a conversion wait for it to be recorded."""

    list_display = ("received", "kind", "merchant", "amount", "sale_reference", "conversion_id", "id")
    list_filter = ("kind", ("conversion", admin.EmptyFieldListFilter), "received_at")
    list_select_related = ("merchant", "conversion")
    search_fields = ("reference__exact", "sale_reference__exact", "merchant__name")
    search_help_text = "Merchant, exact reference of event or sale, or the id of an event, conversion or merchant."
    id_fields = ("pk", "conversion", "merchant")
    fields = (
        "id",
        "kind",
        "conversion",
        "merchant",
        "sale_reference",
        "reference",
        "amount",
        "reason",
        "is_inherited",
        "occurred",
        "received",
        "sha256",
    )
    occurred = time_column("occurred_at", "occurred at")
    received = time_column("received_at", "received at")

    @admin.display(description="amount", ordering="amount_minor")
    def amount(self, event: Event) -> str:
        """As money once the sale, and with it the currency, is known."""
        if event.conversion is not None:
            return money_text(event.amount_minor, event.conversion.currency)
        return "–" if event.amount_minor is None else f"{event.amount_minor:,} minor units"
