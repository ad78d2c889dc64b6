"""Grows the log to a size, fast: many appends in one statement, from two connections."""

import time

from django.db import connection
from django.db.backends.postgresql.psycopg_any import mogrify

from benchmarks.pgbench import run_script
from benchmarks.sales import Parties

_STATEMENT = 500  # entries of one statement
_WRITERS = 2

# As `sales.proof_of_sale` states it, but in bulk: ids and nonces are numbers, the facts are the same for all.
_GROW = """
SELECT count(*) FROM (SELECT nextval('benchmarks_growth') AS number FROM generate_series(1, %(count)s)) AS counted,
LATERAL ledger_append(
    '01' || lpad(number::text, 24, '0'), '02' || lpad(number::text, 24, '0'), 'benchmark.measured', %(facts)s,
    lpad(number::text, 32, '0'), now(), 'measured:' || number, %(merchant)s, %(agent)s, repeat('0', 64),
    convert_to('{"nonce":"' || number || '"}', 'UTF8'),
    convert_to('{"builder_id":"' || %(builder)s || '","nonce":"' || number || '"}', 'UTF8'),
    ARRAY['merchant_accrued', 'builder_pending', 'fee_pending'], ARRAY[%(merchant)s, %(builder)s, ''],
    ARRAY['GBP', 'GBP', 'GBP'], ARRAY[800, -640, -160]::bigint[]
)
"""
_FACTS = '{{"currency":"GBP","merchant_id":"{}","padding":"{}","transaction_value_minor":2500}}'


def grow(count: int) -> float:
    """Append so many entries, a multiple of a thousand, in bulk; returns the seconds it took."""
    parties = Parties.of_the_demo()
    values = {
        "count": _STATEMENT,
        "facts": _FACTS.format(parties.merchant_id, "x" * 600),
        "merchant": parties.merchant_id,
        "agent": parties.agent.pk,
        "builder": parties.agent.builder_id,
    }
    with connection.cursor() as cursor:
        cursor.execute("CREATE SEQUENCE IF NOT EXISTS benchmarks_growth")
    script = mogrify(_GROW, values, connection) + ";\n"
    started = time.perf_counter()
    run_script(script, "-c", str(_WRITERS), "-j", "1", "-t", str(count // _STATEMENT // _WRITERS))
    return time.perf_counter() - started
