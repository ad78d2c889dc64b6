"""The signature on Stripe's webhooks: `Stripe-Signature: t=<unix>,v1=<hex HMAC-SHA256 of "<t>." + raw body>[,v1=…]`.

Not by the library, which raises other errors than its own for what a stranger may send, and takes future timestamps.
"""

import hmac
import re
from collections.abc import Sequence
from datetime import datetime

from checkout.connectors.base import BadSignature

HEADER = "stripe-signature"
TOLERANCE_SECONDS = 300

_MAX_HEADER = 2048
_TIMESTAMP = re.compile(r"t=([0-9]{1,12})\Z", re.ASCII)
_CANDIDATE = re.compile(r"v1=([0-9a-f]{64})\Z")


def verify(body: bytes, header: str | None, secrets: Sequence[str], now: datetime) -> None:
    """Return if any of the secrets made the header for this body, no longer ago or ahead than the tolerance.

    Raises BadSignature, and nothing else, for whatever a stranger sends. Parts of other schemes are passed over.
    """
    timestamp, candidates = _parse(header)
    if abs(int(now.timestamp()) - int(timestamp)) > TOLERANCE_SECONDS:
        raise BadSignature()
    # An empty secret is one that everybody knows.
    expected = [_digest(body, secret, timestamp) for secret in secrets if isinstance(secret, str) and secret.strip()]
    if not any(hmac.compare_digest(good, given) for good in expected for given in candidates):
        raise BadSignature()


def _parse(header: str | None) -> tuple[str, list[str]]:
    if not isinstance(header, str) or len(header) > _MAX_HEADER:
        raise BadSignature()
    parts = header.split(",")
    timestamps = [match[1] for match in map(_TIMESTAMP.match, parts) if match]
    candidates = [match[1] for match in map(_CANDIDATE.match, parts) if match]
    if len(timestamps) != 1:
        raise BadSignature()
    return timestamps[0], candidates


def _digest(body: bytes, secret: str, timestamp: str) -> str:
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, "sha256").hexdigest()
