"""Outgoing webhooks: one event per object and type, the same bytes at every delivery.

Body: `{"merchant_id", "event_id", "event_type", "content": {"type", "object"}, "timestamp"}`; header
`X-Webhook-Signature-512`: hex HMAC-SHA512 of the body under the profile's `payment_response_hash_key`, absent without
one. While the profile has no address, or is live and not yet allowed, nothing is recorded: those events never come,
not even later.

Not established: that a retry after the key was changed still carries the old signature (here it does: the request is
kept as it was made), and that a pending refund tells of nothing.
"""

import hashlib
import hmac
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import requests

from tests.counterparties.hyperswitch.views import dispute_body, payment_body, refund_body, timestamp
from tests.counterparties.hyperswitch.world import Dispute, Event, Json, Merchant, Payment, Refund, World

SIGNATURE_HEADER = "X-Webhook-Signature-512"
PAYMENT_EVENTS = {
    "succeeded": "payment_succeeded",
    "failed": "payment_failed",
    "processing": "payment_processing",
    "cancelled": "payment_cancelled",
    "cancelled_post_capture": "payment_cancelled_post_capture",
    "requires_customer_action": "action_required",
    "requires_capture": "payment_authorized",
    "partially_captured": "payment_captured",
    "expired": "payment_expired",
}
REFUND_EVENTS = {"succeeded": "refund_succeeded", "failed": "refund_failed", "review": "refund_review"}

Order = Literal["in_order", "newest_first", "shuffled"]
Sender = Callable[[str, bytes, dict[str, str]], int]


@dataclass(frozen=True)
class Delivery:
    """One sending: `answer` is the receiver's HTTP status, 0 when it could not be reached."""

    event_id: str
    event_type: str
    answer: int


def signature(key: str, body: bytes) -> str:
    return hmac.new(key.encode(), body, hashlib.sha512).hexdigest()


def of_payment(world: World, payment: Payment) -> None:
    event_type = PAYMENT_EVENTS.get(payment.status)
    if event_type:
        content = {"type": "payment_details", "object": payment_body(world, payment)}
        _record(world, payment.merchant, event_type, payment.payment_id, content)


def of_refund(world: World, refund: Refund) -> None:
    event_type = REFUND_EVENTS.get(refund.status)
    if event_type:
        content = {"type": "refund_details", "object": refund_body(refund)}
        _record(world, refund.payment.merchant, event_type, refund.refund_id, content)


def of_dispute(world: World, dispute: Dispute) -> None:
    content = {"type": "dispute_details", "object": dispute_body(dispute)}
    _record(world, dispute.payment.merchant, dispute.status, dispute.dispute_id, content)


def _record(world: World, merchant: Merchant, event_type: str, object_id: str, content: Json) -> None:
    once = (merchant.merchant_id, object_id, event_type)
    if merchant.webhook_url is None or not merchant.webhooks_allowed or once in world.announced:
        return
    world.announced.add(once)
    event_id = world.new_id("evt", 32)
    told = {
        "merchant_id": merchant.merchant_id,
        "event_id": event_id,
        "event_type": event_type,
        "content": content,
        "timestamp": timestamp(world.now()),
    }
    body = json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json"}
    if merchant.payment_response_hash_key is not None:
        headers[SIGNATURE_HEADER] = signature(merchant.payment_response_hash_key, body)
    world.events.append(Event(world.number("event"), merchant, event_id, event_type, object_id, body, headers))


def arranged(events: list[Event], order: Order, seed: int, copies: int) -> list[Event]:
    """The events as often and in the order that a test wants them; copies of one event are not next to each other."""
    ordered = list(reversed(events)) if order == "newest_first" else list(events)
    queue = ordered * copies
    if order == "shuffled":
        random.Random(seed).shuffle(queue)  # noqa: S311 - a repeatable order, not a secret
    return queue


def send(world: World, queue: list[Event], sender: Sender) -> list[Delivery]:
    """Send one after the other, outside the lock: the receiver may call back. Without an address nothing is sent."""
    made = []
    for event in queue:
        url = event.merchant.webhook_url
        if url is None:
            continue
        answer = sender(url, event.body, dict(event.headers))
        with world.lock:
            event.answers.append(answer)
        made.append(Delivery(event.event_id, event.event_type, answer))
    return made


def post(url: str, body: bytes, headers: dict[str, str]) -> int:
    try:
        return requests.post(url, data=body, headers=headers, timeout=30, allow_redirects=False).status_code
    except requests.RequestException:
        return 0
