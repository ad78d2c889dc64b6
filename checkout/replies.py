"""What agents are answered about checkouts and purchases, whoever carries it: the REST API and the MCP tools."""

from collections.abc import Collection
from typing import Any

from checkout import wire
from checkout.calls import at_work
from checkout.models import Checkout
from checkout.purchase import purchase
from checkout.start import start_checkout
from checkout.states import started
from rako.core.receipts import receipt_for
from sessions_app.bridges import bridges_wire
from sessions_app.models import Agent


def handed_over(agent: Agent, asked: dict[str, Any]) -> dict[str, Any]:
    """The buyer's way to the payment page, or a charge if a payment method is given (POST /v1/checkout).

    Raises the protocol's errors in its order, and Busy.
    """
    chosen = {"session_id": asked["session_id"], "recommendation_id": asked["recommendation_id"]}
    include = asked.get("include", ())
    with at_work():
        if asked.get("payment_method"):
            return _reply(purchase(agent, **chosen, **_payment(asked)), include)
        return _reply(start_checkout(agent, **chosen, user_details=asked.get("user_details")), include)


def purchased(agent: Agent, asked: dict[str, Any]) -> dict[str, Any]:
    """An autonomous purchase (POST /v1/purchase). Raises as `handed_over` does."""
    with at_work():
        return _reply(purchase(agent, recommendation_id=asked["recommendation_id"], **_payment(asked)))


def _payment(asked: dict[str, Any]) -> dict[str, Any]:
    return {"payment_method": asked.get("payment_method"), "authorization": asked.get("authorization")}


def _reply(checkout: Checkout, include: Collection[str] = ()) -> dict[str, Any]:
    """The checkout, with our signed word that its start is in the ledger, and what was asked for besides."""
    entry = started(checkout)
    reply = wire.checkout_wire(checkout, receipt="" if entry is None else receipt_for(entry))
    return reply | bridges_wire(include, checkout.recommendation, merchant_id=checkout.merchant_id)
