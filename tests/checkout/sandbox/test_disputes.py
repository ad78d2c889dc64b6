"""Disputes: one open at a time, decided once, and a lost one may still be won."""

from contextlib import suppress

import pytest
from django.db import IntegrityError, connection, transaction

from checkout.connectors.sandbox import accounts, disputes, events, refunds
from checkout.connectors.sandbox.models import Account, Dispute, Payment
from rako.core.errors import Conflict
from tests.checkout.sandbox import factories
from tests.checkout.sandbox.factories import told
from tests.threads import race


@pytest.fixture
def payment(account: Account) -> Payment:
    return factories.paid(account)


def test_a_dispute_is_of_what_was_not_refunded(payment: Payment) -> None:
    refunds.refund(payment, 200)

    dispute = disputes.open_dispute(payment)

    assert (dispute.amount_minor, dispute.status) == (400, "needs_response")
    assert told()[-1] == events.DISPUTE_CREATED


@pytest.mark.parametrize("amount", [0, -1, 601])
def test_a_dispute_is_within_what_was_paid(payment: Payment, amount: int) -> None:
    with pytest.raises(Conflict, match="nothing left"):
        disputes.open_dispute(payment, amount)


def test_a_payment_has_one_open_dispute(payment: Payment) -> None:
    disputes.open_dispute(payment)

    with pytest.raises(Conflict, match="already"):
        disputes.open_dispute(payment)


def test_a_lost_dispute_is_told_once(payment: Payment) -> None:
    dispute = disputes.open_dispute(payment)

    states = [disputes.lose(dispute.pk).status for _ in range(2)]

    assert (states, told()[2:]) == (["lost"] * 2, [events.DISPUTE_CLOSED])


def test_a_won_dispute_is_told_twice_as_real_processors_do(payment: Payment) -> None:
    dispute = disputes.open_dispute(payment)

    states = [disputes.win(dispute.pk).status for _ in range(2)]

    assert (states, told()[2:]) == (["won"] * 2, [events.DISPUTE_CLOSED, events.DISPUTE_REINSTATED])


def test_a_lost_dispute_may_be_won_late_but_not_lost_again(payment: Payment) -> None:
    dispute = disputes.lose(disputes.open_dispute(payment).pk)

    assert disputes.win(dispute.pk).status == "won"
    assert told()[-1] == events.DISPUTE_REINSTATED
    with pytest.raises(Conflict):
        disputes.lose(dispute.pk)


def test_what_the_bank_kept_is_not_disputed_again(payment: Payment) -> None:
    disputes.lose(disputes.open_dispute(payment).pk)

    with pytest.raises(Conflict, match="kept"):
        disputes.open_dispute(payment)


def test_an_inquiry_is_closed_and_never_lost(payment: Payment) -> None:
    inquiry = disputes.open_dispute(payment, is_inquiry=True)

    with pytest.raises(Conflict):
        disputes.lose(inquiry.pk)
    assert disputes.win(inquiry.pk).status == "warning_closed"
    assert told()[1:] == [events.DISPUTE_CREATED, events.DISPUTE_CLOSED]


def test_an_inquiry_grows_into_the_same_dispute(payment: Payment) -> None:
    inquiry = disputes.open_dispute(payment, is_inquiry=True)

    dispute = disputes.open_dispute(payment)

    assert (dispute.pk, dispute.status) == (inquiry.pk, "needs_response")
    assert told()[-1] == events.DISPUTE_UPDATED


def test_what_was_not_paid_is_not_disputed(account: Account) -> None:
    with pytest.raises(Conflict, match="paid"):
        disputes.open_dispute(factories.paid(account, payment_method="pm_card_declined"))


SQL = (
    "INSERT INTO sandbox_dispute (id, payment_id, amount_minor, status, created_at) VALUES ('du_1', %s, %s, %s, now())"
)


@pytest.mark.parametrize(("amount", "status"), [(601, "lost"), (0, "lost"), (1, "maybe"), (1, "needs_response")])
def test_postgres_refuses_what_cannot_be(payment: Payment, amount: int, status: str) -> None:
    disputes.open_dispute(payment)

    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(SQL, [payment.pk, amount, status])


@pytest.mark.parametrize(("end", "to"), [("lose", "needs_response"), ("win", "lost"), ("win", "needs_response")])
def test_postgres_keeps_what_was_decided(payment: Payment, end: str, to: str) -> None:
    getattr(disputes, end)(disputes.open_dispute(payment).pk)

    with pytest.raises(IntegrityError), transaction.atomic():
        Dispute.objects.update(status=to)


@pytest.mark.django_db(transaction=True)
def test_eight_disputes_at_once_are_one(transactional_db: None) -> None:
    payment = factories.paid(accounts.open_account("Northwind Running", "/hooks/northwind"))

    def attack(_: int) -> None:
        with suppress(Conflict):
            disputes.open_dispute(payment)

    race(attack)

    assert Dispute.objects.count() == told().count(events.DISPUTE_CREATED) == 1
