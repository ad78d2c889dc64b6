"""ACP's `Merchant-Signature: t=<unix>,v1=<hex HMAC-SHA256 of "<t>." + raw body>` on order events (2026-04-17)."""

import hmac
import re
from collections.abc import Sequence
from datetime import datetime

from rako.core.errors import Unauthorized

HEADER = "Merchant-Signature"
TOLERANCE_SECONDS = 300

_SHAPE = re.compile(r"t=([0-9]{1,12}),v1=([0-9a-fA-F]{64})\Z")


class BadSignature(Unauthorized):
    code, message = "invalid_signature", "Invalid signature"


def verify(body: bytes, header: str | None, secrets: Sequence[str], now: datetime) -> None:
    """Return if one of the secrets made the header for this body, no longer ago or ahead than the tolerance.

    Raises BadSignature, and nothing else, for whatever a stranger sends.
    """
    match = _SHAPE.match(header or "")
    if match is None or abs(int(now.timestamp()) - int(match[1])) > TOLERANCE_SECONDS:
        raise BadSignature()
    # An empty secret is one that everybody knows.
    expected = [_digest(body, secret, match[1]) for secret in secrets if secret]
    if not any(hmac.compare_digest(good, match[2].lower()) for good in expected):
        raise BadSignature()


def _digest(body: bytes, secret: str, timestamp: str) -> str:
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, "sha256").hexdigest()
