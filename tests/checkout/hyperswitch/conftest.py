"""Fixtures: the counterparty, a merchant of it, the connector, and a server that says whatever a test wants."""

import re
from collections.abc import Iterator

import pytest
from pytest_django import Settings

from checkout.connectors.hyperswitch.connector import HyperswitchConnector
from tests.checkout.hyperswitch import factories
from tests.checkout.hyperswitch.scripted import Scripted
from tests.counterparties.hyperswitch import HyperswitchCounterparty, Merchant
from tests.counterparties.hyperswitch.world import World

# Keys, client secrets, keys of webhooks and what only bodies hold.
SECRETS = re.compile(r"(snd|prod)_[A-Za-z0-9]|_secret_|hash_[0-9a-f]{8}|client_secret|aap://")
SINK = "http://127.0.0.1:9/hook"


@pytest.fixture(autouse=True)
def short_patience(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    settings.RAKO_PSP_CONNECT_MS, settings.RAKO_PSP_READ_MS = 1000, 2000


@pytest.fixture(autouse=True)
def no_secret_is_ever_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    for phase in ("setup", "call"):
        told = "".join(record.getMessage() for record in caplog.get_records(phase))
        assert not SECRETS.search(told)


@pytest.fixture(scope="session")
def running() -> Iterator[HyperswitchCounterparty]:
    with HyperswitchCounterparty() as running:
        yield running


@pytest.fixture
def psp(running: HyperswitchCounterparty, settings: Settings) -> HyperswitchCounterparty:
    """The one server with a world of the test's own: to start and stop a server takes longer than most tests."""
    running.world = World(mode="sandbox", clock=None, seed=0, announces_expiry=True)
    running.world.base_url = settings.RAKO_HYPERSWITCH_API_BASE = running.base_url
    running._faults.clear()
    running._calls.clear()
    return running


@pytest.fixture(params=[True, False], ids=["announces_expiry", "silent_expiry"])
def expiring_psp(request: pytest.FixtureRequest, settings: Settings) -> Iterator[HyperswitchCounterparty]:
    with HyperswitchCounterparty(announces_expiry=request.param) as running:
        settings.RAKO_HYPERSWITCH_API_BASE = running.base_url
        yield running


@pytest.fixture
def shop(psp: HyperswitchCounterparty) -> Merchant:
    return psp.add_merchant(SINK)


@pytest.fixture
def connector(shop: Merchant) -> HyperswitchConnector:
    return factories.connector_of(shop)


@pytest.fixture
def scripted(settings: Settings) -> Iterator[Scripted]:
    with Scripted() as running:
        settings.RAKO_HYPERSWITCH_API_BASE = running.base_url
        yield running


@pytest.fixture
def stranger() -> HyperswitchConnector:
    """A connector for the scripted server, which knows no merchants."""
    shop = Merchant("merchant_1", "pro_1", "snd_0123456789", "hash_1", None, True)
    return factories.connector_of(shop)
