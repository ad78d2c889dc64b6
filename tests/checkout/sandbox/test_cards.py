"""The test cards: no others, and no real ones."""

import pytest

from checkout.connectors.sandbox import cards
from checkout.connectors.sandbox.cards import Behaviour
from checkout.connectors.sandbox.forms import NOT_A_TEST_CARD, CardForm


def passes_luhn(number: str) -> bool:
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(number))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


@pytest.mark.parametrize("card", cards.CARDS, ids=lambda card: card.name)
def test_every_test_number_is_well_formed(card: cards.Card) -> None:
    assert passes_luhn(card.number)
    assert len(card.number) == 16


@pytest.mark.parametrize(
    "text", ["4242424242424242", "4242 4242 4242 4242", "4242-4242-4242-4242", " 4242424242424242 "]
)
def test_a_number_is_known_however_it_is_grouped(text: str) -> None:
    card = cards.by_number(text)

    assert card is not None
    assert card.behaviour == Behaviour.SUCCEEDS


@pytest.mark.parametrize(
    "text", ["", "4111111111111111", "424242424242424", "٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢", "4242424242424242\x00"]
)
def test_any_other_number_is_unknown(text: str) -> None:
    assert cards.by_number(text) is None


def test_every_decline_has_a_sentence_for_the_buyer() -> None:
    codes = {card.decline_code for card in cards.CARDS} - {""}

    assert codes <= cards.DECLINE_MESSAGES.keys()


@pytest.mark.parametrize("expiry", ["12/34", "1234", "12 / 34", "01/2034"])
def test_an_expiry_needs_only_its_shape(expiry: str) -> None:
    form = CardForm({"number": "4242424242424242", "expiry": expiry, "cvc": "123"})

    assert form.is_valid()


def test_expiry_and_security_code_are_dropped() -> None:
    form = CardForm({"number": "4242424242424242", "expiry": "12/34", "cvc": "987"})

    assert form.is_valid()
    assert {form.cleaned_data["expiry"], form.cleaned_data["cvc"]} == {""}


@pytest.mark.parametrize("number", ["", "4111111111111111", "4" * 500])
def test_another_number_gets_a_warning(number: str) -> None:
    form = CardForm({"number": number, "expiry": "12/34", "cvc": "123"})

    assert form.errors["number"] == [NOT_A_TEST_CARD]


@pytest.mark.parametrize(("expiry", "cvc"), [("13/34", "12"), ("", ""), ("12-34", "12a"), ("1/34", "12345")])
def test_wrong_shapes_are_refused(expiry: str, cvc: str) -> None:
    form = CardForm({"number": "4242424242424242", "expiry": expiry, "cvc": cvc})

    assert set(form.errors) == {"expiry", "cvc"}
