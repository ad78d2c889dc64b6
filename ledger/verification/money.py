"""V10, as far as PostgreSQL can add up: every entry, every currency and every balance."""

from ledger.projections import differences
from ledger.verification.findings import Report
from ledger.verification.rows import query

_UNBALANCED = """
SELECT entry.entry_id, leaf.index, currency
FROM (SELECT entry_id, currency FROM ledger_posting GROUP BY entry_id, currency HAVING sum(amount_minor) <> 0) odd
LEFT JOIN ledger_entry entry ON entry.id = odd.entry_id LEFT JOIN ledger_leaf leaf ON leaf.entry_id = odd.entry_id
ORDER BY leaf.index LIMIT 1000
"""
_TRIAL = "SELECT currency, sum(balance_minor) FROM ledger_balance GROUP BY currency HAVING sum(balance_minor) <> 0"
_STRAYS = """
SELECT 'posting', entry_id FROM ledger_posting part
WHERE NOT EXISTS (SELECT 1 FROM ledger_entry entry WHERE entry.id = part.entry_id)
UNION SELECT 'opening', entry_id FROM ledger_opening part
WHERE NOT EXISTS (SELECT 1 FROM ledger_entry entry WHERE entry.id = part.entry_id) ORDER BY 2 LIMIT 1000
"""


def check_money(report: Report) -> None:
    """Note what does not add up, and postings and openings of no entry."""
    for entry_id, index, currency in query(_UNBALANCED):
        report.add("V10", entry_id or "postings", f"the postings in {currency} do not add up to zero", index)
    for currency, total in query(_TRIAL):
        report.add("V10", f"balances in {currency}", f"come to {total} instead of zero")
    for row in differences():
        subject = f"balance {row.account} {row.owner_id} {row.currency}"
        report.add("V10", subject, f"is {row.stored}, but its postings come to {row.summed}")
    for what, key in query(_STRAYS):
        report.add("V8", f"{what} of {key}", "belongs to no entry")
