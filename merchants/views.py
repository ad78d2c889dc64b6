"""AAP Codes over HTTP: issue, verify, publish the keys (protocol, section 1)."""

import base64
from typing import Any

from cryptography.hazmat.primitives import serialization
from django.utils import timezone
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from merchants import codes, keyring
from merchants.codes import OfferNotFound, OfferUnavailable
from merchants.keyring import NoSigningKey, PublicKey, to_datetime
from rako.core.aap_code import Code, InvalidCode
from rako.core.api_views import AnyKeyView, KeyedRequest, PublicView
from rako.core.openapi import raises
from rako.core.wire import InstantField, TextField, WireSerializer, instant


class IssueRequest(WireSerializer):
    required_together = ("offer_id",)
    offer_id = TextField()


class VerifyRequest(WireSerializer):
    required_together = ("code",)
    code = TextField()


class IssueReply(WireSerializer):
    aap_code = serializers.CharField()
    payload = serializers.DictField()
    expires_at = InstantField()


class OfferOfCode(WireSerializer):
    id = serializers.CharField()
    provider = serializers.CharField()
    product = serializers.CharField()
    price = serializers.FloatField()
    currency = serializers.CharField()


class CommissionOfCode(WireSerializer):
    type = serializers.ChoiceField(choices=["cpa", "percentage", "hybrid"])
    value = serializers.FloatField(help_text="Major units for cpa, percent for the others.")
    min = serializers.FloatField(required=False, help_text="The base of a hybrid, in major units.")


class ValidCode(WireSerializer):
    valid = serializers.ChoiceField(choices=[True])
    issuer = serializers.CharField()
    offer = OfferOfCode()
    commission = CommissionOfCode()
    issued_at = InstantField()
    expires_at = InstantField()


class InvalidCodeReply(WireSerializer):
    valid = serializers.ChoiceField(choices=[False])
    error = serializers.CharField()


class PublishedKey(WireSerializer):
    key_id = serializers.CharField()
    public_key = serializers.CharField(help_text="SPKI, PEM.")
    valid_from = InstantField()
    valid_to = InstantField(allow_null=True)


class PublicKeyReply(WireSerializer):
    algorithm = serializers.ChoiceField(choices=["Ed25519"])
    public_key = serializers.CharField(help_text="SPKI, PEM.")
    format = serializers.ChoiceField(choices=["SPKI/PEM"])
    key_id = serializers.CharField()
    keys = PublishedKey(many=True, help_text="All that were published.")


class JsonWebKey(WireSerializer):
    kty = serializers.ChoiceField(choices=["OKP"])
    crv = serializers.ChoiceField(choices=["Ed25519"])
    alg = serializers.ChoiceField(choices=["EdDSA"])
    use = serializers.ChoiceField(choices=["sig"])
    kid = serializers.CharField()
    x = serializers.CharField()


class JwksReply(WireSerializer):
    keys = JsonWebKey(many=True)


class IssueView(AnyKeyView):
    """POST /v1/codes/issue"""

    @raises(OfferNotFound, OfferUnavailable, NoSigningKey)
    @extend_schema(operation_id="issueCode", summary="Issue an AAP Code", request=IssueRequest, responses=IssueReply)
    def post(self, request: KeyedRequest) -> Response:
        offer_id = IssueRequest.read(request)["offer_id"]
        # A merchant gets codes of its own offers; an agent recommends any.
        own = request.user.merchant_id if request.auth == "merchant" else None
        code = codes.issue_for(offer_id, merchant_id=own)
        return Response(
            {"aapCode": code.text, "payload": code.payload, "expiresAt": instant(to_datetime(code.payload["exp"]))}
        )


class VerifyView(PublicView):
    """POST /v1/codes/verify: always 200 for a code, whatever is wrong with it."""

    @extend_schema(
        operation_id="verifyCode",
        summary="Verify an AAP Code",
        request=VerifyRequest,
        responses=PolymorphicProxySerializer("VerifyReply", [ValidCode, InvalidCodeReply], None),
    )
    def post(self, request: Request) -> Response:
        text = VerifyRequest.read(request)["code"]
        try:
            return Response(_verified(codes.verify(text, at=timezone.now())))
        except InvalidCode:
            return Response({"valid": False, "error": "Invalid or expired AAP Code."})


def _verified(code: Code) -> dict[str, Any]:
    content = code.payload
    return {
        "valid": True,
        "issuer": content["iss"],
        "offer": {
            "id": content["off"],
            "provider": content["pro"],
            "product": content["prd"],
            "price": content["prc"],
            "currency": content["cur"],
        },
        "commission": content["com"],
        "issuedAt": instant(to_datetime(content["iat"])),
        "expiresAt": instant(to_datetime(content["exp"])),
    }


class PublicKeyView(PublicView):
    """GET /v1/codes/public-key"""

    @raises(NoSigningKey)
    @extend_schema(operation_id="getPublicKey", summary="The key that AAP Codes verify under", responses=PublicKeyReply)
    def get(self, request: Request) -> Response:
        keys = keyring.published()
        current = keyring.public_key_for(timezone.now()) or keys[0]
        return Response(
            {
                "algorithm": "Ed25519",
                "publicKey": current.pem,
                "format": "SPKI/PEM",
                "keyId": current.key_id,
                "keys": [_key_wire(key) for key in keys],
            }
        )


def _key_wire(key: PublicKey) -> dict[str, Any]:
    return {
        "keyId": key.key_id,
        "publicKey": key.pem,
        "validFrom": instant(key.valid_from),
        "validTo": None if key.valid_to is None else instant(key.valid_to),
    }


class JwksView(PublicView):
    """GET /.well-known/jwks.json: RFC 7517, keys as in RFC 8037."""

    @extend_schema(operation_id="getJwks", summary="The same keys as a JSON Web Key Set", responses=JwksReply)
    def get(self, request: Request) -> Response:
        response = Response({"keys": [_jwk(key) for key in keyring.published()]})
        response["Cache-Control"] = "public, max-age=60"
        return response


def _jwk(key: PublicKey) -> dict[str, str]:
    raw = key.key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    x = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    return {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": key.key_id, "x": x}
