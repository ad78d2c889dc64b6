"""How commands that take a file tell what became of its rows."""

import json
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from rako.core.progress import progress
from settlement.imports import BadFile, RowResult, Rows, read_rows

_OUTCOMES = ("recorded", "known", "refused")


def add_output(parser: ArgumentParser) -> None:
    """The options that such commands share."""
    parser.add_argument("--dry-run", action="store_true", help="say what would become of each row; keep nothing")
    parser.add_argument("--json", action="store_true", help="one JSON object per row and one for the tally")
    parser.add_argument("--quiet", action="store_true", help="show refused rows and the tally only")


def read(path: Path, columns: tuple[Sequence[str], Sequence[str]]) -> Rows:
    """The rows of a file, or the command's end."""
    try:
        return read_rows(path, columns)
    except (OSError, BadFile) as error:
        raise CommandError(f"{path}: {error}") from None


def tell(
    command: BaseCommand, results: Iterable[RowResult], options: dict[str, Any], *, label: str, total: int
) -> None:
    """Show each row's result and the tally; exit 3 if a row was refused."""
    tally: Counter[str] = Counter()
    for row in progress(results, total=total, label=label):
        tally[row.outcome] += 1
        if options["json"]:
            command.stdout.write(json.dumps({name: getattr(row, name) for name in row.__slots__}))
        elif row.outcome == "refused" or not options["quiet"]:
            command.stdout.write(f"line {row.line}: {row.outcome} {row.subject} {row.detail}".rstrip())
    counts = {name: tally[name] for name in _OUTCOMES}
    kept = " (dry run, nothing kept)" if options["dry_run"] else ""
    told = ", ".join(f"{count} {name}" for name, count in counts.items()) + kept
    command.stdout.write(json.dumps(counts) if options["json"] else told)
    if tally["refused"]:
        raise SystemExit(3)
