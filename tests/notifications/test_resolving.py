"""Name servers that do not answer: nobody waits for them for long, and nobody else at all."""

import socket
import threading
import time

import pytest

from notifications import resolving, sending
from notifications.addresses import resolve
from notifications.resolving import PER_OWNER, NoThreadFree, resolve_within
from notifications.sending import Answer, post
from tests.notifications.receiver import receiving


@pytest.fixture
def silent():
    """A resolver that knows this machine and else says nothing until the test is over; it counts what it is asked."""
    over, asked = threading.Event(), []

    def resolver(host, port):
        asked.append(host)
        if host != "localhost":
            over.wait(30)
        return ["127.0.0.1"]

    resolver.asked = asked
    yield resolver
    over.set()
    while resolving._asked:
        time.sleep(0.01)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(sending, "RESOLVE_SECONDS", 0.2)


def test_a_name_is_found():
    assert resolve_within(5, resolve, "127.0.0.1", 443) == ["127.0.0.1"]


def test_what_the_resolver_says_is_what_is_said():
    def nowhere(host, port):
        raise socket.gaierror("Name or service not known")

    with pytest.raises(socket.gaierror):
        resolve_within(5, nowhere, "hooks.example", 443)


def test_a_name_server_that_is_silent_is_left(quick, silent):
    started = time.monotonic()

    answer = post("https://hooks.example/", "{}", {}, resolver=silent)

    assert answer == Answer(error="timed_out")
    assert time.monotonic() - started < 1


def test_meanwhile_others_are_sent_to(quick, silent):
    with receiving() as receiver:
        post("https://hooks.example/", "{}", {}, resolver=silent)

        answer = post(f"http://localhost:{receiver.port}/", "{}", {}, resolver=silent)

    assert answer == Answer(200)


def test_one_name_is_asked_for_once_however_many_wait(silent):
    for _ in range(3):
        with pytest.raises(TimeoutError):
            resolve_within(0.01, silent, "hooks.example", 443)

    assert silent.asked == ["hooks.example"]


def test_an_answer_is_not_kept():
    asked = []

    def resolver(host, port):
        asked.append(host)
        return ["127.0.0.1"]

    for _ in range(2):
        resolve_within(5, resolver, "hooks.example", 443)

    assert asked == ["hooks.example"] * 2


def test_there_are_never_more_threads_than_allowed(monkeypatch, silent):
    monkeypatch.setattr(resolving, "AT_ONCE", 2)

    for number, refusal in enumerate([TimeoutError, TimeoutError, NoThreadFree]):
        with pytest.raises(refusal):
            resolve_within(0.01, silent, f"hooks{number}.example", 443)

    assert silent.asked == ["hooks0.example", "hooks1.example"]


def test_one_owner_does_not_hold_the_threads_of_others(silent):
    for number in range(PER_OWNER):
        with pytest.raises(TimeoutError):
            resolve_within(0.01, silent, f"hooks{number}.example", 443, "one")
    with pytest.raises(NoThreadFree):
        resolve_within(0.01, silent, "hooks.example", 443, "one")

    assert resolve_within(5, silent, "localhost", 443, "other") == ["127.0.0.1"]


def test_a_thread_that_cannot_start_leaves_nothing_behind(monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            resolve_within(5, resolve, "127.0.0.1", 443)

    assert resolve_within(5, resolve, "127.0.0.1", 443) == ["127.0.0.1"]
