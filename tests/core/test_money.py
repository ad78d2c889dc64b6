from decimal import Decimal

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rako.core.money import (
    MAX_MINOR,
    Money,
    from_text,
    from_wire,
    major_text,
    number_to_wire,
    round_half_up,
    to_decimal,
    to_wire,
)

amounts = st.integers(0, MAX_MINOR)


@pytest.mark.parametrize(
    ("exact", "rounded"),
    [
        ("0.4", 0), ("0.5", 1), ("1.5", 2), ("2.5", 3), ("2.4999999999999999", 2), ("2222.25", 2222), ("443.5", 444),
        ("-0.4", 0), ("-0.5", -1), ("-1.5", -2), ("-2.5", -3), ("7", 7), ("999999999999.5", 10**12),
    ],
)  # fmt: skip
def test_halves_are_rounded_away_from_zero(exact, rounded):
    assert round_half_up(Decimal(exact)) == rounded


@settings(deadline=None)
@given(amounts)
def test_every_amount_survives_the_wire(minor):
    assert from_wire(orjson.loads(orjson.dumps(to_wire(minor, "GBP"))), "GBP") == minor


@settings(deadline=None)
@given(amounts)
def test_the_wire_shows_the_decimal_itself(minor):
    assert Decimal(orjson.dumps(to_wire(minor, "GBP")).decode()) == to_decimal(minor, "GBP")


@settings(deadline=None)
@given(amounts)
def test_text_for_people_reads_back(minor):
    assert from_text(major_text(minor, "EUR"), "EUR") == minor


@pytest.mark.parametrize(
    ("minor", "shown"), [(600, b"6"), (0, b"0"), (650, b"6.5"), (1, b"0.01"), (-150, b"-1.5"), (-200, b"-2")]
)
def test_whole_prices_print_without_a_fraction(minor, shown):
    assert orjson.dumps(to_wire(minor, "GBP")) == shown


@pytest.mark.parametrize(("rate", "shown"), [("5.000", "5"), ("2.500", "2.5"), ("0", "0"), ("100.000", "100")])
def test_whole_rates_print_without_a_fraction(rate, shown):
    assert orjson.dumps(number_to_wire(Decimal(rate))).decode() == shown


@pytest.mark.parametrize(
    ("value", "minor"),
    [(0, 0), (6, 600), (6.0, 600), (0.1, 10), (0.29, 29), (1.1, 110), (4.35, 435), (1e2, 10_000), (1e10, MAX_MINOR)],
)
def test_numbers_are_read_as_they_were_typed(value, minor):
    assert from_wire(value, "GBP") == minor


@pytest.mark.parametrize("value", [True, False, None, "6", "6.00", b"6", [6], {"value": 6}, 6j])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(ValueError, match="must be a number"):
        from_wire(value, "GBP")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 1e10 + 0.01, 10**11, 1e308, -(10**13)])
def test_numbers_out_of_bounds_are_refused(value):
    with pytest.raises(ValueError, match="is too large"):
        from_wire(value, "GBP")


@pytest.mark.parametrize("text", ["1000000000000", "10000000000.01"])
def test_texts_out_of_bounds_are_refused(text):
    with pytest.raises(ValueError, match="is too large"):
        from_text(text, "GBP")


@pytest.mark.parametrize("text", ["NaN", "sNaN", "Infinity", "1e12", "1e1000000", "-1e1000000", "1_0", "٣"])
def test_a_text_that_is_no_plain_decimal_is_refused(text):
    with pytest.raises(ValueError, match="must be a number"):
        from_text(text, "GBP")


@pytest.mark.parametrize("text", ["0.001", "1.005", "9.999", "1.00000000000001"])
def test_a_third_decimal_is_refused_however_small(text):
    with pytest.raises(ValueError, match="more than 2 decimal places"):
        from_text(text, "GBP")


@pytest.mark.parametrize("value", [-1, -0.01, -1e9])
def test_negative_amounts_are_refused(value):
    with pytest.raises(ValueError, match="must not be negative"):
        from_wire(value, "GBP")


@pytest.mark.parametrize("text", ["", "abc", "1,50", "£5", "1.2.3", "0x10", "1_0", "٣", "１２"])
def test_texts_that_are_no_plain_decimal_are_refused(text):
    with pytest.raises(ValueError, match="must be a number"):
        from_text(text, "GBP")


@pytest.mark.parametrize("currency", ["JPY", "gbp", "", "XXX"])
def test_unsupported_currencies_are_named(currency):
    with pytest.raises(ValueError, match="currency must be one of EUR, GBP, USD"):
        from_text("1", currency)


def test_money_reads_as_an_amount_with_its_currency():
    assert str(Money(1234, "GBP")) == "12.34 GBP"
