"""The registry's admin forms: prices and commissions are typed in major units and stored in minor ones."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

import orjson
from django import forms
from django.core.exceptions import ValidationError
from django.forms.models import BaseInlineFormSet
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from merchants.models import CommissionTerms, Merchant, Offer
from merchants.models.merchant import check_host
from merchants.models.offer import LONGEST_NAMES, MAX_PRICE_MINOR
from merchants.verticals import VERTICALS, Criterion
from rako.core.admin import ModelForm
from rako.core.admin_text import percent_text
from rako.core.money import from_text, to_decimal

_KINDS = {"int": "whole number", "decimal": "number", "bool": "true or false", "text": "text"}
_KINDS["int_or_unlimited"] = 'whole number or "unlimited"'


class HostsField(forms.CharField):
    """Host names, typed one a line (or with commas) and kept in lower case, each once."""

    widget = forms.Textarea(attrs={"rows": 3, "cols": 40})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        hosts = list(dict.fromkeys((super().to_python(value) or "").replace(",", " ").lower().split()))
        for host in hosts:
            check_host(host)
        return hosts


class MerchantForm(ModelForm):
    """A merchant; the fee is bounded here so that a slip is told before PostgreSQL refuses it."""

    hosts = HostsField(required=False, help_text="Where offers and tracked links may lead, one a line: shop.example.")
    network_fee_rate = forms.DecimalField(max_digits=5, decimal_places=4, min_value=0, max_value=1)

    class Meta:
        model = Merchant
        fields = "__all__"  # the admin's fieldsets choose

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if fee := self.fields.get("network_fee_rate"):
            fee.initial = Merchant._meta.get_field("network_fee_rate").default
            now = percent_text(self.instance.network_fee_rate * 100)
            fee.help_text = (
                f"The network's share of each commission: {now} as it stands. Type 0.2 for 20 %. "
                "A change holds for conversions recorded from then on."
            )


class MajorUnitsForm(ModelForm):
    """A form whose fields `money` (`price`) stand for columns in minor units (`price_minor`)."""

    money: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for name in self.money:
            minor = getattr(self.instance, f"{name}_minor")
            if minor is not None:
                self.initial.setdefault(name, to_decimal(minor, self.currency()))

    def currency(self) -> str:
        """The currency of the amounts."""
        raise NotImplementedError

    def clean(self) -> dict[str, Any]:
        super().clean()
        for name in self.money:
            if name in self.cleaned_data:
                self._take(name, self.cleaned_data[name])
        return self.cleaned_data

    def _take(self, name: str, major: Decimal | None) -> None:
        try:
            minor = None if major is None else from_text(str(major), self.currency())
        except ValueError as error:
            self.add_error(name, f"{capfirst(str(error))}.")
        else:
            setattr(self.instance, f"{name}_minor", minor)

    def _get_validation_exclusions(self) -> set[str]:
        # The columns are not fields of the form, yet the model's own rules about them are to be checked.
        taken = {f"{name}_minor" for name in self.money if name in self.cleaned_data}
        exclusions: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]
        return exclusions - taken


def _major(label: str, *, required: bool, help_text: str) -> forms.DecimalField:
    most = to_decimal(MAX_PRICE_MINOR, "GBP")
    return forms.DecimalField(label=label, required=required, min_value=0, max_value=most, help_text=help_text)


class _Indented(json.JSONEncoder):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options | {"indent": 2, "ensure_ascii": False})


class OfferForm(MajorUnitsForm):
    """An offer."""

    money = ("price", "intro_price")
    price = _major("Price", required=True, help_text="In pounds, euros or dollars: 12.34.")
    intro_price = _major(
        "Introductory price", required=False, help_text="What the first months cost; lower than the price."
    )

    class Meta:
        model = Offer
        fields = "__all__"  # the admin's fieldsets choose

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if criteria := self.fields.get("criteria"):
            known = () if self.instance._state.adding else (self.instance.vertical,)
            criteria.encoder = _Indented  # type: ignore[attr-defined]  # it is a JSONField
            criteria.help_text = criteria_help(known or tuple(VERTICALS))

    def currency(self) -> str:
        return str(getattr(self, "cleaned_data", {}).get("currency") or self.instance.currency)

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        price, intro, months = given.get("price"), given.get("intro_price"), given.get("intro_months")
        if price == 0:
            self.add_error("price", "Must be more than nothing.")
        if (intro is None) != (months is None) and "intro_price" in given:
            self.add_error("intro_price", "An introductory price and its months go together.")
        elif intro is not None and price is not None and intro >= price:
            self.add_error("intro_price", "Must be lower than the price.")
        if months == 0:
            self.add_error("intro_months", "Must be at least one month.")
        if len(orjson.dumps(f"{given.get('provider', '')}{given.get('name', '')}")) - 2 > LONGEST_NAMES:
            self.add_error("name", f"Provider and name must fit {LONGEST_NAMES} bytes together.")
        return self.cleaned_data


class TermsForm(MajorUnitsForm):
    """New commission terms of an offer: in force from now, or from a later moment."""

    money = ("amount",)
    amount = _major("Amount", required=False, help_text="CPA amount or hybrid base, in the offer's currency: 8.00.")
    rate = forms.DecimalField(
        label="Percent", required=False, max_digits=6, decimal_places=3, min_value=0, max_value=100
    )

    class Meta:
        model = CommissionTerms
        fields = ("type", "rate", "effective_from")

    def __init__(self, *args: Any, offer: Offer, **options: Any) -> None:
        self.offer = offer
        super().__init__(*args, **options)
        if self.instance._state.adding and "effective_from" in self.fields:
            # Not the moment the page was opened: empty stands for the moment it is saved.
            self.initial["effective_from"] = None
            self.fields["effective_from"].required = False
            self.fields["effective_from"].help_text = "Empty: from now. Terms begin now or later, never in the past."

    def currency(self) -> str:
        return self.offer.currency

    def clean_effective_from(self) -> datetime:
        """Terms in the past would rewrite what was promised."""
        now = timezone.now()
        start: datetime = self.cleaned_data["effective_from"] or now
        if start < now:
            raise ValidationError("Terms begin now or later: leave it empty for now.")
        return start

    def clean(self) -> dict[str, Any]:
        # The model's own rules need the offer, which may not be saved yet.
        self.instance.offer, self.instance.vertical = self.offer, self.offer.vertical
        return super().clean()


class TermsFormSet(BaseInlineFormSet):  # type: ignore[type-arg]  # generic for the type checker only
    """Tells each form its offer."""

    def get_form_kwargs(self, index: int | None) -> dict[str, Any]:
        return super().get_form_kwargs(index) | {"offer": self.instance}


def criteria_help(verticals: tuple[str, ...]) -> SafeString:
    """The criteria of these verticals with their types."""
    listed = format_html_join("", "<br><b>{}</b>: {}", ((name, _criteria_of(name)) for name in verticals))
    return format_html("A JSON object with all criteria of the vertical.{}", listed)


def _criteria_of(vertical: str) -> str:
    return "; ".join(f"{name} ({_kind(criterion)})" for name, criterion in VERTICALS[vertical].criteria.items())


def _kind(criterion: Criterion) -> str:
    kind = " | ".join(criterion.choices) or _KINDS[criterion.kind]
    return kind if criterion.required else f"{kind}, optional"
