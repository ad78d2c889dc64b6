"""How many sales of each side's an entry of settlement is about: a batch may hold a million, and none has a message of
its own. What a batch has and a payout pays never changes, so these numbers can be had again at any time.
"""

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from django.db import connection

from notifications.catalogue import SALES

Owner = tuple[str, str]  # as `Endpoint.owner` has it
_OF_BATCHES = """
SELECT batch_id, '{owner}', {owner}, currency, count(*) FROM settlement_line
WHERE batch_id = ANY(%s) AND {owner} = ANY(%s) GROUP BY batch_id, {owner}, currency
"""
# Of a payout's statements several may have the same sale.
_OF_PAYOUTS = """
SELECT statement.payout_id, '{owner}', line.{owner}, line.currency, count(DISTINCT line.conversion_id)
FROM settlement_statement statement JOIN settlement_line line ON line.batch_id = statement.batch_id
    AND line.builder_id = statement.builder_id AND line.currency = statement.currency
WHERE statement.payout_id = ANY(%s) AND line.{owner} = ANY(%s) GROUP BY statement.payout_id, line.{owner}, line.currency
"""
# What the bank refuses was never settled; what it sends back was.
_SENT_BACK = """
SELECT entry.entry_id FROM ledger_entry entry JOIN ledger_entry before
    ON before.stream_id = entry.stream_id AND before.stream_seq = entry.stream_seq - 1
WHERE entry.entry_id = ANY(%s) AND before.kind = 'payout.paid'
"""


class Cause(NamedTuple):
    """An entry after which sales have another status; its stream is a batch or a payout."""

    entry_id: str
    kind: str
    stream_id: str

    @property
    def is_batch(self) -> bool:
        """Whether a batch has come to have the sales, rather than a payout paid them."""
        return self.kind == "settlement.closed"


def count_sales(entries: Iterable[Cause], owners: Collection[Owner]) -> dict[str, dict[Owner, dict[str, Any]]]:
    """What to tell each of the owners of each entry, by its id: `batchId` or `payoutId`, and `sales` by currency."""
    causes = [entry for entry in entries if entry.kind in SALES]
    failed = [entry.entry_id for entry in causes if entry.kind == "payout.failed"]
    sent_back = {entry_id for (entry_id,) in _rows(_SENT_BACK, failed)} if failed else set()
    causes = [entry for entry in causes if entry.entry_id in sent_back or entry.kind != "payout.failed"]
    sales = _by_stream(_OF_BATCHES, {entry.stream_id for entry in causes if entry.is_batch}, owners)
    sales |= _by_stream(_OF_PAYOUTS, {entry.stream_id for entry in causes if not entry.is_batch}, owners)
    return {
        entry.entry_id: {
            owner: {"batchId" if entry.is_batch else "payoutId": entry.stream_id, "sales": found}
            for owner, found in sales.get(entry.stream_id, {}).items()
        }
        for entry in causes
    }


def _by_stream(sql: str, streams: set[str], owners: Collection[Owner]) -> dict[str, dict[Owner, list[dict[str, Any]]]]:
    found: dict[str, dict[Owner, list[dict[str, Any]]]] = {}
    for party in ("merchant_id", "builder_id"):
        wanted = [owner for kind, owner in owners if kind == party]
        if streams and wanted:
            for stream, kind, owner, currency, count in sorted(_rows(sql.format(owner=party), list(streams), wanted)):
                told = found.setdefault(stream, {}).setdefault((kind, owner), [])
                told.append({"currency": currency, "count": count})
    return found


def _rows(sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())
