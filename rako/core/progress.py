"""A progress bar for long commands: drawn only on a terminal, so that logs and pipes stay clean."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar

T = TypeVar("T")

_WIDTH = 30
_INTERVAL = 0.1


def progress(items: Iterable[T], *, total: int | None, label: str, stream: TextIO | None = None) -> Iterator[T]:
    """Pass the items through, drawing how far along they are; without a total, how many there were."""
    out = stream or sys.stderr
    if not out.isatty():
        yield from items
        return
    drawn = 0.0
    for done, item in enumerate(items, 1):
        yield item
        if time.monotonic() - drawn > _INTERVAL or done == total:
            drawn = time.monotonic()
            out.write(f"\r{label} {_drawn(done, total)}")
            out.flush()
    out.write("\n")


def _drawn(done: int, total: int | None) -> str:
    if total is None:
        return str(done)
    filled = _WIDTH * done // max(total, 1)
    return f"[{'#' * filled}{'.' * (_WIDTH - filled)}] {done}/{total}"
