"""Checkout, purchase, webhooks, and the pages a buyer returns to (protocol, section 1)."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from checkout import inbox, replies, wire
from checkout.calls import Busy
from checkout.connectors.base import BadSignature, MalformedEvent
from checkout.models import Checkout
from checkout.outcomes import Result
from checkout.purchase import PURCHASE_REFUSALS
from checkout.start import CHECKOUT_REFUSALS, item_name
from rako.core.api_views import AgentView, KeyedRequest, PublicView
from rako.core.errors import NotFound, error_reply, only
from rako.core.ids import is_id
from rako.core.openapi import raises
from sessions_app.recommend import SessionNotFound


class CheckoutView(AgentView):
    """POST /v1/checkout"""

    is_one_transaction = False  # it calls the PSP; a recommendation has one checkout

    @raises(SessionNotFound, *CHECKOUT_REFUSALS, *PURCHASE_REFUSALS, Busy())
    @extend_schema(
        operation_id="checkout",
        summary="Hand the buyer over to the merchant's payment page",
        request=wire.CheckoutBody,
        responses=wire.CheckoutReply,
    )
    def post(self, request: KeyedRequest) -> Response:
        asked = wire.CheckoutBody.read(request)
        return Response(replies.handed_over(request.user.agent, asked))


class PurchaseView(AgentView):
    """POST /v1/purchase"""

    is_one_transaction = False  # it calls the PSP; a recommendation has one live charge

    @raises(*CHECKOUT_REFUSALS, *PURCHASE_REFUSALS, Busy())
    @extend_schema(
        operation_id="purchase",
        summary="Buy autonomously with a stored payment method, or hand over without one",
        request=wire.PurchaseBody,
        responses=wire.CheckoutReply,
    )
    def post(self, request: KeyedRequest) -> Response:
        asked = wire.PurchaseBody.read(request)
        return Response(replies.purchased(request.user.agent, asked))


class WebhookView(PublicView):
    """POST /v1/webhooks/{connector}/{connectionId}: authenticated by the PSP's signature over the raw body."""

    @raises(BadSignature, MalformedEvent)
    @extend_schema(
        operation_id="receiveWebhook", summary="Payment events (PSP)", request=dict, responses=wire.WebhookReply
    )
    def post(self, request: Request, kind: str, connection_id: str) -> Response:
        connection = inbox.find_connection(kind, connection_id)
        headers = {name.lower(): value for name, value in request.headers.items()}
        return Response(webhook_reply(inbox.receive(connection, request.body, headers)))


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
