"""Refunds and disputes at Stripe: told in any order, and before the payment itself, they come to the same."""

from decimal import Decimal

import pytest

from ledger.models import Entry, Event
from tests.counterparties.stripe_errors import ControlError
from tests.journeys.stripe.afterwards import STORIES
from tests.journeys.stripe.market import (
    ACCRUED,
    Market,
    balances,
    conversions,
    mandate,
    open_shop,
    order_name,
    standing,
)

# Whether the payment's own events come first, and how the rest does.
WAYS = [
    (True, {"order": "newest"}),
    (False, {"order": "newest"}),
    (False, {"order": "shuffled", "seed": 1}),
]


def way_name(value):
    return order_name(value) if isinstance(value, dict) else ("payment told" if value else "nothing told")


@pytest.mark.parametrize(("is_known", "how"), WAYS, ids=way_name)
@pytest.mark.parametrize("story", STORIES, ids=str)
def test_a_sale_stands_where_it_stands_whatever_was_told_first(market, story, is_known, how):
    payment = market.sold()
    if is_known:
        market.deliver()
    story.happens(market, payment)

    market.deliver(times=2, **how)
    once = standing()
    market.deliver(order="shuffled", seed=7)

    assert (conversions(), balances()) == ([story.status], story.accounts)
    assert standing() == once
    assert Entry.objects.filter(kind="conversion.recorded").count() == 1
    assert Entry.objects.filter(idempotency_key__startswith="event:").count() == Event.objects.count()


@pytest.mark.parametrize("story", STORIES[1:6:4], ids=str)
def test_a_charge_without_the_buyer_is_taken_back_alike(market, story):
    reply = market.purchase(market.recommend(), market.stored(), authorization=mandate()).json()
    story.happens(market, reply["confirmation"])

    market.deliver(order="newest", times=2)

    assert (conversions(), balances()) == ([story.status], story.accounts)


def test_a_percentage_is_taken_back_with_its_part_of_the_price(shop, as_agent):
    terms = {"type": "percentage", "rate": Decimal(10)}
    market = Market(shop, as_agent, open_shop(shop, vertical="flights", terms=terms))
    payment = market.sold()
    seen = []

    for amount in (None, 300, 200):
        if amount:
            market.refund(payment, amount)
        market.deliver(order="newest", times=2)
        seen.append(balances())

    assert seen == [
        {"merchant_accrued": 100, "builder_pending": -80, "fee_pending": -20},
        {"merchant_accrued": 70, "builder_pending": -56, "fee_pending": -14},
        {"merchant_accrued": 50, "builder_pending": -40, "fee_pending": -10},
    ]


def test_a_pending_refund_takes_back_nothing_before_it_arrives(market, shop):
    page = market.opened()["paymentId"]
    payment = market.pay(page, "4000000000007726")
    refund = market.refund(payment)
    market.deliver(order="newest")
    before = standing()

    shop.psp.settle_refund(shop.account, refund)
    market.deliver(order="newest")

    assert before == (["pending_validation"], ACCRUED, [])
    assert (conversions(), balances()) == (["clawed_back"], {})


def test_more_than_was_paid_cannot_be_refunded_and_changes_nothing(market):
    payment = market.sold()
    market.refund(payment, 300)
    market.deliver()
    before = standing()

    with pytest.raises(ControlError):
        market.refund(payment, 701)
    market.deliver(times=2)

    assert standing() == before


def test_a_refund_of_a_sale_that_is_not_ours_is_nobodys(market):
    market.sold()
    market.deliver()
    before = standing()
    market.refund(market.forged())

    replies = market.deliver(order="newest")

    assert standing() == before
    assert "clawback_recorded" not in replies


def test_what_happens_on_another_account_is_never_taken_for_ours(market, another_shop):
    other = another_shop()
    theirs = Market(other, market.api, open_shop(other))
    market.sold()
    market.deliver()
    before = standing()
    theirs.refund(theirs.sold())

    told = other.psp.deliveries(other.account, market.secret, again=True)
    replies = [market.post(one) for one in told]
    theirs_at_ours = [
        market.post(one) for one in other.psp.deliveries(other.account, theirs.secret, again=True, connect=False)
    ]

    assert {reply.status_code for reply in replies + theirs_at_ours} == {400}
    assert standing() == before
    theirs.deliver(order="newest")
    assert sorted(conversions()) == ["clawed_back", "pending_validation"]


def test_an_event_about_another_accounts_payment_takes_nothing_back(market, another_shop):
    other = another_shop()
    theirs = Market(other, market.api, open_shop(other))
    market.sold()
    market.deliver()
    payment = theirs.sold()
    theirs.deliver()
    theirs.refund(payment)
    before = standing()

    # Signed with the secret of ours, and not naming an account, as a merchant that wants it so could send it.
    told = other.psp.deliveries(other.account, market.secret, again=True, connect=False)
    replies = [market.post(one).json()["status"] for one in told]

    assert set(replies) <= {"unmatched", "ignored", "rejected"}
    assert standing() == before
