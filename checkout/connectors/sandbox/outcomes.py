"""From the sandbox PSP's words to Rako's, read strictly: a wrong shape is MalformedEvent and nothing else."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import orjson

from checkout.connectors.base import MalformedEvent, OutcomeEvent, OutcomeType, VerifiedEvent
from checkout.connectors.sandbox import events
from rako.core.money import EXPONENTS, MAX_MINOR, Money

Payload = Mapping[str, object]
_Reading = tuple[OutcomeType | None, str, list[str], Money]

_MAX_TEXT = 255
_YEAR_2100 = 4_102_444_800
# \u0000 written as an escape, not as an escaped backslash followed by the letters u0000.
_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


# What a paid page and a captured payment call themselves.
_COMPLETE = frozenset({"complete", "succeeded"})


def parse(body: bytes) -> VerifiedEvent:
    """An authentic body as an event. Raises MalformedEvent unless it is one, with an object in it."""
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise MalformedEvent() from None
    if not isinstance(payload, dict) or _ESCAPED_NUL.search(body):
        raise MalformedEvent()
    _subject(payload)
    return VerifiedEvent(
        event_id=_text(payload, "id"),
        event_type=_text(payload, "type"),
        is_live=_flag(payload, "livemode"),
        occurred_at=datetime.fromtimestamp(_whole(payload, "created", _YEAR_2100), UTC),
        payload=payload,
    )


def account_of(event: VerifiedEvent) -> str:
    """The account an event belongs to. Raises MalformedEvent."""
    return _text(event.payload, "account")


def read(event: VerifiedEvent) -> list[OutcomeEvent]:
    """What an event says about a sale: one outcome or none. Raises MalformedEvent."""
    reader = _READERS.get(event.event_type)
    if reader is None:
        return []
    subject = _subject(event.payload)
    outcome, payment_ref, psp_ids, money = reader(event.event_type, subject)
    if outcome is None:
        return []
    return [
        OutcomeEvent(
            type=outcome,
            account_id=account_of(event),
            is_live=event.is_live,
            occurred_at=event.occurred_at,
            payment_ref=payment_ref,
            psp_ids=psp_ids,
            money=money,
            metadata=_metadata(subject),
            status=_text(subject, "status"),
            is_complete=outcome == OutcomeType.PAYMENT_SUCCEEDED and _text(subject, "status") in _COMPLETE,
        )
    ]


def _read_page(event_type: str, subject: Payload) -> _Reading:
    outcome = _page_outcome(event_type, subject)
    page_id, payment_id = _text(subject, "id"), _optional_text(subject, "payment_intent")
    money = _money(subject, "amount_total")
    if payment_id:
        return outcome, payment_id, [page_id, payment_id], money
    if outcome != OutcomeType.CHECKOUT_EXPIRED:
        raise MalformedEvent()
    # Nobody tried to pay: the page is all there is to refer to.
    return outcome, page_id, [page_id], money


def _page_outcome(event_type: str, subject: Payload) -> OutcomeType:
    if event_type == events.PAGE_EXPIRED:
        return OutcomeType.CHECKOUT_EXPIRED
    if event_type == events.PAGE_NOT_SETTLED:
        return OutcomeType.PAYMENT_FAILED
    is_paid = _one_of(subject, "payment_status", "paid", "unpaid") == "paid"
    if event_type == events.PAGE_SETTLED and not is_paid:
        raise MalformedEvent()
    return OutcomeType.PAYMENT_SUCCEEDED if is_paid else OutcomeType.PAYMENT_PENDING


def _read_payment(event_type: str, subject: Payload) -> _Reading:
    payment_id, page_id = _text(subject, "id"), _optional_text(subject, "checkout_session")
    money = _money(subject, "amount")
    outcome: OutcomeType | None = _PAYMENT_OUTCOMES[event_type]
    if outcome == OutcomeType.PAYMENT_SUCCEEDED and _whole(subject, "amount_received") != money.amount_minor:
        raise MalformedEvent()
    if event_type == events.PAYMENT_FAILED and _text(subject, "status") == "requires_payment_method":
        outcome = None  # The page is still open: the buyer may try another card.
    return outcome, payment_id, [page_id, payment_id] if page_id else [payment_id], money


_PAYMENT_OUTCOMES = {
    events.PAYMENT_SUCCEEDED: OutcomeType.PAYMENT_SUCCEEDED,
    events.PAYMENT_PROCESSING: OutcomeType.PAYMENT_PENDING,
    events.PAYMENT_FAILED: OutcomeType.PAYMENT_FAILED,
    events.PAYMENT_CANCELED: OutcomeType.PAYMENT_FAILED,
}
_READERS: dict[str, Callable[[str, Payload], _Reading]] = {
    events.PAGE_COMPLETED: _read_page,
    events.PAGE_SETTLED: _read_page,
    events.PAGE_NOT_SETTLED: _read_page,
    events.PAGE_EXPIRED: _read_page,
    **dict.fromkeys(_PAYMENT_OUTCOMES, _read_payment),
}


def _subject(payload: Payload) -> Payload:
    data = payload.get("data")
    subject = data.get("object") if isinstance(data, dict) else None
    if not isinstance(subject, dict):
        raise MalformedEvent()
    return subject


def _text(source: Payload, key: str) -> str:
    value = source.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_TEXT:
        raise MalformedEvent()
    return value


def _optional_text(source: Payload, key: str) -> str:
    return "" if source.get(key) is None else _text(source, key)


def _one_of(source: Payload, key: str, *choices: str) -> str:
    value = _text(source, key)
    if value not in choices:
        raise MalformedEvent()
    return value


def _flag(source: Payload, key: str) -> bool:
    value = source.get(key)
    if not isinstance(value, bool):
        raise MalformedEvent()
    return value


def _whole(source: Payload, key: str, maximum: int = MAX_MINOR) -> int:
    value = source.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= maximum:
        raise MalformedEvent()
    return value


def _money(subject: Payload, key: str) -> Money:
    amount = _whole(subject, key)
    if amount == 0:
        raise MalformedEvent()
    return Money(amount, _one_of(subject, "currency", *EXPONENTS))


def _metadata(subject: Payload) -> dict[str, str]:
    metadata = subject.get("metadata")
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise MalformedEvent()
    return dict(metadata)
