"""Reading what banks say from CSV: answers to payouts, and payments of merchants. A bad row spoils no other."""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from django.db import transaction

from merchants.models import Merchant
from rako.core.errors import BadRequest, RakoError
from rako.core.ids import is_id
from rako.core.money import Money, from_text
from settlement.payouts import LONGEST_REASON, record_answer
from settlement.providers.base import Answer
from settlement.receivables import record_payment

PAYOUT_COLUMNS = ("payout", "result"), ("reason", "file")
PAYMENT_COLUMNS = ("merchant", "amount", "currency", "reference", "received_on"), ()
_LONGEST_CELL = 400
Row = dict[str, str]
Rows = list[tuple[int, Row]]


class BadFile(Exception):
    """The file as a whole cannot be read: not UTF-8, not CSV, or columns are missing or unknown."""


class _Undone(Exception):
    """A dry run of a row is over."""


@dataclass(frozen=True, slots=True)
class RowResult:
    """What became of a row. `outcome`: recorded, known or refused; `detail` says why it was refused."""

    line: int
    outcome: str
    subject: str
    detail: str = ""


def read_rows(path: Path, columns: tuple[Sequence[str], Sequence[str]]) -> Rows:
    """The rows with their line numbers, cells stripped. Raises BadFile."""
    required, optional = columns
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            names = list(reader.fieldnames or [])
            if missing := [name for name in required if name not in names]:
                raise BadFile(f"columns are missing: {', '.join(missing)}")
            if odd := [str(name) for name in names if name not in (*required, *optional) or names.count(name) > 1]:
                raise BadFile(f"columns are unknown or given twice: {', '.join(odd)}")
            return [(reader.line_num, _clean(row)) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadFile(f"not a UTF-8 CSV file: {error}") from None


def take_answers(rows: Rows, *, is_dry_run: bool = False) -> Iterator[RowResult]:
    """Record what became of payouts, row by row."""
    return _take(rows, "payout", _take_answer, is_dry_run)


def take_payments(rows: Rows, *, is_dry_run: bool = False) -> Iterator[RowResult]:
    """Record payments of merchants, row by row."""
    return _take(rows, "reference", _take_payment, is_dry_run)


def _take(rows: Rows, subject: str, take: Callable[[Row], bool], is_dry_run: bool) -> Iterator[RowResult]:
    for line, row in rows:
        try:
            outcome, detail = "recorded" if _tried(take, row, is_dry_run) else "known", ""
        except (RakoError, ValueError) as error:
            outcome, detail = "refused", str(error)
        yield RowResult(line, outcome, row.get(subject, ""), detail)  # after the commit


def _tried(take: Callable[[Row], bool], row: Row, is_dry_run: bool) -> bool:
    if row.get("") is not None:
        raise ValueError("has more or fewer cells than columns, or one that is too long or no plain text")
    is_new = False
    try:
        with transaction.atomic():
            is_new = take(row)
            if is_dry_run:
                raise _Undone
    except _Undone:
        pass
    return is_new


def _take_answer(row: Row) -> bool:
    if row["result"] not in ("paid", "failed"):
        raise BadRequest("result must be paid or failed")
    reason = row.get("reason", "")[:LONGEST_REASON]
    return record_answer(Answer(row["payout"], row["result"] == "paid", reason), file_id=row.get("file", ""))


def _take_payment(row: Row) -> bool:
    merchant = Merchant.objects.filter(pk=row["merchant"]).first() if is_id(row["merchant"]) else None
    if merchant is None:
        raise BadRequest("merchant is not the id of one")
    try:
        money = Money(from_text(row["amount"], row["currency"]), row["currency"])
    except ValueError as error:
        raise BadRequest(f"amount {error}") from None
    try:
        received_on = date.fromisoformat(row["received_on"])
    except ValueError:
        raise BadRequest("received_on must be an ISO 8601 date") from None
    return record_payment(merchant, money, reference=row["reference"], received_on=received_on)[1]


def _clean(row: dict[str | None, object]) -> Row:
    """Cells without the space around them. What is no row of the table has the column "", and is refused by itself."""
    cells = {name: value.strip() for name, value in row.items() if name is not None and isinstance(value, str)}
    is_plain = all(len(value) <= _LONGEST_CELL and value.isprintable() for value in cells.values())
    is_odd = len(cells) != len(row) or not is_plain
    return cells | ({"": ""} if is_odd else {})
