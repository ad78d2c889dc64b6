"""Payment links: made once, looked at, closed, and never said to be closed while they can be paid."""

from datetime import timedelta

import pytest
from django.utils import timezone

from checkout.connectors.base import (
    Attempt,
    ConnectionRevoked,
    KeyReuseMismatch,
    NotPayable,
    PaymentState,
    PspBusy,
    PspRejected,
)
from checkout.connectors.hyperswitch import statuses
from rako.core.ids import new_id
from rako.core.money import Money
from tests.checkout.hyperswitch import factories


def attempt_of(attempt_id: str) -> Attempt:
    return Attempt(attempt_id, "", timezone.now())


def test_a_link_carries_all_that_was_asked_for(psp, connector):
    request = factories.checkout_request()

    link = connector.create_checkout(request)

    made = psp.payment(link.psp_id)
    assert (link.psp_id, link.url) == (f"pay_{request.attempt_id}", made["payment_link"]["link"])
    assert (made["amount"], made["currency"], made["description"]) == (4990, "EUR", "Trail shoe")
    assert (made["return_url"], made["merchant_order_reference_id"]) == (request.success_url, request.attempt_id)
    assert {len(value) for value in made["metadata"].values()} <= set(range(501))
    assert timedelta(seconds=-2) < link.expires_at - request.expires_at <= timedelta(seconds=0.1)


def test_the_same_attempt_again_gives_the_same_link(psp, connector):
    request = factories.checkout_request()

    assert connector.create_checkout(request) == connector.create_checkout(request)
    assert len(psp.world.payments) == 1


@pytest.mark.parametrize(
    "change",
    [{"money": Money(4991, "EUR")}, {"money": Money(4990, "GBP")}, {"metadata": {"aap_code": "another"}}],
)
def test_an_attempt_cannot_be_used_for_something_else(connector, change):
    request = factories.checkout_request()
    connector.create_checkout(request)

    with pytest.raises(KeyReuseMismatch):
        connector.create_checkout(factories.checkout_request(attempt_id=request.attempt_id, **change))
    with pytest.raises(KeyReuseMismatch):
        connector.charge_stored_method(factories.stored_charge(attempt_id=request.attempt_id))


@pytest.mark.parametrize(("seconds", "allowed"), [(-5, False), (59, False), (62, True), (10**9, True)])
def test_a_link_lives_between_a_minute_and_three_months(psp, connector, seconds, allowed):
    request = factories.checkout_request(expires_at=timezone.now() + timedelta(seconds=seconds))

    if allowed:
        assert connector.create_checkout(request).expires_at <= request.expires_at + timedelta(seconds=1)
    else:
        with pytest.raises(NotPayable):
            connector.create_checkout(request)
    assert len(psp.world.payments) == allowed


@pytest.mark.parametrize("money", [Money(0, "EUR"), Money(1, "MGA"), Money(5, "eur"), Money(10**13, "EUR")])
def test_an_amount_that_hyperswitch_has_no_number_for_is_not_payable(psp, connector, money):
    with pytest.raises(NotPayable):
        connector.create_checkout(factories.checkout_request(money=money))
    assert psp.calls() == []


def test_an_unknown_profile_is_a_broken_connection(shop):
    connector = factories.connector_of(shop, credentials={"api_key": shop.api_key, "profile_id": "pro_other"})

    with pytest.raises(ConnectionRevoked):
        connector.create_checkout(factories.checkout_request())


def test_an_open_link_is_closed_for_good(psp, connector):
    link = connector.create_checkout(factories.checkout_request())

    assert connector.expire_checkout(link.psp_id) == connector.expire_checkout(link.psp_id) == PaymentState.EXPIRED
    assert psp.payment(link.psp_id)["status"] == "cancelled"


@pytest.mark.parametrize(
    ("outcome", "state"), [("succeeded", PaymentState.SUCCEEDED), ("processing", PaymentState.PENDING)]
)
def test_a_buyer_who_was_faster_is_told(psp, connector, outcome, state):
    link = connector.create_checkout(factories.checkout_request())
    psp.pay(link.psp_id, outcome)

    assert connector.expire_checkout(link.psp_id) == state


def test_closing_finds_out_what_only_the_processor_knows(psp, connector):
    link = connector.create_checkout(factories.checkout_request())
    psp.pay(link.psp_id, "processing")
    psp.finish(link.psp_id, "succeeded", unseen=True)

    assert connector.expire_checkout(link.psp_id) == PaymentState.SUCCEEDED


def test_a_buyer_at_the_banks_question_is_stopped(psp, connector):
    link = connector.create_checkout(factories.checkout_request())
    psp.pay(link.psp_id, "action_required")

    assert connector.get_payment(link.psp_id).state == PaymentState.OPEN
    assert connector.expire_checkout(link.psp_id) == PaymentState.EXPIRED


def test_a_declined_link_is_not_said_to_be_closed_before_it_is(expiring_psp):
    connector = factories.connector_of(expiring_psp.add_merchant())
    link = connector.create_checkout(factories.checkout_request(expires_at=timezone.now() + timedelta(seconds=62)))
    expiring_psp.pay(link.psp_id, "declined")

    with pytest.raises(PspBusy):
        connector.expire_checkout(link.psp_id)
    assert connector.get_payment(link.psp_id).state == PaymentState.OPEN
    expiring_psp.pay(link.psp_id)
    assert connector.expire_checkout(link.psp_id) == PaymentState.SUCCEEDED


def test_a_declined_link_that_has_run_out_or_allows_no_second_try_is_closed(scripted, stranger):
    declined = factories.PAYMENT | {
        "status": "failed",
        "amount_received": None,
        "payment_link": {"link": "https://a.b"},
    }
    refusal = {"error": {"type": "invalid_request", "code": "IR_14", "message": "no"}}
    later = (timezone.now() + timedelta(hours=1)).isoformat()
    for change, expected in (
        ({"expires_on": "2026-03-01T13:00:00.000Z"}, PaymentState.EXPIRED),
        ({"expires_on": later, "manual_retry_allowed": False}, PaymentState.EXPIRED),
    ):
        scripted.replies = [(400, refusal, {}), (200, declined | change, {})]
        assert stranger.expire_checkout(declined["payment_id"]) == expected


def test_a_link_that_has_run_out_is_expired_whether_or_not_the_server_says_so(expiring_psp):
    connector = factories.connector_of(expiring_psp.add_merchant())
    request = factories.checkout_request(expires_at=timezone.now() + timedelta(hours=1))
    link = connector.create_checkout(request)
    run_out = {"status": "requires_payment_method", "expires_on": "2026-03-01T13:00:00Z"}
    expiring_psp.advance(3700)

    said = expiring_psp.world.announces_expiry
    assert expiring_psp.payment(link.psp_id)["status"] == ("expired" if said else "requires_payment_method")
    assert statuses.payment_state(run_out, timezone.now()) == PaymentState.EXPIRED
    assert connector.expire_checkout(link.psp_id) == PaymentState.EXPIRED


@pytest.mark.parametrize("psp_id", ["pay_01JEXAMP0E0000000000000000", "", "list", "../account", "a/b?c", "x" * 65])
def test_what_is_not_there_cannot_be_closed_and_is_no_payment(connector, psp_id):
    with pytest.raises(PspRejected):
        connector.expire_checkout(psp_id)
    assert connector.get_payment(psp_id) is None


def test_an_attempt_is_found_as_it_stands(psp, connector):
    request = factories.checkout_request()
    link = connector.create_checkout(request)

    found = connector.find_attempt(attempt_of(request.attempt_id))

    assert (found.psp_id, found.payment_ref, found.psp_ids) == (link.psp_id, link.psp_id, [link.psp_id])
    assert (found.state, found.status, found.attempt_id) == (
        PaymentState.OPEN,
        "requires_payment_method",
        request.attempt_id,
    )
    assert (found.url, found.expires_at, found.money) == (link.url, link.expires_at, request.money)
    assert (found.metadata, found.is_live, found.refunded_minor) == (request.metadata, False, 0)
    assert connector.find_attempt(attempt_of(new_id())) is None
