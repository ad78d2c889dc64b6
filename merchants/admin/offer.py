"""Offers and their commission terms."""

from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from merchants.admin.forms import OfferForm, TermsForm, TermsFormSet
from merchants.codes import current_terms
from merchants.models import CommissionTerms, Offer
from rako.core.admin import NeverDelete, RakoAdmin, ReadOnlyAdmin, TabularInline
from rako.core.admin_text import money_column, money_text, percent_text


def commission_text(terms: dict[str, Any], currency: str) -> str:
    """For people: `8.00 GBP`, `3 %`, `10.00 GBP + 2 %`."""
    parts = [money_text(terms["amount_minor"], currency)] if terms["amount_minor"] is not None else []
    parts += [percent_text(Decimal(terms["rate"]))] if terms["rate"] is not None else []
    return " + ".join(parts)


class TermsInline(NeverDelete, TabularInline):
    """What a sale pays: the past to be read, a new row for new terms."""

    model = CommissionTerms
    form = TermsForm
    formset = TermsFormSet
    fields = ("type", "amount", "rate", "effective_from")
    ordering = ("-effective_from",)
    verbose_name_plural = "commission terms: the latest that have begun are in force; to change them, add a row"
    amount = money_column("amount_minor", "amount", "offer__currency")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_extra(self, request: HttpRequest, obj: Any = None, **options: Any) -> int:
        return 1 if obj is None else 0

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("offer")


@admin.register(Offer)
class OfferAdmin(RakoAdmin):
    """What merchants sell. Merchant, vertical and currency stand: codes and commission terms rest on them."""

    form = OfferForm
    list_display = (
        "name",
        "provider",
        "merchant",
        "vertical",
        "price",
        "commission",
        "is_found",
        "status",
        "updated_at",
    )
    list_filter = ("vertical", "status", "currency", "updated_at")
    list_select_related = ("merchant",)
    search_fields = ("name", "provider", "merchant__name")
    search_help_text = "Name, provider, merchant, or the id of an offer or a merchant."
    id_fields = ("pk", "merchant")
    autocomplete_fields = ("merchant",)
    inlines = (TermsInline,)
    actions = ("withdraw", "reactivate")
    readonly_fields = ("id", "created_at", "updated_at")
    fieldsets = (
        (None, {"fields": ("merchant", "vertical", "provider", "name", "url", "status")}),
        ("Price", {"fields": ("currency", "price", "intro_price", "intro_months")}),
        ("Criteria", {"fields": ("criteria",)}),
        ("Record", {"fields": ("id", "created_at", "updated_at")}),
    )
    price = money_column("price_minor", "price")
    intro_price = money_column("intro_price_minor", "introductory price")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).annotate(commission=current_terms())  # type: ignore[no-any-return]

    def get_readonly_fields(self, request: HttpRequest, obj: Offer | None = None) -> tuple[str, ...]:
        return self.readonly_fields if obj is None else (*self.readonly_fields, "merchant", "vertical", "currency")

    @admin.display(description="commission now")
    def commission(self, offer: Any) -> str:
        """What a sale pays under the terms in force."""
        return commission_text(offer.commission, offer.currency) if offer.commission else "none"

    @admin.display(description="found", boolean=True)
    def is_found(self, offer: Any) -> bool:
        """Whether searches find it: it and its merchant are active, and it pays a commission."""
        return bool(offer.is_available and offer.commission)

    def has_status_permission(self, request: HttpRequest) -> bool:
        """Withdrawing and reactivating."""
        return self.may(request, "change")

    def action_fits(self, action: str, row: Offer) -> bool:
        return (action == "withdraw") == (row.status == Offer.Status.ACTIVE)

    @admin.action(description="Withdraw", permissions=["status"])
    def withdraw(self, request: HttpRequest, chosen: QuerySet[Any]) -> None:
        """Searches find them no more."""
        self.move(request, chosen, "Withdrawn", status="withdrawn")

    @admin.action(description="Reactivate", permissions=["status"])
    def reactivate(self, request: HttpRequest, chosen: QuerySet[Any]) -> None:
        """Put them back."""
        self.move(request, chosen, "Reactivated", status="active")


@admin.register(CommissionTerms)
class CommissionTermsAdmin(ReadOnlyAdmin):
    """All commission terms there ever were; new ones are added on the offer's page."""

    list_display = ("offer", "merchant", "vertical", "type", "amount", "rate", "effective_from", "created_at")
    list_filter = ("vertical", "type", "effective_from")
    list_select_related = ("offer__merchant",)
    date_hierarchy = "effective_from"
    ordering = ("-effective_from", "-pk")
    search_fields = ("offer__name", "offer__provider", "offer__merchant__name")
    search_help_text = "Offer, provider, merchant, or an id."
    id_fields = ("pk", "offer", "offer__merchant")
    fields = ("id", "offer", "vertical", "type", "amount", "rate", "effective_from", "created_at")
    amount = money_column("amount_minor", "amount", "offer__currency")

    @admin.display(description="merchant", ordering="offer__merchant__name")
    def merchant(self, terms: CommissionTerms) -> str:
        """Who pays it."""
        return str(terms.offer.merchant)
