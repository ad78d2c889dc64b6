"""V12: time goes forward, and entries were recorded when their place in the log says so."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from ledger.verification.findings import Report
from ledger.verification.rows import query

# An entry is stamped when it is written, and sequenced once its transaction has committed. So a long transaction's
# entry is older than those sequenced before it, by as long as the transaction still went on: a minute is allowed.
LONG_TRANSACTION = timedelta(minutes=1)

_ISO = """'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'"""
# The heads of a chunk, and the one behind it: its batch may have begun in here.
_HEADS = f"""
SELECT size, root, to_char(created_at AT TIME ZONE 'UTC', {_ISO}) FROM ledger_head
WHERE size > %s AND size <= coalesce((SELECT min(size) FROM ledger_head WHERE size >= %s), %s) ORDER BY size
"""  # noqa: S608 - our own texts
_RECORDED = f"""
SELECT to_char(recorded_at AT TIME ZONE 'UTC', {_ISO}) FROM ledger_leaf leaf
JOIN ledger_entry entry ON entry.id = leaf.entry_id
WHERE index = %s - 1
"""  # noqa: S608 - our own texts
_BACKWARDS = """
SELECT what, size FROM (
    SELECT 'head' AS what, size, created_at, lag(created_at) OVER (ORDER BY size) AS before FROM ledger_head
    UNION ALL
    SELECT 'checkpoint', size, created_at, lag(created_at) OVER (ORDER BY size) FROM ledger_checkpoint
    UNION ALL
    SELECT 'checkpoint', size, checkpoint.created_at, head.created_at
    FROM ledger_checkpoint checkpoint JOIN ledger_head head USING (size)
) timed WHERE created_at < before AND size > %s ORDER BY size
"""


class StoredHead(NamedTuple):
    """A head as stored; times are ISO texts in UTC, which compare like the times."""

    size: int
    root: bytes
    created_at: str


class Batches:
    """Judges the entries' times by the heads around them, batch by batch.

    An entry was recorded before the head that brought it, and not long before the newest of those sequenced earlier.
    (Not: before the previous head. A sequencer that works off what waited while it was down makes heads long after.)
    """

    def __init__(self, report: Report, since: int) -> None:
        self._report = report
        self._begun = since  # where the current batch begins, as far as it was walked over
        self._newest = next((time for (time,) in query(_RECORDED, [since])), "")
        self._batch_newest = ""

    def heads(self, first: int, last: int) -> list[StoredHead]:
        """The heads at sizes above `first` up to the first at or behind `last`."""
        return [StoredHead(size, bytes(root), at) for size, root, at in query(_HEADS, [first, last, last])]

    def judge(self, heads: list[StoredHead], first: int, times: Sequence[str | None]) -> None:
        """Judge a chunk of entries from `first` on, recorded at these times (None if missing)."""
        for head in heads:
            start, end = max(self._begun, first), min(head.size, first + len(times))
            batch = times[start - first : end - first]
            told = [time for time in batch if time is not None]
            if told:
                self._judge_batch(head, start, batch, told)
            if head.size <= first + len(times):
                self._begun, self._newest, self._batch_newest = head.size, max(self._newest, self._batch_newest), ""

    def _judge_batch(self, head: StoredHead, start: int, batch: Sequence[str | None], told: list[str]) -> None:
        latest, earliest, floor = max(told), min(told), _long_before(self._newest)
        self._batch_newest = max(self._batch_newest, latest)
        if latest > head.created_at:
            self._note(start + batch.index(latest), f"was recorded after the head {head.size} that has it")
        if earliest < floor:
            self._note(start + batch.index(earliest), "was recorded long before entries that were sequenced earlier")

    def _note(self, index: int, detail: str) -> None:
        self._report.add("V12", f"leaf {index}", detail, index)


def check_clock(report: Report, since: int = 0) -> None:
    """Note heads and checkpoints that are older than what they come after."""
    for what, size in query(_BACKWARDS, [since]):
        report.add("V12", f"{what} {size}", "is older than what it comes after", size - 1)


def _long_before(time: str) -> str:
    if not time:
        return ""
    bound = datetime.fromisoformat(time) - LONG_TRANSACTION
    return bound.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
