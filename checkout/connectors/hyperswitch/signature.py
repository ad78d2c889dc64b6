"""The signature on webhooks: `X-Webhook-Signature-512: <hex HMAC-SHA512 of the raw body>`.

The key is the profile's `payment_response_hash_key`. No time is signed, so an old delivery is as good as a new one:
against replays there is only the event's id, which the inbox stores once and for ever.
"""

import hmac
import re
from collections.abc import Sequence

from checkout.connectors.base import BadSignature

HEADER = "x-webhook-signature-512"
_SHAPE = re.compile(r"[0-9a-f]{128}\Z")


def verify(body: bytes, header: object, secrets: Sequence[str]) -> None:
    """Return if any of the secrets made the header for this body. Without a secret or a header: BadSignature."""
    given = header.strip().lower() if isinstance(header, str) and len(header) <= 256 else ""
    if not _SHAPE.match(given):
        raise BadSignature()
    # An empty secret is one that everybody knows.
    expected = [hmac.new(secret.encode(), body, "sha512").hexdigest() for secret in secrets if secret]
    if not any(hmac.compare_digest(good.encode(), given.encode()) for good in expected):
        raise BadSignature()
