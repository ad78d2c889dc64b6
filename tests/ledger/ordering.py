"""A merchant's shop that speaks ACP: it signs the events of its orders and sends them."""

import hmac
import json
import time
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from merchants.models import Merchant
from merchants.order_feeds import issue_secret
from sessions_app import attribution_token
from sessions_app.models import Recommendation
from tests.conftest import Api
from tests.schemas.acp import ORDER_EVENT

_PUBLISHED = Draft202012Validator(ORDER_EVENT, format_checker=FormatChecker())


class Shop:
    """Signs with its newest secret; its events are as ACP has them unless they are sent raw."""

    def __init__(self, merchant: Merchant) -> None:
        self.merchant = merchant
        _, self.secret = issue_secret(merchant)

    def order(self, token: str | None = None, **changes: Any) -> dict[str, Any]:
        """An order of 10.00; the agent's token comes back as its own reference to the order."""
        order: dict[str, Any] = {
            "type": "order",
            "id": "ord_1",
            "checkout_session_id": "cs_1",
            "permalink_url": "https://shop.example/orders/1",
            "status": "confirmed",
            "totals": [
                {"type": "subtotal", "display_text": "Subtotal", "amount": 900},
                {"type": "total", "display_text": "Total", "amount": 1000},
            ],
        }
        return order | ({"client_reference_id": token} if token else {}) | changes

    def tell(self, order: dict[str, Any], kind: str = "order_update") -> Any:
        """Send an event that ACP's schema allows; gives the reply."""
        event = {"type": kind, "data": order}
        _PUBLISHED.validate(event)
        return self.send(json.dumps(event).encode())

    def send(self, body: bytes, *, signature: str | None = None, **headers: str) -> Any:
        """Send whatever it is."""
        headers["Merchant-Signature"] = self.sign(body) if signature is None else signature
        api = Api(None)
        api._headers = headers
        return api.send("POST", f"/v1/acp/orders/{self.merchant.pk}", body)

    def sign(self, body: bytes, *, secret: str | None = None, age: int = 0) -> str:
        """The header's value."""
        timestamp = str(int(time.time()) - age)
        digest = hmac.new((secret or self.secret).encode(), timestamp.encode() + b"." + body, "sha256").hexdigest()
        return f"t={timestamp},v1={digest}"


def token_of(recommendation: Recommendation) -> str:
    """A token of the recommendation."""
    return attribution_token.issue(recommendation, merchant_id=recommendation.offer.merchant_id)[0]


def refund(amount: int | None = 400, **changes: Any) -> dict[str, Any]:
    """An adjustment that gives money back."""
    adjustment = {"id": "adj_1", "type": "refund", "occurred_at": "2026-11-20T10:00:00Z", "status": "completed"}
    return adjustment | ({} if amount is None else {"amount": amount, "currency": "gbp"}) | changes
