"""How requests leave: one at a time for an attempt, over kept connections, without cookies."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from checkout.connectors.base import ChargeResult, PspBusy
from checkout.connectors.stripe import client
from checkout.connectors.stripe.client import HttpClient, make_http_client
from checkout.connectors.stripe.connector import StripeConnector
from tests.checkout.stripe.factories import checkout_request, stored_charge
from tests.checkout.stripe.test_charges import intents, stored
from tests.counterparties.fixtures import Shop


def test_eight_at_once_make_one_charge(connector: StripeConnector, shop: Shop) -> None:
    request = stored_charge(stored(shop))

    def attempt(_: int) -> ChargeResult | None:
        try:
            return connector.charge_stored_method(request)
        except PspBusy:
            return None

    with ThreadPoolExecutor(8) as pool:
        results = [result for result in pool.map(attempt, range(8)) if result]

    assert [intent.id for intent in intents(shop)] == [results[0].psp_id]
    assert set(results) == {results[0]}


def test_connections_are_kept_and_cookies_are_not(connector: StripeConnector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "make_http_client", make_http_client)
    link = connector.create_checkout(checkout_request())

    first, second = (make_http_client((1.0, 2.0)) for _ in range(2))

    assert isinstance(first, HttpClient)
    assert first._session is second._session is client._local.session
    assert link.url
    assert first._session.cookies._policy.is_not_allowed("api.stripe.com")
    first._session.close()
    del client._local.session


def test_what_is_left_of_the_time_is_shared_out() -> None:
    calls = client.Calls("rk_test_1")
    calls._ends_at = time.monotonic() + 4

    connect, read = calls._timeout()

    assert connect + read <= 4
