"""Calls that come at the same time, done together: each gets what is its own, and nobody waits for ever."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from rako.core.together import Together
from tests.threads import race


class Slow:
    """Doubles numbers, refuses odd ones, and takes no more at a time than it is told to."""

    def __init__(self):
        self.groups, self.goes_on, self.is_at_work = [], threading.Event(), threading.Event()
        self.fault = None

    def __call__(self, items):
        self.groups.append(list(items))
        self.is_at_work.set()
        assert self.goes_on.wait(10)
        if self.fault:
            raise self.fault
        return [ValueError(item) if item % 2 else item * 2 for item in items]


@pytest.fixture
def slow():
    return Slow()


def gathered(together, waiting):
    """Wait until so many calls wait."""
    while len(together._waiting) < waiting:
        threading.Event().wait(0.001)


def test_a_call_alone_is_done_alone(slow):
    slow.goes_on.set()
    together = Together(slow, most=4)

    assert (together(2), together(4), slow.groups) == (4, 8, [[2], [4]])


def test_an_outcome_of_nothing_is_an_outcome():
    assert Together(lambda items: [None for _ in items], most=4)(1) is None


def test_who_comes_meanwhile_is_done_together_in_order_and_never_too_many(slow):
    together = Together(slow, most=3)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(together, 0)
        assert slow.is_at_work.wait(10)
        others = []
        for number in range(2, 16, 2):
            others.append(pool.submit(together, number))
            gathered(together, len(others))
        slow.goes_on.set()

        assert [call.result(10) for call in (first, *others)] == [0, 4, 8, 12, 16, 20, 24, 28]
    assert slow.groups == [[0], [2, 4, 6], [8, 10, 12], [14]]


def test_each_is_told_of_its_own_refusal_alone(slow):
    together = Together(slow, most=8)
    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(together, 0)]
        assert slow.is_at_work.wait(10)
        calls += [pool.submit(together, number) for number in (3, 4)]
        gathered(together, 2)
        slow.goes_on.set()

        assert (calls[0].result(10), calls[2].result(10)) == (0, 8)
        with pytest.raises(ValueError, match="3"):
            calls[1].result(10)


@pytest.mark.parametrize("fault", [MemoryError, KeyboardInterrupt])
def test_a_fault_reaches_all_whose_work_it_was_and_nobody_after_them(slow, fault):
    slow.fault = fault
    together = Together(slow, most=8)
    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(together, 0)]
        assert slow.is_at_work.wait(10)
        calls += [pool.submit(together, number) for number in (2, 4)]
        gathered(together, 2)
        slow.goes_on.set()

        faults = sorted(type(call.exception(10)).__name__ for call in calls)
    others = "MemoryError" if fault is MemoryError else "RuntimeError"
    assert faults == sorted([fault.__name__, fault.__name__, others])
    slow.fault = None
    assert together(6) == 12


def test_work_that_loses_a_call_is_a_fault():
    together = Together(lambda items: items[1:], most=8)

    for _ in range(2):
        with pytest.raises(RuntimeError, match="0 outcomes of 1"):
            together(1)


@pytest.mark.parametrize("has_lead", [False, True], ids=["waiting", "as the next"])
def test_who_breaks_off_holds_up_nobody(slow, monkeypatch, has_lead):
    """A thread that dies while it waits, even if it has just been given the lead."""
    together = Together(slow, most=1)
    dies = threading.Event()

    def die():
        assert dies.wait(10)
        raise KeyboardInterrupt

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(together, 0)
        assert slow.is_at_work.wait(10)
        monkeypatch.setattr("rako.core.together.let_go", die)
        broken = pool.submit(together, 2)
        gathered(together, 1)
        monkeypatch.setattr("rako.core.together.let_go", lambda: None)
        last = pool.submit(together, 4)
        gathered(together, 2)
        if not has_lead:
            dies.set()
            assert type(broken.exception(10)) is KeyboardInterrupt
        slow.goes_on.set()
        assert first.result(10) == 0
        dies.set()

        assert type(broken.exception(10)) is KeyboardInterrupt
        assert last.result(10) == 8


def test_thousands_of_calls_from_many_threads_are_each_done_once():
    done, lock = [], threading.Lock()

    def work(items):
        with lock:
            done.extend(items)
        return [item + 1 for item in items]

    together = Together(work, most=5)
    results = race(lambda number: [together(number * 100 + turn) for turn in range(100)], times=24)

    assert sorted(done) == list(range(2400))
    assert sorted(item for result in results for item in result) == list(range(1, 2401))
