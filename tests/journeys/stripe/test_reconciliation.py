"""Webhooks that never came: what Stripe says when it is asked is carried out as if it had been delivered."""

from datetime import timedelta

import pytest
from django.utils import timezone

from checkout.models import Finding
from checkout.reconciliation.run import reconcile
from checkout.reconciliation.windows import Window
from ledger.models import Conversion, Entry
from tests.counterparties import faults
from tests.journeys.stripe.afterwards import STORIES
from tests.journeys.stripe.market import (
    ACCRUED,
    balances,
    conversions,
    mandate,
    refusals,
    run_jobs,
    standing,
    states,
)


def look(market, *, fixing=False):
    """Everything until now is reconciled; the kinds of what is open then."""
    now = timezone.now()
    reconcile(market.connection, Window(now - timedelta(days=2), now + timedelta(seconds=2)), is_fixing=fixing)
    run_jobs()
    return set(Finding.objects.filter(state="open").values_list("kind", flat=True))


def test_a_sale_that_nobody_told_of_is_found_fixed_and_not_told_twice(market):
    recommendation = market.recommend()
    market.pay(market.opened(recommendation)["paymentId"])

    found, untouched = look(market), standing()
    left = look(market, fixing=True)
    fixed, entries = standing(), Entry.objects.count()
    market.deliver(order="newest", times=2)

    assert "missing_local" in found
    assert untouched == ([], {}, [])
    assert (left, fixed) == (set(), (["pending_validation"], ACCRUED, []))
    assert (standing(), Entry.objects.count(), look(market)) == (fixed, entries, set())
    assert Conversion.objects.get().verification_level == "reconciled"
    assert market.session_status(recommendation.session_id) == "converted"


# Not the last one: the replica tells of money given back, but does not know it.
@pytest.mark.parametrize("is_known", [True, False], ids=["payment told", "nothing told"])
@pytest.mark.parametrize("story", STORIES[:-1], ids=str)
def test_what_happened_afterwards_is_carried_out_as_if_it_had_been_delivered(market, story, is_known):
    payment = market.sold()
    if is_known:
        market.deliver()
    story.happens(market, payment)

    found = look(market)
    money_left = look(market, fixing=True) - {"webhook_gap"}
    stands = conversions(), balances()
    left = look(market, fixing=True)  # takes in events that only by now are known to be about our payment
    fixed, entries = standing(), Entry.objects.count()
    market.deliver(order="shuffled", times=2)

    assert (bool(found), money_left, left) == (True, set(), set())
    assert (conversions(), balances()) == ([story.status], story.accounts)
    assert stands == (conversions(), balances()) or not is_known
    assert (standing(), Entry.objects.count()) == (fixed, entries)


@pytest.mark.usefixtures("impatient")
def test_a_charge_whose_answer_and_events_were_lost_is_found(market, stripe_faults):
    recommendation, method = market.recommend(), market.stored()
    stripe_faults.fail(faults.Silence(), times=None, method="POST")
    market.purchase(recommendation, method, authorization=mandate())
    stripe_faults.heal()

    left = look(market, fixing=True)
    market.work()
    market.deliver(times=2)

    assert left == set()
    assert (states(), len(conversions()), market.charges()) == (["succeeded"], 1, 1)


def test_what_stripe_cannot_be_asked_is_a_finding_that_ends(market, stripe_faults):
    market.sold()
    stripe_faults.fail(faults.FORBIDDEN, times=None)

    refused = look(market, fixing=True)
    stripe_faults.heal()

    assert (refused, conversions()) == ({"connection_error"}, [])
    assert (look(market, fixing=True), len(conversions())) == (set(), 1)


def test_somebody_elses_payment_on_the_account_is_none_of_ours(market):
    market.forged()

    assert look(market, fixing=True) == set()
    assert (conversions(), refusals()) == ([], set())
