"""The ledger's entries as transactions, as the network's own books have them: those that move nothing are left out."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Max

from ledger.models import Account, Head
from settlement.exports.journals import AccountPath, Leg, Transaction

_PAGE = 5000
_ROWS = """
SELECT leaf.index, entry.entry_id, entry.kind, entry.stream_id, entry.recorded_at, entry.occurred_at,
    posting.account, posting.owner_id, posting.currency, posting.amount_minor
FROM ledger_entry entry JOIN ledger_posting posting ON posting.entry_id = entry.id
"""
_SEQUENCED = f"""{_ROWS} JOIN ledger_leaf leaf ON leaf.entry_id = entry.id
WHERE leaf.index >= %(first)s AND leaf.index < %(end)s AND entry.recorded_at < %(until)s
ORDER BY leaf.index, posting.place
"""
_OF_STREAMS = f"""{_ROWS} LEFT JOIN ledger_leaf leaf ON leaf.entry_id = entry.id
WHERE entry.stream_id = ANY(%(streams)s) AND entry.kind = ANY(%(kinds)s)
ORDER BY entry.id, posting.place
"""
_CLASSES = {
    Account.MERCHANT_ACCRUED: "assets",
    Account.MERCHANT_RECEIVABLE: "assets",
    Account.BUILDER_PENDING: "liabilities",
    Account.BUILDER_PAYABLE: "liabilities",
    Account.BUILDER_CLAWBACK_DUE: "assets",
    Account.FEE_PENDING: "liabilities",
    Account.FEE_REVENUE: "income",
    Account.VAT_PAYABLE: "liabilities",
    Account.BANK_CLEARING: "assets",
    Account.BAD_DEBT: "expenses",
}
_FOR_EVER = datetime.max.replace(tzinfo=UTC)


class _Row(NamedTuple):
    place: int | None
    entry_id: str
    kind: str
    stream_id: str
    recorded_at: datetime
    occurred_at: datetime
    account: str
    owner_id: str
    currency: str
    amount_minor: int


def account_path(account: str, owner_id: str) -> AccountPath:
    """An account of the ledger with its class, and whose it is: `assets`, `merchant_receivable`, `<merchant id>`."""
    path = (_CLASSES[Account(account)], account)
    return (*path, owner_id) if owner_id else path


def sequenced_transactions(until: datetime = _FOR_EVER) -> Iterator[list[Transaction]]:
    """Pages of all that the log holds by now of what was recorded before `until`, in the log's order."""
    size = Head.objects.aggregate(newest=Max("size"))["newest"] or 0
    for first in range(0, size, _PAGE):
        yield _transactions(_SEQUENCED, {"first": first, "end": min(first + _PAGE, size), "until": until})


def transactions_of(streams: Sequence[str], kinds: Sequence[str]) -> Iterator[list[Transaction]]:
    """Pages of the entries of some kinds in some streams."""
    for first in range(0, len(streams), _PAGE):
        yield _transactions(_OF_STREAMS, {"streams": streams[first : first + _PAGE], "kinds": list(kinds)})


def _transactions(sql: str, values: dict[str, Any]) -> list[Transaction]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        rows = [_Row(*row) for row in cursor.fetchall()]
    return [_transaction(list(postings)) for _, postings in groupby(rows, key=lambda row: row.entry_id)]


def _transaction(rows: list[_Row]) -> Transaction:
    entry = rows[0]
    place = {} if entry.place is None else {"index": str(entry.place)}
    return Transaction(
        # When it was recorded, not when it happened: the books of a past day never change.
        on=entry.recorded_at.astimezone(UTC).date(),
        description=f"{entry.kind} {entry.stream_id}",
        tags={"entry": entry.entry_id, **place, "occurred": entry.occurred_at.astimezone(UTC).date().isoformat()},
        legs=[Leg(account_path(row.account, row.owner_id), row.currency, row.amount_minor) for row in rows],
    )
