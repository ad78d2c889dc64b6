"""The connector contract, as the rest of Rako relies on it."""

from typing import Any

import pytest
from pytest_django import Settings

from checkout.connectors.base import (
    ChargeStatus,
    ConnectionRevoked,
    PaymentState,
    PspRejected,
)
from checkout.connectors.sandbox import accounts, pages, payments
from checkout.connectors.sandbox.connector import SandboxConnector
from checkout.connectors.sandbox.models import Account, PaymentPage
from tests.checkout.sandbox import factories
from tests.checkout.sandbox.factories import FAILS_LATER, SUCCEEDS, SUCCEEDS_LATER


def test_a_checkout_is_a_page_of_ours(connector: SandboxConnector, settings: Settings) -> None:
    request = factories.checkout_request()

    link = connector.create_checkout(request)

    assert link.url == f"{settings.RAKO_BASE_URL}/sandbox/pay/{link.psp_id}"
    assert link.expires_at == request.expires_at


def test_the_same_attempt_gives_the_same_checkout(connector: SandboxConnector) -> None:
    request = factories.checkout_request()

    assert connector.create_checkout(request) == connector.create_checkout(request)


def test_a_wrong_key_is_revoked(account: Account) -> None:
    connector = factories.connector_of(account, credentials={"secret_key": "other"})

    with pytest.raises(ConnectionRevoked):
        connector.create_checkout(factories.checkout_request())


@pytest.mark.parametrize(
    "change",
    [{"credentials": {}}, {"account_id": "acct_unknown"}, {"is_live": True}],
    ids=["no key", "unknown", "live"],
)
def test_a_connection_to_nothing_is_revoked(account: Account, change: dict[str, Any]) -> None:
    with pytest.raises(ConnectionRevoked):
        factories.connector_of(account, **change).find_attempt(factories.attempt("t1"))


@pytest.mark.parametrize(
    "call",
    [
        lambda connector: connector.create_checkout(factories.checkout_request()),
        lambda connector: connector.charge_stored_method(factories.stored_charge()),
        lambda connector: connector.expire_checkout("cs_1"),
        lambda connector: connector.find_attempt(factories.attempt("t1")),
    ],
)
def test_a_closed_account_is_revoked(connector: SandboxConnector, account: Account, call: Any) -> None:
    accounts.close_account(account.pk)

    with pytest.raises(ConnectionRevoked):
        call(connector)


@pytest.mark.parametrize(
    ("token", "status", "reason"),
    [
        ("pm_card_visa", ChargeStatus.SUCCEEDED, ""),
        ("pm_card_declined", ChargeStatus.DECLINED, "generic"),
        ("pm_card_insufficient_funds", ChargeStatus.DECLINED, "insufficient_funds"),
        ("pm_card_expired", ChargeStatus.DECLINED, "expired_card"),
        ("pm_card_processing", ChargeStatus.PROCESSING, ""),
    ],
)
def test_a_charge_says_how_it_stands(
    connector: SandboxConnector, token: str, status: ChargeStatus, reason: str
) -> None:
    result = connector.charge_stored_method(factories.stored_charge(payment_method=token))

    assert (result.status, result.decline_reason, result.next_action_url) == (status, reason, "")
    assert result.psp_id == result.confirmation


def test_a_charge_that_needs_the_buyer_says_where(connector: SandboxConnector, settings: Settings) -> None:
    result = connector.charge_stored_method(factories.stored_charge(payment_method="pm_card_authentication_required"))

    assert result.status == ChargeStatus.REQUIRES_ACTION
    assert result.next_action_url == f"{settings.RAKO_BASE_URL}/sandbox/payments/{result.psp_id}/step-up"


def test_a_repeated_charge_says_how_it_stands_now(connector: SandboxConnector) -> None:
    request = factories.stored_charge(payment_method="pm_card_authentication_required")
    first = connector.charge_stored_method(request)
    payments.answer_step_up(first.psp_id, approve=True)

    again = connector.charge_stored_method(request)

    assert (again.psp_id, again.status) == (first.psp_id, ChargeStatus.SUCCEEDED)


def test_an_open_checkout_expires(connector: SandboxConnector, page: PaymentPage) -> None:
    assert connector.expire_checkout(page.pk) == PaymentState.EXPIRED
    assert connector.expire_checkout(page.pk) == PaymentState.EXPIRED


@pytest.mark.parametrize(
    ("card", "state"), [(SUCCEEDS, PaymentState.SUCCEEDED), (SUCCEEDS_LATER, PaymentState.PENDING)]
)
def test_a_faster_buyer_keeps_the_payment(
    connector: SandboxConnector, page: PaymentPage, card: Any, state: PaymentState
) -> None:
    pages.pay_page(page.pk, card)

    assert connector.expire_checkout(page.pk) == state


def test_a_charge_that_waits_for_the_buyer_can_be_given_up(connector: SandboxConnector) -> None:
    charge = connector.charge_stored_method(factories.stored_charge(payment_method="pm_card_authentication_required"))

    assert connector.expire_checkout(charge.psp_id) == PaymentState.EXPIRED


@pytest.mark.parametrize(
    "psp_id", ["", "cs_1", "cs_01J00000000000000000000000", "pi_01J00000000000000000000000", "\x00"]
)
def test_an_unknown_checkout_is_refused(connector: SandboxConnector, psp_id: str) -> None:
    with pytest.raises(PspRejected):
        connector.expire_checkout(psp_id)


def test_another_accounts_checkout_is_unknown(page: PaymentPage) -> None:
    stranger = factories.connector_of(accounts.open_account("Stranger", "/hooks/stranger"))

    with pytest.raises(PspRejected):
        stranger.expire_checkout(page.pk)


def test_an_attempt_that_never_arrived_is_not_found(connector: SandboxConnector) -> None:
    assert connector.find_attempt(factories.attempt("never")) is None


def test_an_attempt_is_found_as_its_page(connector: SandboxConnector) -> None:
    request = factories.checkout_request()
    link = connector.create_checkout(request)

    found = connector.find_attempt(factories.attempt(request.attempt_id))

    assert found is not None
    assert (found.psp_id, found.state, found.url) == (link.psp_id, PaymentState.OPEN, link.url)


@pytest.mark.parametrize(
    ("card", "settle", "state"),
    [
        (SUCCEEDS, False, PaymentState.SUCCEEDED),
        (SUCCEEDS_LATER, False, PaymentState.PENDING),
        (SUCCEEDS_LATER, True, PaymentState.SUCCEEDED),
        (FAILS_LATER, True, PaymentState.FAILED),
    ],
)
def test_a_found_page_says_how_it_stands(connector: SandboxConnector, card: Any, settle: bool, state: str) -> None:
    request = factories.checkout_request()
    payment = pages.pay_page(connector.create_checkout(request).psp_id, card)
    if settle:
        payments.complete_delayed(payment.pk)

    assert connector.find_attempt(factories.attempt(request.attempt_id)).state == state


def test_a_found_page_whose_time_is_over_is_expired(connector: SandboxConnector, page: PaymentPage) -> None:
    factories.overdue(page)

    assert connector.find_attempt(factories.attempt(page.idempotency_key)).state == PaymentState.EXPIRED


@pytest.mark.parametrize(
    ("token", "state"),
    [
        ("pm_card_visa", PaymentState.SUCCEEDED),
        ("pm_card_declined", PaymentState.FAILED),
        ("pm_card_processing", PaymentState.PENDING),
        ("pm_card_authentication_required", PaymentState.OPEN),
    ],
)
def test_an_attempt_is_found_as_its_charge(connector: SandboxConnector, token: str, state: PaymentState) -> None:
    request = factories.stored_charge(payment_method=token)
    charge = connector.charge_stored_method(request)

    found = connector.find_attempt(factories.attempt(request.attempt_id))

    assert (found.psp_id, found.state) == (charge.psp_id, state)
