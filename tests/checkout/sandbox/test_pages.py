"""Hosted pages: one payment for each, one end for each."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob
from pytest_django import Settings

from checkout.connectors.sandbox import accounts, events, jobs, pages, payments
from checkout.connectors.sandbox.models import Account, Delivery, PagePayment, PageStatus, Payment, PaymentPage
from tests.checkout.sandbox import factories
from tests.checkout.sandbox.factories import ASKS_STEP_UP, FAILS_LATER, IS_DECLINED, SUCCEEDS, SUCCEEDS_LATER, told


def test_a_good_card_pays_the_page(page: PaymentPage) -> None:
    payment = pages.pay_page(page.pk, SUCCEEDS)

    page.refresh_from_db()
    assert (page.status, page.payment_status, payment.status) == ("complete", "paid", "succeeded")
    assert told() == [events.PAGE_COMPLETED, events.PAYMENT_SUCCEEDED]


def test_only_brand_and_last_four_digits_are_kept(page: PaymentPage) -> None:
    payment = pages.pay_page(page.pk, SUCCEEDS)

    payment.refresh_from_db()
    assert (payment.card_brand, payment.card_last4) == ("visa", "4242")


def test_page_and_payment_carry_the_metadata(page: PaymentPage) -> None:
    payment = pages.pay_page(page.pk, SUCCEEDS)

    session = events.page_object(page, payment)
    assert session["metadata"] == events.payment_object(payment)["metadata"] == {"rako_transaction_id": "t1"}


def test_every_event_has_a_delivery_and_its_job(page: PaymentPage) -> None:
    pages.pay_page(page.pk, SUCCEEDS)

    waiting = ProcrastinateJob.objects.filter(task_name=jobs.DELIVER).values_list("args__delivery_id", flat=True)
    assert set(waiting) == set(Delivery.objects.values_list("pk", flat=True))
    assert len(waiting) == 2


def test_what_is_rolled_back_is_not_told(page: PaymentPage) -> None:
    with transaction.atomic():
        pages.pay_page(page.pk, SUCCEEDS)
        transaction.set_rollback(True)

    assert told() == []
    assert not ProcrastinateJob.objects.exists()


def test_a_declined_page_stays_open_and_reuses_its_payment(page: PaymentPage) -> None:
    declined = pages.pay_page(page.pk, IS_DECLINED)
    paid = pages.pay_page(page.pk, SUCCEEDS)

    assert declined.decline_code == "card_declined"
    assert (paid.pk, paid.status, paid.decline_code) == (declined.pk, "succeeded", "")
    assert told() == [events.PAYMENT_FAILED, events.PAGE_COMPLETED, events.PAYMENT_SUCCEEDED]


def test_a_paid_page_is_not_paid_again(page: PaymentPage) -> None:
    first = pages.pay_page(page.pk, SUCCEEDS)
    second = pages.pay_page(page.pk, SUCCEEDS)

    assert second == first
    assert told().count(events.PAGE_COMPLETED) == 1


@pytest.mark.parametrize(
    ("approve", "status", "tells"),
    [
        (True, "succeeded", [events.PAGE_COMPLETED, events.PAYMENT_SUCCEEDED]),
        (False, "requires_payment_method", [events.PAYMENT_FAILED]),
    ],
)
def test_the_step_up_decides(page: PaymentPage, approve: bool, status: str, tells: list[str]) -> None:
    asked = pages.pay_page(page.pk, ASKS_STEP_UP)

    answered = payments.answer_step_up(asked.pk, approve=approve)

    assert (asked.status, answered.status) == ("requires_action", status)
    assert told() == tells


def test_a_step_up_is_answered_once(page: PaymentPage) -> None:
    asked = pages.pay_page(page.pk, ASKS_STEP_UP)
    payments.answer_step_up(asked.pk, approve=True)

    late = payments.answer_step_up(asked.pk, approve=False)

    assert late.status == "succeeded"


def test_a_late_step_up_has_no_effect(page: PaymentPage) -> None:
    asked = pages.pay_page(page.pk, ASKS_STEP_UP)
    factories.overdue(page)

    late = payments.answer_step_up(asked.pk, approve=True)

    assert late.status == "requires_action"
    assert told() == []


@pytest.mark.parametrize(
    ("card", "status", "tells"),
    [
        (SUCCEEDS_LATER, "paid", [events.PAGE_SETTLED, events.PAYMENT_SUCCEEDED]),
        (FAILS_LATER, "unpaid", [events.PAGE_NOT_SETTLED, events.PAYMENT_FAILED]),
    ],
)
def test_a_delayed_payment_settles_later(page: PaymentPage, card: object, status: str, tells: list[str]) -> None:
    held = pages.pay_page(page.pk, card)
    first = told()
    payments.complete_delayed(held.pk)

    page.refresh_from_db()
    assert (page.status, page.payment_status) == (PageStatus.COMPLETE, status)
    assert (first, told()[2:]) == ([events.PAGE_COMPLETED, events.PAYMENT_PROCESSING], tells)


def test_a_delayed_payment_settles_once(page: PaymentPage) -> None:
    held = pages.pay_page(page.pk, SUCCEEDS_LATER)

    payments.complete_delayed(held.pk)
    payments.complete_delayed(held.pk)

    assert told().count(events.PAYMENT_SUCCEEDED) == 1


def test_settling_is_left_to_a_job_after_the_delay(page: PaymentPage, settings: Settings) -> None:
    settings.RAKO_SANDBOX_DELAY_SECONDS = 1000
    pages.pay_page(page.pk, SUCCEEDS_LATER)

    job = ProcrastinateJob.objects.get(task_name=jobs.SETTLE)
    wait = job.scheduled_at - timezone.now()
    assert timedelta(seconds=990) < wait <= timedelta(seconds=1000)


def test_a_payment_whose_job_got_lost_is_settled(page: PaymentPage, settings: Settings) -> None:
    settings.RAKO_SANDBOX_DELAY_SECONDS = 0
    held = pages.pay_page(page.pk, SUCCEEDS_LATER)

    settled = payments.settle_overdue()

    held.refresh_from_db()
    assert (settled, held.status) == (1, "succeeded")


def test_a_payment_is_not_settled_before_its_time(page: PaymentPage) -> None:
    pages.pay_page(page.pk, SUCCEEDS_LATER)

    assert payments.settle_overdue() == 0


def test_an_expired_page_takes_no_payment(page: PaymentPage) -> None:
    pages.expire_page(page.pk)

    assert pages.pay_page(page.pk, SUCCEEDS) is None
    assert told() == [events.PAGE_EXPIRED]


def test_a_page_whose_time_is_over_takes_no_payment(page: PaymentPage) -> None:
    factories.overdue(page)

    assert pages.pay_page(page.pk, SUCCEEDS) is None
    assert told() == []


def test_a_closed_accounts_page_takes_no_payment(page: PaymentPage) -> None:
    accounts.close_account(page.account_id)

    assert pages.pay_page(page.pk, SUCCEEDS) is None


def test_a_paid_page_does_not_expire(account: Account) -> None:
    page = factories.paid_page(account)

    assert pages.expire_page(page.pk).status == PageStatus.COMPLETE
    assert events.PAGE_EXPIRED not in told()


def test_expiry_cancels_what_was_begun(page: PaymentPage) -> None:
    declined = pages.pay_page(page.pk, IS_DECLINED)

    pages.expire_page(page.pk)

    declined.refresh_from_db()
    assert declined.status == "canceled"
    assert told()[1:] == [events.PAGE_EXPIRED, events.PAYMENT_CANCELED]


def test_overdue_pages_expire_and_others_do_not(page: PaymentPage, account: Account) -> None:
    late = pages.create_page(account, factories.checkout_request())
    factories.overdue(late)

    closed = pages.expire_overdue()

    page.refresh_from_db()
    late.refresh_from_db()
    assert (closed, page.status, late.status) == (1, PageStatus.OPEN, PageStatus.EXPIRED)


@pytest.mark.parametrize(
    "change",
    [
        {"status": PageStatus.OPEN, "payment_status": PagePayment.UNPAID},
        {"status": PageStatus.EXPIRED, "payment_status": PagePayment.UNPAID},
        {"amount_minor": 0},
        {"payment_status": "nonsense"},
    ],
    ids=str,
)
def test_postgresql_itself_keeps_a_paid_page_paid(account: Account, change: dict[str, object]) -> None:
    page = factories.paid_page(account)

    with pytest.raises(DatabaseError), transaction.atomic():
        PaymentPage.objects.filter(pk=page.pk).update(**change)


@pytest.mark.parametrize(
    "change", [{"status": "canceled"}, {"card_last4": "4242424242424242"}, {"page": None}], ids=str
)
def test_postgresql_itself_keeps_a_payment_as_it_ended(account: Account, change: dict[str, object]) -> None:
    page = factories.paid_page(account)

    with pytest.raises(DatabaseError), transaction.atomic():
        Payment.objects.filter(page=page).update(**change)
