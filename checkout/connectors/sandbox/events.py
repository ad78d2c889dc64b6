"""Events: what is told to a merchant's webhook, recorded together with what happened.

`tell_*` must be called in the transaction that makes the change: event, delivery and job exist if and only if it does.
"""

from typing import Any

from django.db import transaction
from django.utils import timezone

from checkout.connectors.sandbox import ids, jobs
from checkout.connectors.sandbox.models import (
    Account,
    Delivery,
    Dispute,
    Event,
    PagePayment,
    Payment,
    PaymentPage,
    PaymentStatus,
    Refund,
)

PAGE_COMPLETED = "checkout.session.completed"
PAGE_SETTLED = "checkout.session.async_payment_succeeded"
PAGE_NOT_SETTLED = "checkout.session.async_payment_failed"
PAGE_EXPIRED = "checkout.session.expired"
PAYMENT_SUCCEEDED = "payment_intent.succeeded"
PAYMENT_PROCESSING = "payment_intent.processing"
PAYMENT_FAILED = "payment_intent.payment_failed"
PAYMENT_CANCELED = "payment_intent.canceled"
REFUND_CREATED = "refund.created"
REFUND_UPDATED = "refund.updated"
REFUND_FAILED = "refund.failed"
CHARGE_REFUNDED = "charge.refunded"
DISPUTE_CREATED = "charge.dispute.created"
DISPUTE_UPDATED = "charge.dispute.updated"
DISPUTE_CLOSED = "charge.dispute.closed"
DISPUTE_REINSTATED = "charge.dispute.funds_reinstated"
DEAUTHORIZED = "account.application.deauthorized"


def tell_page(event_type: str, page: PaymentPage, payment: Payment | None) -> Event:
    """Record an event about a page."""
    return _record(page.account, event_type, page_object(page, payment))


def tell_payment(event_type: str, payment: Payment) -> Event:
    """Record an event about a payment."""
    return _record(payment.account, event_type, payment_object(payment))


def tell_refund(event_type: str, refund: Refund) -> Event:
    """Record an event about a refund."""
    return _record(refund.payment.account, event_type, refund_object(refund))


def tell_refunded(payment: Payment, refunded_minor: int) -> Event:
    """Record that of a payment so much is refunded by now, all refunds together."""
    return _record(payment.account, CHARGE_REFUNDED, charge_object(payment, refunded_minor))


def tell_dispute(event_type: str, dispute: Dispute) -> Event:
    """Record an event about a dispute."""
    return _record(dispute.payment.account, event_type, dispute_object(dispute))


def tell_deauthorized(account: Account) -> Event:
    """Record that the account's key opens nothing any more."""
    return _record(account, DEAUTHORIZED, {"id": account.pk, "object": "account"})


@transaction.atomic
def send(event: Event) -> Delivery:
    """Send an event, once more if it was sent before: a new delivery, so that the old one's record stays."""
    delivery = Delivery.objects.create(event=event)
    jobs.defer_delivery(delivery.pk)
    return delivery


def page_object(page: PaymentPage, payment: Payment | None) -> dict[str, Any]:
    """A page as it stands, for the outside."""
    return {
        "id": page.pk,
        "object": "checkout.session",
        "status": page.status,
        # To the outside money is there or not; that it is on its way is the payment's status.
        "payment_status": "paid" if page.payment_status == PagePayment.PAID else "unpaid",
        "payment_intent": payment.pk if payment else None,
        "amount_total": page.amount_minor,
        "currency": page.currency,
        "expires_at": int(page.expires_at.timestamp()),
        "metadata": page.metadata,
    }


def payment_object(payment: Payment) -> dict[str, Any]:
    """A payment as it stands, for the outside."""
    return {
        "id": payment.pk,
        "object": "payment_intent",
        "status": payment.status,
        "checkout_session": payment.page_id,
        "amount": payment.amount_minor,
        "amount_received": payment.amount_minor if payment.status == PaymentStatus.SUCCEEDED else 0,
        "currency": payment.currency,
        "off_session": payment.off_session,
        "decline_code": payment.decline_code or None,
        "card": {"brand": payment.card_brand, "last4": payment.card_last4},
        "metadata": payment.metadata,
    }


def charge_object(payment: Payment, refunded_minor: int) -> dict[str, Any]:
    """A paid payment seen as the charge that it made, for the outside."""
    return {
        "id": payment.charge_id,
        "object": "charge",
        "status": "succeeded",
        "payment_intent": payment.pk,
        "amount": payment.amount_minor,
        "amount_refunded": refunded_minor,
        "refunded": refunded_minor == payment.amount_minor,
        "currency": payment.currency,
        "metadata": payment.metadata,
    }


def refund_object(refund: Refund) -> dict[str, Any]:
    """A refund as it stands, for the outside. Like a dispute it has no metadata of its payment's."""
    return _reversal_object("refund", refund)


def dispute_object(dispute: Dispute) -> dict[str, Any]:
    """A dispute as it stands, for the outside."""
    return _reversal_object("dispute", dispute)


def _reversal_object(kind: str, reversal: Refund | Dispute) -> dict[str, Any]:
    return {
        "id": reversal.pk,
        "object": kind,
        "status": reversal.status,
        "created": int(reversal.created_at.timestamp()),
        "payment_intent": reversal.payment_id,
        "charge": reversal.payment.charge_id,
        "amount": reversal.amount_minor,
        "currency": reversal.payment.currency,
        "metadata": {},
    }


def _record(account: Account, event_type: str, subject: dict[str, Any]) -> Event:
    event_id, now = ids.prefixed_id(ids.EVENT), timezone.now()
    payload = {
        "id": event_id,
        "object": "event",
        "type": event_type,
        "created": int(now.timestamp()),
        "livemode": False,
        "account": account.pk,
        "data": {"object": subject},
    }
    event = Event.objects.create(pk=event_id, account=account, type=event_type, payload=payload, created_at=now)
    send(event)
    return event
