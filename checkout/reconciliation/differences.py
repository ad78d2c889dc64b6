"""What differs between a PSP's list and our records: pure comparison, one object at a time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from checkout.connectors.base import (
    DisputeSnapshot,
    DisputeState,
    OutcomeEvent,
    OutcomeType,
    PaymentSnapshot,
    PaymentState,
    RefundSnapshot,
    RefundState,
)
from checkout.models import Checkout, Finding
from checkout.reconciliation.records import Records
from ledger.models import Event, Evidence
from merchants.models import Connection
from rako.core.money import Money

Kind = Finding.Kind
State = Checkout.State

# A payment that has been on its way for longer will hardly arrive.
LONGEST_PENDING = timedelta(days=7)
NOT_REFUNDED = "recorded, but there it failed or does not exist"
_OVER = {PaymentState.FAILED: OutcomeType.PAYMENT_FAILED, PaymentState.EXPIRED: OutcomeType.CHECKOUT_EXPIRED}
_UNDECIDED = (State.CREATING, State.UNKNOWN, State.PROCESSING)
_DISPUTES = {
    DisputeState.INQUIRY: (Event.Kind.DISPUTE_OPENED, OutcomeType.DISPUTE_INQUIRY),
    DisputeState.OPEN: (Event.Kind.DISPUTE_OPENED, OutcomeType.DISPUTE_OPENED),
    DisputeState.LOST: (Event.Kind.DISPUTE_LOST, OutcomeType.DISPUTE_LOST),
    DisputeState.RELEASED: (Event.Kind.DISPUTE_WON, OutcomeType.DISPUTE_RELEASED),
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference. `fix` is the outcome that would have told of it, None where only people can help."""

    kind: Finding.Kind
    reference: str
    detail: str
    checkout: Checkout | None = None
    fix: OutcomeEvent | None = None


def in_payment(snapshot: PaymentSnapshot, records: Records, now: datetime) -> Iterator[Difference]:
    """What differs in a payment. One that is not ours differs in nothing."""
    reference = snapshot.payment_ref or snapshot.psp_id
    checkout = records.checkout_of(snapshot.psp_ids, snapshot.metadata, snapshot.attempt_id)
    if checkout is None:
        is_marked = any(name.startswith("aap_") for name in snapshot.metadata)
        if is_marked and not records.is_earlier(snapshot.metadata.get("aap_checkout_id", "")):
            yield Difference(
                Kind.FOREIGN_METADATA, reference, "it names no checkout that was made through this connection"
            )
        return
    evidence = records.evidence.get(snapshot.payment_ref)
    if snapshot.state == PaymentState.SUCCEEDED:
        yield from _in_paid(snapshot, checkout, evidence, records)
    elif evidence is not None:
        yield Difference(Kind.STATUS_MISMATCH, reference, f"recorded as paid, but it is {snapshot.status}", checkout)
    elif snapshot.state in _OVER and checkout.state in _UNDECIDED:
        # Expiry is of a page that nobody paid on: a charge, or a payment on its way, has failed.
        over = _OVER[snapshot.state] if checkout.state == State.CREATING else OutcomeType.PAYMENT_FAILED
        fix = _outcome(records.connection, snapshot, over)
        yield Difference(
            Kind.UNKNOWN_RESOLVED, reference, f"ours is {checkout.state}, theirs {snapshot.status}", checkout, fix
        )
    elif snapshot.state == PaymentState.PENDING and snapshot.created_at < now - LONGEST_PENDING:
        yield Difference(Kind.STALE_PENDING, reference, f"{snapshot.status} since {snapshot.created_at:%F}", checkout)


def _in_paid(
    snapshot: PaymentSnapshot, checkout: Checkout, evidence: Evidence | None, records: Records
) -> Iterator[Difference]:
    reference, money = snapshot.payment_ref, snapshot.money
    if evidence is None and checkout.session_id in records.paid:
        if money is None or (snapshot.refunded_minor or 0) < money.amount_minor:
            yield Difference(
                Kind.DUPLICATE_PAYMENT, reference, "this checkout's sale was paid by another payment", checkout
            )
        return
    if evidence is None:
        fix = _outcome(records.connection, snapshot, OutcomeType.PAYMENT_SUCCEEDED)
        yield Difference(Kind.MISSING_LOCAL, reference, f"{money} paid, no conversion", checkout, fix)
        return
    recorded = Money(evidence.transaction_value_minor, evidence.currency)
    if money is not None and money.currency != recorded.currency:
        yield Difference(Kind.CURRENCY_MISMATCH, reference, f"{recorded} recorded, {money} there", checkout)
    elif money is not None and money != recorded:
        yield Difference(Kind.AMOUNT_MISMATCH, reference, f"{recorded} recorded, {money} there", checkout)
    refunded = records.refunded_minor(reference)
    if snapshot.refunded_minor not in (None, refunded):
        there, here = Money(snapshot.refunded_minor or 0, recorded.currency), Money(refunded, recorded.currency)
        yield Difference(Kind.REFUND_TOTAL_MISMATCH, reference, f"{here} refunded here, {there} there", checkout)
    if snapshot.created_at > checkout.session.expires_at:
        yield Difference(Kind.LATE_PAYMENT, reference, f"paid at {snapshot.created_at:%FT%TZ} or later", checkout)


def in_refund(snapshot: RefundSnapshot, records: Records) -> Iterator[Difference]:
    """What differs in a refund of one of our payments."""
    checkout = records.checkout_of([snapshot.payment_ref])
    if checkout is None:
        return
    told = records.told(snapshot.refund_id)
    if snapshot.state == RefundState.SUCCEEDED and Event.Kind.REFUNDED not in told:
        fix = _afterwards(records.connection, snapshot, snapshot.refund_id, OutcomeType.REFUND_SUCCEEDED)
        yield Difference(Kind.REFUND_MISSING, snapshot.refund_id, f"{snapshot.money} refunded", checkout, fix)
    failed = Event.Kind.REFUNDED in told and Event.Kind.REFUND_FAILED not in told
    if snapshot.state == RefundState.FAILED and failed:
        fix = _afterwards(records.connection, snapshot, snapshot.refund_id, OutcomeType.REFUND_FAILED)
        yield Difference(Kind.REFUND_EXTRA, snapshot.refund_id, NOT_REFUNDED, checkout, fix)


def in_dispute(snapshot: DisputeSnapshot, records: Records, now: datetime) -> Iterator[Difference]:
    """What differs in a dispute about one of our payments."""
    checkout = records.checkout_of([snapshot.payment_ref])
    if checkout is None:
        return
    told, (expected, outcome) = records.told(snapshot.dispute_id), _DISPUTES[snapshot.state]
    if _state_of(told) == expected:
        return
    kind = Kind.DISPUTE_STATE_MISMATCH if told else Kind.DISPUTE_MISSING
    # When it ended, nobody says: what is recorded of it already came before.
    at = snapshot.created_at if expected == Event.Kind.DISPUTE_OPENED else now
    fix = None if expected in told else _afterwards(records.connection, snapshot, snapshot.dispute_id, outcome, at)
    yield Difference(kind, snapshot.dispute_id, f"{snapshot.money}: {snapshot.state} there", checkout, fix)


def _state_of(told: Mapping[str, Event]) -> str | None:
    """Where a dispute stands by what was told of it, in whatever order: what ended it last decides."""
    ends = [told[kind] for kind in (Event.Kind.DISPUTE_LOST, Event.Kind.DISPUTE_WON) if kind in told]
    last = max(ends or told.values(), key=lambda event: event.occurred_at, default=None)
    return None if last is None else last.kind


def _outcome(connection: Connection, snapshot: PaymentSnapshot, kind: OutcomeType) -> OutcomeEvent:
    return OutcomeEvent(
        type=kind,
        account_id=connection.account_id,
        is_live=snapshot.is_live,
        occurred_at=snapshot.created_at,
        payment_ref=snapshot.payment_ref or snapshot.psp_id,
        psp_ids=snapshot.psp_ids,
        money=snapshot.money,
        metadata=snapshot.metadata,
        status=snapshot.status,
        is_complete=kind == OutcomeType.PAYMENT_SUCCEEDED,
    )


def _afterwards(
    connection: Connection,
    snapshot: RefundSnapshot | DisputeSnapshot,
    reference: str,
    kind: OutcomeType,
    at: datetime | None = None,
) -> OutcomeEvent:
    return OutcomeEvent(
        type=kind,
        account_id=connection.account_id,
        is_live=connection.is_live,
        occurred_at=at or snapshot.created_at,
        payment_ref=snapshot.payment_ref,
        psp_ids=[snapshot.payment_ref, reference],
        money=snapshot.money,
        metadata={},
        status=snapshot.status,
        is_complete=False,
        related_ref=reference,
    )
