"""Cancellations: once each, and once more for each time that a decision has given the sale back."""

import pytest

from ledger.cancellations import cancel_conversion
from ledger.dispute_decisions import accept, decide
from ledger.models import Dispute, Event, Side
from tests.ledger.disputing import balances, disputed, findings, reviewed, sold
from tests.threads import race

WHOLE = {"merchant_accrued": 1000, "builder_pending": -800, "fee_pending": -200}


@pytest.fixture
def sale(db):
    return sold()


def reinstate(sale):
    """The merchant concedes that it cancelled wrongly."""
    accept(disputed(sale, Side.BUILDER, Dispute.Kind.CLAWBACK), Side.MERCHANT)
    sale.refresh_from_db()


def test_a_sale_that_was_given_back_can_be_cancelled_again(sale):
    first = cancel_conversion(sale, reason="changed their mind")
    reinstate(sale)
    given_back = balances()

    second = cancel_conversion(sale, reason="and now for good")

    assert (given_back, balances()) == (WHOLE, {})
    assert (second.event.pk != first.event.pk, second.event.reason) == (True, "and now for good")
    assert (second.conversion.status, second.outcome, findings()) == ("clawed_back", "clawed_back", [])


def test_each_cancellation_is_told_once(sale):
    first = cancel_conversion(sale, reason="one")
    assert cancel_conversion(sale, reason="again") == first
    reinstate(sale)
    second = cancel_conversion(sale, reason="two")

    assert cancel_conversion(sale, reason="again") == second
    assert Event.objects.filter(kind=Event.Kind.CANCELLED).count() == 2
    assert findings() == []


@pytest.mark.django_db(transaction=True)
def test_whoever_cancels_while_a_sale_is_given_back_leaves_one_story():
    sale = sold()
    cancel_conversion(sale, reason="changed their mind")
    dispute = reviewed(disputed(sale, Side.BUILDER, Dispute.Kind.CLAWBACK))
    acts = [
        lambda: cancel_conversion(sale, reason="again"),
        lambda: decide(dispute, Dispute.Decision.UPHELD, "the flight was taken"),
    ]

    ended = race(lambda n: acts[n % 2]())

    assert {type(each).__name__ for each in ended} <= {"Cancelled", "Dispute", "DisputeMoved"}
    sale.refresh_from_db()
    # Either the cancellation came first, and was the one that was decided about, or it came after the decision.
    assert (sale.status, balances()) in (("resolved", WHOLE), ("clawed_back", {}))
    assert findings() == []
