"""V1, V3, V4, V12: walks the log from leaf to leaf, and holds heads, tiles and outside words against what grows."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from ledger.tree_store import appender_at
from ledger.verification.entries import check_entry
from ledger.verification.findings import Report
from ledger.verification.growth import Growth
from ledger.verification.rows import NAMES, query, sequenced
from rako.core.tlog.tree import FullTile, TreeError

CHUNK = 64 * 256
# An entry is stamped when it is written and sequenced once its transaction has committed: a long transaction's entry
# is older than what was sequenced before it, by as long as the transaction went on. No longer than this, though.
LONG_TRANSACTION = timedelta(minutes=1)

_INDEX, _LEAF, _RECORDED = (NAMES.index(name) for name in ("index", "leaf_hash", "recorded_at"))
_ISO = """'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'"""
# The heads in a chunk, and the one behind it: its batch may have begun here.
_HEADS = f"""
SELECT size, root, to_char(created_at AT TIME ZONE 'UTC', {_ISO}) FROM ledger_head WHERE size > %s
    AND size <= coalesce((SELECT min(size) FROM ledger_head WHERE size >= %s), %s) ORDER BY size
"""  # noqa: S608 - our own texts
_NEWEST_BEFORE = f"""
SELECT to_char(recorded_at AT TIME ZONE 'UTC', {_ISO}) FROM ledger_entry JOIN ledger_leaf leaf ON leaf.entry_id = id
WHERE index = %s - 1
"""  # noqa: S608 - our own texts


class Claim(NamedTuple):
    """Somebody's word, from outside the tables walked over, that the first `size` entries have this root."""

    size: int
    root: bytes
    subject: str


class Walk:
    """One pass over the leaves from `since` on. Iterate it to the end: each step is a chunk."""

    def __init__(self, report: Report, *, since: int = 0, claims: Iterable[Claim] = ()) -> None:
        self._report = report
        self._since = since
        self._claims = list(claims)
        count, lowest, highest = query("SELECT count(*), coalesce(min(index), 0), coalesce(max(index), -1) FROM ledger_leaf")[0]
        self.size = highest + 1
        self._newest = ""  # when the newest of the entries before the current batch was recorded
        self._batch_newest = ""
        if lowest < 0 or count > self.size:
            report.add("V1", f"leaf {lowest}", "leaves are counted from 0", lowest)

    @property
    def steps(self) -> int:
        """How many chunks there are."""
        return max(0, -(-(self.size - self._since) // CHUNK))

    def __iter__(self) -> Iterator[int]:
        """Walk; gives the size reached after each chunk."""
        growth = self._start()
        self._judge({0: growth.root()} if growth.size == 0 else {}, [])
        for first in range(self._since, self.size, CHUNK):
            last = min(first + CHUNK, self.size)
            growth = self._pass(growth, first, last)
            yield last
        self._beyond()

    def _start(self) -> Growth | None:
        ...
