"""The connector contract, at each PSP: what the rest of Rako relies on whichever it is.

Webhooks, the stories they tell, and lists are in `tests/checkout/contract`.
"""

from dataclasses import replace
from typing import Any

import pytest

from checkout.connectors.base import (
    DECLINE_REASONS,
    ChargeStatus,
    ConnectionRevoked,
    KeyReuseMismatch,
    OutcomeType,
    PaymentConnector,
    PaymentState,
)
from rako.core.ids import new_id
from rako.core.money import Money
from tests.checkout.contract import psp as contract
from tests.checkout.contract import stories
from tests.checkout.contract.fixtures import connector, psp
from tests.checkout.contract.psp import PRICE, Psp

__all__ = ["connector", "psp"]
ENDED = (PaymentState.EXPIRED, PaymentState.FAILED)


# Credentials


def test_good_credentials_lack_nothing(psp: Psp, connector: PaymentConnector) -> None:
    health = connector.verify_connection()

    assert (health.is_live, list(health.missing)) == (False, [])


@pytest.mark.parametrize(
    "call",
    [
        lambda connector: connector.verify_connection(),
        lambda connector: connector.create_checkout(contract.request()),
        lambda connector: connector.find_attempt(contract.attempt(new_id())),
        lambda connector: stories.whole(connector.list_payments),
        lambda connector: stories.whole(connector.list_refunds),
        lambda connector: stories.whole(connector.list_disputes),
    ],
    ids=["verify", "create", "find", "payments", "refunds", "disputes"],
)
def test_revoked_credentials_say_so(psp: Psp, connector: PaymentConnector, call: Any) -> None:
    psp.revoke()

    with pytest.raises(ConnectionRevoked):
        call(connector)


def test_a_stored_method_is_not_charged_with_revoked_credentials(psp: Psp, connector: PaymentConnector) -> None:
    psp.revoke()

    with pytest.raises(ConnectionRevoked):
        connector.charge_stored_method(contract.charge(psp.methods["succeeded"]))


@pytest.mark.parametrize("credentials", [{}, {"api_key": ""}, {"api_key": "x\r\ny", "secret_key": "é"}], ids=str)
def test_credentials_that_are_none_open_nothing(psp: Psp, credentials: dict[str, str]) -> None:
    with pytest.raises(ConnectionRevoked):
        psp.connector(credentials=credentials).create_checkout(contract.request())


# Pages


def test_the_same_attempt_gives_the_same_page(connector: PaymentConnector) -> None:
    request = contract.request()

    first, second = connector.create_checkout(request), connector.create_checkout(request)

    assert (first.psp_id, first.url) == (second.psp_id, second.url)
    assert first.url.startswith("http")


def test_an_attempt_used_for_other_money_is_refused(connector: PaymentConnector) -> None:
    request = contract.request()
    connector.create_checkout(request)

    with pytest.raises(KeyReuseMismatch):
        connector.create_checkout(replace(request, money=Money(1_300, "GBP")))


def test_an_unpaid_page_closes_for_good(connector: PaymentConnector) -> None:
    request = contract.request()
    page = connector.create_checkout(request).psp_id

    assert [connector.expire_checkout(page) for _ in range(2)] == [PaymentState.EXPIRED] * 2
    assert connector.find_attempt(contract.attempt(request.attempt_id)).state in ENDED


def test_closing_a_paid_page_tells_that_it_was_paid(psp: Psp, connector: PaymentConnector) -> None:
    page, _ = stories.paid(psp, connector)

    assert connector.expire_checkout(page) == PaymentState.SUCCEEDED


def test_after_a_decline_nothing_was_paid(psp: Psp, connector: PaymentConnector) -> None:
    request = contract.request()
    psp.decline(connector.create_checkout(request).psp_id)

    found = connector.find_attempt(contract.attempt(request.attempt_id))

    assert found.state not in (PaymentState.SUCCEEDED, PaymentState.PENDING)
    assert OutcomeType.PAYMENT_SUCCEEDED not in stories.plot(stories.told(psp, connector))


# Charges


@pytest.mark.parametrize(
    ("what", "status"),
    [
        ("succeeded", ChargeStatus.SUCCEEDED),
        ("processing", ChargeStatus.PROCESSING),
        ("needs_buyer", ChargeStatus.REQUIRES_ACTION),
        *((reason, ChargeStatus.DECLINED) for reason in DECLINE_REASONS if reason != "authentication_required"),
    ],
)
def test_a_charge_says_how_it_stands(psp: Psp, connector: PaymentConnector, what: str, status: ChargeStatus) -> None:
    if what not in psp.methods:
        pytest.skip("this counterparty has no such payment method")

    result = connector.charge_stored_method(contract.charge(psp.methods[what]))

    assert result.status == status
    assert bool(result.next_action_url) == (status == ChargeStatus.REQUIRES_ACTION)
    assert (result.decline_reason == what) == (status == ChargeStatus.DECLINED)


def test_a_repeated_charge_is_the_same_and_charges_once(psp: Psp, connector: PaymentConnector) -> None:
    request = contract.charge(psp.methods["succeeded"])

    results = [connector.charge_stored_method(request) for _ in range(3)]

    assert {(result.status, result.confirmation) for result in results} == {
        (ChargeStatus.SUCCEEDED, results[0].confirmation)
    }
    assert len(stories.whole(connector.list_payments)) == 1


def test_a_repeated_refusal_is_the_same_refusal(psp: Psp, connector: PaymentConnector) -> None:
    request = contract.charge(psp.methods["generic"])

    results = {connector.charge_stored_method(request) for _ in range(2)}

    assert [result.status for result in results] == [ChargeStatus.DECLINED]


def test_a_charge_under_a_used_attempt_is_refused(psp: Psp, connector: PaymentConnector) -> None:
    request = contract.charge(psp.methods["succeeded"])
    connector.charge_stored_method(request)

    with pytest.raises(KeyReuseMismatch):
        connector.charge_stored_method(replace(request, money=Money(1_300, "GBP")))


def test_a_charge_that_wants_its_buyer_can_be_given_up(psp: Psp, connector: PaymentConnector) -> None:
    result = connector.charge_stored_method(contract.charge(psp.methods["needs_buyer"]))

    assert connector.expire_checkout(result.psp_id) == PaymentState.EXPIRED


# Looking things up


def test_an_attempt_that_never_arrived_is_not_found(connector: PaymentConnector) -> None:
    assert connector.find_attempt(contract.attempt(new_id())) is None


def test_an_attempt_is_found_before_anybody_pays(connector: PaymentConnector) -> None:
    request = contract.request()
    link = connector.create_checkout(request)

    found = connector.find_attempt(contract.attempt(request.attempt_id))

    assert (found.psp_id, found.state, found.url) == (link.psp_id, PaymentState.OPEN, link.url)
    assert (found.attempt_id, found.is_live) == (request.attempt_id, False)


def test_a_paid_attempt_is_found_with_its_payment(psp: Psp, connector: PaymentConnector) -> None:
    request = contract.request()
    page = connector.create_checkout(request).psp_id
    psp.pay(page)

    found = connector.find_attempt(contract.attempt(request.attempt_id))

    assert (found.psp_id, found.state, found.money) == (page, PaymentState.SUCCEEDED, PRICE)
    assert {page, found.payment_ref} <= set(found.psp_ids)
    assert request.metadata.items() <= found.metadata.items()


def test_a_charge_is_found_by_its_attempt(psp: Psp, connector: PaymentConnector) -> None:
    request = contract.charge(psp.methods["succeeded"])
    result = connector.charge_stored_method(request)

    found = connector.find_attempt(contract.attempt(request.attempt_id))

    assert (found.payment_ref, found.state) == (result.confirmation, PaymentState.SUCCEEDED)


@pytest.mark.parametrize("payment_ref", ["", "pi_unknown", "pay_" + "0" * 26, "../payments", "\x00", "é" * 300])
def test_a_payment_that_is_not_there_is_none(connector: PaymentConnector, payment_ref: str) -> None:
    assert connector.get_payment(payment_ref) is None


def test_what_was_refunded_is_told_of_the_payment(psp: Psp, connector: PaymentConnector) -> None:
    _, payment = stories.paid(psp, connector)
    psp.refund(payment, 300)
    refund = psp.refund(payment, 200)

    assert connector.get_payment(payment).refunded_minor == 500
    psp.fail_refund(refund)
    assert connector.get_payment(payment).refunded_minor == 300
