"""The same story is told in the same words, whichever PSP it happened at."""

import pytest

from checkout.connectors.base import DisputeState, OutcomeType, PaymentConnector, RefundState
from rako.core.money import Money
from tests.checkout.contract import psp as contract
from tests.checkout.contract import stories
from tests.checkout.contract.psp import PRICE, Psp

PAID, REFUNDED = OutcomeType.PAYMENT_SUCCEEDED, OutcomeType.REFUND_SUCCEEDED
OPENED, LOST, RELEASED = OutcomeType.DISPUTE_OPENED, OutcomeType.DISPUTE_LOST, OutcomeType.DISPUTE_RELEASED


def test_paid(psp: Psp, connector: PaymentConnector) -> None:
    request = contract.request()
    page = connector.create_checkout(request).psp_id
    psp.pay(page)

    outcomes = stories.told(psp, connector)

    assert stories.plot(outcomes) == [PAID]
    assert {outcome.money for outcome in outcomes} == {PRICE}
    assert all(outcome.is_complete and not outcome.related_ref for outcome in outcomes)
    assert all(request.metadata.items() <= outcome.metadata.items() for outcome in outcomes)
    assert any(page in outcome.psp_ids for outcome in outcomes)


def test_every_outcome_names_the_one_payment(psp: Psp, connector: PaymentConnector) -> None:
    _, payment = stories.paid(psp, connector)
    psp.refund(payment, 300)
    psp.win(psp.dispute(payment))

    outcomes = stories.told(psp, connector)

    assert {outcome.payment_ref for outcome in outcomes} == {payment}
    assert all(payment in outcome.psp_ids and outcome.related_ref in ("", *outcome.psp_ids) for outcome in outcomes)
    assert [outcome.is_complete for outcome in outcomes] == [outcome.type == PAID for outcome in outcomes]
    assert not any(outcome.is_live for outcome in outcomes)


def test_refunded_in_part_and_then_the_rest(psp: Psp, connector: PaymentConnector) -> None:
    _, payment = stories.paid(psp, connector)
    made = [psp.refund(payment, amount) for amount in (300, 900)]

    outcomes = stories.told(psp, connector)

    assert stories.plot(outcomes) == [PAID, REFUNDED, REFUNDED]
    said = {outcome.related_ref: outcome.money for outcome in outcomes if outcome.type == REFUNDED}
    assert said == dict(zip(made, [Money(300, "GBP"), Money(900, "GBP")], strict=True))


def test_sums_of_refunds_agree_where_they_are_told(psp: Psp, connector: PaymentConnector) -> None:
    _, payment = stories.paid(psp, connector)
    for amount in (300, 900):
        psp.refund(payment, amount)

    sums = [outcome for outcome in stories.told(psp, connector) if outcome.type == OutcomeType.REFUND_TOTAL]

    assert [one.money for one in sums] in ([], [Money(300, "GBP"), Money(1_200, "GBP")])
    assert not any(one.related_ref for one in sums)


def test_a_refund_that_had_succeeded_fails(psp: Psp, connector: PaymentConnector) -> None:
    _, payment = stories.paid(psp, connector)
    refund = psp.refund(payment, 300)
    psp.fail_refund(refund)

    outcomes = stories.told(psp, connector)
    [snapshot] = stories.whole(connector.list_refunds)

    assert stories.plot(outcomes) == [PAID, REFUNDED, OutcomeType.REFUND_FAILED]
    assert (snapshot.refund_id, snapshot.payment_ref, snapshot.state) == (refund, payment, RefundState.FAILED)
    failed = next(outcome for outcome in outcomes if outcome.type == OutcomeType.REFUND_FAILED)
    assert (failed.related_ref, failed.money) == (refund, Money(300, "GBP"))


@pytest.mark.parametrize(
    ("end", "outcome", "state"), [("lose", LOST, DisputeState.LOST), ("win", RELEASED, DisputeState.RELEASED)]
)
def test_disputed(psp: Psp, connector: PaymentConnector, end: str, outcome: OutcomeType, state: DisputeState) -> None:
    _, payment = stories.paid(psp, connector)
    dispute = psp.dispute(payment)
    getattr(psp, end)(dispute)

    outcomes = stories.told(psp, connector)
    [snapshot] = stories.whole(connector.list_disputes)

    assert stories.plot(outcomes) == [PAID, OPENED, outcome]
    assert {one.related_ref for one in outcomes if one.type != PAID} == {dispute}
    assert (snapshot.dispute_id, snapshot.payment_ref, snapshot.state) == (dispute, payment, state)
    assert snapshot.money == PRICE


def test_refunded_in_part_and_then_disputed(psp: Psp, connector: PaymentConnector) -> None:
    _, payment = stories.paid(psp, connector)
    psp.refund(payment, 300)
    psp.lose(psp.dispute(payment))

    assert stories.plot(stories.told(psp, connector)) == [PAID, REFUNDED, OPENED, LOST]


def test_asked_after(psp: Psp, connector: PaymentConnector) -> None:
    if not psp.has_inquiries:
        pytest.skip("this PSP knows no inquiries")
    _, payment = stories.paid(psp, connector)
    inquiry = psp.dispute(payment, is_inquiry=True)

    assert stories.plot(stories.told(psp, connector)) == [PAID, OutcomeType.DISPUTE_INQUIRY]
    assert [one.state for one in stories.whole(connector.list_disputes)] == [DisputeState.INQUIRY]
    psp.win(inquiry)
    assert stories.plot(stories.told(psp, connector))[-1] == RELEASED


@pytest.mark.parametrize("what", ["succeeded", "generic"])
def test_charged_without_the_buyer(psp: Psp, connector: PaymentConnector, what: str) -> None:
    request = contract.charge(psp.methods[what])
    result = connector.charge_stored_method(request)

    outcomes = stories.told(psp, connector)

    assert stories.plot(outcomes) == [PAID if what == "succeeded" else OutcomeType.PAYMENT_FAILED]
    assert {outcome.payment_ref for outcome in outcomes} == {result.confirmation}
    assert all(request.metadata.items() <= outcome.metadata.items() for outcome in outcomes)
