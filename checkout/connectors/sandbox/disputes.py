"""Disputes: a bank asks, takes the money, keeps it or gives it back. Each public function is one transaction.

The order of locks is payment, then dispute. A bank's answer that comes twice changes nothing the second time.
"""

from django.db import transaction

from checkout.connectors.sandbox import events, refunds
from checkout.connectors.sandbox.models import Dispute, DisputeStatus, Payment, PaymentStatus
from checkout.connectors.sandbox.models.reversals import UNDECIDED
from rako.core.errors import Conflict


@transaction.atomic
def open_dispute(payment: Payment, amount_minor: int | None = None, *, is_inquiry: bool = False) -> Dispute:
    """The buyer's bank disputes a payment, by default whatever was not refunded; an inquiry only asks.

    A dispute after an inquiry is the same one, grown serious. Raises Conflict with a sentence for staff.
    """
    payment = _lock(payment.pk)
    if payment.status != PaymentStatus.SUCCEEDED:
        raise Conflict("Only what was paid can be disputed")
    undecided = Dispute.objects.filter(payment=payment, status__in=UNDECIDED).first()
    if undecided is not None:
        return _escalate(undecided, payment, is_inquiry)
    if Dispute.objects.filter(payment=payment, status=DisputeStatus.LOST).exists():
        raise Conflict("The bank has kept this payment's money already")
    amount = refunds.refundable_minor(payment) if amount_minor is None else amount_minor
    if not 0 < amount <= payment.amount_minor:
        raise Conflict("There is nothing left to dispute")
    status = DisputeStatus.INQUIRY if is_inquiry else DisputeStatus.OPEN
    dispute = Dispute.objects.create(payment=payment, amount_minor=amount, status=status)
    events.tell_dispute(events.DISPUTE_CREATED, dispute)
    return dispute


@transaction.atomic
def lose(dispute_id: str) -> Dispute:
    """The bank keeps the money. Raises Conflict for an inquiry or one that was won, DoesNotExist."""
    dispute = _find(dispute_id)
    if dispute.status == DisputeStatus.LOST:
        return dispute
    if dispute.status != DisputeStatus.OPEN:
        raise Conflict("Only an open dispute can be lost")
    return _move(dispute, DisputeStatus.LOST, events.DISPUTE_CLOSED)


@transaction.atomic
def win(dispute_id: str) -> Dispute:
    """The bank gives the money back, even after it was lost; an inquiry is closed. Raises DoesNotExist."""
    dispute = _find(dispute_id)
    match dispute.status:
        case DisputeStatus.INQUIRY:
            _move(dispute, DisputeStatus.INQUIRY_CLOSED, events.DISPUTE_CLOSED)
        case DisputeStatus.OPEN:
            _move(dispute, DisputeStatus.WON, events.DISPUTE_CLOSED)
            events.tell_dispute(events.DISPUTE_REINSTATED, dispute)
        case DisputeStatus.LOST:
            _move(dispute, DisputeStatus.WON, events.DISPUTE_REINSTATED)
    return dispute


def _escalate(dispute: Dispute, payment: Payment, is_inquiry: bool) -> Dispute:
    if is_inquiry or dispute.status == DisputeStatus.OPEN:
        raise Conflict("There is an open dispute already")
    dispute.payment = payment
    return _move(dispute, DisputeStatus.OPEN, events.DISPUTE_UPDATED)


def _move(dispute: Dispute, status: DisputeStatus, event_type: str) -> Dispute:
    dispute.status = status
    dispute.save(update_fields=["status"])
    events.tell_dispute(event_type, dispute)
    return dispute


def _find(dispute_id: str) -> Dispute:
    payment = _lock(Dispute.objects.values_list("payment_id", flat=True).get(pk=dispute_id))
    dispute = Dispute.objects.select_for_update().get(pk=dispute_id)
    dispute.payment = payment
    return dispute


def _lock(payment_id: str) -> Payment:
    return Payment.objects.select_related("account").select_for_update(of=("self",)).get(pk=payment_id)
