"""Rako's API pointed at the replica of Stripe over real HTTP; every request Rako sends is held to Stripe's OpenAPI."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.checkout.stripe.conftest import Wire, wire
from tests.conftest import Api
from tests.counterparties.faults import FaultProxy
from tests.counterparties.fixtures import Shop, shop, stripe_faults, stripe_psp
from tests.journeys.stripe.market import Market, open_shop

__all__ = ["Wire", "shop", "stripe_faults", "stripe_psp", "wire"]


@pytest.fixture(autouse=True)
def _way_to_stripe(stripe_faults: FaultProxy, settings: Any) -> None:
    """By way of a proxy on which things can go wrong."""
    settings.RAKO_STRIPE_API_BASE = settings.RAKO_STRIPE_CONNECT_BASE = stripe_faults.url


@pytest.fixture
def market(shop: Shop, as_agent: Api) -> Market:
    """A SIM for 10.00 GBP, for which the agent is paid 6.40 of a commission of 8.00."""
    return Market(shop, as_agent, open_shop(shop))


@pytest.fixture
def another_shop(stripe_psp: Any, shop: Shop) -> Iterator[Callable[[], Shop]]:
    """Opens further accounts at Stripe."""
    opened: list[str] = []

    def build() -> Shop:
        opened.append(stripe_psp.open_account())
        return Shop(stripe_psp, opened[-1], stripe_psp.issue_key(opened[-1]), shop.session)

    yield build
    for account in opened:
        stripe_psp.close_account(account)


@pytest.fixture
def impatient(settings: Any) -> None:
    """Rako waits for Stripe only for a moment."""
    settings.RAKO_PSP_CONNECT_MS, settings.RAKO_PSP_READ_MS = 300, 600
