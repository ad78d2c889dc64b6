"""The published vectors of the protocol's section 4, and what must hold for every sale."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.commission import MULTIPLIERS, compute

FEE = Decimal("0.20")


def split(terms, value, path="aap_flow", fee=FEE):
    earned = compute(terms, value_minor=value, currency="GBP", path=path, fee_rate=fee)
    return earned.gross, earned.amount, earned.fee, earned.payout


CPA_8 = {"type": "cpa", "value": 8}
FIVE_PERCENT = {"type": "percentage", "value": 5}
HYBRID = {"type": "hybrid", "value": 3, "min": 15}


@pytest.mark.parametrize(
    ("terms", "value", "path", "gross", "amount", "fee", "payout"),
    [
        (CPA_8, 1000, "aap_flow", 800, 800, 160, 640),
        (CPA_8, 1000, "tracked_link", 800, 600, 120, 480),
        (CPA_8, 1000, "extension", 800, 600, 120, 480),
        (CPA_8, 1000, "influence", 800, 400, 80, 320),
        (FIVE_PERCENT, 18900, "aap_flow", 945, 945, 189, 756),
        (FIVE_PERCENT, 44900, "aap_flow", 2245, 2245, 449, 1796),
        (HYBRID, 48732, "tracked_link", 2962, 2222, 444, 1778),
    ],
)
def test_published_vector(terms, value, path, gross, amount, fee, payout):
    assert split(terms, value, path) == (gross, amount, fee, payout)


def test_rounding_happens_at_each_step():
    """15 + 3 % of 487.32 is 29.6196; three quarters of that would be 22.21, of the rounded 29.62 they are 22.22."""
    assert split(HYBRID, 48732, "tracked_link")[1] == 2222


@pytest.mark.parametrize(("value", "gross"), [(10, 1), (9, 0), (30, 2), (50, 3)])
def test_halves_round_up(value, gross):
    assert split(FIVE_PERCENT, value)[0] == gross


def test_an_agreed_fee_is_used():
    assert split(CPA_8, 1000, fee=Decimal("0.125")) == (800, 800, 100, 700)


_terms = st.one_of(
    st.builds(lambda v: {"type": "cpa", "value": v / 100}, st.integers(1, 10**7)),
    st.builds(lambda r: {"type": "percentage", "value": r / 1000}, st.integers(1, 100_000)),
    st.builds(
        lambda r, m: {"type": "hybrid", "value": r / 1000, "min": m / 100},
        st.integers(1, 100_000),
        st.integers(1, 10**7),
    ),
)


@given(_terms, st.integers(1, 10**11), st.sampled_from(sorted(MULTIPLIERS)), st.integers(0, 10_000))
def test_the_parts_are_the_whole_and_none_is_negative(terms, value, path, basis_points):
    gross, amount, fee, payout = split(terms, value, path, Decimal(basis_points) / 10_000)

    assert amount == fee + payout
    assert min(gross, amount, fee, payout) >= 0
    assert amount <= gross
