"""A merchant's shop that speaks ACP: it signs the events of its orders and sends them."""

import hmac
import json
import time
from typing import Any

from merchants.models import Merchant
from merchants.order_feeds import issue_secret
from sessions_app import attribution_token
from sessions_app.models import Recommendation
from tests.conftest import Api
from tests.schemas import acp

_EVENT, _REPLY, _SIGNATURE = map(acp.judge, ("WebhookEvent", "WebhookReply", "MerchantSignature"))

ADDRESS = {"name": "Ada Buyer", "line_one": "1 Some Street", "city": "London"}
ADDRESS |= {"state": "LND", "country": "GB", "postal_code": "N1 1AA"}
WINDOW = {"earliest": "2026-11-24T09:00:00Z", "latest": "2026-11-26T18:00:00+01:00"}
# All else that ACP lets an order say.
DETAILS: dict[str, Any] = {
    "order_number": "1",
    "estimated_delivery": WINDOW,
    "confirmation": {
        "confirmation_number": "C-1",
        "confirmation_email_sent": True,
        "receipt_url": "https://shop.example/receipts/1",
        "invoice_number": "I-1",
        "order_notes": "Ring twice",
    },
    "support": {
        "email": "help@shop.example",
        "phone": "+442079460000",
        "hours": "9 to 5",
        "help_center_url": "https://shop.example/help",
    },
    "line_items": [
        {
            "id": "li_1",
            "title": "A SIM card",
            "product_id": "sim_1",
            "description": "Of paper",
            "image_url": "https://shop.example/sim.png",
            "url": "https://shop.example/sim",
            "quantity": {"ordered": 1, "current": 1, "fulfilled": 0},
            "unit_price": 1000,
            "subtotal": 1000,
            "totals": [{"type": "subtotal", "display_text": "Subtotal", "amount": 1000}],
            "status": "processing",
        }
    ],
    "fulfillments": [
        {
            "id": "ful_1",
            "type": "shipping",
            "status": "shipped",
            "line_items": [{"id": "li_1", "quantity": 1}],
            "carrier": "Royal Mail",
            "tracking_number": "RM1",
            "tracking_url": "https://mail.example/RM1",
            "destination": ADDRESS,
            "estimated_delivery": WINDOW,
            "digital_delivery": {
                "access_url": "https://shop.example/esim",
                "license_key": "K-1",
                "expires_at": "2027-11-24T09:00:00Z",
            },
            "description": "On its way",
            "events": [
                {
                    "id": "evt_1",
                    "type": "shipped",
                    "occurred_at": "2026-11-23T09:00:00Z",
                    "description": "Handed over",
                    "location": "London",
                }
            ],
        }
    ],
    "adjustments": [],
    "totals": [
        {
            "type": "tax",
            "display_text": "Tax",
            "amount": 100,
            "presentment_amount": 100,
            "description": "VAT",
            "breakdown": [{"jurisdiction": "GB", "rate": 0.2, "amount": 100}],
        },
        {"type": "discount", "display_text": "Discount", "amount": -100},
        {"type": "total", "display_text": "Total", "amount": 1000},
        {"type": "amount_refunded", "display_text": "Refunded", "amount": 0},
    ],
}


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
        _EVENT.validate(event)
        return self.send(json.dumps(event).encode())

    def send(self, body: bytes, *, signature: str | None = None, **headers: str) -> Any:
        """Send whatever it is; what is received is answered as ACP has it."""
        headers["Merchant-Signature"] = self.sign(body) if signature is None else signature
        api = Api(None)
        api._headers = headers
        reply = api.send("POST", f"/v1/acp/orders/{self.merchant.pk}", body)
        if reply.status_code == 200:
            _REPLY.validate(reply.json())
        return reply

    def sign(self, body: bytes, *, secret: str | None = None, age: int = 0) -> str:
        """The header's value."""
        timestamp = str(int(time.time()) - age)
        digest = hmac.new((secret or self.secret).encode(), timestamp.encode() + b"." + body, "sha256").hexdigest()
        signature = f"t={timestamp},v1={digest}"
        _SIGNATURE.validate(signature)
        return signature


def token_of(recommendation: Recommendation) -> str:
    """A token of the recommendation."""
    return attribution_token.issue(recommendation, merchant_id=recommendation.offer.merchant_id)[0]


def refund(amount: int | None = 400, **changes: Any) -> dict[str, Any]:
    """An adjustment that gives money back."""
    adjustment = {"id": "adj_1", "type": "refund", "occurred_at": "2026-11-20T10:00:00Z", "status": "completed"}
    return adjustment | ({} if amount is None else {"amount": amount, "currency": "gbp"}) | changes
