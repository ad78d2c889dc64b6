"""Balances: a projection of the sequenced postings, which can be made anew, and what came after it."""

from typing import NamedTuple

from django.db import connection, transaction

from ledger.models import Account
from ledger.sequencer import LOCK  # whoever holds it is the one who writes balances

_SUMS = """
SELECT account, owner_id, currency, sum(amount_minor)::bigint AS balance_minor FROM ledger_posting posting
WHERE EXISTS (SELECT 1 FROM ledger_leaf leaf WHERE leaf.entry_id = posting.entry_id)
GROUP BY account, owner_id, currency
"""
_DIFFERENCES = f"""
SELECT account, owner_id, currency, stored.balance_minor, summed.balance_minor
FROM ledger_balance stored FULL JOIN ({_SUMS}) summed USING (account, owner_id, currency)
WHERE stored.balance_minor IS DISTINCT FROM summed.balance_minor ORDER BY account, owner_id, currency
"""  # noqa: S608 - our own texts
_REBUILD = f"""
INSERT INTO ledger_balance (account, owner_id, currency, balance_minor) {_SUMS} ORDER BY account, owner_id, currency
"""
_WINDOW = """
SELECT CASE WHEN cluster = system_identifier THEN horizon ELSE '0'::xid8 END::text,
    CASE WHEN cluster = system_identifier THEN floor ELSE 0 END
FROM ledger_head, pg_control_system() ORDER BY size DESC LIMIT 1
"""
_BALANCE = """
SELECT coalesce((
    SELECT balance_minor FROM ledger_balance
    WHERE account = %(account)s AND owner_id = %(owner)s AND currency = %(currency)s
), 0) + coalesce((
    SELECT sum(posting.amount_minor) FROM ledger_entry entry JOIN ledger_posting posting ON posting.entry_id = entry.id
    WHERE entry.xid >= %(horizon)s::xid8 AND entry.id > %(floor)s
        AND NOT EXISTS (SELECT 1 FROM ledger_leaf leaf WHERE leaf.entry_id = entry.id)
        AND posting.account = %(account)s AND posting.owner_id = %(owner)s AND posting.currency = %(currency)s
), 0)::bigint
"""


_OWNED = """
SELECT account, currency, sum(amount_minor)::bigint FROM (
    SELECT account, currency, balance_minor AS amount_minor FROM ledger_balance
    WHERE account = ANY(%(accounts)s) AND owner_id = %(owner)s
    UNION ALL
    SELECT posting.account, posting.currency, posting.amount_minor
    FROM ledger_entry entry JOIN ledger_posting posting ON posting.entry_id = entry.id
    WHERE entry.xid >= %(horizon)s::xid8 AND entry.id > %(floor)s
        AND NOT EXISTS (SELECT 1 FROM ledger_leaf leaf WHERE leaf.entry_id = entry.id)
        AND posting.account = ANY(%(accounts)s) AND posting.owner_id = %(owner)s
) part GROUP BY account, currency
"""


class Difference(NamedTuple):
    """A balance that is not the sum of its postings; None for one that is missing on either side."""

    account: str
    owner_id: str
    currency: str
    stored: int | None
    summed: int | None


def balance_of(account: Account, owner_id: str, currency: str) -> int:
    """What an account comes to by now, in minor units: debits less credits, sequenced or not."""
    with connection.cursor() as cursor:
        # An older window is as good: it only makes us look at a few entries more. As literals of the statement below,
        # its bounds tell the planner how few these are.
        cursor.execute(_WINDOW)
        horizon, floor = cursor.fetchone() or ("0", 0)
        # One statement, one snapshot: no posting is in both sums, or in none, while a batch is sequenced.
        values = {"account": account, "owner": owner_id, "currency": currency, "horizon": horizon, "floor": floor}
        cursor.execute(_BALANCE, values)
        return int(cursor.fetchone()[0])


def balances_of(owner_id: str, *accounts: Account) -> dict[tuple[str, str], int]:
    """What an owner's accounts come to by now, in minor units, by account and currency; see `balance_of`."""
    with connection.cursor() as cursor:
        cursor.execute(_WINDOW)
        horizon, floor = cursor.fetchone() or ("0", 0)
        values = {"accounts": list(accounts), "owner": owner_id, "horizon": horizon, "floor": floor}
        cursor.execute(_OWNED, values)
        return {(account, currency): amount for account, currency, amount in cursor.fetchall()}


def differences() -> list[Difference]:
    """Where the stored balances are not what the sequenced postings add up to."""
    with connection.cursor() as cursor:
        cursor.execute(_DIFFERENCES)
        return [Difference(*row) for row in cursor.fetchall()]


@transaction.atomic
def rebuild() -> int:
    """Make all balances anew; returns how many there are. The sequencer waits meanwhile, and readers see the old."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        cursor.execute("DELETE FROM ledger_balance")
        cursor.execute(_REBUILD)
        return int(cursor.rowcount)
