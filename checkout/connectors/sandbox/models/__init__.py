"""What the sandbox PSP keeps: accounts, hosted pages, payments, refunds, disputes, events and their deliveries."""

from checkout.connectors.sandbox.models.accounts import Account
from checkout.connectors.sandbox.models.events import MAX_ATTEMPTS, Delivery, Event
from checkout.connectors.sandbox.models.reversals import Dispute, DisputeStatus, Refund, RefundStatus
from checkout.connectors.sandbox.models.sales import (
    STEP_UP_WINDOW,
    PagePayment,
    PageStatus,
    Payment,
    PaymentPage,
    PaymentStatus,
)

__all__ = [
    "MAX_ATTEMPTS",
    "STEP_UP_WINDOW",
    "Account",
    "Delivery",
    "Dispute",
    "DisputeStatus",
    "Event",
    "PagePayment",
    "PageStatus",
    "Payment",
    "PaymentPage",
    "PaymentStatus",
    "Refund",
    "RefundStatus",
]
