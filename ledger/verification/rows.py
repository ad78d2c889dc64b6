"""Reads entries with all that must agree with them, fast: a binary COPY, so that PostgreSQL works while we hash."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connection

_ISO = """'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'"""

# name, SQL, and the type that its bytes are read as (postings as bytes: they are compared, never read)
_COLUMNS = (
    ("index", "leaf.index", "int8"),
    ("leaf_hash", "leaf.leaf_hash", "bytea"),
    ("id", "entry.id", "int8"),
    ("entry_id", "entry.entry_id", "text"),
    ("stream_id", "entry.stream_id", "text"),
    ("stream_seq", "entry.stream_seq", "int4"),
    ("kind", "entry.kind", "text"),
    ("merchant_id", "entry.merchant_id", "text"),
    ("agent_id", "entry.agent_id", "text"),
    ("occurred_at", f"to_char(entry.occurred_at AT TIME ZONE 'UTC', {_ISO})", "text"),
    ("recorded_at", f"to_char(entry.recorded_at AT TIME ZONE 'UTC', {_ISO})", "text"),
    ("body", "entry.body", "bytea"),
    ("entry_hash", "entry.leaf_hash", "bytea"),
    ("hash_before", "before.leaf_hash", "bytea"),
    ("postings", "line.told", "bytea"),
    ("owners", "line.owners", "text"),
    ("for_merchant", "for_merchant.content", "bytea"),
    ("for_agent", "for_agent.content", "bytea"),
)
NAMES = tuple(name for name, _, _ in _COLUMNS)
_TYPES = [type_ for _, _, type_ in _COLUMNS]

_AGREEING = """
LEFT JOIN ledger_entry before ON before.stream_id = entry.stream_id AND before.stream_seq = entry.stream_seq - 1
LEFT JOIN ledger_opening for_merchant ON for_merchant.entry_id = entry.id AND for_merchant.party = 'merchant'
LEFT JOIN ledger_opening for_agent ON for_agent.entry_id = entry.id AND for_agent.party = 'agent'
LEFT JOIN LATERAL (
    SELECT string_agg('["' || account || '","' || currency || '",' || amount_minor || ']', ',' ORDER BY place) AS told,
        string_agg(owner_id, ',' ORDER BY place) AS owners
    FROM ledger_posting WHERE entry_id = entry.id
) line ON true
"""
_SELECT = f"SELECT {', '.join(sql for _, sql, _ in _COLUMNS)} "  # noqa: S608 - our own texts
_BY_LEAF = f"{_SELECT} FROM ledger_leaf leaf LEFT JOIN ledger_entry entry ON entry.id = leaf.entry_id {_AGREEING}"
_BY_ENTRY = f"{_SELECT} FROM ledger_entry entry LEFT JOIN ledger_leaf leaf ON leaf.entry_id = entry.id {_AGREEING}"


def sequenced(first: int, last: int) -> Iterator[tuple[Any, ...]]:
    """The leaves from `first` up to `last`, in order, each with its entry: values in the order of `NAMES`."""
    yield from _stream(f"{_BY_LEAF} WHERE leaf.index >= %s AND leaf.index < %s ORDER BY leaf.index", [first, last])


def leaves_at(indices: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """Some leaves, in order, each with its entry."""
    yield from _stream(f"{_BY_LEAF} WHERE leaf.index = ANY(%s) ORDER BY leaf.index", [list(indices)])


def entries_of(ids: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """Some entries, whether they have a leaf or not."""
    yield from _stream(f"{_BY_ENTRY} WHERE entry.id = ANY(%s) ORDER BY entry.id", [list(ids)])


def _stream(sql: str, values: list[Any]) -> Iterator[tuple[Any, ...]]:
    with probing(), connection.wrap_database_errors, connection.cursor() as cursor:
        with cursor.copy(f"COPY ({sql}) TO STDOUT (FORMAT BINARY)", values) as copy:
            copy.set_types(_TYPES)
            yield from copy.rows()


@contextmanager
def probing() -> Iterator[None]:
    """Look each row's relations up by index: the planner would rather sort the whole ledger for every piece of it."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off")
        yield
        cursor.execute("SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on")


def query(sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """All rows of a statement."""
    with connection.cursor() as cursor:
        cursor.execute(sql, list(values) or None)
        return list(cursor.fetchall())
