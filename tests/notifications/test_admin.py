"""Outgoing webhooks in the admin: looked at by many, acted on by few, and always with a reason."""

import pytest
from django.contrib.admin.models import LogEntry

from notifications.delivering import deliver_due
from notifications.endpoints import send_test
from notifications.models import Endpoint, Message
from tests import staff
from tests.factories import MerchantFactory
from tests.notifications.conftest import endpoint_of, types_of


@pytest.fixture
def endpoint(db, receiver):
    return endpoint_of(MerchantFactory(connected=False), receiver.url)


@pytest.fixture
def boss(db):
    return staff.superuser()


def test_staff_disable_and_enable_an_endpoint_and_say_why(boss, endpoint):
    other = endpoint_of(endpoint.merchant, endpoint.url)
    states = []
    for action in ("disable_now", "enable_now"):
        staff.act(boss, action, endpoint, reason="It floods them")
        endpoint.refresh_from_db()
        states.append((endpoint.state, endpoint.disabled_because))

    assert states == [("disabled", "staff"), ("enabled", "")]
    assert types_of(other) == ["endpoint.disabled"]
    assert LogEntry.objects.filter(object_id=endpoint.pk, change_message__endswith=": It floods them").count() == 2


def test_staff_send_a_message_again(boss, endpoint, receiver):
    message = send_test(endpoint)
    deliver_due()

    staff.act(boss, "resend_now", message, reason="They lost it")
    deliver_due()

    assert [got.id for got in receiver.got] == [message.wire_id] * 2


def test_a_message_shows_its_attempts(boss, endpoint, receiver):
    receiver.answers = [418]
    message = send_test(endpoint)
    deliver_due()

    assert "418" in staff.shown(boss, message)


def test_without_a_reason_nothing_is_done(boss, endpoint):
    staff.act(boss, "disable_now", endpoint, reason="")

    assert Endpoint.objects.get().state == "enabled"


def test_who_only_views_does_nothing(endpoint):
    message, auditor = send_test(endpoint), staff.viewer()

    staff.act(auditor, "disable_now", endpoint, reason="mine")
    staff.act(auditor, "resend_now", message, reason="mine")

    assert Endpoint.objects.get().state == "enabled"
    assert Message.objects.get().due_at == message.due_at
