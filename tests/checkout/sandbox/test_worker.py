"""The background worker: what it runs, how often, and that a payment reaches the webhook without anybody's help."""

import pytest
from procrastinate.contrib.django import app
from procrastinate.periodic import PeriodicRegistry
from pytest_django import Settings

from checkout.connectors.sandbox import events, pages, refunds
from checkout.connectors.sandbox.models import Account, PaymentPage
from rako.core.jobs import worker_app
from tests.checkout.sandbox import factories
from tests.checkout.sandbox.conftest import Receiver
from tests.checkout.sandbox.factories import SUCCEEDS_LATER


def run_due_jobs() -> None:
    """Run every job that is due, as the worker does, without what the clock would add."""
    worker = worker_app()
    worker.periodic_registry = PeriodicRegistry()
    worker.run_worker(wait=False, install_signal_handlers=False, listen_notify=False)


def test_the_sweep_comes_every_twenty_seconds() -> None:
    [sweep] = [task for task in app.periodic_registry.periodic_tasks.values() if task.task.name == "sandbox.sweep"]
    midnight = 1_700_006_400

    ticks = sweep.croniter
    ticks.set_current(midnight)

    assert [ticks.get_next() - midnight for _ in range(4)] == [20, 40, 60, 80]


@pytest.mark.django_db(transaction=True)
def test_a_payment_reaches_the_webhook(transactional_db: None, account: Account, receiver: Receiver) -> None:
    factories.paid_page(account)

    run_due_jobs()

    assert sorted(receiver.types) == [events.PAGE_COMPLETED, events.PAYMENT_SUCCEEDED]


@pytest.mark.django_db(transaction=True)
def test_a_delayed_payment_settles(
    transactional_db: None, page: PaymentPage, receiver: Receiver, settings: Settings
) -> None:
    settings.RAKO_SANDBOX_DELAY_SECONDS = 0
    pages.pay_page(page.pk, SUCCEEDS_LATER)

    run_due_jobs()

    page.refresh_from_db()
    assert page.payment_status == "paid"


@pytest.mark.django_db(transaction=True)
def test_a_refund_that_takes_its_time_arrives_and_is_delivered(
    transactional_db: None, account: Account, receiver: Receiver, settings: Settings
) -> None:
    settings.RAKO_SANDBOX_DELAY_SECONDS = 0
    refunds.refund(factories.paid(account), 600, is_pending=True)

    run_due_jobs()

    told = {events.REFUND_CREATED, events.REFUND_UPDATED, events.CHARGE_REFUNDED}
    assert told <= set(receiver.types)


@pytest.mark.django_db(transaction=True)
def test_the_sweep_expires_pages(transactional_db: None, page: PaymentPage, receiver: Receiver) -> None:
    factories.overdue(page)
    app.configure_task("sandbox.sweep").defer(timestamp=0)

    run_due_jobs()

    page.refresh_from_db()
    assert page.status == "expired"
