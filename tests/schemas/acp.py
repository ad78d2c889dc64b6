"""What the Agentic Commerce Protocol asks of the objects that cross the bridge, as JSON Schema.

Written for these tests after version 2026-04-17 of the protocol (agentic-commerce-protocol on GitHub, at commit
3535c13dd345c9a08068e958eab46f320c476435): `AffiliateAttribution` and `Order` of its schema.agentic_checkout.json,
`WebhookEvent` of its openapi.agentic_checkout_webhook.yaml. No package ships these. With a copy of the published
bundle at hand, RAKO_TEST_ACP_SCHEMA=<file> has the tests judge by that instead.
"""

import json
import os
from pathlib import Path
from typing import Any

TEXT = {"type": "string"}
TIME = {"type": "string", "format": "date-time"}
MINOR = {"type": "integer"}


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


_AFFILIATE = {
    "type": "object",
    "required": ["provider"],
    "anyOf": [{"required": ["token"]}, {"required": ["publisher_id"]}],
    "properties": dict.fromkeys(("provider", "token", "publisher_id", "campaign_id", "creative_id", "sub_id"), TEXT)
    | {
        "issued_at": TIME,
        "expires_at": TIME,
        "source": _object(
            ["type"], type={"enum": ["url", "platform", "unknown"]}, url={"type": "string", "format": "uri"}
        ),
        "metadata": {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}},
        "touchpoint": {"enum": ["first", "last"]},
    },
}
_ADJUSTMENT = _object(
    ["id", "type", "occurred_at", "status"],
    id=TEXT,
    type={"enum": ["refund", "credit", "return", "exchange", "price_adjustment", "cancellation", "dispute"]},
    occurred_at=TIME,
    status={"enum": ["pending", "completed", "failed"]},
    line_items={"type": "array"},
    amount=MINOR,
    currency={"type": "string", "pattern": "^[a-z]{3}$"},
    description=TEXT,
    reason=TEXT,
)
_TOTAL = {
    "type": "object",
    "required": ["type", "display_text", "amount"],
    "properties": {"type": TEXT, "display_text": TEXT, "amount": MINOR},
}
_ORDER = _object(
    ["id", "checkout_session_id", "permalink_url"],
    type={"const": "order"},
    id=TEXT,
    checkout_session_id=TEXT,
    order_number=TEXT,
    client_reference_id=TEXT,
    permalink_url={"type": "string", "format": "uri"},
    status={"enum": ["created", "confirmed", "manual_review", "processing", "shipped", "completed", "canceled"]},
    line_items={"type": "array"},
    fulfillments={"type": "array"},
    adjustments={"type": "array", "items": _ADJUSTMENT},
    totals={"type": "array", "items": _TOTAL},
)


def _bundle() -> dict[str, Any]:
    published = os.environ.get("RAKO_TEST_ACP_SCHEMA")
    if published:
        return dict(json.loads(Path(published).read_text()))
    return {"$defs": {"AffiliateAttribution": _AFFILIATE, "Order": _ORDER}}


_BUNDLE = _bundle()
AFFILIATE_ATTRIBUTION = {"$defs": _BUNDLE["$defs"], "$ref": "#/$defs/AffiliateAttribution"}
ORDER_EVENT = {
    "$defs": _BUNDLE["$defs"],
    "type": "object",
    "additionalProperties": False,
    "required": ["type", "data"],
    "properties": {
        "type": {"enum": ["order_create", "order_update"]},
        "data": {"allOf": [{"$ref": "#/$defs/Order"}], "required": ["type", "checkout_session_id", "status"]},
    },
}
