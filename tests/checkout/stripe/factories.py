"""Requests as Rako makes them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from checkout.connectors.base import Attempt, CheckoutRequest, StoredCharge
from rako.core.ids import new_id
from rako.core.money import Money

PRICE = Money(1200, "GBP")
SCA_CARD = "4000002500003155"
BROKE_CARD = "4000000000000341"


def metadata_of(attempt_id: str) -> dict[str, str]:
    """With an AAP Code that is longer than a value may be at Stripe."""
    return {"aap_code": "aap://rako.sh/v1/" + "x" * 600, "aap_checkout_id": attempt_id, "aap_protocol_version": "v1"}


def checkout_request(attempt_id: str = "", **changes: Any) -> CheckoutRequest:
    attempt_id = attempt_id or new_id()
    return CheckoutRequest(
        **{
            "attempt_id": attempt_id,
            "money": PRICE,
            "merchant_name": "Northwind",
            "item_name": "Northwind SIM 20",
            "success_url": f"http://127.0.0.1:3456/checkout/{attempt_id}/done",
            "cancel_url": f"http://127.0.0.1:3456/checkout/{attempt_id}/cancelled",
            "expires_at": datetime.now(UTC) + timedelta(hours=12),
            "metadata": metadata_of(attempt_id),
            **changes,
        }
    )


def stored_charge(payment_method: str, attempt_id: str = "", **changes: Any) -> StoredCharge:
    attempt_id = attempt_id or new_id()
    return StoredCharge(
        **{
            "attempt_id": attempt_id,
            "money": PRICE,
            "merchant_name": "Northwind",
            "item_name": "Northwind SIM 20",
            "payment_method": payment_method,
            "metadata": metadata_of(attempt_id),
            **changes,
        }
    )


def attempt(attempt_id: str, psp_id: str = "", **changes: Any) -> Attempt:
    return Attempt(**{"attempt_id": attempt_id, "psp_id": psp_id, "created_at": datetime.now(UTC), **changes})
