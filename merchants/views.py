"""AAP Codes over HTTP: issue, verify, publish the keys (protocol, section 1)."""

import base64
from typing import Any

from cryptography.hazmat.primitives import serialization
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from merchants import codes, keyring
from merchants.keyring import PublicKey, to_datetime
from rako.core.aap_code import Code, InvalidCode
from rako.core.api_views import AnyKeyView, KeyedRequest, PublicView
from rako.core.wire import TextField, WireSerializer, instant


class IssueRequest(WireSerializer):
    required_together = ("offer_id",)
    offer_id = TextField()


class VerifyRequest(WireSerializer):
    required_together = ("code",)
    code = TextField()


class IssueReply(WireSerializer):
    aap_code = serializers.CharField()
    payload = serializers.DictField()
    expires_at = serializers.DateTimeField()


class IssueView(AnyKeyView):
    """POST /v1/codes/issue"""

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
        operation_id="verifyCode", summary="Verify an AAP Code", request=VerifyRequest, responses=dict, auth=[]
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

    @extend_schema(operation_id="getPublicKey", summary="The key that AAP Codes verify under", responses=dict, auth=[])
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
    """GET /.well-known/jwks.json (RFC 7517, keys as in RFC 8037)"""

    @extend_schema(operation_id="getJwks", summary="The same keys as a JSON Web Key Set", responses=dict, auth=[])
    def get(self, request: Request) -> Response:
        response = Response({"keys": [_jwk(key) for key in keyring.published()]})
        response["Cache-Control"] = "public, max-age=60"
        return response


def _jwk(key: PublicKey) -> dict[str, str]:
    raw = key.key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    x = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    return {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": key.key_id, "x": x}
