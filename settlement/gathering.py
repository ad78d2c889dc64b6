"""Which commissions a month settles: a pure function of the ledger's entries, in one statement of PostgreSQL's.

A conversion is settled up to a point of its stream: what its entries up to there have moved on the three confirmed
accounts since the last point is its line. The point lies before its first entry that happened after the month, and is
not moved at all while it is held. So every line is the difference of two states that the sale was really in, the lines
of a conversion add up to what its entries moved, and whatever comes late, to a closed month, lands in the next.
Conversions with entries behind their point wait, and the next month looks at them again; of all others it looks only
at new entries. So a month costs what happened in it, however old the ledger is.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from settlement.periods import Period

# `fresh`: entries not looked at before, and those of conversions that waited. `later`: where the next month begins in
# a stream (what starts a validation may be dated ahead, and moves nothing). `held`: streams that were held when the
# month ended, or are by now. Streams with neither, nearly all, are only summed up.
_JUDGED = """
WITH waited AS MATERIALIZED (
    SELECT conversion_id, after_seq FROM settlement_waiting WHERE batch_id = %(previous)s
), fresh AS MATERIALIZED (
    SELECT entry.id, entry.stream_id, entry.stream_seq, entry.kind, entry.occurred_at
    FROM ledger_leaf leaf JOIN ledger_entry entry ON entry.id = leaf.entry_id
    WHERE leaf.index >= %(since)s AND leaf.index < %(cut)s AND entry.kind LIKE 'conversion.%%'
        AND NOT EXISTS (SELECT FROM waited WHERE conversion_id = entry.stream_id)
    UNION ALL
    SELECT entry.id, entry.stream_id, entry.stream_seq, entry.kind, entry.occurred_at
    FROM waited JOIN ledger_entry entry ON entry.stream_id = conversion_id AND entry.stream_seq > after_seq
        AND entry.kind LIKE 'conversion.%%'
    JOIN ledger_leaf leaf ON leaf.entry_id = entry.id AND leaf.index < %(cut)s
), later AS MATERIALIZED (
    SELECT stream_id, min(stream_seq) AS first_seq FROM fresh
    WHERE occurred_at >= %(ends_at)s AND kind <> 'conversion.validation_started' GROUP BY stream_id
), due AS MATERIALIZED (
    SELECT fresh.* FROM fresh LEFT JOIN later USING (stream_id) WHERE later.first_seq IS NULL OR stream_seq < first_seq
), suspects AS MATERIALIZED (
    SELECT stream_id FROM fresh WHERE kind IN ('conversion.dispute_opened', 'conversion.held')
    UNION SELECT conversion_id FROM waited
), words AS (
    SELECT stream_id, max(stream_seq) AS stream_seq FROM due JOIN suspects USING (stream_id) GROUP BY stream_id
    UNION SELECT stream_id, max(stream_seq) FROM fresh JOIN suspects USING (stream_id) GROUP BY stream_id
), held AS MATERIALIZED (
    SELECT DISTINCT stream_id FROM words JOIN ledger_entry entry USING (stream_id, stream_seq)
    WHERE (convert_from(entry.body, 'UTF8')::jsonb #>> '{facts,is_held}')::boolean
), moved AS MATERIALIZED (
    SELECT due.stream_id AS conversion_id, posting.currency,
        max(posting.owner_id) FILTER (WHERE posting.account = 'merchant_receivable') AS merchant_id,
        max(posting.owner_id) FILTER (WHERE posting.account = 'builder_payable') AS builder_id,
        coalesce(sum(posting.amount_minor) FILTER (WHERE posting.account = 'merchant_receivable'), 0) AS commission,
        -coalesce(sum(posting.amount_minor) FILTER (WHERE posting.account = 'fee_revenue'), 0) AS fee,
        -coalesce(sum(posting.amount_minor) FILTER (WHERE posting.account = 'builder_payable'), 0) AS payout,
        min(due.stream_seq) AS first_seq, max(due.stream_seq) AS last_seq, min(due.occurred_at) AS occurred_at
    FROM due JOIN ledger_posting posting ON posting.entry_id = due.id
    WHERE posting.account IN ('merchant_receivable', 'builder_payable', 'fee_revenue')
    GROUP BY due.stream_id, posting.currency
), judged AS MATERIALIZED (
    SELECT moved.*,
        CASE WHEN conversion_id IN (SELECT stream_id FROM held) THEN 'held'
             WHEN merchant_id = ANY(%(held_merchants)s) THEN 'findings' END AS waits
    FROM moved
), lines AS (
    SELECT conversion_id, currency,
        -- Rounding may leave a side without a posting.
        coalesce(merchant_id, (SELECT merchant_id FROM ledger_conversion WHERE id = conversion_id)) AS merchant_id,
        coalesce(builder_id, (SELECT builder_id FROM ledger_conversion WHERE id = conversion_id)) AS builder_id,
        commission::bigint AS commission_minor, fee::bigint AS fee_minor, payout::bigint AS payout_minor,
        -- What no invoice charged has no VAT to give back.
        CASE WHEN commission < 0 THEN coalesce((
            SELECT invoice.vat_rate
            FROM settlement_line charge JOIN settlement_batch batch ON batch.id = charge.batch_id
            JOIN settlement_invoice invoice ON invoice.batch_id = batch.id AND invoice.kind = 'invoice'
                AND invoice.merchant_id = charge.merchant_id AND invoice.currency = charge.currency
            WHERE charge.conversion_id = judged.conversion_id AND charge.commission_minor > 0
                AND batch.period < %(period)s
            ORDER BY batch.period DESC LIMIT 1
        ), 0)::numeric(5, 4) END AS reversed_vat_rate,
        last_seq AS up_to_seq,
        occurred_at < %(late_before)s AND conversion_id NOT IN (SELECT conversion_id FROM waited) AS is_late
    FROM judged WHERE waits IS NULL AND (commission <> 0 OR fee <> 0 OR payout <> 0)
), waiting AS (
    SELECT stream_id AS conversion_id, 'held' AS reason, min(stream_seq) - 1 AS after_seq,
        coalesce((SELECT sum(payout) FROM judged WHERE conversion_id = stream_id), 0)::bigint AS payout_minor
    FROM fresh JOIN held USING (stream_id) GROUP BY stream_id
    UNION ALL
    SELECT conversion_id, waits, min(first_seq) - 1, sum(payout)::bigint
    FROM judged WHERE waits = 'findings' GROUP BY conversion_id, waits
    UNION ALL
    SELECT stream_id, 'later', first_seq - 1, 0 FROM later
    WHERE stream_id NOT IN (SELECT stream_id FROM held)
        AND stream_id NOT IN (SELECT conversion_id FROM judged WHERE waits = 'findings')
)
"""
_COLUMNS = (
    "conversion_id, currency, merchant_id, builder_id, commission_minor, fee_minor, payout_minor, reversed_vat_rate, "
    "up_to_seq, is_late"
)
_STORE = f"""{_JUDGED}, kept AS (
    INSERT INTO settlement_waiting (batch_id, conversion_id, reason, after_seq, payout_minor)
    SELECT %(batch)s, conversion_id, reason, after_seq, payout_minor FROM waiting
)
INSERT INTO settlement_line (batch_id, {_COLUMNS})
SELECT %(batch)s, {_COLUMNS} FROM lines ORDER BY conversion_id, currency
"""  # noqa: S608 - our own texts
# Ids are compared as bytes, whatever the collation of the column that they come from.
_LINES = _COLUMNS, 'conversion_id COLLATE "C", currency COLLATE "C"'
_WAITING = "conversion_id, reason, after_seq, payout_minor", 'conversion_id COLLATE "C"'


def _spelled(rows: str, of: tuple[str, str], before: str = "") -> str:
    """The statement that sends rows as CSV, in one order."""
    columns, order = of
    return f"COPY ({before} SELECT {columns} FROM {rows} ORDER BY {order}) TO STDOUT (FORMAT csv, HEADER)"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Scope:
    """What a month looks at: the log's entries in [since, cut), those that waited in `previous`, and whom it holds."""

    period: Period
    previous: str
    late_before: datetime
    since: int
    cut: int
    held_merchants: Sequence[str]

    @property
    def values(self) -> dict[str, Any]:
        """As parameters of the statements."""
        return {
            "period": self.period.text,
            "previous": self.previous,
            "since": self.since,
            "cut": self.cut,
            "late_before": self.late_before,
            "ends_at": self.period.ends_at,
            "held_merchants": list(self.held_merchants),
        }


@dataclass(frozen=True, slots=True)
class Digest:
    """The SHA-256 (hex) of rows spelled as CSV, and how many there are."""

    sha256: str
    count: int


def store(scope: Scope, batch_id: str) -> None:
    """Write the lines of a batch, and what waits for the next."""
    with connection.cursor() as cursor:
        cursor.execute(_STORE, scope.values | {"batch": batch_id})


def lines_now(scope: Scope) -> Digest:
    """The lines as the ledger gives them today."""
    return _digest(_spelled("lines", _LINES, _JUDGED), scope.values)


def lines_stored(batch_id: str) -> Digest:
    """The lines as they were written."""
    return _digest(_spelled("settlement_line WHERE batch_id = %(batch)s", _LINES), {"batch": batch_id})


def waiting_now(scope: Scope) -> Digest:
    """What waits, as the ledger gives it today."""
    return _digest(_spelled("waiting", _WAITING, _JUDGED), scope.values)


def waiting_stored(batch_id: str) -> Digest:
    """What waits, as it was written."""
    return _digest(_spelled("settlement_waiting WHERE batch_id = %(batch)s", _WAITING), {"batch": batch_id})


def _digest(sql: str, values: dict[str, Any]) -> Digest:
    """Hash rows as PostgreSQL sends them, block by block: memory does not grow with them."""
    hashed, lines = hashlib.sha256(), -1  # less the header
    with connection.cursor() as cursor, cursor.connection.cursor() as raw, raw.copy(sql, values) as copy:
        for block in copy:
            hashed.update(block)
            lines += bytes(block).count(b"\n")
    return Digest(hashed.hexdigest(), lines)
