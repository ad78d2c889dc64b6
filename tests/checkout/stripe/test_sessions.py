"""Hosted pages, as Stripe's counterparty makes, pays and closes them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from checkout.connectors.base import (
    KeyReuseMismatch,
    NotPayable,
    PaymentState,
    PspRejected,
)
from checkout.connectors.stripe.connector import StripeConnector
from rako.core.money import Money
from tests.checkout.stripe.conftest import Connect, Wire
from tests.checkout.stripe.factories import attempt, checkout_request
from tests.counterparties.fixtures import Shop

PATH = "/v1/checkout/sessions"


def test_a_page_is_asked_for_as_the_merchants_own_sale(connector: StripeConnector, shop: Shop, wire: Wire) -> None:
    request = checkout_request()

    link = connector.create_checkout(request)

    (call,) = wire.sent(PATH)
    assert call.headers["idempotency-key"] == f"rako:test:co:{request.attempt_id}"
    assert call.headers["stripe-version"] == "2026-10-28.endive"
    assert "stripe-account" not in call.headers
    price = call.params["line_items"][0]["price_data"]
    assert (price["unit_amount"], price["currency"], price["product_data"]["name"]) == (1200, "gbp", request.item_name)
    assert call.params["adaptive_pricing"] == {"enabled": False}
    assert call.params["client_reference_id"] == request.attempt_id
    assert call.params["metadata"] == call.params["payment_intent_data"]["metadata"]
    assert (call.params["success_url"], call.params["cancel_url"]) == (request.success_url, request.cancel_url)
    assert link.psp_id.startswith("cs_test_")
    assert link.psp_id in link.url
    assert link.expires_at == request.expires_at.replace(microsecond=0)


def test_a_connected_account_is_named_in_every_call(connect: Connect, shop: Shop, wire: Wire) -> None:
    connector = connect(mode="connect")

    link = connector.create_checkout(checkout_request())
    connector.expire_checkout(link.psp_id)

    assert {call.headers["stripe-account"] for call in wire.calls} == {shop.account}
    assert shop.client().v1.checkout.sessions.retrieve(link.psp_id).status == "expired"


def test_the_same_attempt_gives_the_same_page(connector: StripeConnector, wire: Wire) -> None:
    request = checkout_request(expires_at=datetime.now(UTC) + timedelta(minutes=3))

    first, again = (connector.create_checkout(request) for _ in range(2))

    assert first == again
    assert wire.sent(PATH)[0].params == wire.sent(PATH)[1].params


def test_an_offer_that_was_renamed_meanwhile_keeps_its_page(connector: StripeConnector, shop: Shop) -> None:
    request = checkout_request()
    first = connector.create_checkout(request)

    again = connector.create_checkout(checkout_request(request.attempt_id, item_name="Another name"))

    assert again.psp_id == first.psp_id
    assert again.url == first.url


@pytest.mark.parametrize("change", ["money", "closed"])
def test_an_attempt_with_other_money_or_a_closed_page_is_not_made_again(
    connector: StripeConnector, change: str
) -> None:
    request = checkout_request()
    link = connector.create_checkout(request)
    if change == "closed":
        connector.expire_checkout(link.psp_id)
    changes: dict[str, Any] = {"money": Money(999, "GBP")} if change == "money" else {"item_name": "Another name"}

    with pytest.raises(KeyReuseMismatch):
        connector.create_checkout(checkout_request(request.attempt_id, **changes))


@pytest.mark.parametrize(
    ("minutes", "at_stripe"), [(1, timedelta(minutes=35)), (20, timedelta(minutes=35)), (60, timedelta(minutes=60))]
)
def test_a_page_closes_as_near_to_the_time_as_stripe_lets_it(
    connector: StripeConnector, shop: Shop, minutes: int, at_stripe: timedelta
) -> None:
    now = datetime.now(UTC)
    request = checkout_request(expires_at=now + timedelta(minutes=minutes))

    link = connector.create_checkout(request)

    shown = shop.client().v1.checkout.sessions.retrieve(link.psp_id)
    assert abs(shown.expires_at - (now + at_stripe).timestamp()) < 5
    assert abs(link.expires_at - request.expires_at) < timedelta(seconds=1)


def test_a_page_stays_open_for_no_more_than_a_day(connector: StripeConnector) -> None:
    link = connector.create_checkout(checkout_request(expires_at=datetime.now(UTC) + timedelta(days=3)))

    assert link.expires_at < datetime.now(UTC) + timedelta(hours=24)


@pytest.mark.parametrize(
    "money", [Money(10, "GBP"), Money(10**9, "GBP"), Money(1200, "ZZZ"), Money(1234, "BHD")], ids=repr
)
def test_money_that_the_account_does_not_take_is_not_payable(connector: StripeConnector, money: Money) -> None:
    with pytest.raises(NotPayable):
        connector.create_checkout(checkout_request(money=money))


def test_an_open_page_is_closed_once_and_for_all(connector: StripeConnector, shop: Shop) -> None:
    link = connector.create_checkout(checkout_request())

    states = [connector.expire_checkout(link.psp_id) for _ in range(2)]

    assert states == [PaymentState.EXPIRED] * 2


@pytest.mark.parametrize(
    ("method", "state"), [("tok_visa", PaymentState.SUCCEEDED), ("sepa_debit", PaymentState.PENDING)]
)
def test_a_buyer_who_was_faster_keeps_what_they_paid(
    connector: StripeConnector, shop: Shop, method: str, state: PaymentState
) -> None:
    link = connector.create_checkout(checkout_request(money=Money(1200, "EUR")))
    shop.psp.pay(shop.account, link.psp_id, method)

    assert connector.expire_checkout(link.psp_id) == state


def test_a_delayed_payment_that_came_to_nothing_has_failed(connector: StripeConnector, shop: Shop) -> None:
    link = connector.create_checkout(checkout_request(money=Money(1200, "EUR")))
    shop.psp.pay(shop.account, link.psp_id, "sepa_debit")
    shop.psp.settle(shop.account, link.psp_id, succeeds=False)

    found = connector.find_attempt(attempt("", link.psp_id))

    assert found is not None
    assert found.state == PaymentState.FAILED


@pytest.mark.parametrize("psp_id", ["cs_test_unknown", "pi_unknown", "re_1", ""])
def test_what_there_is_not_cannot_be_closed(connector: StripeConnector, psp_id: str) -> None:
    with pytest.raises(PspRejected):
        connector.expire_checkout(psp_id)
