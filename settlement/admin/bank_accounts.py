"""Bank accounts of builders in the admin: typed, checked, and not shown again but for their end."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest

from rako.core.admin import ModelForm, RakoAdmin
from rako.core.bank_accounts import hint_of
from settlement.bank_accounts import read_account
from settlement.models import BankAccount


class _Unrepeated(forms.TextInput):
    """Shows what is being typed, and never puts it into a page, not even after a mistake."""

    def format_value(self, value: Any) -> None:
        return None


_ATTRIBUTES = {"autocomplete": "off", "spellcheck": "false", "class": "vTextField"}


class BankAccountForm(ModelForm):
    """Whose account, and its numbers. To change anything, the numbers are typed anew."""

    iban = forms.CharField(label="IBAN", max_length=50, widget=_Unrepeated(attrs=_ATTRIBUTES))
    bic = forms.CharField(
        label="BIC",
        max_length=20,
        required=False,
        widget=_Unrepeated(attrs=_ATTRIBUTES),
        help_text="May be left empty for euros.",
    )

    class Meta:
        model = BankAccount
        fields = ("builder", "currency", "holder")

    def clean(self) -> dict[str, Any]:
        """Read the account, so that only a good one is stored."""
        typed: dict[str, Any] = super().clean() or self.cleaned_data
        currency = typed.get("currency") or self.instance.currency
        if typed.get("iban") and currency:
            try:
                typed["account"] = read_account(currency, iban=typed["iban"], bic=typed.get("bic", ""))
            except ValueError as error:
                raise ValidationError(f"What you typed {error}.") from None
        return typed


@admin.register(BankAccount)
class BankAccountAdmin(RakoAdmin):
    """Where builders are paid."""

    form = BankAccountForm
    list_display = ("builder", "currency", "holder", "ends_in", "updated_at")
    list_filter = ("currency",)
    list_select_related = ("builder",)
    autocomplete_fields = ("builder",)
    search_fields = ("builder__name", "holder", "hint__exact")
    search_help_text = "Builder, holder, the account's last four characters, or a builder's id."
    id_fields = ("builder",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[BankAccount]:
        # No page shows it, and one whose key is missing must not break the list.
        return super().get_queryset(request).defer("account")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        whose = ("builder", "currency", "holder")
        if not self.has_change_permission(request, obj):
            return [(None, {"fields": (*whose, "ends_in", "updated_at")})]
        shown = ("ends_in", "updated_at") if obj is not None else ()
        return [(None, {"fields": (*whose, *shown)}), ("Account", {"fields": ("iban", "bic")})]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("builder", "currency", "ends_in", "updated_at") if obj is not None else ()

    @admin.display(description="account", ordering="hint")
    def ends_in(self, account: BankAccount) -> str:
        """Its last characters."""
        return f"…{account.hint}"

    def save_model(self, request: HttpRequest, obj: BankAccount, form: Any, change: bool) -> None:
        """Store the account that the form has read."""
        obj.account = form.cleaned_data["account"]
        obj.hint = hint_of(obj.account["iban"])
        obj.save()
