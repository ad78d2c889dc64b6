"""The other side of a checkout, for tests: the sandbox PSP's buyer and its signed deliveries, in-process."""

import json
from datetime import timedelta
from typing import Any

from django.test import Client
from django.utils import timezone

from checkout import inbox
from checkout.connectors.sandbox import cards, pages, signature
from checkout.connectors.sandbox.models import Event
from checkout.models import Checkout
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


def delivery(connection: Connection, payload: Any, **changes: str) -> inbox.Delivery:
    """An event as the PSP would send it, for the inbox; `secret` and `connection_id` can be told otherwise."""
    body = json.dumps(payload).encode()
    signed = signature.sign(body, changes.get("secret", connection.webhook_secrets[0]), timezone.now())
    pk = changes.get("connection_id", connection.pk)
    return inbox.Delivery(connection.kind, pk, body, {"sandbox-signature": signed})


def paid_event(checkout: Checkout, **changes: Any) -> dict[str, Any]:
    """The event of a paid page, with changes to its object (`metadata` is merged)."""
    event = next(event for event in pay(checkout) if event["type"] == "checkout.session.completed")
    metadata = changes.pop("metadata", {})
    event["data"]["object"] |= changes
    event["data"]["object"]["metadata"] = event["data"]["object"]["metadata"] | metadata
    return event
