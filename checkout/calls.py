"""The bulkhead between checkouts and everything else: whatever payment processors do, searches are answered.

Calls to PSPs are bounded in number and made without holding a database connection; a PSP that answers slowly would
otherwise take all threads and connections one by one. And one checkout at a time is worked on in a process: many that
wait for the interpreter would make everybody wait for it.
"""

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator

from checkout.connectors.base import PaymentConnector, PspUnavailable
from checkout.connectors.registry import connector_for
from checkout.connectors.time_left import one_request
from merchants.models import Connection
from rako.core.errors import Unavailable
from rako.core.postgres import let_go

# All of them fewer than the threads of a web process (`web --threads`): the rest answers whatever needs no PSP.
CHECKOUTS_AT_ONCE = 40
# Fewer than that: one merchant's PSP that does not answer leaves some to the others.
CALLS_TO_ONE = 36
_AT_WORK = 1
_SECONDS = 2  # after which there may be room again


class Busy(Unavailable):
    code, message = "too_many_calls", "Too many payments are under way: try again in a moment"

    def __init__(self) -> None:
        super().__init__(retry_after=_SECONDS)


class _Desk:
    """Room for a few at a time. Whoever comes back from a call goes first: others' buyers already wait for them."""

    def __init__(self, places: int) -> None:
        lock = threading.Lock()
        self._new, self._back = threading.Condition(lock), threading.Condition(lock)
        self._free, self._returning = places, 0

    def come(self) -> None:
        with self._new:
            while not self._free or self._returning:
                self._new.wait()
            self._free -= 1

    def come_back(self) -> None:
        with self._back:
            self._returning += 1
            while not self._free:
                self._back.wait()
            self._returning -= 1
            self._free -= 1
            if self._free and not self._returning:
                self._new.notify()

    def leave(self) -> None:
        with self._new:
            self._free += 1
            (self._back if self._returning else self._new).notify()


_checkouts = threading.BoundedSemaphore(CHECKOUTS_AT_ONCE)
_desk = _Desk(_AT_WORK)
_calls: Counter[str] = Counter()  # by connection
_calls_lock = threading.Lock()
_local = threading.local()


@contextlib.contextmanager
def at_work() -> Iterator[None]:
    """Wait for one's turn to work on a checkout; calls to PSPs are made out of turn. Raises Busy at once if too many
    are in the process already."""
    if not _checkouts.acquire(blocking=False):
        raise Busy()
    try:
        let_go()  # whoever is at work needs one
        _desk.come()
        _local.is_at_work = True
        try:
            with one_request():
                yield
        finally:
            _local.is_at_work = False
            _desk.leave()
    finally:
        _checkouts.release()


@contextlib.contextmanager
def calling(connection: Connection) -> Iterator[PaymentConnector]:
    """The connector of a connection, for calls outside any transaction.

    Raises ConnectionRevoked for an unknown kind, PspUnavailable if too many calls to it are under way already.
    """
    connector = connector_for(connection)
    with _one_of_few(connection.pk), _out_of_turn():
        let_go()
        yield connector


@contextlib.contextmanager
def _one_of_few(connection_id: str) -> Iterator[None]:
    with _calls_lock:
        if _calls[connection_id] >= CALLS_TO_ONE:
            raise PspUnavailable(code="too_many_calls", retry_after=_SECONDS)
        _calls[connection_id] += 1
    try:
        yield
    finally:
        with _calls_lock:
            _calls[connection_id] -= 1
            if not _calls[connection_id]:
                del _calls[connection_id]


@contextlib.contextmanager
def _out_of_turn() -> Iterator[None]:
    if not getattr(_local, "is_at_work", False):
        yield
        return
    _desk.leave()
    try:
        yield
    finally:
        _desk.come_back()
