"""The PSP's objects as they stand now, in the words of the contract."""

from django.utils import timezone

from checkout.connectors.base import (
    DisputeSnapshot,
    DisputeState,
    PaymentSnapshot,
    PaymentState,
    RefundSnapshot,
    RefundState,
)
from checkout.connectors.sandbox import refunds
from checkout.connectors.sandbox.models import (
    Dispute,
    DisputeStatus,
    PagePayment,
    PageStatus,
    Payment,
    PaymentPage,
    PaymentStatus,
    Refund,
)

_PAYMENT_STATES = {
    PaymentStatus.REQUIRES_ACTION: PaymentState.OPEN,
    PaymentStatus.PROCESSING: PaymentState.PENDING,
    PaymentStatus.SUCCEEDED: PaymentState.SUCCEEDED,
}
_COMPLETE_STATES = {
    PagePayment.PAID: PaymentState.SUCCEEDED,
    PagePayment.PROCESSING: PaymentState.PENDING,
    PagePayment.UNPAID: PaymentState.FAILED,
}
_DISPUTE_STATES = {
    DisputeStatus.INQUIRY: DisputeState.INQUIRY,
    DisputeStatus.INQUIRY_CLOSED: DisputeState.RELEASED,
    DisputeStatus.OPEN: DisputeState.OPEN,
    DisputeStatus.LOST: DisputeState.LOST,
    DisputeStatus.WON: DisputeState.RELEASED,
}


def page_state(page: PaymentPage) -> PaymentState:
    """Where a page stands; its account must be loaded."""
    if page.status == PageStatus.COMPLETE:
        return _COMPLETE_STATES[PagePayment(page.payment_status)]
    return PaymentState.OPEN if page.takes_payment(timezone.now()) else PaymentState.EXPIRED


def payment_state(payment: Payment) -> PaymentState:
    """Where a payment stands; one of a page can be tried again as long as the page can."""
    if payment.page:
        return page_state(payment.page)
    return _PAYMENT_STATES.get(PaymentStatus(payment.status), PaymentState.FAILED)


def of_page(page: PaymentPage) -> PaymentSnapshot:
    """A page that nobody tried to pay on yet."""
    return PaymentSnapshot(
        psp_id=page.pk,
        state=page_state(page),
        payment_ref="",
        psp_ids=[page.pk],
        money=page.money,
        created_at=page.created_at,
        is_live=False,
        attempt_id=page.idempotency_key,
        metadata=page.metadata,
        status=page.status,
        url=page.url,
        expires_at=page.expires_at,
    )


def of_payment(payment: Payment) -> PaymentSnapshot:
    """A payment, with its page if it has one. What was refunded is summed unless `refunded` was annotated."""
    page = payment.page
    refunded = getattr(payment, "refunded", None)
    return PaymentSnapshot(
        psp_id=page.pk if page else payment.pk,
        state=payment_state(payment),
        payment_ref=payment.pk,
        psp_ids=[page.pk, payment.pk] if page else [payment.pk],
        money=payment.money,
        created_at=payment.created_at,
        is_live=False,
        attempt_id=(page.idempotency_key if page else payment.idempotency_key) or "",
        metadata=payment.metadata,
        refunded_minor=refunds.refunded_minor(payment) if refunded is None else refunded,
        status=payment.status,
        url=page.url if page else payment.step_up_url,
        expires_at=payment.expires_at,
    )


def of_refund(refund: Refund) -> RefundSnapshot:
    """A refund; its payment must be loaded."""
    return RefundSnapshot(
        refund_id=refund.pk,
        payment_ref=refund.payment_id,
        state=RefundState(refund.status),
        money=refund.money,
        created_at=refund.created_at,
        status=refund.status,
    )


def of_dispute(dispute: Dispute) -> DisputeSnapshot:
    """A dispute; its payment must be loaded."""
    return DisputeSnapshot(
        dispute_id=dispute.pk,
        payment_ref=dispute.payment_id,
        state=_DISPUTE_STATES[DisputeStatus(dispute.status)],
        money=dispute.money,
        created_at=dispute.created_at,
        status=dispute.status,
    )
