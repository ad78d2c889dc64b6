"""Purchases without the buyer: at most one charge at Stripe, whatever is asked how often, and one conversion."""

import pytest

from checkout.models import Checkout
from ledger.models import Conversion
from tests.counterparties import faults
from tests.journeys.stripe.market import (
    ACCRUED,
    BROKE_CARD,
    ORDERS,
    SCA_CARD,
    Market,
    answer,
    balances,
    conversions,
    forget_jobs,
    mandate,
    open_shop,
    order_name,
    run_jobs,
    spent_mandates,
    states,
)
from tests.threads import race

# What those may be told who ask while another request charges.
EXPECTED = {(200, None), (409, "in_progress"), (409, "session_converted"), (503, "too_many_calls")}


@pytest.mark.parametrize("how", ORDERS[1:3], ids=order_name)
def test_a_charge_is_confirmed_at_once_and_converts_by_its_event(market, how):
    recommendation = market.recommend()

    reply = market.purchase(recommendation, market.stored(), authorization=mandate()).json()
    before = conversions()
    market.deliver(times=2, **how)

    (payment,) = market.payments()
    assert (reply["status"], reply["mode"], reply["confirmation"]) == ("succeeded", "autonomous", payment.id)
    assert (reply["amount"], payment.amount_received, payment.currency) == (10, 1000, "gbp")
    assert (before, len(conversions()), balances(), spent_mandates()) == ([], 1, ACCRUED, 1)
    assert market.session_status(recommendation.session_id) == "converted"
    assert Conversion.objects.get().verification_level == "orchestrated"


@pytest.mark.parametrize("is_told", [True, False], ids=["told", "not told"])
def test_the_same_request_after_success_has_the_same_answer(market, is_told):
    recommendation, method = market.recommend(), market.stored()
    first = market.purchase(recommendation, method).json()
    if is_told:
        market.deliver()

    again = market.purchase(recommendation, method)

    if is_told:
        assert (again.status_code, again.json()) == (409, {"error": "Session already converted"})
    else:
        assert (again.status_code, again.json()["transactionId"]) == (200, first["transactionId"])
        assert again.json()["confirmation"] == first["confirmation"]
    assert market.charges() == 1


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        (BROKE_CARD, "generic"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("pm_card_visa_chargeDeclinedStolenCard", "generic"),
    ],
)
def test_a_declined_charge_says_only_so_and_gives_the_mandate_back(market, card, reason):
    recommendation = market.recommend()
    customer = market.stored().partition("/")[0]
    method = f"{customer}/{card}" if card.startswith("pm_") else market.stored(card)

    reply = market.purchase(recommendation, method, authorization=mandate())
    market.deliver(order="newest", times=2)

    assert (reply.status_code, reply.json()) == (402, {"error": "Payment declined"})
    assert (states(), Checkout.objects.get().failure, spent_mandates()) == (["failed"], reason, 0)
    assert (conversions(), market.charges()) == ([], 0)


def test_after_a_decline_another_method_can_be_tried_under_the_same_mandate(market):
    recommendation = market.recommend()
    market.purchase(recommendation, market.stored(BROKE_CARD), authorization=mandate())

    reply = market.purchase(recommendation, market.stored(), authorization=mandate())
    market.deliver(order="newest")

    assert (reply.status_code, states(), len(conversions())) == (200, ["failed", "succeeded"], 1)
    assert (market.charges(), spent_mandates()) == (1, 1)


@pytest.mark.parametrize("how", ORDERS[1:3], ids=order_name)
@pytest.mark.parametrize("is_told_early", [True, False])
def test_a_bank_that_wants_the_buyer_gets_a_page_that_converts_when_it_is_paid(market, how, is_told_early):
    recommendation, method = market.recommend(), market.stored(SCA_CARD)

    reply = market.purchase(recommendation, method, authorization=mandate()).json()
    if is_told_early:
        market.deliver(times=2, **how)
    waiting = (states(), conversions(), spent_mandates())
    again = market.purchase(recommendation, method, authorization=mandate()).json()
    market.pay(reply["paymentId"])
    market.deliver(times=2, **how)

    assert (reply["status"], reply["checkoutUrl"][:8]) == ("requires_action", "https://")
    assert waiting == (["open"], [], 1)
    assert again["checkoutUrl"] == reply["checkoutUrl"]
    assert (states(), len(conversions()), market.charges()) == (["succeeded"], 1, 1)


def test_a_page_for_the_bank_that_nobody_pays_gives_the_mandate_back(market, shop):
    reply = market.purchase(market.recommend(), market.stored(SCA_CARD), authorization=mandate()).json()

    shop.psp.lapse(shop.account, reply["paymentId"])
    market.deliver(order="newest", times=2)

    assert (states(), spent_mandates(), conversions(), market.charges()) == (["expired"], 0, [], 0)


@pytest.mark.parametrize("method", ["pm_unknown", "cus_unknown/pm_unknown", "src_1", "not a method", "tok_visa"])
def test_a_method_that_the_merchant_does_not_hold_cannot_pay(market, method):
    reply = market.purchase(market.recommend(), method, authorization=mandate())

    assert answer(reply) == (409, "not_payable", None)
    assert (states(), spent_mandates(), market.payments()) == (["failed"], 0, [])


def test_another_merchants_method_cannot_pay(market, another_shop):
    other = another_shop()
    theirs = Market(other, market.api, open_shop(other)).stored()

    for method in (theirs, theirs.partition("/")[2]):
        assert answer(market.purchase(market.recommend(), method)) == (409, "not_payable", None)
    assert market.payments() == Market(other, market.api, market.offer).payments() == []


@pytest.mark.parametrize("change", [{"maxAmount": 9.99}, {"currency": "EUR"}, {"expiresAt": "2020-01-01T00:00:00Z"}])
def test_a_mandate_is_a_limit_before_stripe_hears_of_it(market, wire, change):
    method = market.stored()

    reply = market.purchase(market.recommend(), method, authorization=mandate(**change))

    assert (reply.status_code, states(), wire.calls) == (403, [], [])


def test_a_mandate_is_good_for_one_charge(market):
    market.purchase(market.recommend(), market.stored(), authorization=mandate())

    reply = market.purchase(market.recommend(), market.stored(), authorization=mandate())

    assert (answer(reply)[:2], market.charges()) == ((409, "authorization_used"), 1)


@pytest.mark.parametrize("how", ORDERS[1:2], ids=order_name)
@pytest.mark.usefixtures("impatient")
def test_an_event_that_is_faster_than_the_answer_converts_all_the_same(market, stripe_faults, how):
    recommendation, method = market.recommend(), market.stored()
    stripe_faults.fail(faults.Silence(), times=None, method="POST")

    lost = market.purchase(recommendation, method, authorization=mandate())
    market.deliver(times=2, **how)

    assert (answer(lost), states()) == ((504, "outcome_unknown", "30"), ["succeeded"])
    assert (len(conversions()), market.charges(), spent_mandates()) == (1, 1, 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_mixed", [False, True], ids=["purchases", "purchases and checkouts"])
def test_32_requests_at_once_are_one_charge_and_one_conversion(market, is_mixed):
    forget_jobs()
    recommendation, method = market.recommend(), market.stored()

    def ask(number):
        if is_mixed and number % 2:
            return market.checkout(recommendation)
        return market.purchase(recommendation, method, authorization=mandate())

    replies = race(ask, times=32)
    for page in Checkout.objects.filter(state="open"):
        market.pay(page.psp_id)
    race(lambda number: market.deliver(order="shuffled", seed=number), times=4)
    run_jobs()

    assert {answer(reply)[:2] for reply in replies} <= EXPECTED
    assert (market.charges(), len(conversions()), balances()) == (1, 1, ACCRUED)
    assert states().count("succeeded") == 1
