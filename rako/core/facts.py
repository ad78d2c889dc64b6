"""States facts: appends entries to the ledger, in one round trip and inside the caller's transaction.

Any app may state a fact without knowing the ledger: the entry is written by the function `ledger_append` in PostgreSQL,
which chains, stamps and hashes it (`ledger/functions.py`). Reading, proving and judging entries is the ledger's.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from django.db import models

from rako.core.ids import new_id
from rako.core.postgres import Statement, send, send_each
from rako.core.rows import inserting

_LARGEST = 2**53 - 1
_APPEND = "SELECT * FROM ledger_append(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
# The stream is the changed row's: were it a value like the others, the entry might be appended first.
_APPEND_IF = """
WITH change AS ({change}) SELECT entry.* FROM change CROSS JOIN LATERAL
ledger_append(%s, change.id, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) AS entry
"""


class Posting(NamedTuple):
    """One line of double entry in minor units: debits are positive, credits negative."""

    account: str
    owner_id: str
    currency: str
    amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something that happened, to become an entry at the end of its stream.

    `facts` is open to both parties, `for_merchant` and `for_agent` to one: the entry holds only their salted hash.
    `idempotency_key` is what makes two tellings the same fact. `evidence_sha256` is the hex digest of what proves it.
    """

    stream_id: str
    kind: str
    facts: dict[str, Any]
    occurred_at: datetime
    idempotency_key: str
    merchant_id: str | None = None
    agent_id: str | None = None
    evidence_sha256: str | None = None
    for_merchant: dict[str, Any] | None = None
    for_agent: dict[str, Any] | None = None
    postings: Sequence[Posting] = field(default=())


class Appended(NamedTuple):
    """An entry as PostgreSQL wrote it; `is_new` is False if the fact was stated before."""

    id: int
    entry_id: str
    stream_seq: int
    recorded_at: datetime
    leaf_hash: bytes
    is_new: bool


def state(fact: Fact, *, along_with: models.Model | None = None, ignore_conflict: bool = False) -> Appended:
    """Append a fact, and insert a row in the same statement if one is given.

    A fact stated before gives the entry of then. Outside a transaction the statement is its own. `ignore_conflict`
    lets a row pass that is there already. Raises IntegrityError if the row or the postings are refused (the postings
    when the transaction commits), TypeError or ValueError for facts that have no canonical form.
    """
    rows = () if along_with is None else (inserting(along_with, ignore_conflict=ignore_conflict),)
    [[entry]] = send(stating(fact, *rows))
    if along_with is not None:
        along_with._state.adding = False
    return Appended(*entry)


def stating(fact: Fact, *along_with: Statement) -> Statement:
    """What `state` sends, for those who send more in the same round trip; its one row is an Appended.

    What goes along with the fact is carried out by the same statement, in no order.
    """
    parts = ", ".join(f"part_{number} AS ({sql})" for number, (sql, _) in enumerate(along_with))
    values = [value for _, values in along_with for value in values]
    return Statement(f"WITH {parts} {_APPEND}" if parts else _APPEND, values + _arguments(fact))


def stating_if(change: Statement, fact: Fact) -> Statement:
    """A change, and the fact that tells of it: appended only if the change returns the `id` that names its stream."""
    entry_id, _, *others = _arguments(fact)
    return Statement(_APPEND_IF.format(change=change.sql), [*change.values, entry_id, *others])


def state_all(facts: Sequence[Fact], *, along_with: Sequence[models.Model] | None = None) -> list[Appended]:
    """Append facts as `state` does one by one, each with a row of its own if rows (of one model) are given.

    All of it travels at once: the cost of many is not that of many round trips. Call it inside a transaction.
    """
    rows: Sequence[models.Model | None] = along_with or [None] * len(facts)
    statements = [
        stating(fact) if row is None else stating(fact, inserting(row)) for fact, row in zip(facts, rows, strict=True)
    ]
    return [Appended(*entry) for [entry] in send_each(statements)]


def canonical(facts: dict[str, Any]) -> bytes:
    """RFC 8785 bytes for what bodies hold: ASCII keys, integers within ±(2^53 − 1), text, booleans, null.

    Raises TypeError for anything else, floats above all, and ValueError for text that JSON or PostgreSQL cannot hold.
    """
    try:
        _check(facts)
    except RecursionError:
        raise ValueError("ledger bodies are not nested so deeply") from None
    try:
        return orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:  # lone surrogates
        raise ValueError(str(error)) from None


def _arguments(fact: Fact) -> list[Any]:
    lines = list(zip(*fact.postings, strict=True)) or [(), (), (), ()]
    return [
        new_id(),
        fact.stream_id,
        fact.kind,
        canonical(fact.facts).decode(),
        # 128 random bits: equal facts have different hashes, so a published hash cannot be guessed open.
        secrets.token_hex(16),
        fact.occurred_at,
        fact.idempotency_key,
        fact.merchant_id,
        fact.agent_id,
        fact.evidence_sha256,
        _opening(fact.for_merchant),
        _opening(fact.for_agent),
        *map(_array, lines),
    ]


def _array(values: Sequence[Any]) -> str:
    """A PostgreSQL array as text: four of them as lists would take psycopg as long as all other values."""
    quoted = ['"' + str(value).replace("\\", r"\\").replace('"', r"\"") + '"' for value in values]
    return "{" + ",".join(quoted) + "}"


def _opening(facts: dict[str, Any] | None) -> bytes | None:
    return None if facts is None else canonical(facts | {"nonce": secrets.token_hex(16)})


def _check(value: Any) -> None:
    """Raise unless a value has one canonical form, the same in every implementation of RFC 8785."""
    if isinstance(value, str):
        if "\x00" in value:
            raise ValueError("ledger bodies hold no NUL")
    elif isinstance(value, dict):
        names = "".join(value)  # TypeError for others than text
        if not names.isascii():
            raise TypeError("ledger bodies have ASCII keys")
        _check(names)
        for item in value.values():
            _check(item)
    elif isinstance(value, (list, tuple)):  # `list | tuple` would be made anew for each value
        for item in value:
            _check(item)
    elif isinstance(value, int):  # booleans, too
        if abs(value) > _LARGEST:
            raise ValueError("ledger bodies hold integers of at most 53 bits")
    elif value is not None:
        raise TypeError(f"ledger bodies hold no {type(value).__name__}: money is whole minor units, rates are text")
