"""Calls to PSPs: bounded in number, and made without holding a database connection.

A PSP that answers slowly would otherwise take one by one all threads and all connections of a process: searches would
stand still because somebody's payment processor does.
"""

import contextlib
import threading
from collections.abc import Iterator

from django.conf import settings
from django.db import connection as database

from checkout.connectors.base import PaymentConnector, PspUnavailable
from checkout.connectors.registry import connector_for
from merchants.models import Connection

# Fewer than the threads of a web process: the rest answers whatever needs no PSP.
CALLS_AT_ONCE = 24
_PATIENCE_SECONDS = 2  # with the longest call of a connector less than the 25 seconds of the protocol

_slots = threading.BoundedSemaphore(CALLS_AT_ONCE)


@contextlib.contextmanager
def calling(connection: Connection) -> Iterator[PaymentConnector]:
    """The connector of a connection, for calls outside any transaction.

    Raises ConnectionRevoked for an unknown kind, PspUnavailable if too many calls are under way already.
    """
    connector = connector_for(connection)
    if not _slots.acquire(timeout=_PATIENCE_SECONDS):
        raise PspUnavailable(code="too_many_calls", retry_after=_PATIENCE_SECONDS)
    try:
        _let_go()
        yield connector
    finally:
        _slots.release()


def _let_go() -> None:
    """Give the connection back to the pool; the next query takes one again."""
    if settings.DATABASES["default"]["OPTIONS"].get("pool") and not database.in_atomic_block:
        database.close()
