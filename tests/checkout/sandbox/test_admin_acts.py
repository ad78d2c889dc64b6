"""What staff let happen in the admin: asked for first, logged, under a permission of its own."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from checkout.connectors.sandbox import disputes, events, refunds
from checkout.connectors.sandbox.models import Account, Dispute, Payment, Refund
from tests import staff
from tests.checkout.sandbox import factories
from tests.checkout.sandbox.factories import told

WHY = "trying it out"


@pytest.fixture
def boss(db: None) -> Client:
    return staff.superuser()


@pytest.fixture
def payment(account: Account) -> Payment:
    return factories.paid(account)


def refund(client: Client, *payments: Payment, amount: str = "2.50", **more: Any) -> Any:
    return staff.act(client, "refund", *payments, amount_minor=amount, reason=WHY, **more)


def test_a_part_is_refunded(boss: Client, payment: Payment) -> None:
    reply = refund(boss, payment)

    made = Refund.objects.get()
    assert (made.amount_minor, made.status) == (250, "succeeded")
    assert staff.said(reply) == [f"Refunded: 2.50 GBP of {payment.pk}."]
    assert LogEntry.objects.get().change_message == f"Refunded: {WHY}"


def test_a_refund_may_take_its_time(boss: Client, payment: Payment) -> None:
    refund(boss, payment, is_pending="on")

    assert Refund.objects.get().status == "pending"


def test_the_amount_is_asked_for_with_what_is_left(boss: Client, payment: Payment) -> None:
    refunds.refund(payment, 100)

    asked = staff.act(boss, "refund", payment).content.decode()

    assert "at most 5.00" in asked
    assert Refund.objects.count() == 1


@pytest.mark.parametrize("amount", ["", "x", "0", "-1", "6.01", "1.001", "1e2", "٣"])
def test_an_amount_out_of_bounds_is_asked_for_again(boss: Client, payment: Payment, amount: str) -> None:
    reply = refund(boss, payment, amount=amount)

    assert "errorlist" in reply.content.decode()
    assert not Refund.objects.exists()


def test_one_payment_is_refunded_at_a_time(boss: Client, payment: Payment, account: Account) -> None:
    assert staff.said(refund(boss, payment, factories.paid(account))) == ["Choose one payment to refund."]


def test_a_dispute_runs_its_course(boss: Client, payment: Payment) -> None:
    for act in ("open_inquiry", "open_dispute", "lose_dispute", "win_dispute"):
        staff.act(boss, act, payment, reason=WHY)

    assert Dispute.objects.get().status == "won"
    assert told()[1:] == [
        events.DISPUTE_CREATED,
        events.DISPUTE_UPDATED,
        events.DISPUTE_CLOSED,
        events.DISPUTE_REINSTATED,
    ]


def test_the_newest_refund_fails(boss: Client, payment: Payment) -> None:
    first, second = refunds.refund(payment, 100), refunds.refund(payment, 200)

    staff.act(boss, "fail_refund", payment, reason=WHY)

    assert {one.pk: one.status for one in Refund.objects.all()} == {first.pk: "succeeded", second.pk: "failed"}


@pytest.mark.parametrize("act", ["fail_refund", "lose_dispute", "win_dispute"])
def test_what_cannot_happen_is_said(boss: Client, payment: Payment, act: str) -> None:
    [said] = staff.said(staff.act(boss, act, payment, reason=WHY))

    assert said.startswith(f"{payment.pk}: There is no")


@pytest.mark.parametrize("act", ["fail_refund", "open_dispute", "open_inquiry", "lose_dispute", "win_dispute"])
def test_nothing_happens_without_a_reason(boss: Client, payment: Payment, act: str) -> None:
    known = told()

    assert "Give a reason" in staff.act(boss, act, payment).content.decode()
    assert told() == known


@pytest.mark.parametrize(
    ("happened", "offered"),
    [
        (lambda _: None, ["refund", "open_dispute", "open_inquiry"]),
        (lambda paid: refunds.refund(paid, 600), ["fail_refund"]),
        (disputes.open_dispute, ["lose_dispute", "win_dispute"]),
        (lambda paid: disputes.open_dispute(paid, is_inquiry=True), ["refund", "open_dispute", "win_dispute"]),
    ],
)
def test_a_payments_page_offers_what_fits(boss: Client, payment: Payment, happened: Any, offered: list[str]) -> None:
    happened(payment)

    shown = staff.shown(boss, payment)

    every = ["refund", "fail_refund", "open_dispute", "open_inquiry", "lose_dispute", "win_dispute"]
    assert [act for act in every if f'value="{act}"' in shown] == offered


@pytest.mark.parametrize("act", ["refund", "open_dispute"])
def test_viewers_let_nothing_happen(payment: Payment, act: str) -> None:
    staff.act(staff.viewer(), act, payment, reason=WHY, amount_minor="1")

    assert told() == [events.PAYMENT_SUCCEEDED]


def test_a_revoked_key_is_told_once(boss: Client, account: Account) -> None:
    for _ in range(2):
        staff.act(boss, "revoke_key", account, reason=WHY)

    account.refresh_from_db()
    assert account.is_closed
    assert told() == [events.DEAUTHORIZED]
    assert LogEntry.objects.get().change_message == f"Key revoked: {WHY}"


def test_viewers_revoke_no_key(account: Account) -> None:
    staff.act(staff.viewer(), "revoke_key", account, reason=WHY)

    assert told() == []


def test_an_accounts_secrets_are_not_shown(boss: Client, account: Account) -> None:
    shown = staff.shown(boss, account)

    assert account.secret_key not in shown
    assert account.webhook_secret not in shown
