"""The bulkhead: few checkouts are worked on at a time, and calls to PSPs are bounded."""

import threading
import time
from contextlib import ExitStack

import pytest

from checkout import calls
from checkout.calls import CALLS_TO_ONE, CHECKOUTS_AT_ONCE, Busy, at_work, calling
from checkout.connectors.base import PspUnavailable
from checkout.connectors.time_left import REQUEST_SECONDS, end_of_call, one_request
from tests.factories import MerchantFactory
from tests.threads import race


@pytest.fixture
def connections(db):
    return [MerchantFactory().connections.get() for _ in range(2)]


def test_one_works_at_a_time():
    lock, here, most = threading.Lock(), [0], [0]

    def work(_):
        with at_work():
            with lock:
                here[0] += 1
                most[0] = max(most[0], here[0])
            time.sleep(0.01)
            with lock:
                here[0] -= 1

    assert [outcome for outcome in race(work, times=8) if outcome is not None] == []
    assert (here[0], most[0]) == (0, 1)


def test_whoever_waits_for_a_psp_lets_others_work(connections):
    together = threading.Barrier(8, timeout=10)

    def work(_):
        with at_work(), calling(connections[0]):
            together.wait()  # all eight are in a call at once, though two may work

    assert [outcome for outcome in race(work, times=8) if outcome is not None] == []


def test_too_many_checkouts_are_refused_at_once():
    ready, done = threading.Barrier(CHECKOUTS_AT_ONCE + 1, timeout=10), threading.Event()

    def occupy():
        with at_work(), calls._out_of_turn():
            ready.wait()
            done.wait(10)

    threads = [threading.Thread(target=occupy) for _ in range(CHECKOUTS_AT_ONCE)]
    for thread in threads:
        thread.start()
    ready.wait()

    with pytest.raises(Busy) as refusal, at_work():
        pass
    done.set()
    for thread in threads:
        thread.join(10)
    with at_work():
        pass
    assert (refusal.value.status, refusal.value.retry_after) == (503, 2)


def test_calls_to_one_psp_leave_room_for_another(connections):
    with ExitStack() as stack:
        for _ in range(CALLS_TO_ONE):
            stack.enter_context(calling(connections[0]))

        with pytest.raises(PspUnavailable) as refusal, calling(connections[0]):
            pass
        with calling(connections[1]):
            pass

    with calling(connections[0]):
        pass
    assert (refusal.value.code, refusal.value.retry_after) == ("too_many_calls", 2)


def test_all_calls_of_a_request_end_by_the_same_time():
    with one_request():
        ends = [end_of_call(seconds) for seconds in (22, 100, 1000)]

    assert ends[0] < ends[1] == ends[2] < time.monotonic() + REQUEST_SECONDS
    assert end_of_call(100) > time.monotonic() + 99
