"""How long the PSPs' answers to one request may take together: its caller does not wait for longer than 25 seconds."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic

# Of the 25 seconds (protocol, section 1) some are our own.
REQUEST_SECONDS = 23.0
_ends_at: ContextVar[float | None] = ContextVar("ends_at", default=None)


@contextmanager
def one_request() -> Iterator[None]:
    """All calls within end by the same time. Outside of it, each has its own."""
    token = _ends_at.set(monotonic() + REQUEST_SECONDS)
    try:
        yield
    finally:
        _ends_at.reset(token)


def end_of_call(longest: float) -> float:
    """When a call of so many seconds at the most must end, by the monotonic clock."""
    own, request = monotonic() + longest, _ends_at.get()
    return own if request is None else min(own, request)
