"""What refunds, disputes and revoked keys mean to Rako."""

import copy
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkout.connectors.base import MalformedEvent, OutcomeType
from checkout.connectors.sandbox import accounts, disputes, events, outcomes, refunds
from checkout.connectors.sandbox.models import Account, Event
from rako.core.money import Money
from tests.checkout.sandbox import factories
from tests.checkout.sandbox.test_outcomes import ANYTHING, envelope, event_of


def payload(event_type: str, status: str, **changes: Any) -> dict[str, Any]:
    subject = {
        "id": "re_1",
        "status": status,
        "created": 1_600_000_000,
        "payment_intent": "pi_1",
        "amount": 600,
        "amount_refunded": 500,
        "currency": "GBP",
        "metadata": {},
    }
    return envelope(event_type, subject | changes)


@pytest.mark.parametrize(
    ("event_type", "status", "outcome_type"),
    [
        (events.REFUND_CREATED, "succeeded", OutcomeType.REFUND_SUCCEEDED),
        (events.REFUND_CREATED, "pending", OutcomeType.REFUND_PENDING),
        (events.REFUND_UPDATED, "succeeded", OutcomeType.REFUND_SUCCEEDED),
        (events.REFUND_UPDATED, "failed", OutcomeType.REFUND_FAILED),
        (events.REFUND_FAILED, "failed", OutcomeType.REFUND_FAILED),
        (events.DISPUTE_CREATED, "needs_response", OutcomeType.DISPUTE_OPENED),
        (events.DISPUTE_CREATED, "warning_needs_response", OutcomeType.DISPUTE_INQUIRY),
        (events.DISPUTE_UPDATED, "needs_response", OutcomeType.DISPUTE_OPENED),
        (events.DISPUTE_CLOSED, "lost", OutcomeType.DISPUTE_LOST),
        (events.DISPUTE_CLOSED, "won", OutcomeType.DISPUTE_RELEASED),
        (events.DISPUTE_CLOSED, "warning_closed", OutcomeType.DISPUTE_RELEASED),
        (events.DISPUTE_REINSTATED, "won", OutcomeType.DISPUTE_RELEASED),
        (events.DISPUTE_REINSTATED, "lost", OutcomeType.DISPUTE_RELEASED),
    ],
)
def test_each_event_has_its_meaning(event_type: str, status: str, outcome_type: OutcomeType) -> None:
    [outcome] = outcomes.read(event_of(payload(event_type, status)))

    assert (outcome.type, outcome.status, outcome.is_complete) == (outcome_type, status, False)
    assert (outcome.payment_ref, outcome.related_ref, list(outcome.psp_ids)) == ("pi_1", "re_1", ["re_1", "pi_1"])
    assert (outcome.money, outcome.metadata) == (Money(600, "GBP"), {})
    has_ended = outcome_type in (OutcomeType.DISPUTE_LOST, OutcomeType.DISPUTE_RELEASED)
    assert (outcome.occurred_at.timestamp() == 1_600_000_000) is not has_ended


def test_the_sum_of_refunds_is_of_no_refund() -> None:
    [outcome] = outcomes.read(event_of(payload(events.CHARGE_REFUNDED, "succeeded", id="ch_1")))

    assert (outcome.type, outcome.money) == (OutcomeType.REFUND_TOTAL, Money(500, "GBP"))
    assert (outcome.payment_ref, outcome.related_ref, list(outcome.psp_ids)) == ("pi_1", "", ["ch_1", "pi_1"])


@pytest.mark.parametrize(
    "body",
    [
        payload(events.REFUND_FAILED, "succeeded"),
        payload(events.REFUND_CREATED, "maybe"),
        payload(events.REFUND_CREATED, "succeeded", payment_intent=None),
        payload(events.REFUND_CREATED, "succeeded", amount=0),
        payload(events.CHARGE_REFUNDED, "succeeded", amount_refunded=601),
        payload(events.DISPUTE_CLOSED, "needs_response"),
        payload(events.DISPUTE_CREATED, "unheard_of"),
    ],
)
def test_a_wrong_object_is_malformed(body: dict[str, Any]) -> None:
    with pytest.raises(MalformedEvent):
        outcomes.read(event_of(body))


def story(since: str) -> list[OutcomeType]:
    """What the events since one of that type come to, in order."""
    rows = list(Event.objects.order_by("created_at", "pk"))
    start = [event.type for event in rows].index(since)
    return [outcome.type for event in rows[start:] for outcome in outcomes.read(event_of(event.payload))]


def test_refunds_of_a_payment_are_told_one_by_one_and_together(account: Account) -> None:
    payment = factories.paid(account)
    refunds.refund(payment, 200)
    refunds.fail_refund(refunds.refund(payment, 400).pk)

    told = [OutcomeType.REFUND_SUCCEEDED, OutcomeType.REFUND_TOTAL] * 2
    assert story(events.REFUND_CREATED) == [*told, OutcomeType.REFUND_FAILED]


def test_a_dispute_is_told_from_inquiry_to_end(account: Account) -> None:
    payment = factories.paid(account)
    disputes.open_dispute(payment, is_inquiry=True)
    disputes.lose(disputes.open_dispute(payment).pk)

    told = [OutcomeType.DISPUTE_INQUIRY, OutcomeType.DISPUTE_OPENED, OutcomeType.DISPUTE_LOST]
    assert story(events.DISPUTE_CREATED) == told


def test_refunds_and_disputes_name_their_payment(account: Account) -> None:
    payment = factories.paid(account)
    refund, dispute = refunds.refund(payment, 200), disputes.open_dispute(payment)

    of_refund, of_dispute = (
        outcomes.read(event_of(Event.objects.get(type=name).payload))[0]
        for name in (events.REFUND_CREATED, events.DISPUTE_CREATED)
    )

    assert (of_refund.related_ref, of_refund.payment_ref) == (refund.pk, payment.pk)
    assert (of_dispute.related_ref, of_dispute.payment_ref) == (dispute.pk, payment.pk)


def test_a_closed_account_is_a_revoked_connection(account: Account) -> None:
    accounts.close_account(account.pk)

    [outcome] = outcomes.read(event_of(Event.objects.get().payload))

    assert (outcome.type, outcome.account_id) == (OutcomeType.CONNECTION_REVOKED, account.pk)
    assert (outcome.payment_ref, list(outcome.psp_ids), outcome.money) == ("", [], None)


@given(
    event_type=st.sampled_from(sorted(outcomes._READERS)),
    field=st.sampled_from(sorted(payload("", "")["data"]["object"])),
    value=ANYTHING | st.sampled_from(["succeeded", "failed", "lost", "won", "pi_1"]),
)
def test_nothing_but_malformed_event_is_raised(event_type: str, field: str, value: Any) -> None:
    body = copy.deepcopy(payload(event_type, "succeeded"))
    body["data"]["object"][field] = value

    with suppress(MalformedEvent, orjson.JSONEncodeError):
        assert len(outcomes.read(event_of(body))) <= 1
