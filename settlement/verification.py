"""V10 and V11 for settlement: closed months are what the ledger makes of them, what was paid is what entries tell, and
its guards are on (a part of every full `verify_ledger`)."""

from collections.abc import Iterator

from ledger.verification.findings import Finding
from ledger.verification.rows import query
from settlement.models import Batch
from settlement.recomputing import differences

# A payout's state is what the last entry of its stream arrived at.
_PAYOUTS = """
SELECT payout.id, payout.state FROM settlement_payout payout LEFT JOIN LATERAL (
    SELECT kind FROM ledger_entry WHERE stream_id = payout.id ORDER BY stream_seq DESC LIMIT 1
) last ON true
WHERE last.kind IS DISTINCT FROM 'payout.' || CASE
    WHEN state <> 'pending' THEN state WHEN attempts = 0 THEN 'ordered' ELSE 'retried' END
ORDER BY payout.id LIMIT 1000
"""
_UNTOLD = """
SELECT what, row_id FROM (
    SELECT 'payment' AS what, id AS row_id, 'payment.received' AS kind FROM settlement_merchantpayment
    UNION ALL
    SELECT replace(kind, '_', ' '), id, CASE kind WHEN 'invoice' THEN 'invoice.paid' ELSE 'credit_note.applied' END
    FROM settlement_invoice WHERE paid_at IS NOT NULL
) paid
WHERE NOT EXISTS (SELECT 1 FROM ledger_entry WHERE stream_id = row_id AND ledger_entry.kind = paid.kind)
ORDER BY row_id LIMIT 1000
"""


# What refuses moves of payouts, and a second payment of anything (migration 0003).
TRIGGERS = {
    "settlement_payout_moves": ("settlement_payout", "settlement_check_payout_move"),
    "settlement_invoice_paid_once": ("settlement_invoice", "rako_refuse_change"),
    "settlement_statement_paid_once": ("settlement_statement", "rako_refuse_change"),
}
_ENABLED = """
SELECT tgname::text, tgrelid::regclass::text, tgfoid::regproc::text FROM pg_trigger
WHERE tgname = ANY(%s) AND tgenabled = 'A'
"""


def settlement_findings() -> Iterator[Finding]:
    """Where a closed month is not what the entries before its cut come to, and what is paid without an entry."""
    for batch in Batch.objects.order_by("period"):
        yield from (Finding("V10", f"settlement {batch.period}", detail) for detail in differences(batch))
    enabled = set(query(_ENABLED, [list(TRIGGERS)]))
    for name, (table, function) in TRIGGERS.items():
        if (name, table, function) not in enabled:
            yield Finding("V11", table, f"its trigger {name} is missing, changed or not always on")
    for pk, state in query(_PAYOUTS):
        yield Finding("V10", f"payout {pk}", f"is {state}, but its last entry tells otherwise")
    for what, pk in query(_UNTOLD):
        yield Finding("V10", f"{what} {pk}", "no entry tells that it is settled")
