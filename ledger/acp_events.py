"""ACP's order events, read strictly and without the database (Agentic Commerce Protocol 2026-04-17, and 2026-01-30).

An event holds the whole order as it is by then, never a difference. Of what it says, only what attribution needs is
read; addresses, names and texts for people are not.
"""

from dataclasses import dataclass
from io import BytesIO
from typing import Any

from rest_framework.exceptions import ParseError

from rako.core.aap_code import ISSUER
from rako.core.errors import BadRequest
from rako.core.money import MAX_MINOR
from rako.core.wire import JsonParser
from sessions_app.attribution_token import is_meant_as_token

EVENT_TYPES = ("order_create", "order_update")
LONGEST_REFERENCE = 200
_MOST_ADJUSTMENTS = 500


class MalformedEvent(BadRequest):
    code = "malformed_event"


@dataclass(frozen=True, slots=True)
class Refund:
    """A refund adjustment: `status` is pending, completed or failed; the amount may be left out."""

    id: str
    status: str
    amount_minor: int | None
    currency: str | None


@dataclass(frozen=True, slots=True)
class Order:
    """An order as far as it matters. `refunded_minor` is what 2026-01-30 lists of refunds, in all."""

    reference: str
    status: str
    token: str | None
    total_minor: int | None
    refunds: tuple[Refund, ...]
    refunded_minor: int


def read_event(body: bytes) -> Order | None:
    """The order of an event; None for events of another type. Raises MalformedEvent, for whatever is sent."""
    try:
        event = JsonParser().parse(BytesIO(body))
    except ParseError as error:
        raise MalformedEvent(str(error.detail)) from None
    if event.get("type") not in EVENT_TYPES:
        return None
    order = event.get("data")
    if not isinstance(order, dict):
        raise MalformedEvent("data must be an order")
    return Order(
        reference=_text(order.get("id", order.get("checkout_session_id")), "data.id", LONGEST_REFERENCE),
        status=_text(order.get("status", "confirmed"), "data.status"),
        token=_token(order),
        total_minor=_total(_list(order, "totals")),
        refunds=tuple(_refund(row) for row in _list(order, "adjustments") if row.get("type") == "refund"),
        refunded_minor=_refunded(_list(order, "refunds")),
    )


def _token(order: dict[str, Any]) -> str | None:
    """Ours, where the merchant's shop repeats the agent's claim, or the agent's own reference to the order."""
    claim = order.get("affiliate_attribution")
    if isinstance(claim, dict) and claim.get("provider") == ISSUER and isinstance(claim.get("token"), str):
        return str(claim["token"])
    reference = order.get("client_reference_id")
    return str(reference) if is_meant_as_token(reference) else None


def _total(totals: list[dict[str, Any]]) -> int | None:
    """What was charged at first: ACP never changes it afterwards."""
    found = [_amount(row.get("amount"), "data.totals[].amount") for row in totals if row.get("type") == "total"]
    if len(found) > 1:
        raise MalformedEvent("data.totals has more than one total")
    return found[0] if found else None


def _refund(row: dict[str, Any]) -> Refund:
    amount, currency = row.get("amount"), row.get("currency")
    return Refund(
        id=_text(row.get("id"), "data.adjustments[].id"),
        status=_text(row.get("status"), "data.adjustments[].status"),
        amount_minor=None if amount is None else _amount(amount, "data.adjustments[].amount"),
        currency=None if currency is None else _text(currency, "data.adjustments[].currency").upper(),
    )


def _refunded(refunds: list[dict[str, Any]]) -> int:
    # Store credit is no money given back.
    given_back = [row.get("amount") for row in refunds if row.get("type") == "original_payment"]
    return _amount(sum(_amount(amount, "data.refunds[].amount") for amount in given_back), "data.refunds")


def _list(order: dict[str, Any], name: str) -> list[dict[str, Any]]:
    rows = order.get(name)
    if rows is None:
        return []
    if not isinstance(rows, list) or len(rows) > _MOST_ADJUSTMENTS or not all(isinstance(row, dict) for row in rows):
        raise MalformedEvent(f"data.{name} must be a list of at most {_MOST_ADJUSTMENTS} objects")
    return rows


def _text(value: Any, name: str, longest: int = 100) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise MalformedEvent(f"{name} must be a text of 1 to {longest} characters")
    return value


def _amount(value: Any, name: str) -> int:
    if type(value) is float and value.is_integer():  # JSON Schema counts 1000.0 among the integers
        value = int(value)
    if type(value) is not int or not 0 <= value <= MAX_MINOR:
        raise MalformedEvent(f"{name} must be a whole number of minor units")
    return value
