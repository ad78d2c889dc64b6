"""Deliveries and listed events as they are told, before anybody asks what they mean."""

import re

import orjson

from checkout.connectors.base import MalformedEvent, VerifiedEvent
from checkout.connectors.stripe import reading
from checkout.connectors.stripe.reading import Nonsense, Thing

DEAUTHORIZED = "account.application.deauthorized"
OF_SESSIONS = frozenset(
    f"checkout.session.{what}" for what in ("completed", "async_payment_succeeded", "async_payment_failed", "expired")
)
OF_INTENTS = frozenset(f"payment_intent.{what}" for what in ("succeeded", "processing", "payment_failed", "canceled"))
OF_CHARGES = frozenset({"charge.refunded"})
# The last one is the older name of refund.updated: an endpoint needs but one of them.
OF_REFUNDS = frozenset({"refund.created", "refund.updated", "refund.failed", "charge.refund.updated"})
OF_DISPUTES = frozenset(
    f"charge.dispute.{what}" for what in ("created", "updated", "closed", "funds_withdrawn", "funds_reinstated")
)
# What a webhook endpoint is to be sent, besides the platform's news of connections that ended.
TYPES = OF_SESSIONS | OF_INTENTS | OF_CHARGES | OF_REFUNDS - {"charge.refund.updated"} | OF_DISPUTES

# \u0000 written as an escape, not as an escaped backslash followed by the letters u0000: PostgreSQL cannot keep it.
_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def parse(body: bytes) -> VerifiedEvent:
    """A delivery as an event. Raises MalformedEvent unless it is one, with the whole object in it."""
    payload = _json(body)
    try:
        return read(payload)
    except Nonsense:
        raise MalformedEvent() from None


def read(payload: Thing) -> VerifiedEvent:
    """An event, as delivered or as listed. Raises Nonsense."""
    if payload.get("object") != "event":  # v2's notifications have no object in them
        raise Nonsense("object")
    event_type = reading.text(payload, "type")
    if event_type != DEAUTHORIZED:  # this one comes in the account's version, not in ours: nothing else is read of it
        subject(payload)
    return VerifiedEvent(
        event_id=reading.text(payload, "id"),
        event_type=event_type,
        is_live=reading.flag(payload, "livemode"),
        occurred_at=reading.moment(payload, "created"),
        payload=payload,
    )


def subject(payload: Thing) -> Thing:
    """The object that an event is about. Raises Nonsense."""
    return reading.thing(reading.thing(payload, "data"), "object")


def account_of(body: bytes) -> str | None:
    """The connected account that a delivery claims to come from, None if it names none.

    Nothing is verified yet: it serves to find the connection whose secret does that.
    """
    try:
        return reading.text(_json(body), "account")
    except (MalformedEvent, Nonsense):
        return None


def _json(body: bytes) -> Thing:
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise MalformedEvent() from None
    if not isinstance(payload, dict) or _ESCAPED_NUL.search(body):
        raise MalformedEvent()
    return payload
