"""Connecting in tests: deployments pointed at the counterparties of Stripe and Hyperswitch, and what is typed there."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from checkout.connections import connect
from merchants.models import Connection, Merchant
from tests.counterparties.fixtures import Shop
from tests.counterparties.hyperswitch import HyperswitchCounterparty

__all__ = ["at_stripe", "hyperswitch", "platform"]
SECRET = "whsec_of_the_shops_own_endpoint"
NEWER, NEWEST = "whsec_that_was_rolled_in_first", "whsec_that_was_rolled_in_last"
PLATFORM_SECRET = "whsec_of_the_platforms_endpoint"
NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def at_stripe(shop: Shop, settings: Any) -> Shop:
    """The deployment knows Stripe; a shop there, and nobody's connection yet."""
    settings.RAKO_STRIPE_API_BASE = settings.RAKO_STRIPE_CONNECT_BASE = shop.psp.url
    settings.RAKO_HYPERSWITCH_API_BASE = NOBODY
    return shop


@pytest.fixture
def platform(at_stripe: Shop, settings: Any) -> Shop:
    """The deployment is a platform of Stripe's."""
    settings.RAKO_STRIPE_CLIENT_ID = at_stripe.psp.client_id
    settings.RAKO_STRIPE_PLATFORM_KEY = at_stripe.psp.issue_key()
    settings.RAKO_STRIPE_PLATFORM_WEBHOOK_SECRETS = [PLATFORM_SECRET]
    return at_stripe


@pytest.fixture
def hyperswitch(settings: Any) -> Iterator[HyperswitchCounterparty]:
    """The deployment knows Hyperswitch."""
    with HyperswitchCounterparty() as psp:
        settings.RAKO_HYPERSWITCH_API_BASE = psp.base_url
        yield psp


def key_of(shop: Shop, **how: Any) -> str:
    """A restricted key of the shop's, with all rights unless `missing` takes some."""
    return shop.psp.issue_key(how.pop("account", shop.account), restricted=True, **how)


def connect_shop(merchant: Merchant, shop: Shop, **changes: Any) -> Connection:
    """Connect a merchant to the shop by a key."""
    given = {"credentials": {"api_key": changes.pop("key", None) or key_of(shop)}, "webhook_secret": SECRET}
    return connect(merchant, kind="stripe", **given | changes)


def connected(merchant: Merchant, shop: Shop, **changes: Any) -> Connection:
    """The connection that OAuth makes."""
    content = {"kind": "stripe", "mode": "connect", "account_id": shop.account, "credentials": {"mode": "connect"}}
    return Connection.objects.create(merchant=merchant, webhook_secrets=[], **content | changes)


def everything_stored() -> str:
    """All text in all tables of the database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1")
        found = []
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT row::text FROM "{table}" row')
            found += [text for (text,) in cursor.fetchall()]
    return "\n".join(found)
