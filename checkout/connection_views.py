"""A merchant's own connections, and the platform's webhook (protocol, section 1)."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from checkout import connection_wire as wire
from checkout.connections import add_webhook_secret, connect, disconnect_and_leave
from checkout.connections.errors import (
    AccountMismatch,
    AccountTaken,
    AlreadyConnected,
    BadCredentials,
    ConnectionNotFound,
    CredentialsRefused,
    Disconnected,
    MissingRights,
    NoSecretToGive,
    ProbeFailed,
    UnknownKind,
    WrongMode,
)
from checkout.connectors.base import BadSignature, MalformedEvent
from checkout.platform_webhook import receive_for_platform
from checkout.views import webhook_reply
from checkout.wire import WebhookReply
from merchants.models import Connection
from rako.core.api_views import KeyedRequest, MerchantView, PublicView
from rako.core.errors import BadRequest
from rako.core.ids import is_id
from rako.core.openapi import query, raises, whole

_PAGE = 50
_MOST = 100


class ConnectionsView(MerchantView):
    """GET and POST /v1/connections"""

    is_one_transaction = False  # it asks the PSP; a merchant has one standing connection

    @extend_schema(
        operation_id="listConnections",
        summary="The merchant's connections to payment processors, newest first",
        parameters=[query("limit", whole(1, _MOST, default=_PAGE), "Connections in the reply.")],
        responses=wire.ConnectionsReply,
    )
    def get(self, request: KeyedRequest) -> Response:
        own = _own(request).order_by("-connected_at", "-pk")[: _limit(request)]
        listed = [wire.connection_wire(connection) for connection in own]
        return Response({"connections": listed, "count": len(listed)})

    @raises(
        UnknownKind,
        BadCredentials,
        WrongMode,
        CredentialsRefused,
        AccountMismatch,
        MissingRights(["checkout sessions"]),
        AlreadyConnected,
        AccountTaken,
        NoSecretToGive,
        ProbeFailed,
    )
    @extend_schema(
        operation_id="connect",
        summary="Connect the merchant to its payment processor",
        request=wire.ConnectBody,
        responses=wire.ConnectionReply,
    )
    def post(self, request: KeyedRequest) -> Response:
        asked = wire.ConnectBody.read(request)
        connection = connect(request.user.merchant, **asked | {"credentials": wire.credentials_of(asked)})
        return Response(wire.connection_wire(connection))


class ConnectionView(MerchantView):
    """GET /v1/connections/{id}"""

    @raises(ConnectionNotFound)
    @extend_schema(
        operation_id="getConnection", summary="One of the merchant's connections", responses=wire.ConnectionReply
    )
    def get(self, request: KeyedRequest, connection_id: str) -> Response:
        return Response(wire.connection_wire(_find(request, connection_id)))


class WebhookSecretView(MerchantView):
    """POST /v1/connections/{id}/webhook-secret"""

    @raises(ConnectionNotFound, BadCredentials, Disconnected, NoSecretToGive)
    @extend_schema(
        operation_id="addWebhookSecret",
        summary="Give a new webhook signing secret; the one before it is accepted too until it is dropped",
        request=wire.WebhookSecretBody,
        responses=wire.ConnectionReply,
    )
    def post(self, request: KeyedRequest, connection_id: str) -> Response:
        asked = wire.WebhookSecretBody.read(request)
        found = _find(request, connection_id)
        changed = add_webhook_secret(found, asked["webhook_secret"], drop_old=asked.get("drop_old", False))
        return Response(wire.connection_wire(changed))


class DisconnectView(MerchantView):
    """POST /v1/connections/{id}/disconnect: safe to repeat."""

    is_one_transaction = False  # it tells the PSP

    @raises(ConnectionNotFound)
    @extend_schema(
        operation_id="disconnect",
        summary="Sell nothing more through a connection; what was paid before is still recorded",
        request=None,
        responses=wire.ConnectionReply,
    )
    def post(self, request: KeyedRequest, connection_id: str) -> Response:
        found = _find(request, connection_id)
        if found.status != Connection.Status.DISCONNECTED:
            disconnect_and_leave(found)
            found.refresh_from_db(fields=["status", "disconnected_at"])
        return Response(wire.connection_wire(found))


def _limit(request: KeyedRequest) -> int:
    text = request.query_params.get("limit") or str(_PAGE)
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= _MOST):
        raise BadRequest(f"limit must be a whole number from 1 to {_MOST}", code="invalid_field")
    return int(text)


def _own(request: KeyedRequest) -> Any:
    return Connection.objects.filter(merchant=request.user.merchant_id)


def _find(request: KeyedRequest, connection_id: str) -> Connection:
    """The merchant's connection. Raises ConnectionNotFound, for another merchant's too."""
    found: Connection | None = _own(request).filter(pk=connection_id).first() if is_id(connection_id) else None
    if found is None:
        raise ConnectionNotFound()
    return found


class PlatformWebhookView(PublicView):
    """POST /v1/webhooks/stripe: authenticated by the platform's secret over the raw body."""

    @raises(BadSignature, MalformedEvent)
    @extend_schema(
        operation_id="receivePlatformWebhook",
        summary="Payment events of connected accounts (PSP)",
        request=dict,
        responses=WebhookReply,
    )
    def post(self, request: Request) -> Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        return Response(webhook_reply(receive_for_platform("stripe", request.body, headers)))
