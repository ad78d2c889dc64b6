"""Amounts go to Hyperswitch and come back unchanged, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkout.connectors.base import NotPayable
from checkout.connectors.hyperswitch import amounts
from rako.core.money import MAX_MINOR, Money


@pytest.mark.parametrize(
    ("amount", "currency", "told"),
    [
        (4990, "EUR", 4990),
        (500, "JPY", 500),
        (500, "UGX", 500),
        (1234, "BHD", 1234),
        (12345, "CLF", 12345),
        (1500, "IRR", 15),
        (1500, "MGA", 15),
        (15, "ISK", 1500),
    ],
)
def test_exponents_are_hyperswitchs(amount, currency, told):
    assert amounts.to_psp(Money(amount, currency)) == told
    assert amounts.from_psp(told, currency) == Money(amount, currency)


@pytest.mark.parametrize("money", [Money(1550, "IRR"), Money(0, "EUR"), Money(-1, "EUR"), Money(MAX_MINOR + 1, "EUR")])
def test_what_cannot_be_told_is_not_payable(money):
    with pytest.raises(NotPayable):
        amounts.to_psp(money)


@pytest.mark.parametrize("currency", ["", "eur", "EU", "EURO", "E R", "ÉUR", "123"])
def test_what_is_no_currency_is_not_guessed(currency):
    with pytest.raises(amounts.Inexact):
        amounts.from_psp(100, currency)
    with pytest.raises(NotPayable):
        amounts.to_psp(Money(100, currency))


def test_a_part_of_a_krona_is_not_rounded():
    with pytest.raises(amounts.Inexact):
        amounts.from_psp(1550, "ISK")


@given(st.integers(1, 10**9), st.sampled_from(["EUR", "GBP", "USD", "JPY", "UGX", "ISK", "BHD", "CLF", "SEK"]))
def test_there_and_back(amount, currency):
    money = Money(amount, currency)

    assert amounts.from_psp(amounts.to_psp(money), currency) == money
