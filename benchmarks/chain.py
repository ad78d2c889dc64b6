"""A yardstick: the ledger as one global hash chain, as it would be written without a sequencer.

Each row carries the hash of the one before, so that writers wait for each other until the one before has committed.
"""

import secrets

from django.db import connection

from benchmarks.sales import Parties

# A body as long as that of a sale's entry. The chain writes one row where the ledger writes seven: it is flattered.
BODY = "x" * 1350

_CREATE = """
CREATE TABLE benchmarks_chain (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, entry_key text NOT NULL UNIQUE,
    previous bytea, body bytea NOT NULL, hash bytea NOT NULL, recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE FUNCTION benchmarks_chain_append(p_key text, p_body text) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
    v_previous bytea;
    v_body bytea;
BEGIN
    PERFORM pg_advisory_xact_lock(42);
    SELECT hash INTO v_previous FROM benchmarks_chain ORDER BY id DESC LIMIT 1;
    v_body := convert_to(p_body || coalesce(encode(v_previous, 'hex'), ''), 'UTF8');
    INSERT INTO benchmarks_chain (entry_key, previous, body, hash) VALUES (p_key, v_previous, v_body, sha256(v_body))
        RETURNING hash INTO v_previous;
    RETURN v_previous;
END $$;
"""


def create_chain() -> None:
    """The chain's table and its one function."""
    with connection.cursor() as cursor:
        cursor.execute(_CREATE)


def append_to_chain(_: Parties) -> None:
    """One more row at the end of the chain, in a transaction of its own."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT benchmarks_chain_append(%s, %s)", [secrets.token_hex(16), BODY])
        cursor.fetchone()
