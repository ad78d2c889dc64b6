"""From the sandbox PSP's words to Rako's, read strictly: a wrong shape is MalformedEvent and nothing else."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

import orjson

from checkout.connectors.base import MalformedEvent, OutcomeEvent, OutcomeType, VerifiedEvent
from checkout.connectors.sandbox import events, shapes
from checkout.connectors.sandbox.shapes import Payload
from rako.core.money import Money

_YEAR_2100 = 4_102_444_800
# \u0000 written as an escape, not as an escaped backslash followed by the letters u0000.
_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


# What a paid page and a captured payment call themselves.
_COMPLETE = frozenset({"complete", "succeeded"})


class _Reading(NamedTuple):
    """What an event's object says: the outcome (None: nothing for a sale), and which objects it is about."""

    outcome: OutcomeType | None
    payment_ref: str
    psp_ids: list[str]
    money: Money
    related_ref: str = ""
    at: datetime | None = None


def parse(body: bytes) -> VerifiedEvent:
    """An authentic body as an event. Raises MalformedEvent unless it is one, with an object in it."""
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise MalformedEvent() from None
    if not isinstance(payload, dict) or _ESCAPED_NUL.search(body):
        raise MalformedEvent()
    shapes.subject(payload)
    return VerifiedEvent(
        event_id=shapes.text(payload, "id"),
        event_type=shapes.text(payload, "type"),
        is_live=shapes.flag(payload, "livemode"),
        occurred_at=datetime.fromtimestamp(shapes.whole(payload, "created", _YEAR_2100), UTC),
        payload=payload,
    )


def account_of(event: VerifiedEvent) -> str:
    """The account an event belongs to. Raises MalformedEvent."""
    return shapes.text(event.payload, "account")


def read(event: VerifiedEvent) -> list[OutcomeEvent]:
    """What an event says about a sale, or about the connection: one outcome or none. Raises MalformedEvent."""
    if event.event_type == events.DEAUTHORIZED:
        return [_revocation(event)]
    reader = _READERS.get(event.event_type)
    if reader is None:
        return []
    subject = shapes.subject(event.payload)
    reading = reader(event.event_type, subject)
    if reading.outcome is None:
        return []
    status = shapes.text(subject, "status")
    return [
        OutcomeEvent(
            type=reading.outcome,
            account_id=account_of(event),
            is_live=event.is_live,
            occurred_at=reading.at or event.occurred_at,
            payment_ref=reading.payment_ref,
            psp_ids=reading.psp_ids,
            money=reading.money,
            metadata=shapes.metadata(subject),
            status=status,
            is_complete=reading.outcome == OutcomeType.PAYMENT_SUCCEEDED and status in _COMPLETE,
            related_ref=reading.related_ref,
        )
    ]


def _revocation(event: VerifiedEvent) -> OutcomeEvent:
    return OutcomeEvent(
        type=OutcomeType.CONNECTION_REVOKED,
        account_id=account_of(event),
        is_live=event.is_live,
        occurred_at=event.occurred_at,
        payment_ref="",
        psp_ids=[],
        money=None,
        metadata={},
        status="deauthorized",
        is_complete=False,
    )


def _read_page(event_type: str, subject: Payload) -> _Reading:
    outcome = _page_outcome(event_type, subject)
    page_id, payment_id = shapes.text(subject, "id"), shapes.optional_text(subject, "payment_intent")
    money = shapes.money(subject, "amount_total")
    if payment_id:
        return _Reading(outcome, payment_id, [page_id, payment_id], money)
    if outcome != OutcomeType.CHECKOUT_EXPIRED:
        raise MalformedEvent()
    # Nobody tried to pay: the page is all there is to refer to.
    return _Reading(outcome, page_id, [page_id], money)


def _page_outcome(event_type: str, subject: Payload) -> OutcomeType:
    if event_type == events.PAGE_EXPIRED:
        return OutcomeType.CHECKOUT_EXPIRED
    if event_type == events.PAGE_NOT_SETTLED:
        return OutcomeType.PAYMENT_FAILED
    is_paid = shapes.one_of(subject, "payment_status", "paid", "unpaid") == "paid"
    if event_type == events.PAGE_SETTLED and not is_paid:
        raise MalformedEvent()
    return OutcomeType.PAYMENT_SUCCEEDED if is_paid else OutcomeType.PAYMENT_PENDING


def _read_payment(event_type: str, subject: Payload) -> _Reading:
    payment_id, page_id = shapes.text(subject, "id"), shapes.optional_text(subject, "checkout_session")
    money = shapes.money(subject, "amount")
    outcome: OutcomeType | None = _PAYMENT_OUTCOMES[event_type]
    if outcome == OutcomeType.PAYMENT_SUCCEEDED and shapes.whole(subject, "amount_received") != money.amount_minor:
        raise MalformedEvent()
    if event_type == events.PAYMENT_FAILED and shapes.text(subject, "status") == "requires_payment_method":
        outcome = None  # The page is still open: the buyer may try another card.
    return _Reading(outcome, payment_id, [page_id, payment_id] if page_id else [payment_id], money)


def _read_refund(event_type: str, subject: Payload) -> _Reading:
    outcome = _REFUND_OUTCOMES[shapes.one_of(subject, "status", *_REFUND_OUTCOMES)]
    if event_type == events.REFUND_FAILED and outcome != OutcomeType.REFUND_FAILED:
        raise MalformedEvent()
    return _read_reversal(outcome, subject)


def _read_charge(_: str, subject: Payload) -> _Reading:
    charge_id, payment_id = shapes.text(subject, "id"), shapes.text(subject, "payment_intent")
    refunded = shapes.money(subject, "amount_refunded")
    if refunded.amount_minor > shapes.whole(subject, "amount"):
        raise MalformedEvent()
    return _Reading(OutcomeType.REFUND_TOTAL, payment_id, [charge_id, payment_id], refunded)


def _read_dispute(event_type: str, subject: Payload) -> _Reading:
    outcome = _DISPUTE_OUTCOMES[shapes.one_of(subject, "status", *_DISPUTE_OUTCOMES)]
    if event_type == events.DISPUTE_CLOSED and outcome not in (OutcomeType.DISPUTE_LOST, OutcomeType.DISPUTE_RELEASED):
        raise MalformedEvent()
    if event_type == events.DISPUTE_REINSTATED:
        outcome = OutcomeType.DISPUTE_RELEASED
    return _read_reversal(outcome, subject)


def _read_reversal(outcome: OutcomeType, subject: Payload) -> _Reading:
    related, payment_id = shapes.text(subject, "id"), shapes.text(subject, "payment_intent")
    # How a dispute ended is told when it ends; all else is about when it was made.
    has_ended = outcome in (OutcomeType.DISPUTE_LOST, OutcomeType.DISPUTE_RELEASED)
    made = None if has_ended else datetime.fromtimestamp(shapes.whole(subject, "created", _YEAR_2100), UTC)
    return _Reading(outcome, payment_id, [related, payment_id], shapes.money(subject, "amount"), related, made)


_PAYMENT_OUTCOMES = {
    events.PAYMENT_SUCCEEDED: OutcomeType.PAYMENT_SUCCEEDED,
    events.PAYMENT_PROCESSING: OutcomeType.PAYMENT_PENDING,
    events.PAYMENT_FAILED: OutcomeType.PAYMENT_FAILED,
    events.PAYMENT_CANCELED: OutcomeType.PAYMENT_FAILED,
}
_REFUND_OUTCOMES = {
    "pending": OutcomeType.REFUND_PENDING,
    "succeeded": OutcomeType.REFUND_SUCCEEDED,
    "failed": OutcomeType.REFUND_FAILED,
}
_DISPUTE_OUTCOMES = {
    "warning_needs_response": OutcomeType.DISPUTE_INQUIRY,
    "warning_closed": OutcomeType.DISPUTE_RELEASED,
    "needs_response": OutcomeType.DISPUTE_OPENED,
    "lost": OutcomeType.DISPUTE_LOST,
    "won": OutcomeType.DISPUTE_RELEASED,
}
_READERS: dict[str, Callable[[str, Payload], _Reading]] = {
    events.PAGE_COMPLETED: _read_page,
    events.PAGE_SETTLED: _read_page,
    events.PAGE_NOT_SETTLED: _read_page,
    events.PAGE_EXPIRED: _read_page,
    **dict.fromkeys(_PAYMENT_OUTCOMES, _read_payment),
    **dict.fromkeys((events.REFUND_CREATED, events.REFUND_UPDATED, events.REFUND_FAILED), _read_refund),
    events.CHARGE_REFUNDED: _read_charge,
    events.DISPUTE_CREATED: _read_dispute,
    events.DISPUTE_UPDATED: _read_dispute,
    events.DISPUTE_CLOSED: _read_dispute,
    events.DISPUTE_REINSTATED: _read_dispute,
}
