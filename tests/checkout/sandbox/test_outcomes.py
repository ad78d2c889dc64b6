"""What events mean to Rako, and that a wrong shape is MalformedEvent and nothing else."""

import copy
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkout.connectors.base import MalformedEvent, OutcomeType, VerifiedEvent
from checkout.connectors.sandbox import events, outcomes, pages, payments
from checkout.connectors.sandbox.models import Account, Event, PaymentPage
from rako.core.money import Money
from tests.checkout.sandbox.factories import FAILS_LATER, IS_DECLINED, SUCCEEDS, SUCCEEDS_LATER, stored_charge

PAGE, PAYMENT = "cs_1", "pi_1"


def page_payload(event_type: str, **changes: Any) -> dict[str, Any]:
    subject = {
        "id": PAGE,
        "object": "checkout.session",
        "status": "complete",
        "payment_status": "paid",
        "payment_intent": PAYMENT,
        "amount_total": 12_900,
        "currency": "GBP",
        "metadata": {"rako_transaction_id": "t1"},
    }
    return envelope(event_type, subject | changes)


def payment_payload(event_type: str, **changes: Any) -> dict[str, Any]:
    subject = {
        "id": PAYMENT,
        "object": "payment_intent",
        "status": "succeeded",
        "checkout_session": None,
        "amount": 600,
        "amount_received": 600,
        "currency": "GBP",
        "metadata": {"rako_transaction_id": "t2"},
    }
    return envelope(event_type, subject | changes)


def envelope(event_type: str, subject: Any) -> dict[str, Any]:
    frame = {"id": "evt_1", "type": event_type, "created": 1_700_000_000, "livemode": False, "account": "acct_1"}
    return frame | {"data": {"object": subject}}


def event_of(payload: dict[str, Any]) -> VerifiedEvent:
    return outcomes.parse(orjson.dumps(payload))


def last_told(event_type: str) -> VerifiedEvent:
    return event_of(Event.objects.filter(type=event_type).latest("created_at").payload)


def test_a_paid_page_is_a_payment_that_succeeded() -> None:
    [outcome] = outcomes.read(event_of(page_payload(events.PAGE_COMPLETED)))

    assert (outcome.type, outcome.is_complete) == (OutcomeType.PAYMENT_SUCCEEDED, True)
    assert (outcome.payment_ref, list(outcome.psp_ids)) == (PAYMENT, [PAGE, PAYMENT])
    assert (outcome.money, outcome.metadata) == (Money(12_900, "GBP"), {"rako_transaction_id": "t1"})


def test_an_outcome_says_whose_and_when() -> None:
    [outcome] = outcomes.read(event_of(page_payload(events.PAGE_COMPLETED)))

    assert (outcome.account_id, outcome.is_live, outcome.status) == ("acct_1", False, "complete")
    assert outcome.occurred_at == datetime.fromtimestamp(1_700_000_000, UTC)


@pytest.mark.parametrize(
    ("payload", "outcome_type"),
    [
        (page_payload(events.PAGE_COMPLETED, payment_status="unpaid"), OutcomeType.PAYMENT_PENDING),
        (page_payload(events.PAGE_SETTLED), OutcomeType.PAYMENT_SUCCEEDED),
        (page_payload(events.PAGE_NOT_SETTLED, payment_status="unpaid"), OutcomeType.PAYMENT_FAILED),
        (page_payload(events.PAGE_EXPIRED, status="expired", payment_status="unpaid"), OutcomeType.CHECKOUT_EXPIRED),
        (payment_payload(events.PAYMENT_SUCCEEDED), OutcomeType.PAYMENT_SUCCEEDED),
        (payment_payload(events.PAYMENT_PROCESSING, status="processing"), OutcomeType.PAYMENT_PENDING),
        (payment_payload(events.PAYMENT_FAILED, status="failed"), OutcomeType.PAYMENT_FAILED),
        (payment_payload(events.PAYMENT_CANCELED, status="canceled"), OutcomeType.PAYMENT_FAILED),
    ],
)
def test_each_event_has_its_meaning(payload: dict[str, Any], outcome_type: OutcomeType) -> None:
    [outcome] = outcomes.read(event_of(payload))

    assert (outcome.type, outcome.payment_ref) == (outcome_type, PAYMENT)
    assert outcome.is_complete == (outcome_type == OutcomeType.PAYMENT_SUCCEEDED)


@pytest.mark.parametrize(
    "payload",
    [payment_payload(events.PAYMENT_FAILED, status="requires_payment_method"), envelope("customer.created", {})],
    ids=["the buyer may try again", "another type"],
)
def test_some_events_mean_nothing(payload: dict[str, Any]) -> None:
    assert outcomes.read(event_of(payload)) == []


def test_an_abandoned_page_is_its_own_reference() -> None:
    payload = page_payload(events.PAGE_EXPIRED, status="expired", payment_status="unpaid", payment_intent=None)

    [outcome] = outcomes.read(event_of(payload))

    assert (outcome.payment_ref, list(outcome.psp_ids)) == (PAGE, [PAGE])


def test_both_events_of_a_paid_page_name_one_payment(page: PaymentPage) -> None:
    payment = pages.pay_page(page.pk, SUCCEEDS)

    both = [outcomes.read(last_told(name))[0] for name in (events.PAGE_COMPLETED, events.PAYMENT_SUCCEEDED)]

    assert {outcome.payment_ref for outcome in both} == {payment.pk}
    assert {tuple(outcome.psp_ids) for outcome in both} == {(page.pk, payment.pk)}


def test_a_decline_on_an_open_page_means_nothing(page: PaymentPage) -> None:
    pages.pay_page(page.pk, IS_DECLINED)

    assert outcomes.read(last_told(events.PAYMENT_FAILED)) == []


def test_a_declined_charge_is_a_failure(account: Account) -> None:
    payments.charge_stored(account, stored_charge(payment_method="pm_card_declined"))

    [outcome] = outcomes.read(last_told(events.PAYMENT_FAILED))

    assert outcome.type == OutcomeType.PAYMENT_FAILED


@pytest.mark.parametrize(
    ("card", "last", "outcome_type"),
    [
        (SUCCEEDS_LATER, events.PAGE_SETTLED, OutcomeType.PAYMENT_SUCCEEDED),
        (FAILS_LATER, events.PAGE_NOT_SETTLED, OutcomeType.PAYMENT_FAILED),
    ],
)
def test_a_delayed_payment_is_pending_first(page: PaymentPage, card: Any, last: str, outcome_type: OutcomeType) -> None:
    payments.complete_delayed(pages.pay_page(page.pk, card).pk)

    first, second = (outcomes.read(last_told(name))[0] for name in (events.PAGE_COMPLETED, last))

    assert (first.type, second.type) == (OutcomeType.PAYMENT_PENDING, outcome_type)


@pytest.mark.parametrize(
    "payload",
    [
        page_payload(events.PAGE_COMPLETED, payment_intent=None),
        page_payload(events.PAGE_COMPLETED, payment_status="maybe"),
        page_payload(events.PAGE_SETTLED, payment_status="unpaid"),
        page_payload(events.PAGE_COMPLETED, amount_total=0),
        page_payload(events.PAGE_COMPLETED, amount_total=True),
        page_payload(events.PAGE_COMPLETED, amount_total=1.5),
        page_payload(events.PAGE_COMPLETED, amount_total="100"),
        page_payload(events.PAGE_COMPLETED, currency="XXX"),
        page_payload(events.PAGE_COMPLETED, currency=["GBP"]),
        page_payload(events.PAGE_COMPLETED, metadata=None),
        page_payload(events.PAGE_COMPLETED, metadata={"k": 1}),
        payment_payload(events.PAYMENT_SUCCEEDED, amount_received=599),
        payment_payload(events.PAYMENT_SUCCEEDED, status=None),
        payment_payload(events.PAYMENT_SUCCEEDED, checkout_session=7),
    ],
)
def test_a_wrong_object_is_malformed(payload: dict[str, Any]) -> None:
    with pytest.raises(MalformedEvent):
        outcomes.read(event_of(payload))


@pytest.mark.parametrize(
    "change",
    [
        {"id": ""},
        {"id": 7},
        {"id": "e" * 256},
        {"type": None},
        {"created": "now"},
        {"created": -1},
        {"created": 10**18},
        {"created": 1.5},
        {"livemode": "false"},
        {"data": None},
        {"data": {"object": "x"}},
        {"note": "nul \x00"},
    ],
    ids=str,
)
def test_a_wrong_envelope_is_malformed(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedEvent):
        event_of(page_payload(events.PAGE_COMPLETED) | change)


def test_the_text_of_an_escape_is_not_the_character() -> None:
    payload = page_payload(events.PAGE_COMPLETED, metadata={"note": "\\u0000"})

    [outcome] = outcomes.read(event_of(payload))

    assert outcome.metadata == {"note": "\\u0000"}


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@given(
    build=st.sampled_from([page_payload, payment_payload]),
    event_type=st.sampled_from(sorted(outcomes._READERS)),
    field=st.sampled_from(sorted(page_payload("")["data"]["object"] | payment_payload("")["data"]["object"])),
    value=ANYTHING,
)
def test_nothing_but_malformed_event_is_raised(build: Any, event_type: str, field: str, value: Any) -> None:
    payload = copy.deepcopy(build(event_type))
    payload["data"]["object"][field] = value

    with suppress(MalformedEvent, orjson.JSONEncodeError):
        assert len(outcomes.read(event_of(payload))) <= 1
