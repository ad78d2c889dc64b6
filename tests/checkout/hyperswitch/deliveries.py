"""Deliveries as the tests of signatures and outcomes make them."""

import subprocess
from datetime import UTC, datetime
from typing import Any

from checkout.connectors.base import OutcomeEvent, VerifiedEvent
from checkout.connectors.hyperswitch import signature
from checkout.connectors.hyperswitch.connector import HyperswitchConnector
from tests.checkout.hyperswitch import factories
from tests.counterparties.hyperswitch import Merchant

NOW = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)
SHOP = Merchant("merchant_1", "pro_1", "snd_0123456789", "hash_new", None, True)


def connector(**changes: Any) -> HyperswitchConnector:
    return factories.connector_of(SHOP, **{"webhook_secrets": ["hash_new", "hash_old"]} | changes)


def openssl(key: str, body: bytes) -> str:
    """An independent implementation's signature."""
    command = ["openssl", "dgst", "-sha512", "-hmac", key]
    return subprocess.run(command, input=body, capture_output=True, check=True).stdout.decode().split()[-1]


def verify(body: bytes, header: Any) -> VerifiedEvent:
    headers = {} if header is None else {signature.HEADER: header}
    return connector().verify_webhook(body, headers, now=NOW)


def outcomes_of(event_type: str, subject: Any) -> list[OutcomeEvent]:
    return connector().normalize(connector().read_event(factories.event_body(event_type, subject)))
