"""Webhook endpoints as Stripe keeps them, and the relay that signs and delivers events when a test says so."""

import hashlib
import hmac
import http.client
import json
import random
import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from tests.counterparties.stripe_bridge import Replica, World
from tests.counterparties.stripe_errors import ControlError, Refusal, missing
from tests.counterparties.stripe_lists import page
from tests.counterparties.stripe_rules import check_metadata

URL = "/v1/webhook_endpoints"


class Order(StrEnum):
    """In what order a delivery happens; Stripe promises none."""

    OLDEST = "oldest"
    NEWEST = "newest"
    SHUFFLED = "shuffled"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A signed request, ready to be posted; `status` is what the receiver answered, 0 if it was not reached."""

    event_id: str
    event_type: str
    body: bytes
    headers: dict[str, str]
    status: int | None = None


@dataclass
class Endpoints:
    """The endpoints that merchants and the platform registered. A secret is shown once, when one is made."""

    made: dict[World, dict[str, dict[str, Any]]] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    of_connect: set[str] = field(default_factory=set)

    def create(self, world: World, params: dict[str, Any]) -> dict[str, Any]:
        check_metadata(params)
        if world.live and not params["url"].startswith("https://"):
            raise Refusal(400, "Invalid URL: URL must be HTTPS", code="url_invalid", param="url")
        key = f"we_{secrets.token_hex(12)}"
        endpoint = {
            "id": key,
            "object": "webhook_endpoint",
            "api_version": params.get("api_version"),
            "application": None,
            "created": int(time.time()),
            "description": params.get("description"),
            "enabled_events": params["enabled_events"],
            "livemode": world.live,
            "metadata": params.get("metadata", {}),
            "status": "enabled",
            "url": params["url"],
        }
        self.made.setdefault(world, {})[key] = endpoint
        self.secrets[key] = f"whsec_{secrets.token_hex(16)}"
        if params.get("connect"):
            self.of_connect.add(key)
        return endpoint | {"secret": self.secrets[key]}

    def find(self, world: World, key: str) -> dict[str, Any]:
        """Raises Refusal 404."""
        found = self.made.get(world, {}).get(key)
        if found is None:
            raise missing("webhook endpoint", key, "webhook_endpoint")
        return found

    def update(self, world: World, key: str, params: dict[str, Any]) -> dict[str, Any]:
        check_metadata(params)
        endpoint = self.find(world, key)
        if "disabled" in params:
            endpoint["status"] = "disabled" if params["disabled"] else "enabled"
        endpoint |= {name: params[name] for name in ("url", "enabled_events", "description") if name in params}
        endpoint["metadata"] |= params.get("metadata", {})
        return endpoint

    def delete(self, world: World, key: str) -> dict[str, Any]:
        self.find(world, key)
        del self.made[world][key]
        return {"id": key, "object": "webhook_endpoint", "deleted": True}

    def listed(self, world: World, params: dict[str, Any]) -> dict[str, Any]:
        return page(list(self.made.get(world, {}).values()), URL, params, "webhook endpoint")

    def listening(self, world: World, *, connect: bool) -> list[dict[str, Any]]:
        """An account's enabled endpoints: for its own events, or for those of the accounts connected to it."""
        ours = self.made.get(world, {}).values()
        return [one for one in ours if one["status"] == "enabled" and (one["id"] in self.of_connect) == connect]


class Relay:
    """Delivers an account's events, as often and in the order that a test wants."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._delivered: dict[tuple[World, str], set[str]] = {}
        self._failed: dict[World, set[str]] = {}

    def events(self, world: World) -> list[dict[str, Any]]:
        """All events of an account, oldest first."""
        found: list[dict[str, Any]] = []
        query: dict[str, Any] = {"limit": 100}
        while True:
            read = self._replica.get(world, "/v1/events", **query)
            found += read["data"]
            if not read["has_more"]:
                return found[::-1]
            query["starting_after"] = found[-1]["id"]

    def undelivered(self, world: World) -> list[dict[str, Any]]:
        """The events whose last delivery failed, oldest first."""
        return [event for event in self.events(world) if event["id"] in self._failed.get(world, ())]

    def prepare(self, world: World, target: str, secret: str | Sequence[str], **how: Any) -> list[Delivery]:
        """Signed deliveries of the events that `target` has not had yet.

        `how`: `order` (an Order), `seed` of the shuffle, `times` each is delivered, `again` to include what was
        delivered before, `types` to choose by name, `connect=False` for the account's own endpoint, `ago` in seconds
        to sign in the past.
        """
        had = self._delivered.setdefault((world, target), set())
        events = [event for event in self.events(world) if how.get("again") or event["id"] not in had]
        types = how.get("types", ["*"])
        events = [event for event in events if "*" in types or event["type"] in types]
        had.update(event["id"] for event in events)
        events = [event for event in events for _ in range(how.get("times", 1))]
        order = Order(how.get("order", Order.OLDEST))
        if order is Order.NEWEST:
            events.reverse()
        elif order is Order.SHUFFLED:
            random.Random(how.get("seed", 0)).shuffle(events)  # noqa: S311 (an order to repeat, not a secret)
        account = world.account if how.get("connect", True) else None
        keys = [secret] if isinstance(secret, str) else list(secret)
        return [_signed(event, account, keys, int(time.time()) - how.get("ago", 0)) for event in events]

    def post(self, world: World, url: str, deliveries: Iterable[Delivery]) -> list[Delivery]:
        """Deliver by HTTP; what is not answered with 2xx counts as undelivered until it is."""
        return [self._post(world, url, delivery) for delivery in deliveries]

    def _post(self, world: World, url: str, delivery: Delivery) -> Delivery:
        address = urlsplit(url)
        if address.scheme != "http" or address.hostname != "127.0.0.1":
            raise ControlError(f"deliveries never leave this machine, as one to {url} would")
        connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=30)
        try:
            connection.request("POST", address.path or "/", delivery.body, delivery.headers)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException):
            status = 0
        finally:
            connection.close()
        failed = self._failed.setdefault(world, set())
        (failed.discard if 200 <= status < 300 else failed.add)(delivery.event_id)
        return Delivery(delivery.event_id, delivery.event_type, delivery.body, delivery.headers, status)


def sign(body: bytes, keys: Iterable[str], at: int) -> str:
    """The `Stripe-Signature` of a body, one `v1` for each secret: while one is rolled there are two."""
    signed = f"{at}.".encode() + body
    digests = [hmac.new(key.encode(), signed, hashlib.sha256).hexdigest() for key in keys]
    return ",".join([f"t={at}", *(f"v1={digest}" for digest in digests)])


def _signed(event: dict[str, Any], account: str | None, keys: Sequence[str], at: int) -> Delivery:
    shown = event | {"pending_webhooks": 1} | ({"account": account} if account else {})
    body = json.dumps(shown, indent=2).encode()
    headers = {"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": sign(body, keys, at)}
    return Delivery(event["id"], event["type"], body, headers)
