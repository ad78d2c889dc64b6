"""The sequencer: takes committed entries into the tree, in batches, exactly once.

Any number may run; a lock lets one work at a time. Which entries are new is decided by transaction, not by id: whatever
was uncommitted at the last look was written by a transaction at or after that look's horizon, so that window, less what
has a leaf, misses no late commit and waits for no long writer. A batch is one transaction: leaves, tiles, balances and
the new head are all there or not at all.
"""

import logging
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from ledger.tree_store import appender_at
from rako.core.tlog.hashing import EMPTY_ROOT, leaf_hash
from rako.core.tlog.tree import Appender, FullTile, TreeError

log = logging.getLogger("rako.ledger")

BATCH = 10_000
LOCK = 0x52414B4F4C4F47  # any fixed number; this one spells RAKOLOG

_NEW_ENTRIES = """
SELECT entry.id, entry.leaf_hash, entry.body FROM ledger_entry entry
WHERE entry.xid >= %s::xid8 AND entry.id > %s
    AND NOT EXISTS (SELECT 1 FROM ledger_leaf leaf WHERE leaf.entry_id = entry.id)
ORDER BY entry.id LIMIT %s
"""
_NEW_BALANCES = """
INSERT INTO ledger_balance AS balance (account, owner_id, currency, balance_minor)
SELECT account, owner_id, currency, sum(amount_minor) FROM ledger_posting WHERE entry_id = ANY(%s)
GROUP BY account, owner_id, currency ORDER BY account, owner_id, currency
ON CONFLICT (account, owner_id, currency)
DO UPDATE SET balance_minor = balance.balance_minor + excluded.balance_minor
"""
# Another cluster's horizon says nothing here: see `_window_after`.
_LAG = """
WITH head AS (
    SELECT CASE cluster WHEN system_identifier THEN horizon END AS horizon,
        CASE cluster WHEN system_identifier THEN floor END AS floor
    FROM ledger_head, pg_control_system() ORDER BY size DESC LIMIT 1
)
SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(recorded_at)), 0)::float FROM ledger_entry entry
WHERE xid >= coalesce((SELECT horizon FROM head), '0'::xid8) AND id > coalesce((SELECT floor FROM head), 0)
    AND NOT EXISTS (SELECT 1 FROM ledger_leaf leaf WHERE leaf.entry_id = entry.id)
"""


class LogError(Exception):
    """The stored log contradicts itself: nothing more is sequenced until somebody has looked."""


class _Head(NamedTuple):
    size: int
    root: bytes
    horizon: str
    floor: int
    cluster: int


class _Window(NamedTuple):
    """Which entries may be new: those of transactions from `since` on, with ids above `floor`."""

    since: str
    floor: int
    next_floor: int


_NO_HEAD = _Head(0, EMPTY_ROOT, "0", 0, 0)


class Sequencer:
    """Holds the growing end of the tree between batches; reloads it when another process has moved on."""

    def __init__(self, batch: int = BATCH) -> None:
        self._batch = batch
        self._appender: Appender | None = None
        self._window: tuple[int, _Window] | None = None  # where to look next, and the size it holds for
        self._session: Any = None

    def tick(self) -> int:
        """Sequence what was committed since the last tick, at most a batch; returns how many entries. 0 as well if
        another sequencer is at work. Raises LogError."""
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                self._forget_other_sessions()
                return self._sequence(cursor) if self._lock(cursor) else 0
        except BaseException:
            self._appender = self._window = None  # they may be ahead of what was committed
            raise

    def _forget_other_sessions(self) -> None:
        """Between two sessions PostgreSQL may have crashed, and it gives out anew the ids of transactions that left no
        trace on the disk: a horizon beyond them holds only if it was written down, as that of a head is."""
        if self._session is not connection.connection:
            self._session, self._window = connection.connection, None

    def _lock(self, cursor: CursorWrapper) -> bool:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        return bool(cursor.fetchone()[0])

    def _sequence(self, cursor: CursorWrapper) -> int:
        head, horizon, cluster = self._look(cursor)
        window = self._window_after(cursor, head, cluster)
        rows = self._read(cursor, window)
        # With a full batch there may be more: the next look begins where this one did.
        following = window if len(rows) == self._batch else _Window(horizon, window.next_floor, window.next_floor)
        if rows:
            appender = self._end_of(head)
            self._write_leaves(cursor, head.size, rows)
            self._write_tiles(cursor, appender.append([row[1] for row in rows]))
            self._write_balances(cursor, [row[0] for row in rows])
            moving = following.floor != following.next_floor
            self._write_head(
                cursor,
                _Head(appender.size, appender.root(), following.since, following.next_floor, 0 if moving else cluster),
            )
        self._window = head.size + len(rows), following
        return len(rows)

    def _window_after(self, cursor: CursorWrapper, head: _Head, cluster: int) -> _Window:
        if self._window is not None and self._window[0] == head.size:
            return self._window[1]
        if head.cluster == cluster or head.size == 0:
            return _Window(head.horizon, head.floor, head.floor)
        # The log was restored here, and another cluster's transaction ids mean nothing: look at everything once, and
        # from then on only behind what came along. (0 as cluster: that look took more than one batch.)
        return _Window("0", 0, self._last_of_the_old(cursor, head.size) if head.cluster else head.floor)

    def _look(self, cursor: CursorWrapper) -> tuple[_Head, str, int]:
        """The head, then – before the entries are read – the oldest transaction that still runs, and where we are."""
        cursor.execute("SELECT size, root, horizon::text, floor, cluster FROM ledger_head ORDER BY size DESC LIMIT 1")
        row = cursor.fetchone()
        cursor.execute(
            "SELECT pg_snapshot_xmin(pg_current_snapshot())::text, system_identifier FROM pg_control_system()"
        )
        horizon, cluster = cursor.fetchone()
        return _NO_HEAD if row is None else _Head(row[0], bytes(row[1]), *row[2:]), horizon, cluster

    def _read(self, cursor: CursorWrapper, window: _Window) -> list[tuple[int, bytes, bytes]]:
        # The window is small and each look-up a probe, whatever the planner thinks of a table that grew since. (With
        # parallel workers, an empty look took 30 ms instead of one.)
        cursor.execute(
            "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; "
            "SET LOCAL max_parallel_workers_per_gather = 0"
        )
        cursor.execute(_NEW_ENTRIES, [window.since, window.floor, self._batch])
        rows = [(row[0], bytes(row[1]), row[2]) for row in cursor.fetchall()]
        for entry_id, stored, body in rows:
            # A bit that flips between hashing and storing would be sealed for ever: hash what was read back.
            if leaf_hash(body) != stored:
                raise LogError(f"entry {entry_id} does not have the hash of its body")
        return rows

    def _end_of(self, head: _Head) -> Appender:
        """The growing end, read anew if it is not that of the head. Raises LogError if the stored tree is not."""
        if self._appender is None or self._appender.size != head.size or self._appender.root() != head.root:
            try:
                self._appender = appender_at(head.size)
            except TreeError as error:
                raise LogError(f"leaves or tiles are missing below the head at {head.size}: {error}") from None
        if self._appender.root() != head.root:
            raise LogError(f"the leaves and tiles do not have the root of the head at {head.size}")
        return self._appender

    def _write_leaves(self, cursor: CursorWrapper, first: int, rows: list[tuple[int, bytes, Any]]) -> None:
        # Django wraps no errors of COPY, and the loop that calls us knows only Django's.
        with (
            connection.wrap_database_errors,
            cursor.copy("COPY ledger_leaf (index, entry_id, leaf_hash) FROM STDIN (FORMAT BINARY)") as copy,
        ):
            copy.set_types(["int8", "int8", "bytea"])
            for index, row in enumerate(rows, start=first):
                copy.write_row((index, row[0], row[1]))

    def _write_tiles(self, cursor: CursorWrapper, tiles: list[FullTile]) -> None:
        if tiles:
            rows = [(tile.level, tile.index, tile.hashes, tile.root) for tile in tiles]
            cursor.executemany("INSERT INTO ledger_tile (level, index, hashes, root) VALUES (%s, %s, %s, %s)", rows)

    def _write_balances(self, cursor: CursorWrapper, entry_ids: list[int]) -> None:
        cursor.execute(_NEW_BALANCES, [entry_ids])

    def _write_head(self, cursor: CursorWrapper, head: _Head) -> None:
        cursor.execute(
            "INSERT INTO ledger_head (size, root, horizon, floor, cluster) VALUES (%s, %s, %s::xid8, %s, %s)", head
        )

    def _last_of_the_old(self, cursor: CursorWrapper, size: int) -> int:
        """The newest id that came along from the other cluster: what is written here has larger ones."""
        cursor.execute("SELECT max(entry_id) FROM ledger_leaf WHERE index < %s", [size])
        return int(cursor.fetchone()[0])


def lag() -> tuple[int, float]:
    """How many committed entries wait for the sequencer, and for how many seconds the oldest does."""
    with connection.cursor() as cursor:
        cursor.execute(_LAG)
        waiting, seconds = cursor.fetchone()
        return waiting, seconds
