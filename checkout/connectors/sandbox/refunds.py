"""Refunds: asked for, arriving, failing at once or days later. Each public function is one transaction.

The order of locks is payment, then refund. What all refunds of a payment come to is told with each that arrives.
"""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from checkout.connectors.sandbox import events, jobs
from checkout.connectors.sandbox.models import (
    Dispute,
    DisputeStatus,
    Payment,
    PaymentStatus,
    Refund,
    RefundStatus,
)
from rako.core.errors import Conflict

BATCH = 100


@transaction.atomic
def refund(payment: Payment, amount_minor: int, *, is_pending: bool = False) -> Refund:
    """Give back a part of a payment, or all. A pending refund arrives after `RAKO_SANDBOX_DELAY_SECONDS`.

    Raises Conflict with a sentence for staff.
    """
    payment = Payment.objects.select_related("account").select_for_update(of=("self",)).get(pk=payment.pk)
    if payment.status != PaymentStatus.SUCCEEDED:
        raise Conflict("Only what was paid can be refunded")
    if Dispute.objects.filter(payment=payment, status__in=[DisputeStatus.OPEN, DisputeStatus.LOST]).exists():
        raise Conflict("The bank has taken this payment back: it cannot be refunded as well")
    if not 0 < amount_minor <= refundable_minor(payment):
        raise Conflict(f"At most {refundable_minor(payment)} minor units can still be refunded")
    delay: int = settings.RAKO_SANDBOX_DELAY_SECONDS
    made = Refund.objects.create(
        payment=payment,
        amount_minor=amount_minor,
        status=RefundStatus.PENDING if is_pending else RefundStatus.SUCCEEDED,
        settles_at=timezone.now() + timedelta(seconds=delay) if is_pending else None,
    )
    events.tell_refund(events.REFUND_CREATED, made)
    if is_pending:
        jobs.defer_refund(made.pk, delay)
    else:
        events.tell_refunded(payment, refunded_minor(payment))
    return made


@transaction.atomic
def complete_delayed(refund_id: str) -> Refund:
    """A pending refund arrives; without effect on any other. Raises DoesNotExist."""
    found = _lock(refund_id)
    if found.status == RefundStatus.PENDING:
        _move(found, RefundStatus.SUCCEEDED)
        events.tell_refund(events.REFUND_UPDATED, found)
        events.tell_refunded(found.payment, refunded_minor(found.payment))
    return found


@transaction.atomic
def fail_refund(refund_id: str) -> Refund:
    """The buyer's bank sends a refund back, also one that had succeeded; a failed one stays. Raises DoesNotExist."""
    found = _lock(refund_id)
    if found.status != RefundStatus.FAILED:
        _move(found, RefundStatus.FAILED)
        events.tell_refund(events.REFUND_FAILED, found)
    return found


def settle_overdue() -> int:
    """Let a batch of pending refunds arrive whose job got lost; how many there were."""
    overdue = Refund.objects.filter(status=RefundStatus.PENDING, settles_at__lte=timezone.now())
    found = list(overdue.order_by("settles_at").values_list("pk", flat=True)[:BATCH])
    for refund_id in found:
        complete_delayed(refund_id)
    return len(found)


def refunded_minor(payment: Payment) -> int:
    """What has gone back to the buyer."""
    return _sum(payment, [RefundStatus.SUCCEEDED])


def refundable_minor(payment: Payment) -> int:
    """What no refund has taken or is about to take."""
    return payment.amount_minor - _sum(payment, [RefundStatus.SUCCEEDED, RefundStatus.PENDING])


def _sum(payment: Payment, statuses: list[RefundStatus]) -> int:
    rows = Refund.objects.filter(payment=payment, status__in=statuses)
    return rows.aggregate(total=Sum("amount_minor"))["total"] or 0


def _move(found: Refund, status: RefundStatus) -> None:
    found.status, found.settles_at = status, None
    found.save(update_fields=["status", "settles_at"])


def _lock(refund_id: str) -> Refund:
    payment_id = Refund.objects.values_list("payment_id", flat=True).get(pk=refund_id)
    payment = Payment.objects.select_related("account").select_for_update(of=("self",)).get(pk=payment_id)
    found = Refund.objects.select_for_update().get(pk=refund_id)
    found.payment = payment
    return found
