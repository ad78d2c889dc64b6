"""What Stripe's events mean: each row of the table, as the counterparty tells it."""

import pytest

from checkout.connectors.base import OutcomeEvent, OutcomeType
from checkout.connectors.stripe.connector import StripeConnector
from rako.core.money import Money
from tests.checkout.stripe.factories import PRICE, checkout_request, metadata_of, stored_charge
from tests.checkout.stripe.test_charges import stored
from tests.checkout.stripe.test_webhooks import outcomes_of
from tests.counterparties.fixtures import Shop

EUR = Money(1200, "EUR")


def types_of(outcomes: list[OutcomeEvent]) -> list[str]:
    return [outcome.type.value for outcome in outcomes]


def test_one_sale_is_told_twice_by_the_same_payment(connector: StripeConnector, shop: Shop) -> None:
    request = checkout_request()
    link = connector.create_checkout(request)
    paid = shop.psp.pay(shop.account, link.psp_id)

    by_intent, by_session = outcomes_of(connector, shop)

    for outcome in (by_intent, by_session):
        assert (outcome.type, outcome.payment_ref) == (OutcomeType.PAYMENT_SUCCEEDED, paid.payment_intent)
        assert (outcome.money, outcome.is_complete, outcome.is_live) == (PRICE, True, False)
        assert outcome.metadata == metadata_of(request.attempt_id)
        assert outcome.account_id == shop.account
    assert by_session.psp_ids == [link.psp_id, paid.payment_intent]
    assert [one[:3] for one in by_intent.psp_ids] == ["pi_", "ch_"]
    assert (by_intent.status, by_session.status) == ("succeeded", "complete")


def test_a_decline_on_an_open_page_is_no_outcome(connector: StripeConnector, shop: Shop) -> None:
    link = connector.create_checkout(checkout_request())
    shop.psp.pay(shop.account, link.psp_id, "tok_visa_chargeDeclined")

    assert outcomes_of(connector, shop) == []


@pytest.mark.parametrize("succeeds", [True, False])
def test_a_delayed_payment_is_pending_before_it_is_anything_else(
    connector: StripeConnector, shop: Shop, succeeds: bool
) -> None:
    link = connector.create_checkout(checkout_request(money=EUR))
    shop.psp.pay(shop.account, link.psp_id, "sepa_debit")
    before = outcomes_of(connector, shop)
    shop.psp.settle(shop.account, link.psp_id, succeeds=succeeds)
    after = outcomes_of(connector, shop)

    assert types_of(before) == ["payment_pending", "payment_pending"]
    assert not any(outcome.is_complete for outcome in before)
    # Of the failure the session tells alone: its payment's own event might be a try on an open page.
    assert types_of(after) == (["payment_succeeded"] * 2 if succeeds else ["payment_failed"])
    assert {outcome.payment_ref for outcome in before + after} == {before[0].payment_ref}


@pytest.mark.parametrize("was_tried", [True, False])
def test_a_page_whose_time_is_over_has_expired(connector: StripeConnector, shop: Shop, was_tried: bool) -> None:
    link = connector.create_checkout(checkout_request())
    if was_tried:
        shop.psp.pay(shop.account, link.psp_id, "tok_visa_chargeDeclined")
    shop.psp.lapse(shop.account, link.psp_id)

    outcomes = outcomes_of(connector, shop)

    assert types_of(outcomes) == (["payment_failed"] if was_tried else []) + ["checkout_expired"]
    assert outcomes[-1].psp_ids[0] == link.psp_id
    assert outcomes[-1].payment_ref == outcomes[-1].psp_ids[-1]


def test_refunds_name_their_payment_and_their_total(connector: StripeConnector, shop: Shop) -> None:
    sale = connector.charge_stored_method(stored_charge(stored(shop)))
    refund = shop.psp.refund(shop.account, sale.psp_id, 200)
    shop.psp.refund(shop.account, sale.psp_id, 1000)
    outcomes = [one for one in outcomes_of(connector, shop) if one.type != OutcomeType.PAYMENT_SUCCEEDED]

    first, total, second, whole = outcomes

    assert types_of(outcomes) == ["refund_succeeded", "refund_total"] * 2
    assert (first.money, first.related_ref, first.payment_ref) == (Money(200, "GBP"), refund["id"], sale.psp_id)
    assert [one[:3] for one in first.psp_ids] == ["pi_", "ch_", "re_"]
    assert (total.money, second.money, whole.money) == (Money(200, "GBP"), Money(1000, "GBP"), PRICE)
    assert (total.related_ref, [one[:3] for one in total.psp_ids]) == ("", ["pi_", "ch_"])


def test_a_refund_may_fail_after_it_had_succeeded(connector: StripeConnector, shop: Shop) -> None:
    sale = connector.charge_stored_method(stored_charge(stored(shop)))
    refund = shop.psp.refund(shop.account, sale.psp_id, 200)
    outcomes_of(connector, shop)

    shop.psp.fail_refund(shop.account, refund["id"])

    outcomes = outcomes_of(connector, shop)
    assert {(one.type, one.related_ref) for one in outcomes} == {(OutcomeType.REFUND_FAILED, refund["id"])}


def test_a_pending_refund_is_told_as_pending_first(connector: StripeConnector, shop: Shop) -> None:
    link = connector.create_checkout(checkout_request())
    paid = shop.psp.pay(shop.account, link.psp_id, "4000000000007726")
    outcomes_of(connector, shop)
    refund = shop.psp.refund(shop.account, paid.payment_intent, 200)
    before = types_of(outcomes_of(connector, shop))
    shop.psp.settle_refund(shop.account, refund["id"])

    assert before == ["refund_pending"]
    assert set(types_of(outcomes_of(connector, shop))) == {"refund_succeeded", "refund_total"}


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        ("won", {"dispute_released"}),
        ("lost", {"dispute_lost"}),
    ],
)
def test_a_dispute_is_opened_and_decided(connector: StripeConnector, shop: Shop, outcome: str, told: set[str]) -> None:
    sale = connector.charge_stored_method(stored_charge(stored(shop)))
    outcomes_of(connector, shop)
    dispute = shop.psp.dispute(shop.account, sale.psp_id)
    opened = outcomes_of(connector, shop)
    shop.psp.resolve_dispute(shop.account, dispute["id"], outcome)
    decided = outcomes_of(connector, shop)

    assert set(types_of(opened)) == {"dispute_opened"}
    assert (opened[0].related_ref, opened[0].payment_ref, opened[0].money) == (dispute["id"], sale.psp_id, PRICE)
    assert [one[:3] for one in opened[0].psp_ids] == ["pi_", "ch_", "du_"] or opened[0].psp_ids[-1] == dispute["id"]
    assert types_of(decided)[-1] in told
    assert set(types_of(decided)) - told <= {"dispute_opened"}  # under review


@pytest.mark.parametrize(("end", "told"), [("closed", "dispute_released"), ("escalated", "dispute_opened")])
def test_an_inquiry_takes_no_money_yet(connector: StripeConnector, shop: Shop, end: str, told: str) -> None:
    sale = connector.charge_stored_method(stored_charge(stored(shop)))
    outcomes_of(connector, shop)
    dispute = shop.psp.dispute(shop.account, sale.psp_id, inquiry=True)
    opened = types_of(outcomes_of(connector, shop))
    shop.psp.resolve_dispute(shop.account, dispute["id"], end)

    assert opened == ["dispute_inquiry"]
    assert types_of(outcomes_of(connector, shop))[-1] == told


def test_a_platform_that_is_thrown_out_hears_so(connector: StripeConnector, shop: Shop) -> None:
    shop.psp.disconnect(shop.account)

    (outcome,) = outcomes_of(connector, shop)

    assert (outcome.type, outcome.account_id, outcome.psp_ids) == (OutcomeType.CONNECTION_REVOKED, shop.account, ())
