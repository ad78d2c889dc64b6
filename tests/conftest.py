"""Shared fixtures: keys, clients, and the one liberty tests take with the database's guards."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from merchants import codes, keyring
from rako.core.append_only import GUARDED_TABLES
from tests.counterparties.fixtures import shop, stripe_faults, stripe_psp

# Here and nowhere else: each place that imports them would start a replica of its own.
__all__ = ["shop", "stripe_faults", "stripe_psp"]


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """Django's teardown of transactional tests truncates: only that guard is off, and has a test of its own."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        for table in sorted(GUARDED_TABLES):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {table}_no_truncate")


@pytest.fixture(autouse=True)
def _forget_keys() -> None:
    """Keys and codes are remembered per process; each test has its own database."""
    keyring.forget()
    codes.forget()


@pytest.fixture(autouse=True)
def _forget_jobs(request: pytest.FixtureRequest) -> Iterator[None]:
    """What Django empties after a test that commits leaves out the jobs, whose tables are not its own."""
    yield
    if "transactional_db" in request.fixturenames or _commits(request):
        blocker = request.getfixturevalue("django_db_blocker")
        with blocker.unblock(), connection.cursor() as cursor:
            cursor.execute("DELETE FROM procrastinate_jobs")


def _commits(request: pytest.FixtureRequest) -> bool:
    marker = request.node.get_closest_marker("django_db")
    return marker is not None and bool(marker.kwargs.get("transaction"))


class Api:
    """Calls the API as one party, in-process, through the whole stack of middleware."""

    def __init__(self, key: str | None) -> None:
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = Client(raise_request_exception=False)

    def get(self, path: str, **params: Any) -> Any:
        return self._client.get(path, params, headers=self._headers)

    def post(self, path: str, body: Any = None) -> Any:
        return self._client.post(path, body or {}, content_type="application/json", headers=self._headers)

    def send(self, method: str, path: str, body: bytes = b"", content_type: str = "application/json") -> Any:
        return self._client.generic(method, path, body, content_type=content_type, headers=self._headers)


@pytest.fixture
def agent_key(db: None) -> Any:
    """An agent's key row; `.secret` is the key itself."""
    from tests.factories import AgentKeyFactory

    return AgentKeyFactory()


@pytest.fixture
def agent(agent_key: Any) -> Any:
    return agent_key.agent


@pytest.fixture
def as_agent(agent_key: Any) -> Api:
    """The API as the agent sees it."""
    return Api(agent_key.secret)


@pytest.fixture
def as_merchant(db: None) -> Any:
    """The API as a given merchant sees it: `as_merchant(merchant).get(…)`."""
    from tests.factories import MerchantKeyFactory

    return lambda merchant: Api(MerchantKeyFactory(merchant=merchant).secret)


@pytest.fixture
def as_stranger() -> Api:
    """The API without a key."""
    return Api(None)
