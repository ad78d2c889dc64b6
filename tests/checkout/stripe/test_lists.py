"""What Stripe holds: attempts whose answer was lost, payments as they stand, and everything in a span of time."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from checkout.connectors.base import (
    DisputeState,
    PaymentState,
    PspTimeout,
    RefundState,
)
from checkout.connectors.stripe import attempts, lists
from checkout.connectors.stripe.connector import StripeConnector
from tests.checkout.stripe.conftest import Connect, Wire
from tests.checkout.stripe.factories import BROKE_CARD, PRICE, attempt, checkout_request, metadata_of, stored_charge
from tests.checkout.stripe.test_charges import stored
from tests.counterparties.fixtures import Shop

MINUTE = timedelta(minutes=1)


def span() -> dict[str, datetime]:
    return {"since": datetime.now(UTC) - MINUTE, "until": datetime.now(UTC) + MINUTE}


@pytest.mark.parametrize("is_known", [True, False])
def test_a_page_is_found_by_its_attempt(connector: StripeConnector, shop: Shop, is_known: bool) -> None:
    request = checkout_request()
    link = connector.create_checkout(request)
    connector.create_checkout(checkout_request())

    found = connector.find_attempt(attempt(request.attempt_id, link.psp_id if is_known else ""))

    assert found is not None
    assert (found.psp_id, found.url, found.state) == (link.psp_id, link.url, PaymentState.OPEN)
    assert (found.attempt_id, found.metadata) == (request.attempt_id, metadata_of(request.attempt_id))
    assert (found.money, found.payment_ref, found.psp_ids) == (PRICE, "", [link.psp_id])
    assert found.expires_at == link.expires_at


@pytest.mark.parametrize("is_known", [True, False])
def test_a_paid_page_is_found_with_its_payment(connector: StripeConnector, shop: Shop, is_known: bool) -> None:
    request = checkout_request()
    link = connector.create_checkout(request)
    paid = shop.psp.pay(shop.account, link.psp_id)
    shop.psp.refund(shop.account, paid.payment_intent, 200)

    found = connector.find_attempt(attempt(request.attempt_id, link.psp_id if is_known else ""))

    assert found is not None
    assert (found.psp_id, found.payment_ref) == (link.psp_id, paid.payment_intent)
    assert (found.state, found.refunded_minor, found.status) == (PaymentState.SUCCEEDED, 200, "complete")
    assert [one[:3] for one in found.psp_ids] == ["cs_", "pi_", "ch_"]


@pytest.mark.parametrize(("card", "state"), [("tok_visa", PaymentState.SUCCEEDED), (BROKE_CARD, PaymentState.FAILED)])
def test_a_charge_is_found_by_its_attempt(
    connector: StripeConnector, shop: Shop, card: str, state: PaymentState
) -> None:
    request = stored_charge(stored(shop, card))
    result = connector.charge_stored_method(request)

    found = [connector.find_attempt(attempt(request.attempt_id, psp_id)) for psp_id in ("", result.psp_id)]

    assert found[0] == found[1]
    assert found[0] is not None
    assert (found[0].psp_id, found[0].state, found[0].money) == (result.psp_id, state, PRICE)
    assert found[0].metadata == metadata_of(request.attempt_id)


@pytest.mark.parametrize("psp_id", ["", "cs_test_unknown", "pi_unknown", "du_1"])
def test_what_never_arrived_is_not_found(connector: StripeConnector, psp_id: str) -> None:
    connector.create_checkout(checkout_request())

    assert connector.find_attempt(attempt("01J00000000000000000000000", psp_id)) is None


def test_what_was_made_at_another_time_is_not_looked_through(connector: StripeConnector, wire: Wire) -> None:
    request = checkout_request()
    connector.create_checkout(request)

    assert (
        connector.find_attempt(attempt(request.attempt_id, created_at=datetime.now(UTC) - timedelta(hours=2))) is None
    )
    assert {call.params["limit"] for call in wire.calls if call.method == "GET"} == {100}


def test_an_attempt_is_found_on_a_later_page_or_not_denied(
    connector: StripeConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "MOST", 1)
    requests = [checkout_request() for _ in range(3)]
    links = [connector.create_checkout(request) for request in requests]

    found = connector.find_attempt(attempt(requests[0].attempt_id))

    assert found is not None
    assert found.psp_id == links[0].psp_id
    monkeypatch.setattr(attempts, "MOST_PAGES", 2)
    with pytest.raises(PspTimeout):
        connector.find_attempt(attempt(requests[0].attempt_id))


def test_a_payment_is_read_as_it_stands(connector: StripeConnector, shop: Shop) -> None:
    request = checkout_request()
    link = connector.create_checkout(request)
    paid = shop.psp.pay(shop.account, link.psp_id)
    shop.psp.refund(shop.account, paid.payment_intent, 300)

    found = connector.get_payment(paid.payment_intent)

    assert found is not None
    assert (found.payment_ref, found.psp_id, found.refunded_minor) == (paid.payment_intent, link.psp_id, 300)
    assert (found.attempt_id, found.state, found.is_live) == (request.attempt_id, PaymentState.SUCCEEDED, False)
    assert connector.get_payment("pi_unknown") is None


def test_another_accounts_payment_is_none_of_ours(connector: StripeConnector, connect: Connect, shop: Shop) -> None:
    sale = connector.charge_stored_method(stored_charge(stored(shop)))
    other = shop.psp.open_account()

    assert connect(key=shop.psp.issue_key(other)).get_payment(sale.psp_id) is None
    shop.psp.close_account(other)


def drain(method: Any) -> list[Any]:
    """All items, page by page."""
    items, cursor = [], ""
    while True:
        page = method(**span(), cursor=cursor)
        items += page.items
        cursor = page.cursor
        if not cursor:
            return items


def test_everything_is_listed_page_by_page(
    connector: StripeConnector, shop: Shop, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "MOST", 2)
    sales = [connector.charge_stored_method(stored_charge(stored(shop))).psp_id for _ in range(3)]
    refunds = {shop.psp.refund(shop.account, sale, 100)["id"]: sale for sale in sales}
    disputes = {shop.psp.dispute(shop.account, sale)["id"]: sale for sale in sales}
    before = len(wire.calls)

    payments = drain(connector.list_payments)

    assert [payment.payment_ref for payment in payments] == sales[::-1]
    assert {(payment.state, payment.refunded_minor) for payment in payments} == {(PaymentState.SUCCEEDED, 100)}
    assert len(wire.calls) == before + 2
    found = drain(connector.list_refunds)
    assert {one.refund_id: one.payment_ref for one in found} == refunds
    assert {(one.state, one.money.amount_minor) for one in found} == {(RefundState.SUCCEEDED, 100)}
    opened = drain(connector.list_disputes)
    assert {one.dispute_id: one.payment_ref for one in opened} == disputes
    assert {one.state for one in opened} == {DisputeState.OPEN}


def test_what_the_account_was_told_is_kept(connector: StripeConnector, shop: Shop) -> None:
    sale = connector.charge_stored_method(stored_charge(stored(shop)))
    shop.psp.refund(shop.account, sale.psp_id, 100)

    events = drain(connector.list_events)

    assert {event.event_type for event in events} == {"payment_intent.succeeded", "refund.created", "charge.refunded"}
    outcomes = [outcome for event in events for outcome in connector.normalize(event)]
    assert {outcome.payment_ref for outcome in outcomes} == {sale.psp_id}
    assert {outcome.account_id for outcome in outcomes} == {shop.account}


def test_a_span_ends_before_its_end(connector: StripeConnector, shop: Shop) -> None:
    connector.charge_stored_method(stored_charge(stored(shop)))
    earlier = datetime.now(UTC) - MINUTE

    for method in (connector.list_payments, connector.list_refunds, connector.list_disputes, connector.list_events):
        assert method(earlier - MINUTE, earlier).items == []
