"""Attribution tokens: our signed word that a merchant's sale goes back to one recommendation (docs/bridges.md).

A token is a JWT (RFC 7519) signed with Ed25519. Unlike the AAP Code it is about one recommendation, for one merchant,
until the session's window closes, and no two are alike. It names neither agent nor buyer. The key is derived from the
deployment's secret key for this one use; its public half is stored when it is first used, and published for good.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from rako.core import base64url
from rako.core.aap_code import ISSUER
from rako.core.errors import NotFound
from rako.core.rows import insert_new
from sessions_app.models import AttributionKey, Recommendation

TYPE = "rako-attribution+jwt"
LONGEST = 600
CLAIMS = ("iss", "aud", "sub", "off", "iat", "exp", "jti")
_FORM = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{86})\Z")
# (Three bytes make four characters: cut there, the rest of the header does not matter.)
_BEGINNING = base64url.encode(orjson.dumps({"alg": "EdDSA", "typ": TYPE})[:42])
_KEY_ID = re.compile(r"[0-9a-f]{16}\Z")


class InvalidToken(NotFound):
    """No token of ours, or not one for this merchant: which of these is nobody's business."""

    code, message = "attribution_token_invalid", "Invalid attribution token"


@dataclass(frozen=True, slots=True)
class AttributionToken:
    """What a token says, once its signature was found to hold. Times are unix seconds."""

    recommendation_id: str
    merchant_id: str
    offer_id: str
    issued_at: int
    expires_at: int
    nonce: str


def issue(recommendation: Recommendation, *, merchant_id: str) -> tuple[str, AttributionToken]:
    """A fresh token for a recommendation of the merchant's offer, good as long as its session."""
    token = AttributionToken(
        recommendation.pk,
        merchant_id,
        recommendation.offer_id,
        issued_at=int(timezone.now().timestamp()),
        expires_at=_seconds(recommendation.session.expires_at),
        nonce=secrets.token_urlsafe(16),
    )
    key = _signing_key()
    _publish(key)
    names = (ISSUER, merchant_id, token.recommendation_id, token.offer_id)
    claims = dict(zip(CLAIMS, (*names, token.issued_at, token.expires_at, token.nonce), strict=True))
    signed = f"{_header(key_id_of(key.public_key()))}.{base64url.encode(orjson.dumps(claims))}"
    return f"{signed}.{base64url.encode(key.sign(signed.encode()))}", token


def is_meant_as_token(text: object) -> bool:
    """Whether a text begins as all our tokens do: what follows may still be wrong."""
    return isinstance(text, str) and text.startswith(_BEGINNING)


def read(text: str) -> AttributionToken:
    """What a token says. Raises InvalidToken unless we signed exactly this text; says nothing of its time."""
    match = _FORM.match(text) if len(text) <= LONGEST else None
    if match is None:
        raise InvalidToken()
    header, claims, signature = match.groups()
    try:
        _key_named_by(header).verify(base64url.decode(signature), f"{header}.{claims}".encode())
        content = orjson.loads(base64url.decode(claims))
    except (InvalidSignature, ValueError):
        raise InvalidToken() from None
    return AttributionToken(*(content[name] for name in ("sub", "aud", "off", "iat", "exp", "jti")))


def find_recommendation(text: str, *, merchant_id: str) -> tuple[Recommendation, AttributionToken]:
    """The recommendation that a merchant's token is of, with session, agent and offer. Raises InvalidToken.

    Whoever got hold of a key still could not make one up: it must say what is recorded.
    """
    token = read(text)
    rows = Recommendation.objects.select_related("session", "agent", "offer__merchant")
    found = rows.filter(pk=token.recommendation_id, offer__merchant=merchant_id).first()
    if found is None or (token.merchant_id, token.offer_id, token.expires_at) != (
        merchant_id,
        found.offer_id,
        _seconds(found.session.expires_at),
    ):
        raise InvalidToken()
    return found, token


def published() -> dict[str, str]:
    """All public keys as base64url by their ids, the present one first."""
    present = _signing_key().public_key()
    stored = AttributionKey.objects.order_by("-first_used_at").values_list("key_id", "public_key")
    return {key_id_of(present): base64url.encode(present.public_bytes_raw())} | dict(stored)


def key_id_of(key: Ed25519PublicKey) -> str:
    """The first 16 hex digits of the SHA-256 over the key's 32 bytes."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def _header(key_id: str) -> str:
    return base64url.encode(orjson.dumps({"alg": "EdDSA", "typ": TYPE, "kid": key_id}))


def _key_named_by(header: str) -> Ed25519PublicKey:
    """The key of a header that is spelt as ours are. Raises ValueError."""
    content: Any = orjson.loads(base64url.decode(header))
    key_id = content.get("kid") if isinstance(content, dict) else None
    # The whole header, compared: nobody chooses another algorithm.
    if not isinstance(key_id, str) or not _KEY_ID.match(key_id) or header != _header(key_id):
        raise ValueError("not our header")
    present = _signing_key().public_key()
    if key_id == key_id_of(present):
        return present
    stored = AttributionKey.objects.filter(pk=key_id).values_list("public_key", flat=True).first()
    return Ed25519PublicKey.from_public_bytes(base64url.decode(stored or ""))


def _signing_key() -> Ed25519PrivateKey:
    return _derived(settings.SECRET_KEY)


@lru_cache(maxsize=4)
def _derived(secret: str) -> Ed25519PrivateKey:
    seed = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"rako attribution tokens").derive(secret.encode())
    return Ed25519PrivateKey.from_private_bytes(seed)


_stored: set[str] = set()  # what this process knows to be in the database


def _publish(key: Ed25519PrivateKey) -> None:
    public = key.public_key()
    key_id = key_id_of(public)
    if key_id not in _stored:
        insert_new(AttributionKey(key_id=key_id, public_key=base64url.encode(public.public_bytes_raw())))
        transaction.on_commit(lambda: _stored.add(key_id))


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
