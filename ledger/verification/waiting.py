"""V7: what was recorded is in the log. Entries that wait for the sequencer are checked like the others."""

import time
from datetime import datetime, timedelta

from django.db import connection

from ledger.models import Head
from ledger.verification.entries import check_entry
from ledger.verification.findings import Report
from ledger.verification.rows import entries_of, in_order, query

# The promise that receipts make.
PATIENCE = timedelta(seconds=10)
_CHUNK = 10_000
_WAITING = """
SELECT id, recorded_at FROM ledger_entry WHERE id = ANY(ARRAY(
    -- By numbers alone, which two indices have in one order.
    SELECT id FROM ledger_entry entry
    WHERE NOT EXISTS (SELECT 1 FROM ledger_leaf leaf WHERE leaf.entry_id = entry.id)
)) ORDER BY id
"""
_STILL = """
SELECT entry_id, recorded_at FROM ledger_entry entry
WHERE id = ANY(%s) AND NOT EXISTS (SELECT 1 FROM ledger_leaf leaf WHERE leaf.entry_id = entry.id) ORDER BY id
"""


def check_waiting(report: Report, as_of: datetime) -> list[int]:
    """Check the entries without a leaf; gives those that should have had one by then. Settle them with `check_late`."""
    with in_order():
        rows = query(_WAITING)
    for at in range(0, len(rows), _CHUNK):
        for row in entries_of([key for key, _ in rows[at : at + _CHUNK]]):
            check_entry(row, report)
    report.tally("waiting", len(rows))
    return [key for key, recorded_at in rows if recorded_at < as_of - PATIENCE]


def check_late(report: Report, ids: list[int]) -> None:
    """Note the late ones that have no leaf even now.

    Outside the snapshot and a moment later: what a long transaction has only just committed looks late, and is not.
    """
    if not ids:
        return
    if not connection.in_atomic_block:
        time.sleep(1)
    late = query(_STILL, [ids])
    if late:
        entry_id, recorded_at = late[0]
        why = "" if Head.objects.exists() else " (no sequencer has ever run)"
        others = f", and {len(late) - 1} others with it" if len(late) > 1 else ""
        report.add("V7", entry_id, f"recorded at {recorded_at:%FT%TZ}, is not in the log{others}{why}")
