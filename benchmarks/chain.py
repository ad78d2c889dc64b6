"""A yardstick: the same ledger as one global hash chain, as it would be written without a sequencer.

It stores exactly what the ledger stores, by the same function in as many round trips. But all entries are in one
stream, each with the hash of the one before, so that a writer waits until the one before has committed.
"""

from django.db import connection

from benchmarks.sales import Parties, proof_of_sale
from rako.core import facts
from rako.core.ids import new_id
from rako.core.postgres import prepared_cursor
from rako.core.rows import inserting

_CREATE = """
CREATE FUNCTION benchmarks_chain_append(
    text, text, text, text, text, timestamptz, text, text, text, text, bytea, bytea, text[], text[], text[], bigint[]
) RETURNS SETOF record LANGUAGE plpgsql AS $$
BEGIN
    -- Before the end of the chain is looked up, and until the transaction has ended: nobody loses a race for it.
    PERFORM pg_advisory_xact_lock(42);
    RETURN QUERY SELECT * FROM ledger_append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16);
END $$;
"""
_COLUMNS = "AS (id bigint, entry_id text, stream_seq integer, recorded_at timestamptz, leaf_hash bytea, is_new boolean)"
_STREAM = new_id()


def create_chain() -> None:
    """The function that appends to the chain."""
    with connection.cursor() as cursor:
        cursor.execute(_CREATE)


def append_to_chain(parties: Parties) -> None:
    """One more entry at the end of the chain, in a transaction of its own."""
    fact, row = proof_of_sale(parties, chain=_STREAM)
    sql, values = facts.stating(fact, inserting(row))
    with prepared_cursor() as cursor:
        cursor.execute(f"{sql.replace('ledger_append(', 'benchmarks_chain_append(')} {_COLUMNS}", values)
        cursor.fetchone()
