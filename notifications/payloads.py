"""Payloads, made from nothing but an entry, the recipient's own opening of it, and its sale's currency.

None of these ever changes, so the payload of an entry can be made again at any time and is the same.
"""

from typing import Any, NamedTuple

import orjson

from notifications.catalogue import MOVED, family_of, type_of
from rako.core.money import to_wire

# Until its validation ends a sale is `pending`, as in the API (protocol, section 3).
_PENDING = {"matched": "pending", "pending_validation": "pending"}
_SPLIT = {"amount_minor": "amount", "fee_minor": "networkFee", "payout_minor": "builderPayout"}


class Told(NamedTuple):
    """An entry as one party may read it; `currency` is for those that do not name their sale's."""

    entry_id: str
    body: dict[str, Any]
    opening: dict[str, Any]
    agent_id: str | None
    currency: str | None


def event_type(told: Told) -> str:
    """The event type of an entry."""
    facts = told.body["facts"]
    return type_of(told.body["kind"], facts.get("status_before"), facts.get("status"))


def payload(told: Told, *, is_merchant: bool) -> str:
    """What is sent: type, the time at which it happened, and data."""
    kind, facts = told.body["kind"], told.body["facts"]
    family = family_of(kind)
    currency = facts.get("currency") or told.currency
    data = {name: _value(fact, facts[fact], currency) for fact, name in family.facts.items() if fact in facts}
    data |= {name: told.opening[fact] for fact, name in family.sealed.items() if fact in told.opening}
    if family.stream:
        data[family.stream] = told.body["stream_id"]
    if family is MOVED:
        data |= {"cause": kind.partition(".")[2], "currency": currency}
    if not is_merchant and told.agent_id:
        data["agentId"] = told.agent_id
    return envelope(event_type(told), told.body["occurred_at"], data | {"entryId": told.entry_id})


def envelope(name: str, timestamp: str, data: dict[str, Any]) -> str:
    """A payload by the Standard Webhooks rules."""
    return orjson.dumps({"type": name, "timestamp": timestamp, "data": data}).decode()


def _value(fact: str, value: Any, currency: str | None) -> Any:
    if fact in ("status", "status_before"):
        return _PENDING.get(value, value)
    if isinstance(value, dict):
        told = {name: _value(part, value[part], currency) for part, name in _SPLIT.items()}
        return told | {name: value[name] for name in ("type",) if name in value}
    if fact.endswith("_minor") and value is not None:
        return to_wire(value, str(currency))
    # Facts say '' for what is not decided.
    return None if value == "" else value
