"""Fixtures of the Stripe connector's tests: a connector that really talks HTTP, every request of it judged."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from pytest_django import Settings

from checkout.connectors.base import ConnectionSecrets
from checkout.connectors.stripe import client
from checkout.connectors.stripe.connector import StripeConnector
from tests.counterparties.fixtures import Shop
from tests.counterparties.recording import Call, RecordingClient

SECRET = "whsec_of_the_shop"
PLATFORM_SECRET = "whsec_of_the_platform"


class JudgedClient(RecordingClient, client.HttpClient):
    """The connector's own HTTP client, which sends only what Stripe's description allows."""


@dataclass(frozen=True, slots=True)
class Wire:
    """What was sent, and by which clients."""

    clients: list[JudgedClient]

    @property
    def calls(self) -> list[Call]:
        return [call for one in self.clients for call in one.calls]

    def sent(self, path: str) -> list[Call]:
        return [call for call in self.calls if call.method == "POST" and call.path == path]


@pytest.fixture(autouse=True)
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """Replaces the way requests are sent by one that judges and records them."""
    made: list[JudgedClient] = []
    with requests.Session() as session:

        def make(timeout: tuple[float, float]) -> JudgedClient:
            made.append(JudgedClient(timeout=timeout, session=session))
            return made[-1]

        monkeypatch.setattr(client, "make_http_client", make)
        monkeypatch.setattr("checkout.connectors.stripe.oauth.make_http_client", make)
        yield Wire(made)


@pytest.fixture(autouse=True)
def _nowhere_else(settings: Settings) -> None:
    """Whatever a test does not point to a counterparty reaches nobody."""
    settings.RAKO_STRIPE_API_BASE = settings.RAKO_STRIPE_CONNECT_BASE = "http://127.0.0.1:9"
    settings.RAKO_STRIPE_PLATFORM_WEBHOOK_SECRETS = [PLATFORM_SECRET]


Connect = Callable[..., StripeConnector]


@pytest.fixture
def connect(shop: Shop, settings: Settings) -> Connect:
    """A connector for the shop: by a key of its own, or `mode="connect"`; `url` may be a fault proxy's."""

    def build(**changes: Any) -> StripeConnector:
        at = changes.pop("url", shop.psp.url)
        settings.RAKO_STRIPE_API_BASE = settings.RAKO_STRIPE_CONNECT_BASE = at
        settings.RAKO_STRIPE_CLIENT_ID = shop.psp.client_id
        credentials = {"api_key": changes.pop("key", None) or shop.psp.issue_key(shop.account, restricted=True)}
        if changes.pop("mode", "") == "connect":
            settings.RAKO_STRIPE_PLATFORM_KEY = shop.psp.issue_key()
            credentials = {"mode": "connect"}
        return StripeConnector(secrets_of(shop.account, credentials, **changes))

    return build


def secrets_of(account: str, credentials: dict[str, str], **changes: Any) -> ConnectionSecrets:
    return ConnectionSecrets(
        **{
            "connection_id": "01J00000000000000000000000",
            "account_id": account,
            "is_live": False,
            "credentials": credentials,
            "webhook_secrets": [SECRET],
            **changes,
        }
    )


@pytest.fixture
def connector(connect: Connect) -> StripeConnector:
    return connect()
