"""Connections to payment processors, checkouts, and the webhook inbox.

Connections are here and not beside their model, because connecting and disconnecting are checkout's to do and the
registry must not know checkout. A merchant's page leads to the forms here by their addresses alone.
"""

from checkout.admin.connection import ConnectionAdmin
from checkout.admin.findings import FindingAdmin
from checkout.admin.records import AuthorizationAdmin, CheckoutAdmin, PspObjectAdmin, WebhookReceiptAdmin

__all__ = [
    "AuthorizationAdmin",
    "CheckoutAdmin",
    "ConnectionAdmin",
    "FindingAdmin",
    "PspObjectAdmin",
    "WebhookReceiptAdmin",
]
