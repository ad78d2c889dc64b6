"""Reads entries with all that must agree with them."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from django.db import connection
from psycopg import Cursor, capabilities
from psycopg.types.numeric import Int8BinaryLoader

ISO = """'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'"""

_COLUMNS = (
    ("index", "leaf.index"),
    ("leaf_hash", "leaf.leaf_hash"),
    ("id", "entry.id"),
    ("entry_id", "entry.entry_id"),
    ("stream_id", "entry.stream_id"),
    ("stream_seq", "entry.stream_seq"),
    ("kind", "entry.kind"),
    ("merchant_id", "entry.merchant_id"),
    ("agent_id", "entry.agent_id"),
    ("occurred_at", f"to_char(entry.occurred_at AT TIME ZONE 'UTC', {ISO})"),
    ("recorded_at", f"to_char(entry.recorded_at AT TIME ZONE 'UTC', {ISO})"),
    ("body", "entry.body"),
    ("entry_hash", "entry.leaf_hash"),
    ("hash_before", "before.leaf_hash"),
    ("for_merchant", "for_merchant.content"),
    ("for_agent", "for_agent.content"),
)
# A row ends in its postings as the body writes them, their accounts and owners; or None.
NAMES = (*(name for name, _ in _COLUMNS), "line")
_KEY = NAMES.index("id")
_AT_ONCE = 64

_AGREEING = """
LEFT JOIN ledger_entry before ON before.stream_id = entry.stream_id AND before.stream_seq = entry.stream_seq - 1
LEFT JOIN ledger_opening for_merchant ON for_merchant.entry_id = entry.id AND for_merchant.party = 'merchant'
LEFT JOIN ledger_opening for_agent ON for_agent.entry_id = entry.id AND for_agent.party = 'agent'
"""
_SELECT = f"SELECT {', '.join(sql for _, sql in _COLUMNS)}"
_LEAVES = "FROM ledger_leaf leaf LEFT JOIN ledger_entry entry ON entry.id = leaf.entry_id"
_ENTRIES = "FROM ledger_entry entry LEFT JOIN ledger_leaf leaf ON leaf.entry_id = entry.id"
# An entry's postings as its body writes them, and their owners.
LINES = """string_agg('["' || account || '","' || currency || '",' || amount_minor || ']', ',' ORDER BY place)"""
OWNERS = "string_agg(owner_id, ',' ORDER BY place)"
_LINES = f"SELECT posting.entry_id, '[' || {LINES} || ']', string_agg(account, ',' ORDER BY place), {OWNERS}"


def leaves_at(indices: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """Some leaves, in order, each with its entry: values in the order of `NAMES`."""
    return _read(_LEAVES, "leaf.index = ANY(%s::bigint[])", [list(indices)])


def entries_of(ids: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """Some entries, whether they have a leaf or not."""
    return _read(_ENTRIES, "entry.id = ANY(%s::bigint[])", [list(ids)])


def _read(source: str, where: str, values: list[Any]) -> Iterator[tuple[Any, ...]]:
    entry_id = "leaf.entry_id" if source is _LEAVES else "entry.id"
    lines = f"{_LINES} {source} JOIN ledger_posting posting ON posting.entry_id = {entry_id} WHERE {where} GROUP BY 1"
    rows = f"{_SELECT} {source} {_AGREEING} WHERE {where} ORDER BY leaf.index, entry.id"
    with _probing():
        # By themselves: few entries have postings, and adding up none costs as much as adding up some.
        told = {key: line for key, *line in query(lines, values)}
        for row in stream(rows, values):
            yield (*row, told.get(row[_KEY]))


def stream(sql: str, values: list[Any] | dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    """The rows of a statement, while PostgreSQL is still at work on it. Times are microseconds since 2000."""
    # Binary rows that arrive while they are read: half the cost of a COPY, and all rows are never held at once. (By a
    # cursor of psycopg's own: Django's has text results only.)
    size = _AT_ONCE if capabilities.has_stream_chunked() else 1
    with connection.wrap_database_errors, Cursor(connection.connection) as cursor:
        cursor.adapters.register_loader("timestamptz", Int8BinaryLoader)  # as they are sent
        yield from cursor.stream(sql, values, binary=True, size=size)


def _probing() -> AbstractContextManager[None]:
    """Look each row's relations up by index: the planner would rather sort the whole ledger for every piece of it."""
    return _planning("enable_hashjoin", "enable_mergejoin")


def in_order() -> AbstractContextManager[None]:
    """Read tables side by side in the order of their keys: for many neighbours, half the cost of looking them up."""
    return _planning("enable_hashjoin", "enable_nestloop", "enable_bitmapscan")


@contextmanager
def _planning(*without: str) -> Iterator[None]:
    """Have the planner do without some kinds of joins."""
    with connection.cursor() as cursor:
        cursor.execute("".join(f"SET LOCAL {kind} = off;" for kind in without))
        yield
        cursor.execute("".join(f"SET LOCAL {kind} TO DEFAULT;" for kind in without))


def query(sql: str, values: Sequence[Any] | dict[str, Any] = ()) -> list[tuple[Any, ...]]:
    """All rows of a statement."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        return list(cursor.fetchall())
