"""Handoffs to payment processors and what the processors say back."""

from checkout.models.checkout import Authorization, Checkout, PspObject
from checkout.models.reconciliation import Finding, ReadingPosition
from checkout.models.webhook import WebhookReceipt

__all__ = ["Authorization", "Checkout", "Finding", "PspObject", "ReadingPosition", "WebhookReceipt"]
