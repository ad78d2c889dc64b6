"""Search, recommendation, checkout, payment on Stripe's page, webhooks in any order: one conversion."""

import json
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from checkout import recovery
from checkout.connectors.metadata import joined
from checkout.models import Checkout
from ledger.models import Conversion
from merchants import keyring
from rako.core import aap_code
from rako.core.aap_code import CodeTerms
from sessions_app.models import Session
from tests.factories import OfferFactory, RecommendationFactory
from tests.journeys.stripe.market import (
    ACCRUED,
    ORDERS,
    Market,
    balances,
    conversions,
    open_shop,
    order_name,
    refusals,
    states,
)
from tests.ledger.log import publish_log

DECLINED = "tok_visa_chargeDeclinedInsufficientFunds"


@pytest.mark.parametrize("how", ORDERS, ids=order_name)
def test_a_buyer_who_was_declined_first_and_paid_then_makes_one_verified_conversion(market, how):
    recommendation = market.recommend()
    opened = market.opened(recommendation)
    market.pay(opened["paymentId"], DECLINED)
    payment = market.pay(opened["paymentId"])

    replies = market.deliver(times=2, **how)

    conversion = Conversion.objects.get()
    assert (conversion.verification_level, conversion.transaction_value_minor, conversion.currency) == (
        "orchestrated",
        1000,
        "GBP",
    )
    assert (conversion.commission_minor, conversion.network_fee_minor, conversion.builder_payout_minor) == (
        800,
        160,
        640,
    )
    assert replies.count("conversion_recorded") <= 1
    assert (balances(), market.session_status(recommendation.session_id)) == (ACCRUED, "converted")
    assert (states(), Checkout.objects.get().confirmation, market.charges()) == (["succeeded"], payment, 1)


def test_both_parties_download_the_proof(market, as_merchant, tmp_path):
    market.sold()
    market.deliver()
    publish_log(tmp_path / "signer")

    for api in (market.api, as_merchant(market.offer.merchant)):
        reply = api.get(f"/v1/conversions/{Conversion.objects.get().pk}/proof")
        assert (reply.status_code, reply.json()["format"]) == (200, "rako-conversion-proof@v1")


def test_asked_again_it_is_the_same_page(market):
    recommendation = market.recommend()

    first, again = market.opened(recommendation), market.opened(recommendation)

    assert (again["checkoutUrl"], again["transactionId"]) == (first["checkoutUrl"], first["transactionId"])
    assert (market.pages("open"), market.session_status(recommendation.session_id)) == (1, "checkout")


def test_another_recommendation_of_the_session_closes_the_first_page(market):
    other = OfferFactory(merchant=market.offer.merchant, price_minor=1500)
    session = market.search()
    first = market.opened(market.recommend(session))

    second = market.opened(market.recommend(session, other))
    market.pay(second["paymentId"])
    market.deliver(order="newest", times=2)

    assert (market.pages("expired"), market.pages("complete"), market.charges()) == (1, 1, 1)
    assert first["checkoutUrl"] != second["checkoutUrl"]
    assert (states(), conversions()) == (["expired", "succeeded"], ["pending_validation"])
    assert Conversion.objects.get().transaction_value_minor == 1500


def test_a_first_page_that_was_just_paid_is_the_sessions_sale(market):
    session = market.search()
    market.pay(market.opened(market.recommend(session))["paymentId"])

    reply = market.checkout(market.recommend(session, OfferFactory(merchant=market.offer.merchant)))
    market.deliver()

    assert (reply.status_code, reply.json()) == (409, {"error": "Session already converted"})
    assert (states(), len(conversions()), market.charges()) == (["succeeded"], 1, 1)


def test_a_page_that_was_paid_in_the_last_moment_converts(market):
    market.sold()
    Checkout.objects.update(expires_at=timezone.now() - timedelta(minutes=2))

    recovery.expire_checkouts()
    before = states()
    market.deliver()

    assert (before, states(), len(conversions())) == (["processing"], ["succeeded"], 1)


@pytest.mark.parametrize("is_told", [True, False], ids=["told", "not told"])
def test_a_page_whose_time_is_over_cannot_be_paid_and_another_can_be_opened(market, shop, is_told):
    recommendation = market.recommend()
    first = market.opened(recommendation)
    if is_told:
        shop.psp.lapse(shop.account, first["paymentId"])
        market.deliver()
    else:
        Checkout.objects.update(expires_at=timezone.now() - timedelta(minutes=2))
        recovery.expire_checkouts()

    second = market.opened(recommendation)

    assert (states(), market.pages("open"), conversions()) == (["expired", "open"], 1, [])
    assert first["checkoutUrl"] != second["checkoutUrl"]


@pytest.mark.parametrize(("succeeds", "state"), [(True, "succeeded"), (False, "failed")])
@pytest.mark.parametrize("how", ORDERS[1:3], ids=order_name)
def test_a_delayed_method_converts_when_its_money_has_come(market, shop, succeeds, state, how):
    page = market.opened()["paymentId"]
    market.pay(page, "sepa_debit")
    market.deliver()
    on_its_way = (states(), conversions())

    shop.psp.settle(shop.account, page, succeeds=succeeds)
    market.deliver(times=2, **how)

    assert on_its_way == (["processing"], [])
    assert (states(), len(conversions())) == ([state], int(succeeds))


def long_coded(market):
    """A recommendation with a code that one value of Stripe's metadata cannot hold: longer than ours can become."""
    offer, session = market.offer, Session.objects.get(pk=market.search())
    commission = {"type": "cpa", "value": 8}
    terms = CodeTerms(offer.pk, offer.merchant_id, offer.provider, "Long name " * 20, 10, "GBP", commission)
    text = aap_code.issue(terms, keyring.private_key_for(timezone.now()), issued_at=int(time.time()))
    return RecommendationFactory(session=session, offer=offer, aap_code=text)


def test_a_code_of_more_than_500_characters_is_judged_whole(market):
    recommendation = long_coded(market)
    payment = market.pay(market.opened(recommendation)["paymentId"])

    market.deliver()

    kept = next(one for one in market.payments() if one.id == payment).metadata.to_dict()
    assert len(recommendation.aap_code) > 500 >= max(len(value) for value in kept.values())
    assert joined(kept)["aap_code"] == recommendation.aap_code
    assert len(conversions()) == 1


def metadata_at_stripe(market, page):
    return market.shop.client().v1.checkout.sessions.retrieve(page).metadata.to_dict()


def test_metadata_that_names_another_merchants_checkout_credits_nothing(market, another_shop):
    other = another_shop()
    theirs = Market(other, market.api, open_shop(other))
    page = theirs.opened()["paymentId"]
    market.forged(metadata=metadata_at_stripe(theirs, page))

    market.deliver()

    assert refusals() == {("unmatched", "code_agreement")}
    assert (states(), conversions(), balances()) == (["open"], [], {})


def test_metadata_that_copies_an_own_page_credits_nothing(market):
    page = market.opened()["paymentId"]
    market.forged(metadata=metadata_at_stripe(market, page))

    market.deliver()

    assert refusals() == {("unmatched", "code_agreement")}
    assert (states(), conversions()) == (["open"], [])


def edited(market, change):
    """The events of a paid page, altered by somebody who can edit what Stripe tells, and signs it all the same."""
    for one in market.shop.psp.deliveries(market.shop.account, market.secret, connect=False):
        event = json.loads(one.body)
        change(event["data"]["object"])
        body = json.dumps(event).encode()
        yield market.send(body, market.signed(body))


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"amount_total": 999, "amount": 999, "amount_received": 999}, "amount"),
        ({"amount_total": 1001, "amount": 1001, "amount_received": 1001}, "amount"),
        ({"currency": "eur"}, "amount"),
        ({"currency": "jpy"}, "amount"),
        ({"metadata": {"aap_merchant_id": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}}, "code_agreement"),
        ({"metadata": {"aap_code": "aap://rako.sh/v1/e30.e30"}}, "code_signature"),
    ],
    ids=str,
)
def test_a_payment_of_another_amount_or_story_is_refused_by_name(market, changes, check):
    market.sold()

    replies = list(edited(market, lambda thing: thing.update(changes)))

    assert {reply.status_code for reply in replies} == {200}
    assert ("rejected", check) in refusals()
    assert (states(), conversions(), balances()) == (["open"], [], {})
