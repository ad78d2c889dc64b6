"""Hyperswitch's statuses in the contract's words. What is not known is pending and logged, never succeeded."""

import logging
from datetime import datetime

from checkout.connectors.base import ChargeStatus, DisputeState, PaymentState, RefundState
from checkout.connectors.hyperswitch import reading
from checkout.connectors.hyperswitch.reading import Body

log = logging.getLogger("rako.hyperswitch")

# Why we cancel a charge that waits for its buyer: another payment, a link, takes its place.
STEP_UP_REASON = "replaced by a payment link"

# Money was captured, wholly or in part, and nothing more will be; what was given back is told by the refunds.
CAPTURED = frozenset({"succeeded", "partially_captured", "cancelled_post_capture"})
_WAITING = frozenset({"requires_payment_method", "requires_confirmation", "requires_customer_action"})
_UNDECIDED = frozenset(
    {
        *("processing", "requires_merchant_action", "requires_capture", "review", "conflicted"),
        *("partially_captured_and_capturable", "partially_captured_and_processing"),
        "partially_authorized_and_requires_capture",
    }
)
_REFUNDS = {
    "succeeded": RefundState.SUCCEEDED,
    "failed": RefundState.FAILED,
    "pending": RefundState.PENDING,
    "review": RefundState.PENDING,
}
_DISPUTES = {
    "dispute_opened": DisputeState.OPEN,
    "dispute_challenged": DisputeState.OPEN,
    "dispute_lost": DisputeState.LOST,
    "dispute_accepted": DisputeState.LOST,
    "dispute_expired": DisputeState.LOST,
    "dispute_won": DisputeState.RELEASED,
    "dispute_cancelled": DisputeState.RELEASED,
}
_DECLINE_REASONS = {
    "insufficient_funds": "insufficient_funds",
    "51": "insufficient_funds",
    "expired_card": "expired_card",
    "card_expired": "expired_card",
    "54": "expired_card",
    "authentication_required": "authentication_required",
    "authentication_not_handled": "authentication_required",
}


def payment_state(payment: Body, now: datetime) -> PaymentState:
    """Where a payment stands. Whether a link has run out is judged by its time: not every server says so."""
    status = reading.text(payment, "status")
    if status in CAPTURED:
        return PaymentState.SUCCEEDED
    if status == "requires_customer_action":
        return PaymentState.OPEN  # the buyer is at it, whatever the time
    if status in _WAITING:
        return PaymentState.EXPIRED if has_run_out(payment, now) else PaymentState.OPEN
    if status == "failed":
        return PaymentState.OPEN if may_be_paid_again(payment, now) else PaymentState.FAILED
    if status in ("expired", "cancelled"):
        return PaymentState.EXPIRED if status == "expired" else PaymentState.FAILED
    if status not in _UNDECIDED:
        log.warning("unknown payment status %.40r", status)
    return PaymentState.PENDING


def may_be_paid_again(payment: Body, now: datetime) -> bool:
    """Whether a declined payment is a link on which the buyer may try another card. Lists do not tell of links."""
    is_link = isinstance(payment.get("payment_link"), dict)
    return is_link and payment.get("manual_retry_allowed") is not False and not has_run_out(payment, now)


def has_run_out(payment: Body, now: datetime) -> bool:
    """Whether the time to pay is over."""
    expires_at = reading.optional_moment(payment, "expires_on")
    return expires_at is not None and expires_at <= now


def charge_status(payment: Body, now: datetime) -> ChargeStatus:
    """Where a charge stands, or the link that took its place."""
    state = payment_state(payment, now)
    if state == PaymentState.SUCCEEDED and payment["status"] != "succeeded":
        state = PaymentState.PENDING  # not in full, or given back already: its events tell what it came to
    if state == PaymentState.OPEN and not _asks_the_buyer(payment):
        log.warning("a charge stands at %.40r", payment["status"])
        state = PaymentState.PENDING
    return {
        PaymentState.SUCCEEDED: ChargeStatus.SUCCEEDED,
        PaymentState.PENDING: ChargeStatus.PROCESSING,
        PaymentState.OPEN: ChargeStatus.REQUIRES_ACTION,
    }.get(state, ChargeStatus.DECLINED)


def _asks_the_buyer(payment: Body) -> bool:
    return payment["status"] == "requires_customer_action" or isinstance(payment.get("payment_link"), dict)


def decline_reason(payment: Body) -> str:
    """Why a charge was refused, as coarse as it may be told."""
    codes = (payment.get(name) for name in ("error_code", "unified_code", "issuer_error_code"))
    known = (_DECLINE_REASONS.get(code.lower()) for code in codes if isinstance(code, str))
    return next((reason for reason in known if reason), "generic")


def refund_state(refund: Body) -> RefundState:
    """Where a refund stands."""
    status = reading.text(refund, "status")
    if status not in _REFUNDS:
        log.warning("unknown refund status %.40r", status)
    return _REFUNDS.get(status, RefundState.PENDING)


def dispute_state(dispute: Body) -> DisputeState:
    """Where a dispute stands. One in its first stage is a question: it takes no money yet."""
    status = reading.text(dispute, "dispute_status")
    if status not in _DISPUTES:
        log.warning("unknown dispute status %.40r", status)
    state = _DISPUTES.get(status, DisputeState.OPEN)
    is_inquiry = state == DisputeState.OPEN and dispute.get("dispute_stage") == "pre_dispute"
    return DisputeState.INQUIRY if is_inquiry else state
