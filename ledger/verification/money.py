"""V10, as far as PostgreSQL can add up: every currency and every balance, and the entries that are not looked at."""

from ledger.projections import differences
from ledger.verification.findings import Report
from ledger.verification.rows import in_order, query

_UNBALANCED = """
SELECT entry.entry_id, leaf.index, currency
FROM (SELECT entry_id, currency FROM ledger_posting GROUP BY entry_id, currency HAVING sum(amount_minor) <> 0) odd
LEFT JOIN ledger_entry entry ON entry.id = odd.entry_id LEFT JOIN ledger_leaf leaf ON leaf.entry_id = odd.entry_id
WHERE leaf.index < %s OR entry.id IS NULL ORDER BY leaf.index LIMIT 1000
"""
_TRIAL = "SELECT currency, sum(balance_minor) FROM ledger_balance GROUP BY currency HAVING sum(balance_minor) <> 0"
_STRAYS = """
SELECT 'posting', entry_id FROM ledger_posting part
WHERE NOT EXISTS (SELECT 1 FROM ledger_entry entry WHERE entry.id = part.entry_id)
UNION SELECT 'opening', entry_id FROM ledger_opening part
WHERE NOT EXISTS (SELECT 1 FROM ledger_entry entry WHERE entry.id = part.entry_id) ORDER BY 2 LIMIT 1000
"""


def check_money(report: Report, since: int = 0) -> None:
    """Note what does not add up, and postings and openings of no entry. Of entries that are looked at one by one, those
    without a leaf or from the leaf `since` on, `entries` tells whether their postings balance."""
    for currency, total in query(_TRIAL):
        report.add("V10", f"balances in {currency}", f"come to {total} instead of zero")
    with in_order():
        different, strays = differences(), query(_STRAYS)
    for row in different:
        subject = f"balance {row.account} {row.owner_id} {row.currency}"
        report.add("V10", subject, f"is {row.stored}, but its postings come to {row.summed}")
    for what, key in strays:
        report.add("V8", f"{what} of {key}", "belongs to no entry")
    for entry_id, index, currency in query(_UNBALANCED, [since]) if since or strays else []:
        report.add("V10", entry_id or "postings", f"the postings in {currency} do not add up to zero", index)
