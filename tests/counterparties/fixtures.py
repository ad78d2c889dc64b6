"""Fixtures for tests against Stripe's counterparty; a conftest imports the ones it wants.

`stripe_psp` is one replica for the whole run, `shop` a fresh account in it for each test. Where Node or the
installation is missing the tests skip, or fail if `RAKO_TEST_REQUIRE=all`.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import stripe

from tests.counterparties.faults import FaultProxy
from tests.counterparties.install import missing
from tests.counterparties.recording import RecordingClient
from tests.counterparties.stripe_shim import StripeCounterparty


@dataclass(frozen=True, slots=True)
class Shop:
    """A merchant's account: its id, a key of its own, and a way to call Stripe with any key."""

    psp: StripeCounterparty
    account: str
    key: str
    session: requests.Session

    def client(self, key: str | None = None, url: str | None = None, **options: Any) -> stripe.StripeClient:
        """The real library, which sends only what Stripe's description allows; `url` may be a fault proxy's."""
        at = url or self.psp.url
        timeout = options.pop("timeout", (2, 10))
        options = {"max_network_retries": 0, "client_id": self.psp.client_id, **options}
        http = RecordingClient(timeout=timeout, session=self.session)
        return stripe.StripeClient(key or self.key, base_addresses=_addresses(at), http_client=http, **options)


def _addresses(url: str) -> Any:
    return {"api": url, "connect": url, "files": url, "meter_events": url}


def run_stripe() -> Iterator[StripeCounterparty]:
    """Stripe's counterparty while it runs. Skips or fails without it; a bug of its own fails the run."""
    reason = missing()
    if reason is not None:
        say = pytest.fail if os.environ.get("RAKO_TEST_REQUIRE") == "all" else pytest.skip
        say(f"NO STRIPE COUNTERPARTY: {reason}; nothing was tested against it")
    counterparty = StripeCounterparty()
    yield counterparty
    counterparty.close()
    assert counterparty.bugs == []


stripe_psp = pytest.fixture(scope="session", name="stripe_psp")(run_stripe)


@pytest.fixture
def shop(stripe_psp: StripeCounterparty) -> Iterator[Shop]:
    """A merchant of its own, connected to the platform."""
    account = stripe_psp.open_account()
    with requests.Session() as session:
        yield Shop(stripe_psp, account, stripe_psp.issue_key(account), session)
    stripe_psp.close_account(account)


@pytest.fixture
def stripe_faults(stripe_psp: StripeCounterparty) -> Iterator[FaultProxy]:
    """A way to Stripe's counterparty on which things go wrong."""
    with FaultProxy(stripe_psp.url) as proxy:
        yield proxy
