"""Deliveries to real receivers: once if all goes well, again if not, under the same id, and not for ever."""

import base64
from datetime import timedelta

import pytest
import standardwebhooks
import svix.webhooks
from django.db import connection
from django.utils import timezone

from notifications import delivering, resolving
from notifications.delivering import LEASE, PER_OWNER, claim, deliver_due, forget_old, report, send
from notifications.endpoints import OVERLAP, delete_endpoint, disable, resend, rotate_secret, send_test
from notifications.models import Attempt, Endpoint, Message
from notifications.schedule import ATTEMPTS, GIVEN_UP_AFTER, PAUSES
from tests.factories import BuilderFactory, MerchantFactory
from tests.notifications.conftest import endpoint_of, types_of
from tests.notifications.receiver import receiving
from tests.threads import race

State = Message.State
LIBRARIES = [standardwebhooks.Webhook, svix.webhooks.Webhook]


@pytest.fixture
def endpoint(db, receiver):
    return endpoint_of(MerchantFactory(), receiver.url)


@pytest.fixture
def message(endpoint):
    """A message that is due."""
    return send_test(endpoint)


def make_due():
    Message.objects.filter(state=State.PENDING).update(due_at=timezone.now(), leased_until=None)


def fail_once(endpoint, ago):
    """The endpoint has been failing for so long, and fails again."""
    Endpoint.objects.filter(pk=endpoint.pk).update(failing_since=timezone.now() - ago)
    make_due()
    deliver_due()
    endpoint.refresh_from_db()


@pytest.mark.parametrize("library", LIBRARIES, ids=["standardwebhooks", "svix"])
def test_foreign_libraries_verify_what_arrives(endpoint, message, receiver, library):
    deliver_due()

    [got] = receiver.got
    assert library(endpoint.secret).verify(got.body.encode(), got.headers)["type"] == "test.ping"
    assert got.id == message.wire_id


@pytest.mark.parametrize("library", LIBRARIES, ids=["standardwebhooks", "svix"])
@pytest.mark.parametrize("change", ["body", "webhook-id", "webhook-timestamp", "secret"])
def test_foreign_libraries_refuse_what_was_changed(endpoint, message, receiver, library, change):
    deliver_due()
    [got] = receiver.got
    body, headers, secret = got.body, dict(got.headers), endpoint.secret
    if change == "body":
        body = body.replace("ping", "pong")
    elif change == "secret":
        secret = "whsec_" + base64.b64encode(b"x" * 32).decode()
    else:
        headers[change] = str(int(timezone.now().timestamp()) - 1) if "time" in change else "msg_other"

    with pytest.raises(Exception, match="matching signature"):
        library(secret).verify(body.encode(), headers)


def test_a_delivered_message_is_not_sent_again(message, receiver):
    deliver_due()
    message.refresh_from_db()

    assert (message.state, message.due_at, message.leased_until) == (State.DELIVERED, None, None)
    assert deliver_due() == []
    assert len(receiver.got) == 1
    assert message.attempts.get().status_code == 200


@pytest.mark.parametrize("answer", [400, 404, 500, 302])
def test_a_failure_is_tried_again_later_under_the_same_id(message, receiver, answer):
    receiver.answers = [answer]
    deliver_due()
    message.refresh_from_db()
    assert message.state == State.PENDING
    assert timedelta(seconds=4) < message.due_at - timezone.now() < timedelta(seconds=6)
    assert deliver_due() == []
    make_due()

    deliver_due()

    assert [got.id for got in receiver.got] == [message.wire_id] * 2
    assert [attempt.status_code for attempt in message.attempts.all()] == [answer, 200]


def test_what_could_not_be_tried_is_put_back_without_an_attempt(endpoint, message, receiver, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(resolving, "AT_ONCE", 0)
        deliver_due()
    message.refresh_from_db()
    endpoint.refresh_from_db()

    assert (message.state, message.attempts_made, message.leased_until) == (State.PENDING, 0, None)
    assert (message.attempts.count(), endpoint.failing_since) == (0, None)
    assert timedelta(seconds=3) < message.due_at - timezone.now() <= timedelta(seconds=5)
    make_due()
    assert [sent.answer.status_code for sent in deliver_due()] == [200]


def test_each_pause_is_as_long_as_the_schedule_says_and_the_last_failure_ends_it(message, receiver):
    receiver.answers, pauses = [500] * ATTEMPTS, []

    for _ in PAUSES:
        deliver_due()
        message.refresh_from_db()
        pauses.append((message.due_at - timezone.now()).total_seconds())
        make_due()
    deliver_due()

    message.refresh_from_db()
    assert all(wanted - 1 < pause <= wanted * 1.1 for wanted, pause in zip(PAUSES, pauses, strict=True))
    assert (message.state, message.due_at, len(receiver.got)) == (State.FAILED, None, ATTEMPTS)


def test_a_receiver_that_asks_for_time_gets_it(message, receiver):
    receiver.answers = [(429, {"Retry-After": "3600"})]

    deliver_due()

    message.refresh_from_db()
    assert timedelta(seconds=3590) < message.due_at - timezone.now() < timedelta(seconds=3961)


def test_a_receiver_cannot_put_us_off_for_longer_than_a_day(message, receiver):
    receiver.answers = [(503, {"Retry-After": "999999999"})]

    deliver_due()

    message.refresh_from_db()
    assert message.due_at - timezone.now() < timedelta(hours=27)


def test_410_ends_the_message_and_disables_the_endpoint(endpoint, message, receiver):
    receiver.answers = [410]

    deliver_due()

    message.refresh_from_db()
    endpoint.refresh_from_db()
    assert message.state == State.FAILED
    assert (endpoint.state, endpoint.disabled_because) == ("disabled", "gone")


def test_an_endpoint_that_takes_nothing_for_days_is_disabled(endpoint, message, receiver):
    receiver.answers = [500, 500]
    fail_once(endpoint, GIVEN_UP_AFTER - timedelta(minutes=1))
    assert endpoint.state == "enabled"

    fail_once(endpoint, GIVEN_UP_AFTER)

    assert (endpoint.state, endpoint.disabled_because) == ("disabled", "failing")


def test_a_success_in_between_starts_the_days_anew(endpoint, message, receiver):
    Endpoint.objects.update(failing_since=timezone.now() - timedelta(days=9))

    deliver_due()

    endpoint.refresh_from_db()
    assert (endpoint.state, endpoint.failing_since) == ("enabled", None)


def test_the_owners_other_endpoints_are_told_of_a_disabled_one(endpoint, message, receiver):
    other = endpoint_of(endpoint.merchant, receiver.url, event_types=["invoice.issued"])
    stranger = endpoint_of(MerchantFactory(), receiver.url)
    receiver.answers = [410]

    deliver_due()

    assert types_of(other) == ["endpoint.disabled"]
    assert types_of(stranger) == []
    assert endpoint.pk in Message.objects.get(endpoint=other).payload


def test_nothing_is_sent_to_a_disabled_endpoint(endpoint, message, receiver):
    disable(endpoint, Endpoint.Because.OWNER)

    assert deliver_due() == []
    assert receiver.got == []


def test_what_died_between_sending_and_noting_it_is_sent_again_under_the_same_id(message, receiver):
    [taken] = claim(10)
    send(taken)  # and here it dies
    assert claim(10) == []
    Message.objects.update(leased_until=timezone.now())

    deliver_due()

    assert [got.id for got in receiver.got] == [message.wire_id] * 2
    assert Message.objects.get().state == State.DELIVERED


def test_who_comes_back_after_its_lease_notes_nothing(message, receiver):
    [late] = claim(10)
    [again] = claim(10, timezone.now() + LEASE + timedelta(seconds=1))
    receiver.answers = [500]

    report([send(late)])
    assert Attempt.objects.count() == 0
    report([send(again)])

    assert Message.objects.get().state == State.DELIVERED


@pytest.mark.parametrize("secret", ["new", "old"])
def test_while_a_secret_is_rotated_both_verify(endpoint, message, receiver, secret):
    old, new = endpoint.secret, rotate_secret(endpoint).secret

    deliver_due()

    [got] = receiver.got
    assert old != new
    assert got.headers["webhook-signature"].count("v1,") == 2
    for library in LIBRARIES:
        assert library({"old": old, "new": new}[secret]).verify(got.body.encode(), got.headers)


def test_after_a_day_the_old_secret_signs_no_more(endpoint, message, receiver):
    rotate_secret(endpoint)
    Endpoint.objects.update(old_secret_until=timezone.now() - timedelta(seconds=1))

    deliver_due()

    assert timedelta(hours=24) == OVERLAP
    assert receiver.got[0].headers["webhook-signature"].count("v1,") == 1


def test_a_secret_that_cannot_be_read_holds_up_nobody_else(endpoint, message, receiver):
    other = send_test(endpoint_of(MerchantFactory(), receiver.url))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE notifications_endpoint SET secret = 'x' WHERE id = %s", [endpoint.pk])

    deliver_due()

    assert [got.id for got in receiver.got] == [other.wire_id]
    assert message.attempts.get().error == "secret_not_readable"


def test_a_slow_endpoint_has_only_so_much_on_its_way(endpoint, receiver):
    for _ in range(2 * delivering.AT_ONCE):
        send_test(endpoint)
    with receiving() as elsewhere:
        other = send_test(endpoint_of(MerchantFactory(), elsewhere.url))

        first, second = claim(100), claim(100)

    assert len([each for each in first if each.endpoint_id == endpoint.pk]) == delivering.AT_ONCE
    assert other.pk in {each.message_id for each in first}
    assert second == []


def test_an_owner_has_only_so_much_on_its_way_whichever_its_endpoints(endpoint, receiver):
    endpoints = [endpoint, *(endpoint_of(endpoint.merchant, receiver.url) for _ in range(PER_OWNER - 1))]
    for each in endpoints:
        for _ in range(delivering.AT_ONCE):
            send_test(each)
    other = send_test(endpoint_of(BuilderFactory(), receiver.url))

    first, second = claim(100), claim(100)

    theirs = [each.endpoint_id for each in first if each.message_id != other.pk]
    assert sorted(theirs) == sorted(each.pk for each in endpoints)  # one of each, as far as it goes
    assert other.pk in {each.message_id for each in first}
    assert second == []


@pytest.mark.django_db(transaction=True)
def test_eight_workers_send_each_message_once(receiver):
    endpoints = [endpoint_of(MerchantFactory(connected=False), receiver.url) for _ in range(5)]
    sent = sorted(send_test(endpoint).wire_id for endpoint in endpoints for _ in range(6))

    def work(number):
        while Message.objects.filter(state=State.PENDING).exists():
            deliver_due(3)

    results = race(work)

    assert results == [None] * 8
    assert sorted(got.id for got in receiver.got) == sent
    assert Attempt.objects.count() == len(sent)


def test_a_message_is_sent_again_when_asked_even_after_it_arrived(endpoint, message, receiver):
    deliver_due()
    resend(endpoint, message)

    deliver_due()

    assert [got.id for got in receiver.got] == [message.wire_id] * 2
    assert message.attempts.count() == 2


def test_what_was_on_its_way_when_its_endpoint_was_deleted_is_not_noted(endpoint, message, receiver):
    taken = claim(10)
    delete_endpoint(endpoint)

    report([send(each) for each in taken])

    assert Message.objects.count() == Attempt.objects.count() == 0


def test_messages_are_forgotten_after_a_month(endpoint, message):
    deliver_due()
    young = send_test(endpoint)
    Message.objects.filter(pk=message.pk).update(created_at=timezone.now() - timedelta(days=31))

    assert forget_old() == 1
    assert list(Message.objects.all()) == [young]
    assert Attempt.objects.count() == 0


def test_a_lease_that_nobody_ended_does_not_keep_a_message(endpoint, message):
    claim(1)
    disable(endpoint, Endpoint.Because.STAFF)
    in_a_month = timezone.now() + timedelta(days=31)

    assert forget_old(in_a_month) == 1
    assert Message.objects.count() == 0


def test_what_is_being_sent_is_not_forgotten(endpoint, message):
    claim(1)
    Message.objects.update(created_at=timezone.now() - timedelta(days=31))

    assert forget_old() == 0
