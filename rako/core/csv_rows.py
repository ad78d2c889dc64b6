"""Tables that merchants and banks send as CSV: a file is read whole or not at all, its rows are judged one by one."""

import csv
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rako.core.errors import BadRequest

LARGEST_BYTES = 200 * 1024 * 1024
_LONGEST_CELL = 2000


class BadFile(Exception):
    """The file as a whole cannot be read: too large, not UTF-8, not CSV, or columns are missing, unknown or twice."""


class Row(NamedTuple):
    """A row with the number of its line; cells are stripped. One with a `fault` is not of the table's form."""

    line: int
    cells: dict[str, str]
    fault: str = ""

    def check(self) -> dict[str, str]:
        """The cells. Raises BadRequest for a fault."""
        if self.fault:
            raise BadRequest(self.fault)
        return self.cells


@dataclass(frozen=True, slots=True)
class RowResult:
    """What became of a row: an `outcome` that its command names, and for `refused` rows why, as `detail`."""

    line: int
    outcome: str
    subject: str
    detail: str = ""


def read_rows(
    path: Path, required: Collection[str], optional: Collection[str] = (), *, named: Callable[[str], str] = str
) -> list[Row]:
    """The rows of a file, whose columns are these in any order; `named` maps those that have several names.

    Raises BadFile, and OSError.
    """
    if path.stat().st_size > LARGEST_BYTES:
        raise BadFile(f"larger than {LARGEST_BYTES // 1024**2} MB: split it")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, strict=True)
            names = [named(name.strip()) for name in next(lines, [])]
            _check_header(names, required, optional)
            return [_row(lines.line_num, names, cells) for cells in lines if cells]
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadFile(f"not a UTF-8 CSV file: {error}") from None


def _check_header(names: list[str], required: Collection[str], optional: Collection[str]) -> None:
    if missing := [name for name in required if name not in names]:
        raise BadFile(f"columns are missing: {', '.join(missing)}")
    if unknown := [name for name in names if name not in required and name not in optional]:
        raise BadFile(f"columns are unknown: {', '.join(unknown)}")
    if twice := [name for name in names if names.count(name) > 1]:
        raise BadFile(f"column {twice[0]} is given twice")


def _row(line: int, names: list[str], cells: list[Any]) -> Row:
    found = dict(zip(names, (cell.strip() for cell in cells), strict=False))
    if len(cells) != len(names):
        return Row(line, found, "the row has more or fewer cells than the header")
    odd = [name for name, cell in found.items() if len(cell) > _LONGEST_CELL or not cell.isprintable()]
    return Row(line, found, f"{odd[0]} is too long or holds a control character" if odd else "")
