"""Stripe's objects as the contract's snapshots: sessions, payment intents, refunds and disputes as they stand now."""

from checkout.connectors.base import (
    DisputeSnapshot,
    DisputeState,
    PaymentSnapshot,
    PaymentState,
    RefundSnapshot,
    RefundState,
)
from checkout.connectors.stripe import reading
from checkout.connectors.stripe.amounts import from_stripe
from checkout.connectors.stripe.reading import Nonsense, Thing
from rako.core.money import Money

SESSION, INTENT = "checkout.session", "payment_intent"

_REFUND_STATES = {
    "succeeded": RefundState.SUCCEEDED,
    "failed": RefundState.FAILED,
    "canceled": RefundState.FAILED,
}
_DISPUTE_STATES = {
    "warning_needs_response": DisputeState.INQUIRY,
    "warning_under_review": DisputeState.INQUIRY,
    "warning_closed": DisputeState.RELEASED,
    "won": DisputeState.RELEASED,
    "prevented": DisputeState.RELEASED,
    "lost": DisputeState.LOST,
}


def payment(found: Thing) -> PaymentSnapshot:
    """A session or a payment intent, whichever it is. Raises Nonsense."""
    kind = reading.text(found, "object")
    if kind == SESSION:
        return _of_session(found)
    if kind == INTENT:
        return of_intent(found)
    raise Nonsense("object")


def of_intent(intent: Thing, *, psp_id: str = "") -> PaymentSnapshot:
    """A payment intent; `psp_id` is its session, if it is known to have one. Raises Nonsense."""
    intent_id, metadata = reading.text(intent, "id"), reading.metadata(intent)
    received = reading.text(intent, "status") == "succeeded"
    return PaymentSnapshot(
        psp_id=psp_id or intent_id,
        state=_intent_state(intent),
        payment_ref=intent_id,
        psp_ids=named(psp_id, intent_id, reading.reference(intent, "latest_charge")),
        money=money(intent, "amount_received" if received else "amount"),
        created_at=reading.moment(intent, "created"),
        is_live=reading.flag(intent, "livemode"),
        attempt_id=metadata.get(reading.POINTER, ""),
        metadata=metadata,
        refunded_minor=_refunded(intent),
        status=reading.text(intent, "status"),
    )


def _of_session(session: Thing) -> PaymentSnapshot:
    session_id, metadata = reading.text(session, "id"), reading.metadata(session)
    intent_id, intent = reading.reference(session, INTENT), reading.expanded(session, INTENT)
    charge_id = reading.reference(intent, "latest_charge") if intent is not None else ""
    has_amount = session.get("amount_total") is not None
    return PaymentSnapshot(
        psp_id=session_id,
        state=session_state(session),
        payment_ref=intent_id,
        psp_ids=named(session_id, intent_id, charge_id),
        money=money(session, "amount_total") if has_amount else None,
        created_at=reading.moment(session, "created"),
        is_live=reading.flag(session, "livemode"),
        attempt_id=metadata.get(reading.POINTER, ""),
        metadata=metadata,
        refunded_minor=_refunded(intent) if intent is not None else 0,
        status=reading.text(session, "status"),
        url=reading.url(session, "url"),
        expires_at=reading.moment(session, "expires_at"),
    )


def session_state(session: Thing) -> PaymentState:
    """Where a session stands; an expanded payment intent tells a payment under way from one that came to nothing."""
    status = reading.text(session, "status")
    if status in ("open", "expired"):
        return PaymentState(status)
    paid = reading.text(session, "payment_status")
    if paid == "paid":
        return PaymentState.SUCCEEDED
    if paid == "no_payment_required":
        return PaymentState.FAILED  # nothing was and nothing will be paid
    intent = reading.expanded(session, INTENT)
    is_over = intent is not None and intent.get("status") in ("requires_payment_method", "canceled")
    return PaymentState.FAILED if is_over else PaymentState.PENDING


def _intent_state(intent: Thing) -> PaymentState:
    status = reading.text(intent, "status")
    if status == "succeeded":
        return PaymentState.SUCCEEDED
    if status == "canceled":
        return PaymentState.FAILED
    if status in ("requires_payment_method", "requires_confirmation", "requires_action"):
        # Nobody is given what it takes to go on with a charge without the buyer; on a page the buyer may try again.
        return PaymentState.FAILED if reading.is_autonomous(intent) else PaymentState.OPEN
    return PaymentState.PENDING  # processing, requires_capture, and whatever may be invented


def refund(found: Thing) -> RefundSnapshot:
    """A refund; `payment_ref` is the payment intent, or the charge where there is none. Raises Nonsense."""
    return RefundSnapshot(
        refund_id=reading.text(found, "id"),
        payment_ref=payment_ref(found),
        state=refund_state(found),
        money=money(found, "amount"),
        created_at=reading.moment(found, "created"),
        status=reading.optional_text(found, "status"),
    )


def refund_state(found: Thing) -> RefundState:
    return _REFUND_STATES.get(reading.optional_text(found, "status"), RefundState.PENDING)


def dispute(found: Thing) -> DisputeSnapshot:
    """A dispute; `payment_ref` as of a refund. Raises Nonsense."""
    return DisputeSnapshot(
        dispute_id=reading.text(found, "id"),
        payment_ref=payment_ref(found),
        state=dispute_state(found),
        money=money(found, "amount"),
        created_at=reading.moment(found, "created"),
        status=reading.text(found, "status"),
    )


def dispute_state(found: Thing) -> DisputeState:
    """Where a dispute stands. One in a state that is yet to be invented is open: the money is in doubt."""
    return _DISPUTE_STATES.get(reading.text(found, "status"), DisputeState.OPEN)


def payment_ref(found: Thing) -> str:
    """The canonical payment of a charge, a refund or a dispute. Raises Nonsense."""
    intent = reading.reference(found, INTENT)
    charge = reading.text(found, "id") if found.get("object") == "charge" else reading.reference(found, "charge")
    if not (intent or charge):
        raise Nonsense(INTENT)
    return intent or charge


def money(found: Thing, key: str) -> Money:
    return from_stripe(reading.whole(found, key), reading.text(found, "currency"))


def named(*ids: str) -> list[str]:
    """The ids that there are, each once."""
    return [one for one in dict.fromkeys(ids) if one]


def _refunded(intent: Thing) -> int:
    charge = reading.expanded(intent, "latest_charge")
    return money(charge, "amount_refunded").amount_minor if charge is not None else 0
