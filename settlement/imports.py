"""Reading what banks say from CSV: answers to payouts, and payments of merchants. A bad row spoils no other."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date

from merchants.models import Merchant
from rako.core.csv_rows import Row, RowResult
from rako.core.errors import BadRequest, RakoError
from rako.core.ids import is_id
from rako.core.money import Money, from_text
from rako.core.row_commands import trying
from settlement.payouts import LONGEST_REASON, record_answer
from settlement.providers.base import Answer
from settlement.receivables import record_payment

PAYOUT_COLUMNS = ("payout", "result"), ("reason", "file")
PAYMENT_COLUMNS = ("merchant", "amount", "currency", "reference", "received_on"), ()
OUTCOMES = ("recorded", "known")
Cells = dict[str, str]


def take_answers(rows: Sequence[Row], *, is_dry_run: bool = False) -> Iterator[RowResult]:
    """Record what became of payouts, row by row."""
    return _take(rows, "payout", _take_answer, is_dry_run)


def take_payments(rows: Sequence[Row], *, is_dry_run: bool = False) -> Iterator[RowResult]:
    """Record payments of merchants, row by row."""
    return _take(rows, "reference", _take_payment, is_dry_run)


def _take(rows: Sequence[Row], subject: str, take: Callable[[Cells], bool], is_dry_run: bool) -> Iterator[RowResult]:
    for row in rows:
        try:
            outcome, detail = "recorded" if _tried(take, row, is_dry_run) else "known", ""
        except (RakoError, ValueError) as error:
            outcome, detail = "refused", str(error)
        yield RowResult(row.line, outcome, row.cells.get(subject, ""), detail)  # after the commit


def _tried(take: Callable[[Cells], bool], row: Row, is_dry_run: bool) -> bool:
    with trying(is_dry_run=is_dry_run):
        return take(row.check())


def _take_answer(row: Cells) -> bool:
    if row["result"] not in ("paid", "failed"):
        raise BadRequest("result must be paid or failed")
    reason = row.get("reason", "")[:LONGEST_REASON]
    return record_answer(Answer(row["payout"], row["result"] == "paid", reason), file_id=row.get("file", ""))


def _take_payment(row: Cells) -> bool:
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
