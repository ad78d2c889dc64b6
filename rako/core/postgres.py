"""What Django does not know of PostgreSQL: why it says no, and statements whose plans it keeps."""

from django.db import DEFAULT_DB_ALIAS, IntegrityError, connections
from django.db.backends.utils import CursorWrapper
from psycopg import Cursor, pq


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
    cursor.format = pq.Format.BINARY  # times come as numbers, not as text to be parsed
    return database.make_debug_cursor(cursor) if database.queries_logged else database.make_cursor(cursor)  # type: ignore[arg-type]
