"""What the Agentic Commerce Protocol asks of the objects that cross the bridge, as JSON Schema, formats included.

Written for these tests after version 2026-04-17 of the protocol (agentic-commerce-protocol on GitHub). No package ships
its files; with copies of them at hand RAKO_TEST_ACP_SCHEMA=<file>[:<file>] has the tests judge by those instead:
schema.agentic_checkout.json, openapi.agentic_checkout_webhook.yaml or both (docs/bridges.md). Definitions have the
published names. Of requests for checkout sessions only the outermost properties are stated here: what is ours in them
is `affiliate_attribution`.
"""

import os
import re
from pathlib import Path
from typing import Any

import yaml
from jsonschema_rs import Draft202012Validator

TEXT = {"type": "string"}
URI = {"type": "string", "format": "uri"}
TIME = {"type": "string", "format": "date-time"}
NUMBER = {"type": "number"}
WHOLE = {"type": "integer"}
TRUTH = {"type": "boolean"}
ANY = {"type": "object"}
NOTES = {"type": "string", "maxLength": 5000}


def _object(required: str = "", **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": required.split(),
        "properties": properties,
    }


def _one_of(words: str) -> dict[str, Any]:
    return {"type": "string", "enum": words.split()}


def _each(words: str, of: dict[str, Any]) -> dict[str, Any]:
    return dict.fromkeys(words.split(), of)


def _from(least: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": least}


def _matching(pattern: str) -> dict[str, Any]:
    return {"type": "string", "pattern": pattern}


def _list(of: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": of} | more


def _the(name: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{name}"}


_CLAIM = {
    "AffiliateAttribution": _object(
        "provider",
        **_each("provider token publisher_id campaign_id creative_id sub_id", TEXT),
        **_each("issued_at expires_at", TIME),
        source=_the("AffiliateAttributionSource"),
        metadata=_the("AffiliateAttributionMetadata"),
        touchpoint=_one_of("first last"),
    )
    # Later versions may add to it.
    | {"additionalProperties": True, "anyOf": [{"required": ["token"]}, {"required": ["publisher_id"]}]},
    "AffiliateAttributionSource": _object("type", type=_one_of("url platform unknown"), url=URI),
    "AffiliateAttributionMetadata": {
        "type": "object",
        "additionalProperties": {"type": ["string", "number", "boolean"]},
    },
}
_REQUESTS = {
    "CheckoutSessionCreateRequest": _object(
        "line_items currency capabilities",
        **_each("currency locale timezone quote_id", TEXT),
        **_each("buyer fulfillment_details capabilities discounts metadata", ANY),
        line_items=_list(_object("id", **_each("id name", TEXT), unit_amount=WHOLE), minItems=1),
        fulfillment_groups=_list(ANY),
        affiliate_attribution=_the("AffiliateAttribution"),
        coupons=_list(TEXT),
        order_notes=NOTES,
    ),
    "CheckoutSessionUpdateRequest": _object(  # which has no place for a claim
        **_each("buyer fulfillment_details discounts", ANY),
        **_each("line_items fulfillment_groups selected_fulfillment_options", _list(ANY)),
        coupons=_list(TEXT),
        order_notes=NOTES,
    ),
    "CheckoutSessionCompleteRequest": _object(
        "payment_data",
        **_each("buyer payment_data authentication_result risk_signals", ANY),
        affiliate_attribution=_the("AffiliateAttribution"),
        marketing_consents=_list(ANY),
        order_notes=NOTES,
    ),
}
_ORDER = {
    "Order": _object(
        "id checkout_session_id permalink_url",
        type={"const": "order"},
        **_each("id checkout_session_id order_number client_reference_id", TEXT),
        permalink_url=URI,
        status=_one_of("created confirmed manual_review processing shipped completed canceled"),
        estimated_delivery=_the("EstimatedDelivery"),
        confirmation=_the("OrderConfirmation"),
        support=_the("SupportInfo"),
        line_items=_list(_the("OrderLineItem")),
        fulfillments=_list(_the("Fulfillment")),
        adjustments=_list(_the("Adjustment")),
        totals=_list(_the("Total")),
    ),
    "EstimatedDelivery": _object("earliest latest", **_each("earliest latest", TIME)),
    "OrderConfirmation": _object(
        **_each("confirmation_number invoice_number order_notes", TEXT), confirmation_email_sent=TRUTH, receipt_url=URI
    ),
    "SupportInfo": _object(
        **_each("phone hours", TEXT), email={"type": "string", "format": "email"}, help_center_url=URI
    ),
    "OrderLineItem": _object(
        "id title quantity",
        **_each("id title product_id description", TEXT),
        **_each("image_url url", URI),
        **_each("unit_price subtotal", WHOLE),
        quantity=_the("OrderLineItemQuantity"),
        totals=_list(_the("Total")),
        status=_one_of("processing partial fulfilled removed"),
    ),
    "OrderLineItemQuantity": _object("ordered current", ordered=_from(1), current=_from(0), fulfilled=_from(0)),
    "LineItemReference": _object("id quantity", id=TEXT, quantity=_from(1)),
    "Fulfillment": _object(
        "id type",
        **_each("id carrier tracking_number description", TEXT),
        type=_one_of("shipping pickup digital"),
        status=_one_of(
            "pending processing shipped in_transit out_for_delivery ready_for_pickup delivered failed canceled"
        ),
        line_items=_list(_the("LineItemReference")),
        tracking_url=URI,
        destination=_the("Address"),
        estimated_delivery=_the("EstimatedDelivery"),
        digital_delivery=_object(access_url=URI, license_key=TEXT, expires_at=TIME) | {"additionalProperties": True},
        events=_list(_the("FulfillmentEvent")),
    ),
    "FulfillmentEvent": _object(
        "id type occurred_at",
        **_each("id description location", TEXT),
        type=_one_of(
            "processing shipped in_transit out_for_delivery ready_for_pickup delivered failed_attempt "
            "returned_to_sender canceled undeliverable"
        ),
        occurred_at=TIME,
    ),
    "Address": _object(
        "name line_one city state country postal_code",
        **_each("name line_one line_two city state country postal_code company", TEXT),
    ),
    "Adjustment": _object(
        "id type occurred_at status",
        **_each("id description reason", TEXT),
        type=_one_of("refund credit return exchange price_adjustment cancellation dispute"),
        occurred_at=TIME,
        status=_one_of("pending completed failed"),
        line_items=_list(_the("LineItemReference")),
        amount=WHOLE,
        currency=_matching("^[a-z]{3}$"),
    ),
    "Total": _object(
        "type display_text amount",
        type=_one_of(
            "items_base_amount items_discount subtotal discount fulfillment tax fee gift_wrap tip store_credit total "
            "amount_refunded"
        ),
        **_each("display_text description", TEXT),
        **_each("amount presentment_amount", WHOLE),
        breakdown=_list(_object("jurisdiction rate amount", jurisdiction=TEXT, rate=NUMBER, amount=WHOLE)),
    ),
}
_WEBHOOK = {
    "WebhookEvent": _object("type data", type=_one_of("order_create order_update"), data=_the("EventDataOrder")),
    "EventDataOrder": _the("Order") | {"required": ["type", "checkout_session_id", "permalink_url", "status"]},
    # These two have no names of their own there.
    "WebhookReply": _object("received", received=TRUTH, request_id=TEXT) | {"additionalProperties": True},
    "MerchantSignature": _matching("^t=[0-9]+,v1=[0-9a-fA-F]{64}$"),
}


def _published(path: str) -> dict[str, Any]:
    """The definitions of one of the two published files."""
    # The webhook's file refers to that of checkouts, which has the bundle's names.
    text = re.sub(r"[\w./]*#/components/schemas/", "#/$defs/", Path(path).read_text())
    told: dict[str, Any] = yaml.safe_load(text)  # JSON is YAML, too
    if "$defs" in told:
        return dict(told["$defs"])
    post = told["paths"]["/agentic_checkout/webhooks/order_events"]["post"]
    signature = next(each for each in post["parameters"] if each["name"] == "Merchant-Signature")
    reply = post["responses"]["200"]["content"]["application/json"]
    unnamed = {"WebhookReply": reply["schema"], "MerchantSignature": signature["schema"]}
    return dict(told["components"]["schemas"]) | unnamed


def _definitions() -> dict[str, Any]:
    found = _CLAIM | _REQUESTS | _ORDER | _WEBHOOK
    for path in filter(None, os.environ.get("RAKO_TEST_ACP_SCHEMA", "").split(os.pathsep)):
        found |= _published(path)
    return found


_DEFINITIONS = _definitions()


def judge(name: str) -> Draft202012Validator:
    """What tells whether an object is as the definition of this name has it."""
    return Draft202012Validator({"$defs": _DEFINITIONS, "$ref": f"#/$defs/{name}"}, validate_formats=True)
