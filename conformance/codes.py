"""AAP Codes taken apart and put together by hand (protocol, section 2)."""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from conformance import ed25519
from conformance.rules import Broken, expect

KEY_ORDER = ["v", "iss", "off", "mer", "pro", "prd", "prc", "cur", "com", "iat", "exp"]
_FORM = re.compile(r"(aap://[^/]+/v1/)([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\Z")
_SPKI_HEAD = bytes.fromhex("302a300506032b6570032100")


@dataclass(frozen=True, slots=True)
class Code:
    """A code's parts; `signed` are the bytes that the signature is over."""

    prefix: str
    signed: bytes
    signature: bytes

    @property
    def payload(self) -> dict[str, Any]:
        """What it says, in its own order; numbers with a fraction are Decimals."""
        found: dict[str, Any] = json.loads(self.signed, parse_float=Decimal)
        return found

    @property
    def text(self) -> str:
        """The code as it is written."""
        return f"{self.prefix}{_encode(self.signed)}.{_encode(self.signature)}"

    def is_signed_by(self, key: bytes) -> bool:
        """Whether the key signed exactly these bytes."""
        return ed25519.verify(key, self.signed, self.signature)


def read(text: str) -> Code:
    """A code's parts. Raises Broken unless it has the protocol's form."""
    match = _FORM.match(text)
    if match is None:
        raise Broken(f"{text[:60]}… is not of the form aap://<issuer>/v1/<payload>.<signature> without padding")
    code = Code(match[1], _decode(match[2]), _decode(match[3]))
    expect(code.text == text, "the code's base64url is not canonical")
    return code


def public_key(pem: str) -> bytes:
    """The 32 bytes of an SPKI PEM key. Raises Broken."""
    lines = [line for line in pem.strip().splitlines() if not line.startswith("-----")]
    try:
        raw = base64.b64decode("".join(lines), validate=True)
    except binascii.Error:
        raise Broken("publicKey is not PEM") from None
    expect(raw.startswith(_SPKI_HEAD) and len(raw) == 44, "publicKey is not an Ed25519 key in SPKI")
    return raw[len(_SPKI_HEAD) :]


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
