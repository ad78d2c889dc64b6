"""Refunds: never more than was paid, told each time, and some fail when everybody thought them done."""

from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from checkout.connectors.sandbox import accounts, disputes, events, refunds
from checkout.connectors.sandbox.models import Account, Event, Payment, Refund
from rako.core.errors import Conflict
from tests.checkout.sandbox import factories
from tests.checkout.sandbox.factories import told
from tests.threads import race


@pytest.fixture
def payment(account: Account) -> Payment:
    return factories.paid(account)


def sums() -> list[int]:
    """What the account was told of all refunds together, each time."""
    rows = Event.objects.filter(type=events.CHARGE_REFUNDED).order_by("created_at", "pk")
    return [event.payload["data"]["object"]["amount_refunded"] for event in rows]


def test_a_refund_is_told_with_the_sum_of_all(payment: Payment) -> None:
    refunds.refund(payment, 200)
    refunds.refund(payment, 400)

    assert told()[1:] == [events.REFUND_CREATED, events.CHARGE_REFUNDED] * 2
    assert sums() == [200, 600]


@pytest.mark.parametrize("amount", [0, -1, 601])
def test_a_refund_is_within_what_was_paid(payment: Payment, amount: int) -> None:
    with pytest.raises(Conflict, match="600"):
        refunds.refund(payment, amount)


def test_a_pending_refund_takes_its_part_already(payment: Payment) -> None:
    refunds.refund(payment, 400, is_pending=True)

    with pytest.raises(Conflict, match="200"):
        refunds.refund(payment, 201)
    assert sums() == []


def test_a_pending_refund_arrives_once(payment: Payment) -> None:
    made = refunds.refund(payment, 400, is_pending=True)

    states = [refunds.complete_delayed(made.pk).status for _ in range(2)]

    assert states == ["succeeded"] * 2
    assert told()[1:] == [events.REFUND_CREATED, events.REFUND_UPDATED, events.CHARGE_REFUNDED]


@pytest.mark.parametrize("is_pending", [True, False])
def test_a_refund_may_fail_later_and_leave_room_again(payment: Payment, is_pending: bool) -> None:
    made = refunds.refund(payment, 600, is_pending=is_pending)

    states = [refunds.fail_refund(made.pk).status for _ in range(2)]

    assert (states, told().count(events.REFUND_FAILED)) == (["failed"] * 2, 1)
    assert refunds.refund(payment, 600).status == "succeeded"


def test_a_failed_refund_does_not_arrive(payment: Payment) -> None:
    made = refunds.refund(payment, 600, is_pending=True)
    refunds.fail_refund(made.pk)

    assert refunds.complete_delayed(made.pk).status == "failed"


def test_a_refund_whose_job_was_lost_arrives_all_the_same(payment: Payment) -> None:
    early, late = (refunds.refund(payment, 100, is_pending=True) for _ in range(2))
    Refund.objects.filter(pk=late.pk).update(settles_at=timezone.now() - timedelta(seconds=1))

    assert refunds.settle_overdue() == 1
    assert [Refund.objects.get(pk=one.pk).status for one in (early, late)] == ["pending", "succeeded"]


def test_what_was_not_paid_is_not_refunded(account: Account) -> None:
    with pytest.raises(Conflict, match="paid"):
        refunds.refund(factories.paid(account, payment_method="pm_card_processing"), 1)


def test_what_the_bank_took_is_not_refunded(payment: Payment) -> None:
    dispute = disputes.open_dispute(payment)
    with pytest.raises(Conflict, match="bank"):
        refunds.refund(payment, 1)

    disputes.win(dispute.pk)
    assert refunds.refund(payment, 600).status == "succeeded"


SQL = "INSERT INTO sandbox_refund (id, payment_id, amount_minor, status, created_at) VALUES (%s, %s, %s, %s, now())"


@pytest.mark.parametrize(("amount", "status"), [(601, "succeeded"), (401, "succeeded"), (0, "failed"), (1, "done")])
def test_postgres_refuses_what_cannot_be(payment: Payment, amount: int, status: str) -> None:
    refunds.refund(payment, 200)

    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(SQL, ["re_1", payment.pk, amount, status])


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE sandbox_refund SET amount_minor = 601",
        "UPDATE sandbox_refund SET status = 'pending', settles_at = now() WHERE status = 'succeeded'",
        "UPDATE sandbox_refund SET status = 'succeeded' WHERE status = 'failed'",
        "UPDATE sandbox_payment SET amount_minor = 1",
        "UPDATE sandbox_payment SET currency = 'EUR'",
    ],
)
def test_postgres_keeps_what_was(payment: Payment, sql: str) -> None:
    refunds.refund(payment, 200)
    refunds.fail_refund(refunds.refund(payment, 100).pk)

    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)


@pytest.mark.django_db(transaction=True)
def test_eight_refunds_at_once_stay_within_the_payment(transactional_db: None) -> None:
    payment = factories.paid(accounts.open_account("Northwind Running", "/hooks/northwind"))

    def attack(number: int) -> None:
        with suppress(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(SQL, [f"re_{number}", payment.pk, 250, "succeeded"])

    race(attack)

    assert Refund.objects.count() == 2
    assert refunds.refundable_minor(payment) == 100


@pytest.mark.django_db(transaction=True)
def test_a_refund_arrives_or_fails_and_is_told_in_that_order(transactional_db: None) -> None:
    payment = factories.paid(accounts.open_account("Northwind Running", "/hooks/northwind"))
    made = refunds.refund(payment, 600, is_pending=True)

    race(lambda number: refunds.fail_refund(made.pk) if number % 2 else refunds.complete_delayed(made.pk))

    made.refresh_from_db()
    assert (made.status, told().count(events.REFUND_FAILED)) == ("failed", 1)
    assert told()[-1] == events.REFUND_FAILED
