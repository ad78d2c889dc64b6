"""Several at once: exactly one outcome, and it is told once."""

import pytest

from checkout.connectors.sandbox import accounts, deliveries, events, pages, payments
from checkout.connectors.sandbox.models import Account, Delivery, PageStatus, Payment, PaymentPage
from tests.checkout.sandbox import factories
from tests.checkout.sandbox.conftest import Receiver
from tests.checkout.sandbox.factories import ASKS_STEP_UP, SUCCEEDS, SUCCEEDS_LATER, told
from tests.threads import race

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def account(transactional_db: None) -> Account:
    return accounts.open_account("Northwind Running", "/hooks/northwind")


def test_eight_submits_make_one_payment(page: PaymentPage) -> None:
    results = race(lambda _: pages.pay_page(page.pk, SUCCEEDS))

    assert len({payment.pk for payment in results}) == Payment.objects.count() == 1
    assert sorted(told()) == [events.PAGE_COMPLETED, events.PAYMENT_SUCCEEDED]


@pytest.mark.parametrize("_", range(5))
def test_a_page_is_either_paid_or_expired(page: PaymentPage, _: int) -> None:
    race(lambda number: pages.expire_page(page.pk) if number else pages.pay_page(page.pk, SUCCEEDS), times=2)

    page.refresh_from_db()
    assert (page.status == PageStatus.EXPIRED) == (told() == [events.PAGE_EXPIRED])
    assert told() in ([events.PAGE_EXPIRED], [events.PAGE_COMPLETED, events.PAYMENT_SUCCEEDED])


def test_eight_creations_make_one_page(account: Account) -> None:
    request = factories.checkout_request()

    results = race(lambda _: pages.create_page(account, request))

    assert len({page.pk for page in results}) == PaymentPage.objects.count() == 1


def test_eight_charges_of_one_attempt_charge_once(account: Account) -> None:
    request = factories.stored_charge()

    results = race(lambda _: payments.charge_stored(account, request))

    assert {payment.status for payment in results} == {"succeeded"}
    assert told() == [events.PAYMENT_SUCCEEDED]


def test_approving_and_refusing_at_once_gives_one_answer(page: PaymentPage) -> None:
    asked = pages.pay_page(page.pk, ASKS_STEP_UP)

    race(lambda number: payments.answer_step_up(asked.pk, approve=number % 2 == 0))

    assert told() in ([events.PAYMENT_FAILED], [events.PAGE_COMPLETED, events.PAYMENT_SUCCEEDED])


def test_a_delayed_payment_is_settled_by_one_of_many(page: PaymentPage) -> None:
    held = pages.pay_page(page.pk, SUCCEEDS_LATER)

    race(lambda _: payments.complete_delayed(held.pk))

    assert told().count(events.PAYMENT_SUCCEEDED) == told().count(events.PAGE_SETTLED) == 1


def test_sweeps_at_once_expire_each_page_once(account: Account) -> None:
    for _ in range(10):
        factories.overdue(pages.create_page(account, factories.checkout_request()))

    counts = race(lambda _: pages.expire_overdue(), times=4)

    assert sum(counts) == 10
    assert told() == [events.PAGE_EXPIRED] * 10


def test_of_eight_workers_one_sends_an_attempt(account: Account, receiver: Receiver) -> None:
    payments.charge_stored(account, factories.stored_charge())
    delivery = Delivery.objects.get()

    race(lambda _: deliveries.attempt(delivery.pk))

    assert receiver.types == [events.PAYMENT_SUCCEEDED]
