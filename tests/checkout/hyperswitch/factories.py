"""Requests, connections and deliveries for the tests of the Hyperswitch connector."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from checkout.connectors.base import ChargeResult, CheckoutLink, CheckoutRequest, ConnectionSecrets, StoredCharge
from checkout.connectors.hyperswitch.connector import HyperswitchConnector
from rako.core.ids import new_id
from rako.core.money import Money
from tests.counterparties.hyperswitch import Merchant

# Longer than Hyperswitch takes in one value.
CODE = "aap://rako.sh/v1/" + "x" * 700


def metadata_of(attempt_id: str) -> dict[str, str]:
    return {"aap_code": CODE, "aap_checkout_id": attempt_id, "aap_protocol_version": "v1"}


def checkout_request(**changes: Any) -> CheckoutRequest:
    attempt_id = changes.pop("attempt_id", None) or new_id()
    fields: dict[str, Any] = {
        "attempt_id": attempt_id,
        "money": Money(4990, "EUR"),
        "merchant_name": "Northwind Running",
        "item_name": "Trail shoe",
        "success_url": "https://rako.example/checkout/done",
        "cancel_url": "https://rako.example/checkout/cancelled",
        "expires_at": timezone.now() + timedelta(hours=24),
        "metadata": metadata_of(attempt_id),
    }
    return CheckoutRequest(**fields | changes)


def stored_charge(method: str = "pm_succeeds", **changes: Any) -> StoredCharge:
    attempt_id = changes.pop("attempt_id", None) or new_id()
    fields: dict[str, Any] = {
        "attempt_id": attempt_id,
        "money": Money(4990, "EUR"),
        "merchant_name": "Northwind Running",
        "item_name": "Trail shoe",
        "payment_method": f"cus_1/{method}",
        "metadata": metadata_of(attempt_id),
    }
    return StoredCharge(**fields | changes)


def connection_of(shop: Merchant, **changes: Any) -> ConnectionSecrets:
    fields: dict[str, Any] = {
        "connection_id": "01JCONNECTION0000000000000",
        "account_id": shop.merchant_id,
        "is_live": False,
        "credentials": {"api_key": shop.api_key, "profile_id": shop.profile_id},
        "webhook_secrets": [shop.payment_response_hash_key],
    }
    return ConnectionSecrets(**fields | changes)


def connector_of(shop: Merchant, **changes: Any) -> HyperswitchConnector:
    return HyperswitchConnector(connection_of(shop, **changes))


def pay(connector: HyperswitchConnector, kind: str, attempt_id: str | None) -> CheckoutLink | ChargeResult:
    """A link or a charge for an attempt."""
    if kind == "link":
        return connector.create_checkout(checkout_request(attempt_id=attempt_id))
    return connector.charge_stored_method(stored_charge(attempt_id=attempt_id))


PAYMENT = {
    "payment_id": "pay_01JEXAMP0E0000000000000000",
    "merchant_id": "merchant_1",
    "status": "succeeded",
    "amount": 4990,
    "amount_received": 4990,
    "currency": "EUR",
    "created": "2026-03-01T12:00:00.000Z",
    "metadata": {"aap_checkout_id": "01JEXAMP0E0000000000000000"},
}
REFUND = {
    "refund_id": "ref_1",
    "payment_id": PAYMENT["payment_id"],
    "amount": 1000,
    "currency": "EUR",
    "status": "succeeded",
    "metadata": {"aap_checkout_id": "not the payment's"},
    "created_at": "2026-03-02T12:00:00.000Z",
}
DISPUTE = {
    "dispute_id": "dp_1",
    "payment_id": PAYMENT["payment_id"],
    "amount": "4990",
    "currency": "EUR",
    "dispute_stage": "dispute",
    "dispute_status": "dispute_opened",
    "created_at": "2026-03-02T12:00:00.000Z",
}


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname != "DEBUG"]


def event_body(event_type: str = "payment_succeeded", subject: Any = PAYMENT, **changes: Any) -> bytes:
    told = {
        "merchant_id": "merchant_1",
        "event_id": "evt_1",
        "event_type": event_type,
        "content": {"type": "payment_details", "object": subject},
        "timestamp": "2026-03-01T12:00:01.000Z",
    }
    return json.dumps(told | changes).encode()
