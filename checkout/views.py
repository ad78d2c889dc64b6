"""Checkout, purchase, webhooks, and the pages a buyer returns to (protocol, section 1)."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from checkout import inbox, wire
from checkout.calls import Busy, at_work
from checkout.connectors.base import BadSignature, MalformedEvent
from checkout.models import Checkout
from checkout.outcomes import Result
from checkout.purchase import PURCHASE_REFUSALS, purchase
from checkout.start import CHECKOUT_REFUSALS, item_name, start_checkout
from checkout.states import started
from rako.core.api_views import AgentView, KeyedRequest, PublicView
from rako.core.errors import NotFound, error_reply, only
from rako.core.ids import is_id
from rako.core.openapi import raises
from rako.core.receipts import receipt_for
from sessions_app.models import Agent
from sessions_app.recommend import SessionNotFound


class CheckoutView(AgentView):
    """POST /v1/checkout"""

    @raises(SessionNotFound, *CHECKOUT_REFUSALS, *PURCHASE_REFUSALS, Busy())
    @extend_schema(
        operation_id="checkout",
        summary="Hand the buyer over to the merchant's payment page",
        request=wire.CheckoutBody,
        responses=wire.CheckoutReply,
    )
    def post(self, request: KeyedRequest) -> Response:
        asked = wire.CheckoutBody.read(request)
        with at_work():
            return self._hand_over(request.user.agent, asked)

    def _hand_over(self, agent: Agent, asked: dict[str, Any]) -> Response:
        chosen = {"session_id": asked["session_id"], "recommendation_id": asked["recommendation_id"]}
        if asked.get("payment_method"):
            return _reply(purchase(agent, **chosen, **_payment(asked)))
        return _reply(start_checkout(agent, **chosen, user_details=asked.get("user_details")))


class PurchaseView(AgentView):
    """POST /v1/purchase"""

    @raises(*CHECKOUT_REFUSALS, *PURCHASE_REFUSALS, Busy())
    @extend_schema(
        operation_id="purchase",
        summary="Buy autonomously with a stored payment method, or hand over without one",
        request=wire.PurchaseBody,
        responses=wire.CheckoutReply,
    )
    def post(self, request: KeyedRequest) -> Response:
        asked = wire.PurchaseBody.read(request)
        agent, recommendation_id = request.user.agent, asked["recommendation_id"]
        with at_work():
            return _reply(purchase(agent, recommendation_id=recommendation_id, **_payment(asked)))


def _payment(asked: dict[str, Any]) -> dict[str, Any]:
    return {"payment_method": asked.get("payment_method"), "authorization": asked.get("authorization")}


def _reply(checkout: Checkout) -> Response:
    """The checkout, with our signed word that its start is in the ledger."""
    entry = started(checkout)
    return Response(wire.checkout_wire(checkout, receipt="" if entry is None else receipt_for(entry)))


class WebhookView(PublicView):
    """POST /v1/webhooks/{connector}/{connectionId}: authenticated by the PSP's signature over the raw body."""

    @raises(BadSignature, MalformedEvent)
    @extend_schema(
        operation_id="receiveWebhook", summary="Payment events (PSP)", request=dict, responses=wire.WebhookReply
    )
    def post(self, request: Request, kind: str, connection_id: str) -> Response:
        connection = inbox.find_connection(kind, connection_id)
        headers = {name.lower(): value for name, value in request.headers.items()}
        _, result = inbox.receive(connection, request.body, headers)
        return Response(webhook_reply(result))


def webhook_reply(result: Result) -> dict[str, Any]:
    """What a PSP is answered: what became of its delivery (protocol, section 1)."""
    reply: dict[str, Any] = {"received": True, "status": result.status}
    if result.conversion is not None:
        reply |= {"conversionId": result.conversion.pk, "verification": "verified"}
    if result.failed_check:
        reply |= {"failedCheck": result.failed_check}
    return reply | {"reason": result.reason} if result.reason else reply


@only("GET", "HEAD")
def returned(request: HttpRequest, transaction_id: str, outcome: str) -> HttpResponse:
    """Where the PSP sends the buyer back to. Coming here proves nothing, and the page says nothing else."""
    rows = Checkout.objects.select_related("merchant", "recommendation__offer", "session")
    checkout = rows.filter(pk=transaction_id).first() if is_id(transaction_id) else None
    if checkout is None:
        return error_reply(NotFound())
    item = item_name(checkout.recommendation)
    context = {"checkout": checkout, "item": item, "cancelled": outcome == "cancelled"}
    response = render(request, "checkout/returned.html", context)
    response["Cache-Control"] = "no-store"
    return response
