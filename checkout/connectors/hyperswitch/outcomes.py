"""From Hyperswitch's webhooks to Rako's words, read strictly: a wrong shape is MalformedEvent and nothing else.

A body does not say whether it is of the live mode: the connection does, whose key signed it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

import orjson

from checkout.connectors.base import MalformedEvent, OutcomeEvent, OutcomeType, VerifiedEvent
from checkout.connectors.hyperswitch import ids, reading
from checkout.connectors.hyperswitch.reading import Body, Unreadable
from checkout.connectors.hyperswitch.statuses import STEP_UP_REASON
from rako.core.money import Money

_PAYMENTS = {
    "payment_succeeded": OutcomeType.PAYMENT_SUCCEEDED,
    "payment_captured": OutcomeType.PAYMENT_SUCCEEDED,
    "payment_processing": OutcomeType.PAYMENT_PENDING,
    "payment_authorized": OutcomeType.PAYMENT_PENDING,
    "payment_failed": OutcomeType.PAYMENT_FAILED,
    "payment_cancelled": OutcomeType.PAYMENT_FAILED,
    "payment_expired": OutcomeType.CHECKOUT_EXPIRED,
    "payment_cancelled_post_capture": OutcomeType.REFUND_SUCCEEDED,
}
_REFUNDS = {
    "refund_succeeded": OutcomeType.REFUND_SUCCEEDED,
    "refund_failed": OutcomeType.REFUND_FAILED,
    "refund_review": OutcomeType.REFUND_PENDING,
}
# A challenged dispute changes nothing: it is as open as before.
_DISPUTES = {
    "dispute_opened": OutcomeType.DISPUTE_OPENED,
    "dispute_lost": OutcomeType.DISPUTE_LOST,
    "dispute_accepted": OutcomeType.DISPUTE_LOST,
    "dispute_expired": OutcomeType.DISPUTE_LOST,
    "dispute_won": OutcomeType.DISPUTE_RELEASED,
    "dispute_cancelled": OutcomeType.DISPUTE_RELEASED,
}
# `action_required` says nothing: the buyer is asked, and no money is on its way.
# With which statuses a payment that "succeeded" or was "captured" has brought its money.
_WHOLE, _PART = "succeeded", "partially_captured"
_PARTS = frozenset({_PART, "partially_captured_and_capturable", "partially_captured_and_processing"})


def parse(raw: bytes, *, is_live: bool) -> VerifiedEvent:
    """An authentic body as an event. Raises MalformedEvent unless it is one, with an object in it."""
    try:
        payload = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise MalformedEvent() from None
    # A NUL, which PostgreSQL's text cannot hold, is always escaped in JSON; escaped backslashes are not its escape.
    if b"\\u0000" in raw.replace(b"\\\\", b""):
        raise MalformedEvent()
    with _malformed():
        event = reading.body(payload)
        _subject(event)
        return VerifiedEvent(
            event_id=reading.text(event, "event_id"),
            event_type=reading.text(event, "event_type"),
            is_live=is_live,
            occurred_at=reading.moment(event, "timestamp"),
            payload=event,
        )


def account_of(event: VerifiedEvent) -> str:
    """The account an event belongs to. Raises MalformedEvent."""
    with _malformed():
        return reading.text(event.payload, "merchant_id")


def read(event: VerifiedEvent) -> list[OutcomeEvent]:
    """What an event says about a sale: one outcome or none. Raises MalformedEvent."""
    with _malformed():
        for outcomes, reader in _READERS:
            if event.event_type in outcomes:
                outcome = reader(event, outcomes[event.event_type], _subject(event.payload))
                return [] if outcome is None else [outcome]
    return []


def _payment(event: VerifiedEvent, outcome: OutcomeType, subject: Body) -> OutcomeEvent | None:
    status = reading.text(subject, "status")
    if outcome == OutcomeType.REFUND_SUCCEEDED:
        # All of it went back, and no refund has a name: the payment itself stands for it.
        return _outcome(event, outcome, subject, _captured(subject), related=reading.text(subject, "payment_id"))
    if status == "cancelled" and subject.get("cancellation_reason") == STEP_UP_REASON:
        return None  # our own doing: a link took the charge's place
    if outcome != OutcomeType.PAYMENT_SUCCEEDED:
        told = _outcome(event, outcome, subject, _positive(subject, "amount"))
        # On a page it is one attempt: the buyer may try again until the page closes.
        is_final = event.event_type != "payment_failed" or subject.get("off_session") is True
        return told if is_final else None
    if status not in {_WHOLE, *_PARTS}:
        return _outcome(event, OutcomeType.PAYMENT_PENDING, subject, _positive(subject, "amount"))
    if subject.get("amount") == 0:
        return None  # a method was stored, and nothing paid
    received = _positive(subject, "amount_received")
    is_whole = status == _WHOLE and received.amount_minor >= reading.money(subject, "amount").amount_minor
    return _outcome(event, outcome, subject, received, is_complete=is_whole)


def _refund(event: VerifiedEvent, outcome: OutcomeType, subject: Body) -> OutcomeEvent:
    if outcome == OutcomeType.REFUND_SUCCEEDED and reading.text(subject, "status") != "succeeded":
        outcome = OutcomeType.REFUND_PENDING
    return _related(event, outcome, subject, "refund_id", "status")


def _dispute(event: VerifiedEvent, outcome: OutcomeType, subject: Body) -> OutcomeEvent:
    if outcome == OutcomeType.DISPUTE_OPENED and subject.get("dispute_stage") == "pre_dispute":
        outcome = OutcomeType.DISPUTE_INQUIRY
    return _related(event, outcome, subject, "dispute_id", "dispute_status")


_Reader = Callable[[VerifiedEvent, OutcomeType, Body], OutcomeEvent | None]
_READERS: tuple[tuple[Mapping[str, OutcomeType], _Reader], ...] = (
    (_PAYMENTS, _payment),
    (_REFUNDS, _refund),
    (_DISPUTES, _dispute),
)


def _related(event: VerifiedEvent, outcome: OutcomeType, subject: Body, key: str, status: str) -> OutcomeEvent:
    """A refund or dispute: of its payment it has the id, and none of the metadata."""
    related, money = reading.text(subject, key), _positive(subject, "amount")
    has_ended = outcome in (OutcomeType.DISPUTE_LOST, OutcomeType.DISPUTE_RELEASED)
    made = None if has_ended else reading.optional_moment(subject, "created_at")
    return _outcome(event, outcome, subject, money, related=related, status=status, metadata={}, at=made)


def _outcome(
    event: VerifiedEvent,
    outcome: OutcomeType,
    subject: Body,
    money: Money,
    *,
    related: str = "",
    status: str = "status",
    metadata: Mapping[str, str] | None = None,
    is_complete: bool = False,
    at: datetime | None = None,
) -> OutcomeEvent:
    payment_id = reading.text(subject, "payment_id")
    return OutcomeEvent(
        type=outcome,
        account_id=account_of(event),
        is_live=event.is_live,
        occurred_at=at or event.occurred_at,
        payment_ref=payment_id,
        psp_ids=[*ids.family(payment_id), *([related] if related not in ("", payment_id) else [])],
        money=money,
        metadata=reading.metadata(subject) if metadata is None else metadata,
        status=reading.text(subject, status),
        is_complete=is_complete,
        related_ref=related,
    )


def _captured(subject: Body) -> Money:
    return _positive(subject, "amount" if subject.get("amount_received") is None else "amount_received")


def _positive(subject: Body, key: str) -> Money:
    money = reading.money(subject, key)
    if money.amount_minor == 0:
        raise Unreadable(key)
    return money


def _subject(payload: Mapping[str, object]) -> Body:
    return reading.body(reading.body(payload.get("content")).get("object"))


@contextmanager
def _malformed() -> Iterator[None]:
    try:
        yield
    except Unreadable as error:
        raise MalformedEvent() from error
