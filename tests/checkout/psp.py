"""The other side of a checkout, for tests: the sandbox PSP's buyer and its signed deliveries, in-process."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.test import Client
from django.utils import timezone

from checkout import inbox
from checkout.connectors.registry import connector_for
from checkout.connectors.sandbox import cards, pages, signature
from checkout.connectors.sandbox.models import Event
from checkout.models import Checkout, WebhookReceipt
from checkout.outcomes import Result
from checkout.receipts import new_receipt, stored
from checkout.start import start_checkout
from merchants.models import Connection
from sessions_app.models import Recommendation


def checkout_of(recommendation: Recommendation) -> Checkout:
    """A live payment page for a recommendation."""
    agent = recommendation.agent
    return start_checkout(agent, session_id=recommendation.session_id, recommendation_id=recommendation.pk)


def pay(checkout: Checkout, card: str = "succeeds") -> list[dict[str, Any]]:
    """The buyer pays; returns the payloads of the events the PSP tells of it, oldest first."""
    known = set(Event.objects.values_list("pk", flat=True))
    pages.pay_page(checkout.psp_id, cards.by_name(card))
    return [event.payload for event in Event.objects.exclude(pk__in=known).order_by("created_at", "pk")]


def deliver(connection: Connection, payload: Any, **changes: Any) -> Any:
    """Send an event as the PSP would; `secret`, `body`, `header` and its age (`ago`, seconds) can be told otherwise."""
    body = changes.get("body", json.dumps(payload).encode())
    at = timezone.now() - timedelta(seconds=changes.get("ago", 0))
    header = changes.get("header", signature.sign(body, changes.get("secret", connection.webhook_secrets[0]), at))
    return Client(raise_request_exception=False).post(
        f"/v1/webhooks/{connection.kind}/{connection.pk}",
        body,
        content_type="application/json",
        headers={"Sandbox-Signature": header} if header is not None else {},
    )


def delivery(connection: Connection, payload: Any) -> tuple[Connection, bytes, dict[str, str]]:
    """An event as the PSP would send it, for `inbox.receive`."""
    body = json.dumps(payload).encode()
    signed = signature.sign(body, connection.webhook_secrets[0], timezone.now())
    return connection, body, {"sandbox-signature": signed}


def receive_together(deliveries: Sequence[tuple[Connection, bytes, dict[str, str]]]) -> list[Result | Exception]:
    """What becomes of deliveries that reach a process at the same time, in order."""
    receipts = [_receipt(*each) for each in deliveries]
    usual = inbox.take_in_usual(receipts)
    return [result or _alone(*each) for result, each in zip(usual, deliveries, strict=True)]


def _receipt(connection: Connection, body: bytes, headers: dict[str, str]) -> WebhookReceipt:
    event = connector_for(connection).verify_webhook(body, headers, now=timezone.now())
    return new_receipt(connection, event.event_id, event.event_type, body, headers=headers)


def _alone(connection: Connection, body: bytes, headers: dict[str, str]) -> Result | Exception:
    try:
        receipt = stored(_receipt(connection, body, headers))
        return inbox.process(receipt.pk)[1]
    except Exception as error:
        return error


def paid_event(checkout: Checkout, **changes: Any) -> dict[str, Any]:
    """The event of a paid page, with changes to its object (`metadata` is merged)."""
    event = next(event for event in pay(checkout) if event["type"] == "checkout.session.completed")
    metadata = changes.pop("metadata", {})
    event["data"]["object"] |= changes
    event["data"]["object"]["metadata"] = event["data"]["object"]["metadata"] | metadata
    return event
