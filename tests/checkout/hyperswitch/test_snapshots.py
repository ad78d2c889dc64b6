"""Payments as they stand, read strictly: no status is guessed and no amount taken for another."""

import pytest

from checkout.connectors.base import ConnectionRevoked, PaymentState, PspFault
from rako.core.money import Money
from tests.checkout.hyperswitch import factories
from tests.checkout.hyperswitch.factories import warnings_of


def test_a_payment_sums_the_refunds_that_went_through(psp, shop, connector):
    link = connector.create_checkout(factories.checkout_request())
    psp.pay(link.psp_id)
    for amount, status in ((1000, "succeeded"), (500, "succeeded"), (100, "pending"), (200, "failed")):
        psp.refund(link.psp_id, amount, status)

    found = connector.get_payment(link.psp_id)

    assert (found.state, found.money, found.refunded_minor) == (PaymentState.SUCCEEDED, Money(4990, "EUR"), 1500)


def test_another_merchants_payment_is_not_there(psp, connector):
    link = connector.create_checkout(factories.checkout_request())

    assert factories.connector_of(psp.add_merchant()).get_payment(link.psp_id) is None


def test_a_payment_in_part_and_one_taken_back_are_told_as_such(scripted, stranger):
    part = factories.PAYMENT | {"status": "partially_captured", "amount_received": 1000}
    scripted.replies = [(200, part, {}), (200, factories.PAYMENT | {"status": "cancelled_post_capture"}, {})]

    first, second = stranger.get_payment("pay_1"), stranger.get_payment("pay_1")

    assert (first.state, first.money, first.status) == (
        PaymentState.SUCCEEDED,
        Money(1000, "EUR"),
        "partially_captured",
    )
    assert (second.state, second.refunded_minor) == (PaymentState.SUCCEEDED, 4990)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("requires_confirmation", PaymentState.OPEN),
        ("requires_capture", PaymentState.PENDING),
        ("requires_merchant_action", PaymentState.PENDING),
        ("review", PaymentState.PENDING),
        ("conflicted", PaymentState.PENDING),
        ("partially_captured_and_capturable", PaymentState.PENDING),
        ("cancelled", PaymentState.FAILED),
        ("expired", PaymentState.EXPIRED),
        ("failed", PaymentState.FAILED),
    ],
)
def test_every_status_has_its_state(scripted, stranger, caplog, status, state):
    scripted.says(factories.PAYMENT | {"status": status})

    assert stranger.get_payment("pay_1").state == state
    assert warnings_of(caplog) == []


def test_an_unknown_status_is_pending_and_logged(scripted, stranger, caplog):
    scripted.says(factories.PAYMENT | {"status": "succeeded_maybe"})

    assert stranger.get_payment("pay_1").state == PaymentState.PENDING
    assert "succeeded_maybe" in caplog.text


@pytest.mark.parametrize(
    "change",
    [
        {"amount": None},
        {"amount": 49.9},
        {"amount": True},
        {"amount": -1},
        {"amount": 10**13},
        {"currency": "E"},
        {"created": "yesterday"},
        {"created": "9999-12-31T23:59:59-23:59"},
        {"status": None},
        {"payment_id": "x" * 256},
        {"metadata": []},
        {"refunds": {}},
        {"refunds": [{"status": "succeeded"}]},
        {"expires_on": 5},
    ],
)
def test_a_reply_of_another_shape_is_a_fault(scripted, stranger, change):
    scripted.says(factories.PAYMENT | {"amount_received": None} | change)

    with pytest.raises(PspFault):
        stranger.get_payment("pay_1")


def test_a_key_of_another_account_is_noticed(scripted, stranger):
    scripted.says(factories.PAYMENT | {"merchant_id": "merchant_2"})

    with pytest.raises(ConnectionRevoked):
        stranger.get_payment("pay_1")


@pytest.mark.parametrize("url", [None, 5, "", "javascript:alert(1)", "https://", "https://a.b/c d", "http://[", "/x"])
def test_a_link_without_an_address_is_a_fault(scripted, stranger, url):
    scripted.says(factories.PAYMENT | {"payment_link": {"link": url}})

    with pytest.raises(PspFault):
        stranger.create_checkout(factories.checkout_request())
