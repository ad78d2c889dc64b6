"""Amounts between ISO 4217 and Stripe."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkout.connectors.base import NotPayable
from checkout.connectors.stripe.amounts import from_stripe, to_stripe
from checkout.connectors.stripe.reading import Nonsense
from rako.core.money import Money


@pytest.mark.parametrize(
    ("money", "at_stripe"),
    [
        (Money(1234, "GBP"), 1234),
        (Money(1234, "JPY"), 1234),
        (Money(1234, "UGX"), 123_400),
        (Money(1234, "ISK"), 123_400),
        (Money(1230, "KWD"), 1230),
        (Money(1200, "MGA"), 12),
        (Money(1234, "HUF"), 1234),
    ],
    ids=repr,
)
def test_an_amount_there_and_back(money: Money, at_stripe: int) -> None:
    assert to_stripe(money) == at_stripe
    assert from_stripe(at_stripe, money.currency.lower()) == money


@pytest.mark.parametrize("money", [Money(1234, "KWD"), Money(1234, "MGA"), Money(0, "GBP"), Money(-1, "GBP")], ids=repr)
def test_what_stripe_cannot_express_is_not_payable(money: Money) -> None:
    with pytest.raises(NotPayable):
        to_stripe(money)


@pytest.mark.parametrize(
    ("amount", "currency"), [(12_345, "ugx"), (-1, "gbp"), (10**13, "gbp"), (1, ""), (1, "é£$"), (1, "gb"), (1, "12a")]
)
def test_what_cannot_be_an_amount_is_nonsense(amount: int, currency: str) -> None:
    with pytest.raises(Nonsense):
        from_stripe(amount, currency)


@given(st.integers(1, 10**9), st.sampled_from(["GBP", "JPY", "ISK", "BHD", "MGA", "USD"]))
def test_nothing_is_lost_on_the_way(amount: int, currency: str) -> None:
    money = Money(amount, currency)
    try:
        at_stripe = to_stripe(money)
    except NotPayable:
        return
    assert from_stripe(at_stripe, currency.lower()) == money
