"""Webhooks as the connector takes them: authentic, of this account and mode, and well-formed."""

from datetime import timedelta
from typing import Any

import orjson
import pytest
from django.utils import timezone

from checkout.connectors.base import BadSignature, MalformedEvent
from checkout.connectors.sandbox import signature
from checkout.connectors.sandbox.connector import SandboxConnector
from checkout.connectors.sandbox.models import Account, Event
from tests.checkout.sandbox import factories


def signed(account: Account, payload: Any) -> tuple[bytes, dict[str, str]]:
    body = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    return body, {"sandbox-signature": signature.sign(body, account.webhook_secret, timezone.now())}


@pytest.fixture
def payload(account: Account) -> dict[str, Any]:
    factories.paid_page(account)
    return Event.objects.earliest("created_at").payload


def test_a_signed_event_of_the_account_is_verified(
    connector: SandboxConnector, account: Account, payload: dict[str, Any]
) -> None:
    body, headers = signed(account, payload)

    event = connector.verify_webhook(body, headers, now=timezone.now())

    assert (event.event_id, event.event_type, event.is_live) == (payload["id"], payload["type"], False)
    assert event.payload == payload


def test_an_unsigned_event_is_refused(connector: SandboxConnector, payload: dict[str, Any]) -> None:
    with pytest.raises(BadSignature):
        connector.verify_webhook(orjson.dumps(payload), {}, now=timezone.now())


def test_an_old_delivery_is_refused(connector: SandboxConnector, account: Account, payload: dict[str, Any]) -> None:
    body, headers = signed(account, payload)

    with pytest.raises(BadSignature):
        connector.verify_webhook(body, headers, now=timezone.now() + timedelta(minutes=6))


@pytest.mark.parametrize("change", [{"account": "acct_other"}, {"livemode": True}, {"account": None}], ids=str)
def test_an_event_of_another_account_or_mode_is_malformed(
    connector: SandboxConnector, account: Account, payload: dict[str, Any], change: dict[str, Any]
) -> None:
    body, headers = signed(account, payload | change)

    with pytest.raises(MalformedEvent):
        connector.verify_webhook(body, headers, now=timezone.now())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b"{",
        b"\xff",
        b'{"a":NaN}',
        b'{"a":"\\ud800"}',
        b"[" * 5000,
        b'{"data":{"object":[]}}',
    ],
)
def test_an_authentic_body_that_is_no_event_is_malformed(
    connector: SandboxConnector, account: Account, body: bytes
) -> None:
    with pytest.raises(MalformedEvent):
        connector.verify_webhook(*signed(account, body), now=timezone.now())
