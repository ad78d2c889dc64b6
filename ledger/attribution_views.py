"""The bridges over HTTP: attribution tokens for merchants, and ACP's order events (docs/bridges.md)."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from ledger import acp_orders, acp_signature
from ledger.acp_events import MalformedEvent
from ledger.acp_signature import BadSignature
from ledger.models import Conversion
from ledger.reports import PaymentInProgress
from merchants import order_feeds
from merchants.keyring import to_datetime
from merchants.views import JwksReply
from rako.core.aap_code import decode
from rako.core.api_views import KeyedRequest, MerchantView, PublicView
from rako.core.errors import NotFound
from rako.core.openapi import raises
from rako.core.wire import FlagField, InstantField, TextField, WireSerializer, instant
from sessions_app import attribution_token
from sessions_app.models import Recommendation
from sessions_app.wire import OfferSummary


def _header(name: str, text: str) -> OpenApiParameter:
    schema = {"type": "string", "pattern": "^[ -~]*$"}
    return OpenApiParameter(name, schema, OpenApiParameter.HEADER, description=text)


class VerifyTokenBody(WireSerializer):
    required_together = ("token",)
    token = TextField()


class TokenReply(WireSerializer):
    valid = serializers.BooleanField(help_text="False, with an `error`, if not this merchant's or too late.")
    recommendation_id = serializers.CharField(required=False)
    session_id = serializers.CharField(required=False)
    offer = OfferSummary(required=False)
    issued_at = InstantField(required=False)
    expires_at = InstantField(required=False)
    used = serializers.BooleanField(required=False, help_text="Whether the session has a sale of this merchant's.")
    conversion_id = serializers.CharField(required=False)
    order_reference = serializers.CharField(required=False)
    error = serializers.CharField(required=False)


class OrderSecretBody(WireSerializer):
    drop_old = FlagField(required=False, help_text="Accept the secret before it no longer, not even for now.")


class OrderSecretReply(WireSerializer):
    secret = serializers.CharField(help_text="Shown this once.")
    address = serializers.CharField(help_text="Where to send order events.")
    secrets = serializers.IntegerField(help_text="How many are accepted: two while one is rotated.")


class OrderEventReply(WireSerializer):
    received = serializers.BooleanField()
    status = serializers.ChoiceField(
        choices=[
            *("conversion_recorded", "evidence_attached", "clawback_recorded", "duplicate", "ignored", "rejected"),
        ]
    )
    conversion_id = serializers.CharField(required=False)
    code = serializers.CharField(required=False)
    reason = serializers.CharField(required=False)

    def get_fields(self) -> dict[str, Any]:
        """With ACP's own field, spelt as ACP has it."""
        return super().get_fields() | {"request_id": serializers.CharField(required=False)}


class VerifyTokenView(MerchantView):
    """POST /v1/attribution/verify: always 200 for a token, whatever is wrong with it."""

    @extend_schema(
        operation_id="verifyAttributionToken",
        summary="What an attribution token of the merchant's own stands for",
        request=VerifyTokenBody,
        responses=TokenReply,
    )
    def post(self, request: KeyedRequest) -> Response:
        text, merchant_id = VerifyTokenBody.read(request)["token"], request.user.merchant_id
        try:
            recommendation, token = attribution_token.find_recommendation(text, merchant_id=merchant_id)
        except attribution_token.InvalidToken:
            return _invalid()
        return _invalid() if recommendation.session.is_expired else Response(_token_wire(recommendation, token))


def _invalid() -> Response:
    return Response({"valid": False, "error": "Invalid or expired attribution token."})


def _token_wire(recommendation: Recommendation, token: attribution_token.AttributionToken) -> dict[str, Any]:
    own = Conversion.objects.filter(session=recommendation.session_id, merchant=token.merchant_id, is_superseded=False)
    sale = own.first()
    reply: dict[str, Any] = {
        "valid": True,
        "recommendationId": recommendation.pk,
        "sessionId": recommendation.session_id,
        "offer": _offer_wire(recommendation),
        "issuedAt": instant(to_datetime(token.issued_at)),
        "expiresAt": instant(to_datetime(token.expires_at)),
        "used": sale is not None,
    }
    return reply if sale is None else reply | {"conversionId": sale.pk, "orderReference": sale.order_reference}


def _offer_wire(recommendation: Recommendation) -> dict[str, Any]:
    """The offer as it was recommended, by the signed code."""
    content = decode(recommendation.aap_code).payload
    return {
        "id": content["off"],
        "provider": content["pro"],
        "name": content["prd"],
        "price": content["prc"],
        "currency": content["cur"],
    }


class TokenKeysView(PublicView):
    """GET /v1/attribution/keys (RFC 7517, keys as in RFC 8037)"""

    @extend_schema(
        operation_id="getAttributionKeys", summary="The keys of attribution tokens (JWKS)", responses=JwksReply
    )
    def get(self, request: Request) -> Response:
        kind = {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig"}
        keys = [kind | {"kid": key_id, "x": x} for key_id, x in attribution_token.published().items()]
        response = Response({"keys": keys})
        response["Cache-Control"] = "public, max-age=60"
        return response


class OrderSecretView(MerchantView):
    """POST /v1/acp/secret"""

    @extend_schema(
        operation_id="issueOrderSecret",
        summary="A new secret to sign ACP order events with; the one before it is accepted, too",
        request=OrderSecretBody,
        responses=OrderSecretReply,
    )
    def post(self, request: KeyedRequest) -> Response:
        asked, merchant = OrderSecretBody.read(request), request.user.merchant
        feed, secret = order_feeds.issue_secret(merchant, drop_old=asked.get("drop_old", False))
        reply = {"secret": secret, "address": order_feeds.address_of(merchant), "secrets": len(feed.secrets)}
        return Response(reply, headers={"Cache-Control": "no-store"})


class OrderEventsView(PublicView):
    """POST /v1/acp/orders/{merchantId}: authenticated by the merchant's signature over the raw body."""

    @raises(BadSignature, MalformedEvent, PaymentInProgress())
    @extend_schema(
        operation_id="receiveOrderEvent",
        summary="ACP order events (merchant's shop)",
        parameters=[
            _header(acp_signature.HEADER, "Over the raw body: `t=<unix>,v1=<64 hex>`."),
            _header("Request-Id", "Given back as `request_id`."),
        ],
        request=dict,
        responses=OrderEventReply,
    )
    def post(self, request: Request, merchant_id: str) -> Response:
        feed = order_feeds.find_feed(merchant_id)
        if feed is None:
            raise NotFound()
        acp_signature.verify(request.body, request.headers.get(acp_signature.HEADER), feed.secrets, timezone.now())
        result = acp_orders.take_in(feed.merchant, request.body)
        reply: dict[str, Any] = {"received": True, "status": result.status}
        if result.conversion is not None:
            reply["conversionId"] = result.conversion.pk
        reply |= {name: text for name, text in (("code", result.code), ("reason", result.reason)) if text}
        request_id = request.headers.get("Request-Id", "")
        return Response(reply | {"request_id": request_id} if request_id.isascii() and request_id else reply)
