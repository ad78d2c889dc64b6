"""The AAP Code: a merchant's offer and its commission terms, signed by the authority (protocol, section 2).

`aap://rako.sh/v1/{base64url(payload)}.{base64url(signature)}`, without padding. The Ed25519 signature is over the
raw JSON bytes of the payload. The code is the same for every agent: it proves the terms, never who earned.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from rako.core import base64url

ISSUER = "rako.sh"
PREFIX = f"aap://{ISSUER}/v1/"
VERSION = 1
LIFE_SECONDS = 30 * 24 * 3600
MAX_LENGTH = 1024
KEY_ORDER = ("v", "iss", "off", "mer", "pro", "prd", "prc", "cur", "com", "iat", "exp")
_FORM = re.compile(re.escape(PREFIX) + r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{86})\Z")


class InvalidCode(Exception):
    """The text is no AAP Code, its signature does not hold, or its time is over."""


@dataclass(frozen=True, slots=True)
class CodeTerms:
    """What a code says. `price` and the values of `commission` are JSON numbers in major units or percent."""

    offer_id: str
    merchant_id: str
    provider: str
    product: str
    price: int | float
    currency: str
    commission: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Code:
    """A decoded code: its text, its payload, and the bytes that were signed. Decoding proves nothing yet."""

    text: str
    payload: dict[str, Any]
    signed_bytes: bytes
    signature: bytes

    @property
    def sha256(self) -> str:
        """The hex digest by which the ledger names a code."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def issue(terms: CodeTerms, key: Ed25519PrivateKey, *, issued_at: int) -> str:
    """A signed code, valid for 30 days from `issued_at` (unix seconds)."""
    content: list[Any] = [VERSION, ISSUER, terms.offer_id, terms.merchant_id, terms.provider, terms.product]
    content += [terms.price, terms.currency, terms.commission, issued_at, issued_at + LIFE_SECONDS]
    payload = orjson.dumps(dict(zip(KEY_ORDER, content, strict=True)))
    return f"{PREFIX}{base64url.encode(payload)}.{base64url.encode(key.sign(payload))}"


def decode(text: str) -> Code:
    """Take a code apart. Raises InvalidCode unless it has exactly the form above, in canonical base64url."""
    match = _FORM.match(text) if len(text) <= MAX_LENGTH else None
    if match is None:
        raise InvalidCode("not an AAP Code")
    signed_bytes, signature = _decode(match[1]), _decode(match[2])
    try:
        payload = orjson.loads(signed_bytes)
    except orjson.JSONDecodeError:
        raise InvalidCode("the payload is not JSON") from None
    if (
        not isinstance(payload, dict)
        or tuple(payload) != KEY_ORDER
        or payload["v"] != VERSION
        or payload["iss"] != ISSUER
    ):
        raise InvalidCode("the payload is not of version 1")
    if type(payload["iat"]) is not int or type(payload["exp"]) is not int:
        raise InvalidCode("the payload has no validity")
    return Code(text, payload, signed_bytes, signature)


def check(code: Code, key: Ed25519PublicKey, *, at: int) -> None:
    """Raises InvalidCode unless the signature holds and `at` (unix seconds) lies in [iat, exp)."""
    try:
        key.verify(code.signature, code.signed_bytes)
    except InvalidSignature:
        raise InvalidCode("the signature does not hold") from None
    if not code.payload["iat"] <= at < code.payload["exp"]:
        raise InvalidCode("the code is not valid at that time")


def _decode(text: str) -> bytes:
    try:
        return base64url.decode(text)
    except ValueError as error:
        raise InvalidCode(str(error)) from None
