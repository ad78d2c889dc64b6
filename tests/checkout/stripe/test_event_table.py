"""The table of Stripe's events, row by row, over objects as Stripe describes them."""

from datetime import UTC, datetime
from typing import Any

import pytest

from checkout.connectors.base import MalformedEvent, OutcomeEvent, VerifiedEvent
from rako.core.money import Money
from tests.checkout.stripe.test_outcomes import types_of
from tests.checkout.stripe.test_webhooks import ACCOUNT, stranger

NOW = datetime(2026, 11, 22, tzinfo=UTC)
DISPUTE = {
    "object": "dispute",
    "id": "du_1",
    "charge": "ch_1",
    "payment_intent": "pi_1",
    "amount": 5,
    "currency": "eur",
    "created": 1_700_000_000,
}
REFUND = {**DISPUTE, "object": "refund", "id": "re_1"}
SESSION = {
    "object": "checkout.session", "id": "cs_1", "payment_intent": "pi_1", "amount_total": 5, "currency": "eur",
    "mode": "payment", "status": "complete", "payment_status": "paid",
}  # fmt: skip
INTENT = {
    "object": "payment_intent", "id": "pi_1", "amount": 5, "amount_received": 5, "currency": "eur",
    "status": "succeeded", "metadata": {},
}  # fmt: skip
OURS = {"metadata": {"aap_checkout_mode": "autonomous"}}
ASKED = {"last_payment_error": {"code": "authentication_required"}}


def meaning(event_type: str, found: dict[str, Any], **envelope: Any) -> list[OutcomeEvent]:
    """The outcomes of an event about an object."""
    payload = {"id": "evt_1", "object": "event", "type": event_type, "data": {"object": found}, **envelope}
    return stranger().normalize(VerifiedEvent("evt_1", event_type, False, NOW, payload))


@pytest.mark.parametrize(
    ("event_type", "found", "told"),
    [
        ("checkout.session.completed", {**SESSION, "payment_status": "unpaid"}, ["payment_pending"]),
        ("checkout.session.completed", {**SESSION, "payment_status": "no_payment_required"}, []),
        ("checkout.session.completed", {**SESSION, "mode": "subscription"}, []),
        ("checkout.session.async_payment_succeeded", SESSION, ["payment_succeeded"]),
        ("checkout.session.async_payment_failed", {**SESSION, "payment_status": "unpaid"}, ["payment_failed"]),
        ("payment_intent.processing", {**INTENT, "status": "processing"}, ["payment_pending"]),
        ("payment_intent.canceled", {**INTENT, "status": "canceled"}, ["payment_failed"]),
        ("payment_intent.payment_failed", INTENT, []),
        ("payment_intent.payment_failed", {**INTENT, **OURS}, ["payment_failed"]),
        ("payment_intent.payment_failed", {**INTENT, **OURS, **ASKED}, []),
        ("payment_intent.canceled", {**INTENT, **OURS, "cancellation_reason": "abandoned"}, []),
        ("payment_intent.canceled", {**INTENT, **OURS}, ["payment_failed"]),
        ("payment_intent.created", INTENT, []),
        ("refund.created", {**REFUND, "status": "requires_action"}, ["refund_pending"]),
        ("refund.created", {**REFUND, "status": None}, ["refund_pending"]),
        ("refund.updated", {**REFUND, "status": "canceled"}, ["refund_failed"]),
        ("refund.failed", {**REFUND, "status": "succeeded"}, ["refund_failed"]),
        ("charge.refund.updated", {**REFUND, "status": "succeeded"}, ["refund_succeeded"]),
        ("charge.dispute.created", {**DISPUTE, "status": "under_review"}, ["dispute_opened"]),
        ("charge.dispute.updated", {**DISPUTE, "status": "warning_under_review"}, ["dispute_inquiry"]),
        ("charge.dispute.closed", {**DISPUTE, "status": "prevented"}, ["dispute_released"]),
        ("charge.dispute.closed", {**DISPUTE, "status": "warning_closed"}, ["dispute_released"]),
        ("charge.dispute.funds_withdrawn", {**DISPUTE, "status": "lost"}, ["dispute_lost"]),
        ("charge.dispute.funds_reinstated", {**DISPUTE, "status": "lost"}, ["dispute_released"]),
        ("charge.dispute.updated", {**DISPUTE, "status": "yet_to_come"}, ["dispute_opened"]),
        ("charge.refunded", {**DISPUTE, "object": "dispute", "status": "lost"}, []),
        ("customer.created", {"object": "customer", "id": "cus_1"}, []),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_an_event_means_what_its_object_says(event_type: str, found: dict[str, Any], told: list[str]) -> None:
    assert types_of(meaning(event_type, found)) == told


def test_a_payment_in_part_is_not_complete() -> None:
    (outcome,) = meaning("payment_intent.succeeded", {**INTENT, "amount": 9})

    assert (outcome.money, outcome.is_complete) == (Money(5, "EUR"), False)


def test_a_refund_of_a_charge_without_a_payment_refers_to_the_charge() -> None:
    (outcome,) = meaning("refund.created", {**REFUND, "payment_intent": None, "status": "succeeded"})

    assert (outcome.payment_ref, outcome.psp_ids) == ("ch_1", ["ch_1", "re_1"])


def test_anothers_metadata_and_currency_are_read_as_they_are() -> None:
    (outcome,) = meaning("payment_intent.succeeded", {**INTENT, "currency": "jpy", "metadata": {"order": "7"}})

    assert (outcome.money, outcome.metadata) == (Money(5, "JPY"), {"order": "7"})


@pytest.mark.parametrize("data", [None, [], {"object": 7}])
def test_nothing_but_the_account_is_read_of_such_news(data: Any) -> None:
    envelope = {"data": data, "account": ACCOUNT}

    (outcome,) = meaning("account.application.deauthorized", {}, **envelope)

    assert outcome.account_id == ACCOUNT
    assert meaning("account.application.deauthorized", {}, data=data) == []


@pytest.mark.parametrize(
    ("event_type", "found"),
    [
        ("checkout.session.completed", {**SESSION, "payment_intent": None}),
        ("checkout.session.completed", {**SESSION, "amount_total": None}),
        ("checkout.session.completed", {**SESSION, "payment_status": None}),
        ("payment_intent.succeeded", {**INTENT, "amount_received": True}),
        ("payment_intent.succeeded", {**INTENT, "currency": "é"}),
        ("payment_intent.succeeded", {**INTENT, "metadata": {"a": 1}}),
        ("payment_intent.succeeded", {**INTENT, "metadata": []}),
        ("payment_intent.succeeded", {**INTENT, "id": "a\0"}),
        ("refund.created", {**REFUND, "payment_intent": None, "charge": None}),
        ("charge.dispute.created", DISPUTE),
    ],
)
def test_an_object_out_of_shape_is_malformed(event_type: str, found: dict[str, Any]) -> None:
    with pytest.raises(MalformedEvent):
        meaning(event_type, found)
