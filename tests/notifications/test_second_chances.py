"""What waits is sent as soon as there is a reason to; what came before a change says nothing of what is there after."""

import pytest
from django.utils import timezone

from notifications import courier
from notifications.courier import Courier
from notifications.delivering import claim, deliver_due, report, send
from notifications.endpoints import change_endpoint, disable, enable, resend, send_test
from notifications.models import Endpoint, Message
from tests.factories import MerchantFactory
from tests.notifications.conftest import endpoint_of
from tests.notifications.receiver import receiving


@pytest.fixture
def endpoint(db, receiver):
    return endpoint_of(MerchantFactory(), receiver.url)


@pytest.fixture
def waiting(endpoint, receiver):
    """A message that failed once, and waits for its next attempt."""
    receiver.answers = [500]
    message = send_test(endpoint)
    deliver_due()
    return message


def due(message):
    message.refresh_from_db()
    return message.due_at is not None and message.due_at <= timezone.now()


def test_what_waits_is_due_when_its_endpoint_is_enabled_again(endpoint, waiting):
    disable(endpoint, Endpoint.Because.STAFF)
    assert not due(waiting)

    enable(endpoint)

    assert due(waiting)


def test_what_waits_is_due_when_its_endpoint_has_another_address(endpoint, waiting):
    with receiving() as other:
        change_endpoint(endpoint, {"url": other.url})

        assert due(waiting)
        deliver_due()
        assert [got.id for got in other.got] == [waiting.wire_id]
    endpoint.refresh_from_db()
    assert endpoint.failing_since is None


def test_an_answer_of_the_address_before_does_not_end_the_new_one(endpoint, receiver):
    send_test(endpoint)
    receiver.answers = [410]
    [claimed] = claim(1)
    sent = send(claimed)
    with receiving() as other:
        change_endpoint(endpoint, {"url": other.url})

    report([sent])

    endpoint.refresh_from_db()
    assert (endpoint.state, endpoint.failing_since) == ("enabled", None)


def test_what_is_sent_again_is_not_put_off_by_the_attempt_on_its_way(endpoint, receiver):
    message = send_test(endpoint)
    receiver.answers = [500]
    [claimed] = claim(1)
    resend(endpoint, message)

    report([send(claimed)])

    assert due(message)


def test_what_no_message_can_be_made_of_holds_up_no_other(endpoint, receiver, monkeypatch):
    def fail():
        raise KeyError("amount_minor")

    monkeypatch.setattr(courier, "follow_log", fail)
    message = send_test(endpoint)
    at_work = Courier()

    at_work.turn()
    while at_work._flying:
        at_work.turn()

    message.refresh_from_db()
    assert message.state == Message.State.DELIVERED
