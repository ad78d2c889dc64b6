"""What Stripe's events mean for a sale. The object decides, not the event's name: refunds come under charges' names."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from checkout.connectors.base import DisputeState, MalformedEvent, OutcomeEvent, OutcomeType, RefundState, VerifiedEvent
from checkout.connectors.stripe import events, reading
from checkout.connectors.stripe.charges import REPLACED, STEP_UP
from checkout.connectors.stripe.reading import Nonsense, Thing
from checkout.connectors.stripe.snapshots import (
    INTENT,
    SESSION,
    dispute_state,
    money,
    named,
    payment_ref,
    refund_state,
)
from rako.core.money import Money

_REFUNDS = {
    RefundState.SUCCEEDED: OutcomeType.REFUND_SUCCEEDED,
    RefundState.PENDING: OutcomeType.REFUND_PENDING,
    RefundState.FAILED: OutcomeType.REFUND_FAILED,
}
_DISPUTES = {
    DisputeState.INQUIRY: OutcomeType.DISPUTE_INQUIRY,
    DisputeState.OPEN: OutcomeType.DISPUTE_OPENED,
    DisputeState.LOST: OutcomeType.DISPUTE_LOST,
    DisputeState.RELEASED: OutcomeType.DISPUTE_RELEASED,
}


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one object says; `ids` are all that it names."""

    type: OutcomeType
    payment_ref: str
    ids: Sequence[str]
    money: Money | None
    status: str
    is_complete: bool = False
    related_ref: str = ""
    at: datetime | None = None


def read(event: VerifiedEvent, account_id: str) -> list[OutcomeEvent]:
    """What an event says about a sale: one outcome or none. Raises MalformedEvent.

    `account_id` is the connection's: a merchant's own endpoint is not told whose account it is.
    """
    try:
        return _read(event, reading.optional_text(event.payload, "account"), account_id)
    except Nonsense:
        raise MalformedEvent() from None


def _read(event: VerifiedEvent, told: str, account_id: str) -> list[OutcomeEvent]:
    if event.event_type == events.DEAUTHORIZED:
        # Without an account it is about somebody else's application.
        return [_outcome(event, told, _revoked(), {})] if told else []
    found = events.subject(event.payload)
    types, reader = _READERS.get(str(found.get("object")), (frozenset(), _ignored))
    said = reader(event.event_type, found) if event.event_type in types else None
    return [] if said is None else [_outcome(event, told or account_id, said, reading.metadata(found))]


def _outcome(event: VerifiedEvent, account_id: str, said: _Reading, metadata: dict[str, str]) -> OutcomeEvent:
    return OutcomeEvent(
        type=said.type,
        account_id=account_id,
        is_live=event.is_live,
        occurred_at=said.at or event.occurred_at,
        payment_ref=said.payment_ref,
        psp_ids=said.ids,
        money=said.money,
        metadata=metadata,
        status=said.status,
        is_complete=said.is_complete,
        related_ref=said.related_ref,
    )


def _revoked() -> _Reading:
    return _Reading(OutcomeType.CONNECTION_REVOKED, "", (), None, "deauthorized")


def _ignored(event_type: str, found: Thing) -> _Reading | None:
    return None


def _session(event_type: str, session: Thing) -> _Reading | None:
    paid = reading.text(session, "payment_status")
    if session.get("mode") != "payment" or paid == "no_payment_required":
        return None
    outcome = _SESSION_OUTCOMES.get(event_type)
    if outcome is None:
        outcome = OutcomeType.PAYMENT_SUCCEEDED if paid == "paid" else OutcomeType.PAYMENT_PENDING
    session_id, intent_id = reading.text(session, "id"), reading.reference(session, INTENT)
    if not intent_id and outcome != OutcomeType.CHECKOUT_EXPIRED:
        raise Nonsense(INTENT)
    status = reading.text(session, "status")
    return _Reading(
        outcome,
        intent_id or session_id,  # nobody tried to pay: the page is all there is to refer to
        named(session_id, intent_id),
        money(session, "amount_total"),
        status,
        is_complete=outcome == OutcomeType.PAYMENT_SUCCEEDED and (status, paid) == ("complete", "paid"),
    )


def _intent(event_type: str, intent: Thing) -> _Reading | None:
    outcome, status = _INTENT_OUTCOMES[event_type], reading.text(intent, "status")
    if outcome == OutcomeType.PAYMENT_FAILED and _is_mere_note(event_type, intent):
        return None
    succeeded = outcome == OutcomeType.PAYMENT_SUCCEEDED
    paid = money(intent, "amount_received" if succeeded else "amount")
    intent_id = reading.text(intent, "id")
    return _Reading(
        outcome,
        intent_id,
        named(intent_id, reading.reference(intent, "latest_charge")),
        paid,
        status,
        is_complete=succeeded and status == "succeeded" and paid == money(intent, "amount"),
    )


def _is_mere_note(event_type: str, intent: Thing) -> bool:
    """Whether a failure leaves the attempt alive: on an open page the buyer may try again, and a charge for which the
    bank wants the buyer goes on as a page. What becomes of such a charge is in the answer to it."""
    if not reading.is_autonomous(intent):
        return event_type == "payment_intent.payment_failed"
    error = reading.expanded(intent, "last_payment_error") or {}
    return STEP_UP in (error.get("code"), error.get("decline_code")) or intent.get("cancellation_reason") == REPLACED


def _charge(event_type: str, charge: Thing) -> _Reading:
    charge_id, payment = reading.text(charge, "id"), payment_ref(charge)
    total = money(charge, "amount_refunded")
    return _Reading(OutcomeType.REFUND_TOTAL, payment, named(payment, charge_id), total, reading.text(charge, "status"))


def _refund(event_type: str, refund: Thing) -> _Reading:
    refund_id, payment = reading.text(refund, "id"), payment_ref(refund)
    has_failed = event_type == "refund.failed"
    return _Reading(
        OutcomeType.REFUND_FAILED if has_failed else _REFUNDS[refund_state(refund)],
        payment,
        named(payment, reading.reference(refund, "charge"), refund_id),
        money(refund, "amount"),
        reading.optional_text(refund, "status"),
        related_ref=refund_id,
        at=reading.moment(refund, "created"),
    )


def _dispute(event_type: str, dispute: Thing) -> _Reading:
    dispute_id, payment = reading.text(dispute, "id"), payment_ref(dispute)
    is_reinstated = event_type == "charge.dispute.funds_reinstated"
    outcome = OutcomeType.DISPUTE_RELEASED if is_reinstated else _DISPUTES[dispute_state(dispute)]
    is_open = outcome in (OutcomeType.DISPUTE_INQUIRY, OutcomeType.DISPUTE_OPENED)
    return _Reading(
        outcome,
        payment,
        named(payment, reading.reference(dispute, "charge"), dispute_id),
        money(dispute, "amount"),
        reading.text(dispute, "status"),
        related_ref=dispute_id,
        at=reading.moment(dispute, "created") if is_open else None,
    )


_SESSION_OUTCOMES = {
    "checkout.session.async_payment_succeeded": OutcomeType.PAYMENT_SUCCEEDED,
    "checkout.session.async_payment_failed": OutcomeType.PAYMENT_FAILED,
    "checkout.session.expired": OutcomeType.CHECKOUT_EXPIRED,
}
_INTENT_OUTCOMES = {
    "payment_intent.succeeded": OutcomeType.PAYMENT_SUCCEEDED,
    "payment_intent.processing": OutcomeType.PAYMENT_PENDING,
    "payment_intent.payment_failed": OutcomeType.PAYMENT_FAILED,
    "payment_intent.canceled": OutcomeType.PAYMENT_FAILED,
}
_READERS: dict[str, tuple[frozenset[str], Callable[[str, Thing], _Reading | None]]] = {
    SESSION: (events.OF_SESSIONS, _session),
    INTENT: (events.OF_INTENTS, _intent),
    "charge": (events.OF_CHARGES, _charge),
    "refund": (events.OF_REFUNDS, _refund),
    "dispute": (events.OF_DISPUTES, _dispute),
}
