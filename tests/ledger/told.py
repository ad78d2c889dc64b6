"""Entries to test the log with: small facts with postings, told through the one way in."""

from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from rako.core.facts import Appended, Fact, Posting, state
from rako.core.ids import new_id
from rako.core.postgres_programs import until

_APPEND = """
SELECT (ledger_append(
    upper(lpad(to_hex(%(first)s + n), 26, '0')), lpad((%(first)s + n)::text, 26, '0'), 'test.told',
    '{"number":' || n || '}', md5(random()::text), now(), 'told:' || %(first)s + n, NULL, NULL, NULL, NULL, NULL,
    '{merchant_accrued,builder_pending}', ARRAY['merchant-' || n %% 3, 'builder'], '{GBP,GBP}', '{5,-5}'
)).entry_id FROM generate_series(1, %(count)s) AS n
"""
# In larger transactions, finding out which entries are the transaction's own takes longer than anything else.
_CHUNK = 250


def tell(number: int = 0, *, key: str | None = None, filling: str = "") -> Appended:
    """One fact that moves `number + 1` pence, in a stream of its own."""
    amount = number + 1
    return state(
        Fact(
            stream_id=new_id(),
            kind="test.told",
            facts={"number": number, "filling": filling},
            occurred_at=timezone.now(),
            idempotency_key=key or new_id(),
            postings=[
                Posting("merchant_accrued", f"merchant-{number % 3}", "GBP", amount),
                Posting("builder_pending", "builder", "GBP", -amount),
            ],
        )
    )


def tell_many(count: int) -> list[str]:
    """The ids of so many new entries, of one transaction."""
    with transaction.atomic():
        return [tell(number).entry_id for number in range(count)]


def tell_in_bulk(count: int, *, first: int = 0, using: Any = None) -> list[str]:
    """The ids of so many new entries, the fast way: one statement for each few. Calls must not overlap in numbers."""
    told = []
    with (using or connection).cursor() as cursor:
        for start in range(0, count, _CHUNK):
            cursor.execute(_APPEND, {"first": first + start, "count": min(_CHUNK, count - start)})
            told += [entry_id for (entry_id,) in cursor.fetchall()]
            if start and start % 5000 == 0:
                # The function's plans were made for a small table, and nothing else would make them anew so soon.
                cursor.execute("ANALYZE ledger_entry, ledger_posting")
    return told


def drain(sequencer: Any, seconds: float = 10) -> None:
    """Tick until nothing waits: a sequencer that was killed may hold its lock for a moment."""
    from ledger.sequencer import lag

    assert until(lambda: not (sequencer.tick() or lag()[0]), seconds), f"{lag()[0]} entries wait"


def as_owner(*statements: str, guards: tuple[str, ...]) -> None:
    """What an owner of the database can do: lift the guards (`table.trigger`), do it, and put them back."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what is deferred would keep the tables from being altered
        for table, trigger in (name.split(".") for name in guards):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")
        for statement in statements:
            cursor.execute(statement)
        for table, trigger in (name.split(".") for name in guards):
            cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
