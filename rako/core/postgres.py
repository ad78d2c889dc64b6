"""What Django does not know of PostgreSQL: why it says no, and statements whose plans it keeps."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, IntegrityError, connection, connections, transaction
from django.db.backends.utils import CursorWrapper
from psycopg import Cursor
from psycopg.pq import TransactionStatus

Rows = list[tuple[Any, ...]]


class Statement(NamedTuple):
    """One command with its values, for `send`."""

    sql: str
    values: Sequence[Any] = ()


def violated(error: IntegrityError) -> str:
    """The name of the constraint or unique index that refused a row; empty if PostgreSQL named none."""
    diagnostics = getattr(error.__cause__, "diag", None)
    return getattr(diagnostics, "constraint_name", None) or ""


def prepared_cursor() -> CursorWrapper:
    """A cursor that sends values beside the statement, so that PostgreSQL parses and plans it once a connection.

    For the few statements that every request sends. It takes one command at a time, and reads text and numbers where
    Django's cursors would; whoever listens to Django's statements hears of its, too.
    """
    database = connections[DEFAULT_DB_ALIAS]
    database.ensure_connection()
    cursor = Cursor(database.connection)
    return database.make_debug_cursor(cursor) if database.queries_logged else database.make_cursor(cursor)  # type: ignore[arg-type]


def send(*statements: Statement) -> list[Rows]:
    """The rows of each of the prepared statements, which run one after the other in one round trip.

    In a transaction each sees what was committed before it began, even while the one before it waited for a lock. The
    first that fails raises what it would alone.
    """
    cursors = [prepared_cursor() for _ in statements]
    database = connections[DEFAULT_DB_ALIAS]
    if len(cursors) == 1 and not _begins(database):
        cursors[0].execute(*statements[0])
    else:
        with database.wrap_database_errors, database.connection.pipeline():
            for cursor, statement in zip(cursors, statements, strict=True):
                cursor.execute(*statement)
    return [_rows(cursor) for cursor in cursors]


def send_each(statements: Sequence[Statement]) -> list[Rows]:
    """The rows of statements that differ in their values alone, in one round trip; they run one after the other."""
    if not statements:
        return []
    database = connections[DEFAULT_DB_ALIAS]
    database.ensure_connection()
    with database.wrap_database_errors, Cursor(database.connection) as cursor:
        cursor.executemany(statements[0].sql, [values for _, values in statements], returning=True)
        return [_rows(result) for result in cursor.results()]


def _rows(cursor: Any) -> Rows:
    """What a statement returned, if it returns anything (`description` would make objects of the columns)."""
    return cursor.fetchall() if cursor.pgresult.nfields else []


def let_go() -> None:
    """Give the connection back to the pool, if there is one; the next query takes one again."""
    database = connections[DEFAULT_DB_ALIAS]
    if settings.DATABASES[DEFAULT_DB_ALIAS]["OPTIONS"].get("pool") and not database.in_atomic_block:
        database.close()


def _begins(database: Any) -> bool:
    """Whether the next statement is the first of a transaction: BEGIN goes before it."""
    is_atomic: bool = database.in_atomic_block
    return is_atomic and database.connection.pgconn.transaction_status == TransactionStatus.IDLE


@contextmanager
def one_moment() -> Iterator[None]:
    """A transaction that only reads, in one moment of the database; inside another one, whatever that sees."""
    is_outermost = not connection.in_atomic_block
    with transaction.atomic():
        if is_outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield
