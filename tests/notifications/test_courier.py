"""The worker's part: from a committed change to the receiver, without anybody waiting for a slow one."""

import threading
import time
from contextlib import contextmanager

import pytest

from ledger.reports import Report, report_conversion
from ledger.sequencer import Sequencer
from notifications import courier
from notifications.courier import Courier
from notifications.delivering import AT_ONCE, PER_OWNER
from notifications.endpoints import MOST, send_test
from notifications.models import Attempt, Message
from tests.factories import MerchantFactory, RecommendationFactory
from tests.notifications.conftest import endpoint_of
from tests.notifications.receiver import receiving

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def at_work(**options):
    found = Courier(**options)
    thread = threading.Thread(target=found.run)
    thread.start()
    try:
        yield found
    finally:
        found.stop()
        thread.join()


def until(holds, seconds=10):
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    return holds()


@pytest.fixture(autouse=True)
def _often(monkeypatch):
    monkeypatch.setattr(courier, "_IDLE_SECONDS", 0.02)


def test_a_reported_sale_reaches_its_merchant(receiver):
    recommendation = RecommendationFactory()
    merchant = recommendation.offer.merchant
    endpoint_of(merchant, receiver.url)

    with at_work():
        report_conversion(merchant, Report(recommendation.session_id, "order-1", 10))
        Sequencer().tick()
        arrived = until(lambda: receiver.got and Attempt.objects.exists())

    assert arrived
    assert '"conversion.recorded"' in receiver.got[0].body


def test_a_slow_receiver_does_not_delay_another(receiver):
    slow, quick = (MerchantFactory(connected=False) for _ in range(2))
    gate = threading.Event()
    with receiving() as stuck:
        stuck.on_request = lambda: gate.wait(20)
        endpoint, other = endpoint_of(slow, stuck.url), endpoint_of(quick, receiver.url)
        for _ in range(8):
            send_test(endpoint)

        with at_work(senders=8):
            until(lambda: len(stuck.got) == AT_ONCE)
            for _ in range(10):
                send_test(other)
            arrived = until(lambda: len(receiver.got) == 10)
            gate.set()

    assert arrived  # while the slow one had not answered once


def test_ten_slow_endpoints_of_one_owner_do_not_delay_another(receiver):
    slow, quick = (MerchantFactory(connected=False) for _ in range(2))
    gate = threading.Event()
    with receiving() as stuck:
        stuck.on_request = lambda: gate.wait(20)
        for endpoint in [endpoint_of(slow, stuck.url) for _ in range(MOST)]:
            for _ in range(AT_ONCE):
                send_test(endpoint)
        other = endpoint_of(quick, receiver.url)

        with at_work():
            until(lambda: len(stuck.got) == PER_OWNER)
            started = time.monotonic()
            send_test(other)
            arrived = until(lambda: receiver.got)
            waited, held = time.monotonic() - started, len(stuck.got)
            gate.set()

    assert arrived
    assert waited < 1.5
    assert held == PER_OWNER  # and not one of them was answered


def test_what_is_on_its_way_when_it_stops_is_noted(receiver):
    receiver.seconds_before_answer = 0.3
    endpoint = endpoint_of(MerchantFactory(connected=False), receiver.url)
    send_test(endpoint)

    with at_work():
        until(lambda: receiver.got)

    assert Message.objects.get().state == Message.State.DELIVERED
