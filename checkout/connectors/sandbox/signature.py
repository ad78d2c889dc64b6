"""The signature on webhooks: `Sandbox-Signature: t=<unix>,v1=<hex HMAC-SHA256 of "<t>." + raw body>`."""

import hmac
import re
from collections.abc import Sequence
from datetime import datetime

from checkout.connectors.base import BadSignature

HEADER = "Sandbox-Signature"
TOLERANCE_SECONDS = 300

_MAX_HEADER = 512
_SHAPE = re.compile(r"t=([0-9]{1,12})((?:,v1=[0-9a-f]{64}){1,4})\Z")


def sign(body: bytes, secret: str, now: datetime) -> str:
    """The header's value for a body sent now."""
    timestamp = str(int(now.timestamp()))
    return f"t={timestamp},v1={_digest(body, secret, timestamp)}"


def verify(
    body: bytes, header: str | None, secrets: Sequence[str], now: datetime, tolerance: int = TOLERANCE_SECONDS
) -> None:
    """Return if any of the secrets made the header for this body, no longer ago or ahead than the tolerance.

    Raises BadSignature, and nothing else, for whatever a stranger sends.
    """
    timestamp, candidates = _parse(header)
    if abs(int(now.timestamp()) - int(timestamp)) > tolerance:
        raise BadSignature()
    # An empty secret is one that everybody knows.
    expected = [_digest(body, secret, timestamp) for secret in secrets if secret]
    if not any(hmac.compare_digest(good, given) for good in expected for given in candidates):
        raise BadSignature()


def _parse(header: str | None) -> tuple[str, list[str]]:
    if not isinstance(header, str) or len(header) > _MAX_HEADER:
        raise BadSignature()
    match = _SHAPE.match(header)
    if match is None:
        raise BadSignature()
    return match[1], match[2].removeprefix(",v1=").split(",v1=")


def _digest(body: bytes, secret: str, timestamp: str) -> str:
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, "sha256").hexdigest()
