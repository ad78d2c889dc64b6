"""Deliveries over real HTTP: signed, tried again, never sent twice for one attempt, never while a lock is held."""

from datetime import timedelta

import pytest
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob
from pytest_django import Settings

from checkout.connectors.sandbox import deliveries, events, jobs, payments
from checkout.connectors.sandbox.connector import SandboxConnector
from checkout.connectors.sandbox.models import MAX_ATTEMPTS, Account, Delivery, Event
from tests.checkout.sandbox.conftest import Receiver
from tests.checkout.sandbox.factories import stored_charge


@pytest.fixture
def delivery(account: Account) -> Delivery:
    payments.charge_stored(account, stored_charge())
    return Delivery.objects.get()


def make_due(delivery: Delivery, **changes: object) -> None:
    past = timezone.now() - timedelta(minutes=5)
    Delivery.objects.filter(pk=delivery.pk).update(**{"next_attempt_at": past} | changes)


def pending_jobs() -> int:
    return ProcrastinateJob.objects.filter(task_name=jobs.DELIVER).count()


def test_an_event_arrives_at_the_accounts_webhook(delivery: Delivery, receiver: Receiver) -> None:
    deliveries.attempt(delivery.pk)

    delivery.refresh_from_db()
    assert (receiver.paths, receiver.types) == (["/hooks/northwind"], [events.PAYMENT_SUCCEEDED])
    assert (delivery.attempts, delivery.last_status_code, delivery.next_attempt_at) == (1, 204, None)
    assert delivery.delivered_at is not None


def test_what_arrives_passes_the_connector(delivery: Delivery, receiver: Receiver, connector: SandboxConnector) -> None:
    deliveries.attempt(delivery.pk)

    event = connector.verify_webhook(receiver.bodies[0], receiver.headers[0], now=timezone.now())

    assert event.event_id == delivery.event_id


def test_a_delivered_event_is_not_sent_again(delivery: Delivery, receiver: Receiver) -> None:
    deliveries.attempt(delivery.pk)

    assert deliveries.attempt(delivery.pk) is None
    assert len(receiver.bodies) == 1


@pytest.mark.parametrize("status", [500, 404, 302, 199])
def test_anything_but_2xx_is_tried_again(delivery: Delivery, receiver: Receiver, status: int) -> None:
    receiver.statuses = [status] if status >= 200 else [503]
    before = pending_jobs()
    deliveries.attempt(delivery.pk)

    delivery.refresh_from_db()
    assert delivery.delivered_at is None
    assert delivery.next_attempt_at is not None
    assert pending_jobs() == before + 1


def test_a_redirect_is_not_followed(delivery: Delivery, receiver: Receiver) -> None:
    receiver.statuses = [302]

    deliveries.attempt(delivery.pk)

    assert receiver.paths == ["/hooks/northwind"]


def test_the_second_attempt_succeeds_with_the_same_body(delivery: Delivery, receiver: Receiver) -> None:
    receiver.statuses = [500]
    deliveries.attempt(delivery.pk)
    make_due(delivery)
    deliveries.attempt(delivery.pk)

    delivery.refresh_from_db()
    assert (delivery.attempts, delivery.last_status_code) == (2, 204)
    assert receiver.bodies[0] == receiver.bodies[1]


def test_a_refused_connection_is_recorded(delivery: Delivery, settings: Settings) -> None:
    settings.RAKO_BASE_URL = "http://127.0.0.1:1"

    deliveries.attempt(delivery.pk)

    delivery.refresh_from_db()
    assert delivery.last_status_code is None
    assert delivery.last_error.startswith("ConnectionError")


def test_nothing_is_sent_before_its_time(delivery: Delivery, receiver: Receiver) -> None:
    receiver.statuses = [500]
    deliveries.attempt(delivery.pk)

    assert deliveries.attempt(delivery.pk) is None
    assert len(receiver.bodies) == 1


def test_the_sixteenth_failure_is_the_last(delivery: Delivery, receiver: Receiver) -> None:
    receiver.statuses = [500]
    make_due(delivery, attempts=MAX_ATTEMPTS - 1)
    deliveries.attempt(delivery.pk)

    delivery.refresh_from_db()
    assert (delivery.attempts, delivery.next_attempt_at, delivery.delivered_at) == (MAX_ATTEMPTS, None, None)


def test_pauses_double_up_to_a_minute() -> None:
    pauses = [deliveries.pause_after(attempts) for attempts in range(1, MAX_ATTEMPTS + 1)]

    assert pauses == [1, 2, 4, 8, 16, 32, *[60] * 9, None]


def test_a_delivery_whose_job_got_lost_gets_another(delivery: Delivery) -> None:
    make_due(delivery)
    before = pending_jobs()

    assert deliveries.rearm_overdue() == 1
    assert pending_jobs() == before + 1


def test_a_delivery_is_rearmed_once_at_a_time(delivery: Delivery) -> None:
    make_due(delivery)
    deliveries.rearm_overdue()

    assert deliveries.rearm_overdue() == 0


def test_a_delivery_lost_in_its_last_attempt_is_given_up(delivery: Delivery) -> None:
    make_due(delivery, attempts=MAX_ATTEMPTS)

    deliveries.rearm_overdue()

    delivery.refresh_from_db()
    assert delivery.next_attempt_at is None


def test_sending_again_is_a_delivery_of_its_own(delivery: Delivery, receiver: Receiver) -> None:
    deliveries.attempt(delivery.pk)

    again = events.send(Event.objects.get())
    deliveries.attempt(again.pk)

    assert receiver.bodies[0] == receiver.bodies[1]
    assert Delivery.objects.filter(delivered_at=None).count() == 0
