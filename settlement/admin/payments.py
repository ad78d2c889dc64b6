"""What merchants paid, in the admin: recorded by hand where no file tells of it, and never changed."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from rako.core.admin import ModelForm, RakoAdmin
from rako.core.admin_text import money_column, time_column
from rako.core.errors import RakoError
from rako.core.money import EXPONENTS, Money, from_text
from settlement.models import MerchantPayment
from settlement.receivables import check_payment, record_payment


class PaymentForm(ModelForm):
    """A payment as the bank's statement has it."""

    currency = forms.ChoiceField(choices=[(code, code) for code in EXPONENTS])
    amount = forms.CharField(max_length=20, help_text="Such as 1234.50.")

    class Meta:
        model = MerchantPayment
        fields = ("merchant", "currency", "amount", "reference", "received_on")
        help_texts = {"reference": "The bank's, which tells it from every other payment of the merchant."}

    def clean(self) -> dict[str, Any]:
        """Read the amount, and hold the payment against what is recorded."""
        typed: dict[str, Any] = super().clean() or self.cleaned_data
        if self.errors:
            return typed
        try:
            typed["money"] = Money(from_text(typed["amount"].strip(), typed["currency"]), typed["currency"])
        except ValueError as error:
            raise ValidationError({"amount": f"This {error}."}) from None
        try:
            names = ("reference", "received_on")
            check_payment(typed["merchant"], typed["money"], **{name: typed[name] for name in names})
        except RakoError as error:
            raise ValidationError(f"{error}.") from None
        return typed

    def _get_validation_exclusions(self) -> set[str]:
        # The same payment again is no mistake: it is told of as recorded.
        return {*super()._get_validation_exclusions(), "reference"}  # type: ignore[misc]  # Django's own hook


@admin.register(MerchantPayment)
class MerchantPaymentAdmin(RakoAdmin):
    """Money that merchants paid on their invoices."""

    form = PaymentForm
    list_display = ("received_on", "merchant", "amount", "reference", "recorded")
    list_filter = ("currency",)
    list_select_related = ("merchant",)
    autocomplete_fields = ("merchant",)
    date_hierarchy = "received_on"
    ordering = ("-pk",)
    search_fields = ("reference__exact", "merchant__name")
    search_help_text = "Merchant, the exact reference, or an id (payment, merchant)."
    id_fields = ("pk", "merchant")
    amount = money_column("amount_minor", "amount")
    recorded = time_column("recorded_at", "recorded at")
    has_stream = True

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        if obj is None:
            return PaymentForm.Meta.fields
        return ("id", "merchant", "amount", "reference", "received_on", "recorded")

    def save_model(self, request: HttpRequest, obj: MerchantPayment, form: Any, change: bool) -> None:
        """Record it; the page then tells of the row that there is."""
        typed = form.cleaned_data
        recorded, is_new = record_payment(
            typed["merchant"], typed["money"], reference=typed["reference"], received_on=typed["received_on"]
        )
        obj.pk = recorded.pk
        if not is_new:
            self.message_user(request, "This payment was recorded before: nothing has changed.", messages.WARNING)
