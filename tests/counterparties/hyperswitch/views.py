"""The bodies: a payment, a refund, a dispute, as the API returns them and as webhooks carry them.

Payment: the money as whole minor units, `metadata` as it was sent. Refund: its own metadata, never the payment's.
Dispute: `amount` is a string. Times are UTC with milliseconds. Only the fields that a connector could need are here;
the real bodies have many more, most of them null.
"""

from datetime import UTC, datetime

from tests.counterparties.hyperswitch.world import Attempt, Dispute, Json, Payment, Refund, World

CONNECTOR = "stripe_test"
ECHOED = [
    "customer_id",
    "description",
    "merchant_order_reference_id",
    "return_url",
    "off_session",
    "setup_future_usage",
]
CAPTURABLE = {
    "requires_payment_method",
    "requires_confirmation",
    "requires_customer_action",
    "requires_capture",
    "processing",
}
REVEALS_DECLINE = {"failed"}


def timestamp(moment: datetime | None) -> str | None:
    """`2026-11-22T10:11:12.123Z`."""
    if moment is None:
        return None
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def payment_body(world: World, payment: Payment, *, whole: bool = False, attempts: bool = False) -> Json:
    """A payment; `whole` adds refunds and disputes as the retrieval does, `attempts` the attempts."""
    capturable = payment.amount if payment.status in CAPTURABLE else 0
    return {
        "payment_id": payment.payment_id,
        "merchant_id": payment.merchant.merchant_id,
        "profile_id": payment.merchant.profile_id,
        "status": payment.status,
        "amount": payment.amount,
        "net_amount": payment.amount,
        "amount_capturable": capturable,
        "amount_received": payment.amount_received,
        "currency": payment.currency,
        "capture_method": payment.fields.get("capture_method", "automatic"),
        "connector": CONNECTOR if payment.attempts else None,
        "client_secret": payment.client_secret,
        "created": timestamp(payment.created),
        "modified_at": timestamp(payment.modified or payment.created),
        "expires_on": timestamp(payment.expires_on),
        "metadata": payment.fields.get("metadata"),
        "attempt_count": max(1, len(payment.attempts)),
        "cancellation_reason": payment.cancellation_reason,
        **{name: payment.fields.get(name) for name in ECHOED},
        **_decline(payment),
        "payment_link": _link(world, payment),
        "next_action": _next_action(world, payment),
        "refunds": ([refund_body(item) for item in payment.refunds] or None) if whole else None,
        "disputes": ([_dispute_inside(item) for item in payment.disputes] or None) if whole else None,
        "attempts": [_attempt(payment, item) for item in payment.attempts] if attempts else None,
    }


def _decline(payment: Payment) -> Json:
    decline = payment.attempts[-1].decline if payment.attempts and payment.status in REVEALS_DECLINE else None
    return {
        "error_code": decline.error_code if decline else None,
        "error_message": decline.error_message if decline else None,
        "unified_code": decline.unified_code if decline else None,
        "unified_message": decline.unified_message if decline else None,
    }


def _link(world: World, payment: Payment) -> Json | None:
    if payment.link_id is None:
        return None
    address = f"{world.base_url}/payment_link/{payment.merchant.merchant_id}/{payment.payment_id}"
    return {"link": address, "secure_link": None, "payment_link_id": payment.link_id}


def _next_action(world: World, payment: Payment) -> Json | None:
    if payment.status != "requires_customer_action":
        return None
    path = f"/payments/redirect/{payment.payment_id}/{payment.merchant.merchant_id}/{payment.attempts[-1].attempt_id}"
    return {"type": "redirect_to_url", "redirect_to_url": world.base_url + path}


def _attempt(payment: Payment, attempt: Attempt) -> Json:
    return {
        "attempt_id": attempt.attempt_id,
        "status": attempt.status,
        "amount": payment.amount,
        "currency": payment.currency,
        "connector": CONNECTOR,
        "created_at": timestamp(attempt.created),
        "error_code": attempt.decline.error_code if attempt.decline else None,
        "error_message": attempt.decline.error_message if attempt.decline else None,
    }


def refund_body(refund: Refund) -> Json:
    return {
        "refund_id": refund.refund_id,
        "payment_id": refund.payment.payment_id,
        "amount": refund.amount,
        "currency": refund.payment.currency,
        "status": refund.status,
        "reason": refund.reason,
        "metadata": refund.metadata,
        "error_code": refund.error[0] if refund.error else None,
        "error_message": refund.error[1] if refund.error else None,
        "created_at": timestamp(refund.created),
        "updated_at": timestamp(refund.updated),
        "connector": CONNECTOR,
        "profile_id": refund.payment.merchant.profile_id,
    }


def _dispute_inside(dispute: Dispute) -> Json:
    """A dispute within a payment: neither payment id nor currency."""
    return {
        "dispute_id": dispute.dispute_id,
        "amount": str(dispute.amount),
        "dispute_stage": "dispute",
        "dispute_status": dispute.status,
        "connector_status": dispute.status.removeprefix("dispute_"),
        "connector_dispute_id": f"du_{dispute.dispute_id}",
        "connector_reason": dispute.reason,
        "connector_reason_code": None,
        "challenge_required_by": None,
        "connector_created_at": timestamp(dispute.created),
        "connector_updated_at": timestamp(dispute.updated),
        "created_at": timestamp(dispute.created),
    }


def dispute_body(dispute: Dispute) -> Json:
    return _dispute_inside(dispute) | {
        "payment_id": dispute.payment.payment_id,
        "attempt_id": dispute.payment.attempts[-1].attempt_id,
        "currency": dispute.payment.currency,
        "connector": CONNECTOR,
        "profile_id": dispute.payment.merchant.profile_id,
        "is_already_refunded": False,
    }
