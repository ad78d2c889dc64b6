"""Signatures of webhooks by the Standard Webhooks rules: HMAC-SHA256 over id, time and body, a secret per endpoint."""

import base64
import secrets
from collections.abc import Sequence
from datetime import datetime

from standardwebhooks import Webhook

_SECRET_BYTES = 32


def new_secret() -> str:
    """A fresh signing secret, `whsec_…`."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def signed_headers(message_id: str, body: str, at: datetime, keys: Sequence[str]) -> dict[str, str]:
    """What goes with a body: a signature by each secret, so that receivers may change theirs while it is rotated.

    `at` is the time of the attempt, in UTC: receivers refuse what is minutes old.
    """
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(Webhook(key).sign(message_id, at, body) for key in keys),
    }
