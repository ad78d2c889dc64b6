"""Calls that come at the same time, done together: the round trips, the transaction and the flush that each would need
by itself they share. A call that comes alone is done alone, at once.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from rako.core.postgres import let_go

T = TypeVar("T")
R = TypeVar("R")


class _Turn(Generic[T, R]):
    """A call under way. Whoever wakes it has either its outcome for it, or the lead."""

    def __init__(self, item: T) -> None:
        self.item, self.woken = item, threading.Event()
        self.outcomes: list[R | Exception] = []  # one, when it is done


class Together(Generic[T, R]):
    """A function of one item, carried out by one thread for all who call it meanwhile.

    `work` takes at least one item and at most `most`, in the order of their calls, and gives the outcome of each: its
    result, or the exception that its caller is to see. While it runs, the next ones gather; who waits for its turn
    holds no connection.
    """

    def __init__(self, work: Callable[[Sequence[T]], Sequence[R | Exception]], *, most: int) -> None:
        self._work, self._most = work, most
        self._lock, self._waiting, self._is_at_work = threading.Lock(), deque[_Turn[T, R]](), False

    def __call__(self, item: T) -> R:
        turn = _Turn[T, R](item)
        with self._lock:
            self._waiting.append(turn)
            leads, self._is_at_work = not self._is_at_work, True
        if not leads:
            try:
                let_go()
                turn.woken.wait()
            except BaseException:
                self._leave(turn)
                raise
        if not turn.outcomes:
            self._lead()
        [outcome] = turn.outcomes
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _lead(self) -> None:
        """Do the work of those who wait, the caller's first, and pass the lead on to the first who came since."""
        with self._lock:
            turns = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
        outcomes: Sequence[R | Exception] = [RuntimeError("The work of others was broken off")] * len(turns)
        try:
            done = self._work([turn.item for turn in turns])
            if len(done) != len(turns):
                raise RuntimeError(f"{len(done)} outcomes of {len(turns)} calls")
            outcomes = done
        except Exception as error:
            outcomes = [error] * len(turns)
        finally:
            with self._lock:
                self._pass_on()
            for turn, outcome in zip(turns, outcomes, strict=True):
                turn.outcomes.append(outcome)
                turn.woken.set()

    def _pass_on(self) -> None:
        self._is_at_work = bool(self._waiting)
        if self._waiting:
            self._waiting[0].woken.set()

    def _leave(self, turn: _Turn[T, R]) -> None:
        """Wait no longer, and do not keep the lead, if one has come to have it."""
        with self._lock:
            if turn in self._waiting:
                self._waiting.remove(turn)
                if turn.woken.is_set():
                    self._pass_on()
