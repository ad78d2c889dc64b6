"""Webhook endpoints of the key's owner: a merchant, or the builder of an agent."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from notifications import wire
from notifications.endpoints import (
    EndpointDisabled,
    EndpointNotFound,
    MessageNotFound,
    TooManyEndpoints,
    change_endpoint,
    create_endpoint,
    delete_endpoint,
    resend,
    rotate_secret,
    send_test,
)
from notifications.models import Endpoint, Message
from rako.core.api_views import AnyKeyView, KeyedRequest
from rako.core.errors import BadRequest
from rako.core.ids import is_id
from rako.core.openapi import raises
from rako.core.paging import PAGE_PARAMETERS, paged

_SECRET = {"Cache-Control": "no-store"}


class EndpointsView(AnyKeyView):
    """GET and POST /v1/webhook-endpoints"""

    @extend_schema(
        operation_id="listWebhookEndpoints",
        summary="Your webhook endpoints, newest first",
        responses=wire.EndpointsReply,
    )
    def get(self, request: KeyedRequest) -> Response:
        shown = [wire.endpoint_wire(endpoint) for endpoint in _own(request).order_by("-pk")]
        return Response({"webhookEndpoints": shown, "count": len(shown)})

    @raises(TooManyEndpoints, BadRequest("url must be an https URL", code="invalid_url"))
    @extend_schema(
        operation_id="createWebhookEndpoint",
        summary="Be told what happens to your sales, disputes and payments",
        request=wire.EndpointBody,
        responses=wire.EndpointWithSecretReply,
    )
    def post(self, request: KeyedRequest) -> Response:
        endpoint = create_endpoint(_owner(request), **wire.EndpointBody.read(request))
        return Response(wire.endpoint_wire(endpoint, with_secret=True), headers=_SECRET)


class EndpointView(AnyKeyView):
    """GET, PATCH and DELETE /v1/webhook-endpoints/{id}"""

    http_method_names = ["get", "head", "patch", "delete"]

    @raises(EndpointNotFound)
    @extend_schema(
        operation_id="getWebhookEndpoint", summary="One of your webhook endpoints", responses=wire.EndpointReply
    )
    def get(self, request: KeyedRequest, endpoint_id: str) -> Response:
        return Response(wire.endpoint_wire(_find(request, endpoint_id)))

    @raises(
        EndpointNotFound,
        BadRequest("url must be an https URL", code="invalid_url"),
        BadRequest("since is disabled, and the endpoint is not", code="invalid_since"),
    )
    @extend_schema(
        operation_id="changeWebhookEndpoint",
        summary="Change a webhook endpoint, or enable or disable it",
        request=wire.EndpointChangesBody,
        responses=wire.EndpointReply,
    )
    def patch(self, request: KeyedRequest, endpoint_id: str) -> Response:
        changes = wire.EndpointChangesBody.read(request)
        if "status" in changes:
            changes["state"] = changes.pop("status")
        return Response(wire.endpoint_wire(change_endpoint(_find(request, endpoint_id), changes)))

    @raises(EndpointNotFound)
    @extend_schema(
        operation_id="deleteWebhookEndpoint",
        summary="Delete a webhook endpoint with its deliveries",
        responses={200: wire.DeletedReply},
    )
    def delete(self, request: KeyedRequest, endpoint_id: str) -> Response:
        delete_endpoint(_find(request, endpoint_id))
        return Response({"id": endpoint_id, "deleted": True})


class RotateSecretView(AnyKeyView):
    """POST /v1/webhook-endpoints/{id}/rotate-secret"""

    @raises(EndpointNotFound)
    @extend_schema(
        operation_id="rotateWebhookSecret",
        summary="A new signing secret; the old one signs as well for 24 hours",
        request=None,
        responses=wire.EndpointWithSecretReply,
    )
    def post(self, request: KeyedRequest, endpoint_id: str) -> Response:
        endpoint = rotate_secret(_find(request, endpoint_id))
        return Response(wire.endpoint_wire(endpoint, with_secret=True), headers=_SECRET)


class TestView(AnyKeyView):
    """POST /v1/webhook-endpoints/{id}/test"""

    @raises(EndpointNotFound, EndpointDisabled)
    @extend_schema(
        operation_id="testWebhookEndpoint",
        summary="Send a test.ping; what came of it is among the deliveries",
        request=None,
        responses=wire.DeliveryReply,
    )
    def post(self, request: KeyedRequest, endpoint_id: str) -> Response:
        return Response(wire.delivery_wire(send_test(_find(request, endpoint_id))))


class DeliveriesView(AnyKeyView):
    """GET /v1/webhook-endpoints/{id}/deliveries"""

    @raises(EndpointNotFound)
    @extend_schema(
        operation_id="listWebhookDeliveries",
        summary="What was and will be sent, newest first, with each attempt",
        parameters=PAGE_PARAMETERS,
        responses=wire.DeliveriesReply,
    )
    def get(self, request: KeyedRequest, endpoint_id: str) -> Response:
        rows = _find(request, endpoint_id).messages.prefetch_related("attempts")
        return Response(paged(request, rows, "deliveries", wire.delivery_wire))


class ResendView(AnyKeyView):
    """POST /v1/webhook-endpoints/{id}/deliveries/{messageId}/resend"""

    @raises(EndpointNotFound, MessageNotFound, EndpointDisabled)
    @extend_schema(
        operation_id="resendWebhook",
        summary="Send a message now, under its old id",
        request=None,
        responses=wire.DeliveryReply,
    )
    def post(self, request: KeyedRequest, endpoint_id: str, message_id: str) -> Response:
        endpoint = _find(request, endpoint_id)
        pk = message_id.removeprefix("msg_")
        message = endpoint.messages.filter(pk=pk).first() if is_id(pk) else None
        if message is None:
            raise MessageNotFound()
        return Response(wire.delivery_wire(_with_attempts(resend(endpoint, message))))


def _with_attempts(message: Message) -> Message:
    return Message.objects.prefetch_related("attempts").get(pk=message.pk)


def _owner(request: KeyedRequest) -> dict[str, str]:
    if request.auth == "merchant":
        return {"merchant_id": request.user.merchant_id}
    return {"builder_id": request.user.agent.builder_id}


def _own(request: KeyedRequest) -> Any:
    # A secret whose key is gone must not keep its owner from the rest.
    return Endpoint.objects.filter(**_owner(request)).defer("secret", "old_secret")


def _find(request: KeyedRequest, endpoint_id: str) -> Endpoint:
    """The owner's endpoint. Raises EndpointNotFound, for another party's too."""
    found: Endpoint | None = _own(request).filter(pk=endpoint_id).first() if is_id(endpoint_id) else None
    if found is None:
        raise EndpointNotFound()
    return found
