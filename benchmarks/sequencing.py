"""The sequencer as a process of its own: its memory, how late entries come into the log, and a log of some size."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from django.db import connection

# How long each entry of a stretch of the log waited for the first head that covers it.
_LAG = """
SELECT percentile_cont(ARRAY[0.5, 0.99])
    WITHIN GROUP (ORDER BY 1000 * extract(epoch FROM head.created_at - entry.recorded_at))
FROM ledger_leaf leaf JOIN ledger_entry entry ON entry.id = leaf.entry_id
CROSS JOIN LATERAL (SELECT created_at FROM ledger_head WHERE size > leaf.index ORDER BY size LIMIT 1) head
WHERE leaf.index >= %s AND leaf.index < %s
"""


class Sequencing:
    """A running sequencer."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def peak_mb(self) -> float:
        """The most memory it has held so far, as the kernel counts it (Linux only)."""
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


@contextlib.contextmanager
def sequencing() -> Iterator[Sequencing]:
    """Run `manage.py sequencer`, with its checkpoints and all, looking every 200 ms."""
    process = subprocess.Popen([sys.executable, "manage.py", "sequencer"])
    try:
        yield Sequencing(process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def size() -> int:
    """How many entries the log has."""
    return int(_one("SELECT coalesce(max(size), 0) FROM ledger_head")[0])


def wait_until_sequenced(seconds: float) -> None:
    """Return when all entries are in the log. Raises TimeoutError."""
    [wanted], deadline = _one("SELECT count(*) FROM ledger_entry"), time.monotonic() + seconds
    while size() < wanted:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{wanted - size()} entries are not sequenced after {seconds:g} s")
        time.sleep(0.1)


def wait_until_signed(seconds: float) -> None:
    """Return when the newest head has its checkpoint. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while _one("SELECT coalesce(max(size), 0) FROM ledger_checkpoint")[0] < size():
        if time.monotonic() > deadline:
            raise TimeoutError(f"the newest head is not signed after {seconds:g} s")
        time.sleep(0.1)


def lag_ms(first: int, last: int) -> tuple[float, float]:
    """Median and 99th percentile of how long the leaves from `first` up to `last` waited, in milliseconds."""
    [[p50, p99]] = _one(_LAG, [first, last])
    return float(p50), float(p99)


def _one(sql: str, values: list[int] | None = None) -> tuple:  # type: ignore[type-arg]
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchone()  # type: ignore[no-any-return]
