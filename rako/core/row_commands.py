"""How commands that take a file of rows read it, and tell what became of each."""

import json
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from rako.core.csv_rows import BadFile, Row, RowResult
from rako.core.progress import progress


class _Undone(Exception):
    """A dry run is over."""


def add_output(parser: ArgumentParser) -> None:
    """The options that such commands share."""
    parser.add_argument("--dry-run", action="store_true", help="say what would become of each row; keep nothing")
    parser.add_argument("--json", action="store_true", help="one JSON object per row and one for the tally")
    parser.add_argument("--quiet", action="store_true", help="show refused rows and the tally only")


def read(path: object, reader: Callable[[], list[Row]]) -> list[Row]:
    """What the reader reads, or the command's end."""
    try:
        return reader()
    except (OSError, BadFile) as error:
        raise CommandError(f"{path}: {error}") from None


@contextmanager
def trying(*, is_dry_run: bool) -> Iterator[None]:
    """A transaction that nothing stays of if it is a dry run."""
    try:
        with transaction.atomic():
            yield
            if is_dry_run:
                raise _Undone
    except _Undone:
        pass


def tell(
    command: BaseCommand,
    results: Iterable[RowResult],
    options: dict[str, Any],
    *,
    outcomes: Sequence[str],
    label: str,
    total: int,
) -> None:
    """Show each row's result and the tally; exit 3 if a row was refused."""
    tally: Counter[str] = Counter()
    for row in progress(results, total=total, label=label):
        tally[row.outcome] += 1
        if options["json"]:
            command.stdout.write(json.dumps({name: getattr(row, name) for name in row.__slots__}))
        elif row.outcome == "refused" or not options["quiet"]:
            command.stdout.write(f"line {row.line}: {row.outcome} {row.subject} {row.detail}".rstrip())
    counts = {name: tally[name] for name in (*outcomes, "refused")}
    kept = " (dry run, nothing kept)" if options["dry_run"] else ""
    told = ", ".join(f"{count} {name}" for name, count in counts.items()) + kept
    command.stdout.write(json.dumps(counts) if options["json"] else told)
    if tally["refused"]:
        raise SystemExit(3)
