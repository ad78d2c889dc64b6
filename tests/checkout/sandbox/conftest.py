"""Fixtures of the sandbox tests: accounts, their connector, and a webhook receiver that really listens."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from pytest_django import Settings

from checkout.connectors.sandbox import accounts, pages
from checkout.connectors.sandbox.connector import SandboxConnector
from checkout.connectors.sandbox.models import Account, PaymentPage
from tests.checkout.sandbox import factories


@pytest.fixture
def account(db: None) -> Account:
    return accounts.open_account("Northwind Running", "/hooks/northwind")


@pytest.fixture
def connector(account: Account) -> SandboxConnector:
    return factories.connector_of(account)


@pytest.fixture
def page(account: Account) -> PaymentPage:
    return pages.create_page(account, factories.checkout_request())


@dataclass
class Receiver:
    """A webhook endpoint: answers with the given statuses one after the other (then 204), remembers what came."""

    statuses: list[int] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    @property
    def types(self) -> list[str]:
        return [json.loads(body)["type"] for body in self.bodies]


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    seen = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.paths.append(self.path)
            seen.headers.append({name.lower(): value for name, value in self.headers.items()})
            seen.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(seen.statuses.pop(0) if seen.statuses else 204)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        settings.RAKO_BASE_URL = f"http://127.0.0.1:{server.server_port}"
        yield seen
        server.shutdown()
