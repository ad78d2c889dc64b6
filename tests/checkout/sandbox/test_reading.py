"""What the connector reads of the PSP: whose key it is, payments as they stand, and lists to the end."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from checkout.connectors.base import ConnectionRevoked, DisputeState, Page, PaymentState, PspRejected, RefundState
from checkout.connectors.sandbox import accounts, disputes, pages, refunds
from checkout.connectors.sandbox.connector import SandboxConnector
from checkout.connectors.sandbox.models import Account, Event, Payment, PaymentPage
from rako.core.money import Money
from tests.checkout.sandbox import factories
from tests.checkout.sandbox.factories import ASKS_STEP_UP, FAILS_LATER, IS_DECLINED, SUCCEEDS

LISTS = ["list_payments", "list_refunds", "list_disputes", "list_events"]


def window() -> tuple[datetime, datetime]:
    return timezone.now() - timedelta(hours=1), timezone.now() + timedelta(hours=1)


def whole(ask: Callable[..., Page[Any]], since: datetime, until: datetime) -> list[list[Any]]:
    """The pages of a list."""
    found = [ask(since, until)]
    while found[-1].cursor:
        found.append(ask(since, until, cursor=found[-1].cursor))
    return [list(page.items) for page in found]


def test_a_key_says_whose_it_is(account: Account) -> None:
    health = factories.connector_of(account, account_id="").verify_connection()

    assert (health.account_id, health.is_live, list(health.missing)) == (account.pk, False, [])


@pytest.mark.parametrize("key", ["", "other", "\x00"])
def test_a_key_that_opens_nothing_is_revoked(account: Account, key: str) -> None:
    with pytest.raises(ConnectionRevoked):
        factories.connector_of(account, credentials={"secret_key": key}).verify_connection()


def test_a_closed_account_has_no_key(connector: SandboxConnector, account: Account) -> None:
    accounts.close_account(account.pk)

    with pytest.raises(ConnectionRevoked):
        connector.verify_connection()


@pytest.mark.parametrize("ask", LISTS)
def test_a_closed_account_lists_nothing(connector: SandboxConnector, account: Account, ask: str) -> None:
    accounts.close_account(account.pk)

    with pytest.raises(ConnectionRevoked):
        getattr(connector, ask)(*window())


def test_a_page_nobody_paid_on_has_no_payment_yet(connector: SandboxConnector, page: PaymentPage) -> None:
    found = connector.find_attempt(factories.attempt(page.idempotency_key))

    assert found is not None
    assert (found.payment_ref, list(found.psp_ids), found.money) == ("", [page.pk], page.money)
    assert list(connector.list_payments(*window()).items) == []


def test_a_paid_page_is_told_with_its_payment(connector: SandboxConnector, page: PaymentPage) -> None:
    payment = pages.pay_page(page.pk, SUCCEEDS)
    refunds.refund(payment, 2_000)
    refunds.refund(payment, 1_000, is_pending=True)

    found = connector.get_payment(payment.pk)

    assert (found.psp_id, found.payment_ref, list(found.psp_ids)) == (page.pk, payment.pk, [page.pk, payment.pk])
    assert (found.state, found.status, found.refunded_minor) == (PaymentState.SUCCEEDED, "succeeded", 2_000)
    assert (found.attempt_id, found.metadata) == (page.idempotency_key, page.metadata)
    assert found == connector.find_attempt(factories.attempt(page.idempotency_key))


def test_a_charge_is_told_as_itself(connector: SandboxConnector, account: Account) -> None:
    payment = factories.paid(account)

    found = connector.get_payment(payment.pk)

    assert (found.psp_id, found.payment_ref, list(found.psp_ids)) == (payment.pk, payment.pk, [payment.pk])
    assert (found.attempt_id, found.money) == (payment.idempotency_key, Money(600, "GBP"))


@pytest.mark.parametrize(
    ("card", "state"),
    [(IS_DECLINED, PaymentState.OPEN), (ASKS_STEP_UP, PaymentState.OPEN), (FAILS_LATER, PaymentState.PENDING)],
)
def test_a_tried_page_can_be_tried_again(
    connector: SandboxConnector, page: PaymentPage, card: Any, state: PaymentState
) -> None:
    payment = pages.pay_page(page.pk, card)

    assert connector.get_payment(payment.pk).state == state


def test_a_tried_page_that_closed_is_expired(connector: SandboxConnector, page: PaymentPage) -> None:
    payment = pages.pay_page(page.pk, IS_DECLINED)
    pages.expire_page(page.pk)

    assert connector.get_payment(payment.pk).state == PaymentState.EXPIRED


@pytest.mark.parametrize("payment_ref", ["", "pi_1", "cs_01J00000000000000000000000", "\x00"])
def test_an_unknown_payment_is_none(connector: SandboxConnector, payment_ref: str) -> None:
    assert connector.get_payment(payment_ref) is None


def test_another_accounts_payment_is_none(connector: SandboxConnector) -> None:
    payment = factories.paid(accounts.open_account("Stranger", "/hooks/stranger"))

    assert connector.get_payment(payment.pk) is None
    assert [list(getattr(connector, ask)(*window()).items) for ask in LISTS] == [[]] * 4


def test_refunds_and_disputes_are_told_as_they_stand(connector: SandboxConnector, account: Account) -> None:
    payment = factories.paid(account)
    refund = refunds.fail_refund(refunds.refund(payment, 200).pk)
    dispute = disputes.lose(disputes.open_dispute(payment).pk)

    [told], [disputed] = connector.list_refunds(*window()).items, connector.list_disputes(*window()).items

    assert (told.refund_id, told.payment_ref, told.state) == (refund.pk, payment.pk, RefundState.FAILED)
    assert (disputed.dispute_id, disputed.payment_ref, disputed.state) == (dispute.pk, payment.pk, DisputeState.LOST)
    assert (told.money, disputed.money) == (Money(200, "GBP"), Money(600, "GBP"))


def test_a_long_list_comes_in_hundreds_and_in_order(connector: SandboxConnector, account: Account) -> None:
    made = [factories.paid(account).pk for _ in range(205)]
    # Of one moment: the order must hold all the same.
    Payment.objects.update(created_at=timezone.now())

    found = whole(connector.list_payments, *window())

    assert [len(page) for page in found] == [100, 100, 5]
    assert [item.payment_ref for page in found for item in page] == sorted(made)


def test_a_list_of_a_hundred_ends(connector: SandboxConnector, account: Account) -> None:
    payment = factories.paid(account)
    for _ in range(100):
        refunds.refund(payment, 1)

    assert [len(page) for page in whole(connector.list_refunds, *window())] == [100]
    assert [len(page) for page in whole(connector.list_events, *window())] == [100, 100, 1]


def test_a_list_holds_its_window(connector: SandboxConnector, account: Account) -> None:
    payment = factories.paid(account)
    at = payment.created_at

    assert connector.list_payments(at, at + timedelta(microseconds=1)).items
    assert not connector.list_payments(at - timedelta(hours=1), at).items


@pytest.mark.parametrize("ask", LISTS)
@pytest.mark.parametrize("cursor", ["x", "pi_01J00000000000000000000000", "\x00"])
def test_a_strange_cursor_is_refused(connector: SandboxConnector, ask: str, cursor: str) -> None:
    with pytest.raises(PspRejected):
        getattr(connector, ask)(*window(), cursor=cursor)


def test_listed_events_are_what_was_told(connector: SandboxConnector, account: Account) -> None:
    refunds.refund(factories.paid(account), 600)

    found = connector.list_events(*window()).items

    assert [event.payload for event in found] == [event.payload for event in Event.objects.order_by("pk")]


def test_a_list_is_read_in_few_queries(connector: SandboxConnector, account: Account) -> None:
    for _ in range(20):
        refunds.refund(Payment.objects.get(page=factories.paid_page(account)), 1)

    for ask in LISTS:
        with CaptureQueriesContext(connection) as queries:
            assert len(getattr(connector, ask)(*window()).items) >= (20 if ask != "list_disputes" else 0)
        assert len(queries) == 2  # the account, the list
