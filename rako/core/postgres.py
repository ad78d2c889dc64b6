"""What Django does not know of PostgreSQL: why it says no, and statements whose plans it keeps."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import IntegrityError, connection, transaction
from django.db.backends.utils import CursorWrapper
from psycopg import Cursor


def violated(error: IntegrityError) -> str:
    """The name of the constraint or unique index that refused a row; empty if PostgreSQL named none."""
    diagnostics = getattr(error.__cause__, "diag", None)
    return getattr(diagnostics, "constraint_name", None) or ""


def prepared_cursor() -> CursorWrapper:
    """A cursor that sends values beside the statement, so that PostgreSQL parses and plans it once a connection.

    For the few statements that every request sends. It takes one command at a time, and reads text and numbers where
    Django's cursors would; whoever listens to Django's statements hears of its, too.
    """
    connection.ensure_connection()
    cursor = Cursor(connection.connection)
    return connection.make_debug_cursor(cursor) if connection.queries_logged else connection.make_cursor(cursor)  # type: ignore[arg-type]


@contextmanager
def one_moment() -> Iterator[None]:
    """A transaction that only reads, in one moment of the database; inside another one, whatever that sees."""
    is_outermost = not connection.in_atomic_block
    with transaction.atomic():
        if is_outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield
