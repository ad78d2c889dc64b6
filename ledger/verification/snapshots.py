"""One state of the database for a whole verification, seen by two connections: one may be busy with what PostgreSQL
works out by itself while the other reads what we work out."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from django.db import connection, transaction

T = TypeVar("T")

_ISOLATED = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"


@contextmanager
def one_snapshot() -> Iterator[str | None]:
    """One state of the database for all statements, however long they take; nobody waits for us. Gives its name for
    another connection; None inside a caller's transaction, which no other can see."""
    if connection.in_atomic_block:
        yield None
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_ISOLATED)
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")  # it may have to wait for the other
        cursor.execute("SELECT pg_export_snapshot()")
        yield cursor.fetchone()[0]


@contextmanager
def beside(snapshot: str | None, steps: Callable[[], Iterator[T]]) -> Iterator[Iterator[T]]:
    """Take these steps while the block goes on, by another connection to the snapshot; without one, only when they are
    asked for."""
    if snapshot is None:
        yield steps()
        return
    with ThreadPoolExecutor(max_workers=1) as thread:
        taken = thread.submit(_on_snapshot, snapshot, steps)
        yield (step for done in [taken] for step in done.result())


def _on_snapshot(snapshot: str, steps: Callable[[], Iterator[T]]) -> list[T]:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_ISOLATED)
            cursor.execute("SET TRANSACTION SNAPSHOT %s", [snapshot])
            return list(steps())
    finally:
        connection.close()  # this thread's own
