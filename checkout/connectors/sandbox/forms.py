"""The card form: takes test numbers only, and drops everything else that was typed."""

import re
from typing import Any

from django import forms

from checkout.connectors.sandbox import cards
from checkout.connectors.sandbox.cards import Card

NOT_A_TEST_CARD = "Only the test cards listed below work here: never type a real card number."


def _error_texts(sentence: str) -> dict[str, Any]:
    return {"required": sentence, "max_length": sentence}


class CardForm(forms.Form):
    """Number, expiry and security code. `card` is the test card; the other two are looked at and forgotten."""

    number = forms.CharField(max_length=40, error_messages=_error_texts(NOT_A_TEST_CARD))
    expiry = forms.CharField(max_length=9, error_messages=_error_texts("Enter any future month, such as 12/34."))
    cvc = forms.CharField(max_length=4, error_messages=_error_texts("Enter any three digits, such as 123."))

    @property
    def card(self) -> Card:
        """The card that was typed; only after `is_valid()`."""
        card: Card = self.cleaned_data["number"]
        return card

    def clean_number(self) -> Card:
        card = cards.by_number(self.cleaned_data["number"])
        if card is None:
            raise forms.ValidationError(NOT_A_TEST_CARD)
        return card

    def clean_expiry(self) -> str:
        if not re.fullmatch(r"(0[1-9]|1[0-2]) ?/? ?([0-9]{2}|20[0-9]{2})", self.cleaned_data["expiry"]):
            raise forms.ValidationError("Enter any future month, such as 12/34.")
        return ""

    def clean_cvc(self) -> str:
        if not re.fullmatch(r"[0-9]{3,4}", self.cleaned_data["cvc"]):
            raise forms.ValidationError("Enter any three digits, such as 123.")
        return ""
