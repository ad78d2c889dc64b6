"""Spells each entry's body from the columns, postings and openings that copy it: byte for byte the body, or something
is wrong.

This is where a verification spends its time. PostgreSQL writes what should stand around evidence, facts and nonce while
we hash, and read no more of a body than we must – the facts. It only says yes or no; `entries` looks at what is odd
again and works out the reasons. Where the facts are is told from both ends, so that nothing in them can pose as another
part.
"""

import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any

import orjson

from ledger.verification.rows import ISO, in_order, query, stream
from rako.core.facts import canonical

_CANONICAL = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
# Between what PostgreSQL spells: evidence, facts, kind and nonce.
_MIDDLE = re.compile(
    rb'(?:null|"[0-9a-f]{64}"),"facts":(\{.*\}),"kind":"([a-z_]+(?:\.[a-z_]+)*)","nonce":"[0-9a-f]{32}', re.DOTALL
)
_PLAIN = frozenset({str, int, bool, type(None)})

# The parts of entries are read in the order of their numbers, side by side.
_RANGE = "SELECT min(entry_id), max(entry_id) FROM ledger_leaf WHERE index >= %s AND index < %s"
_SPELT = f"""
SELECT leaf.index, leaf.leaf_hash, entry.body, entry.recorded, convert_to(entry.kind, 'UTF8'), entry.merchant_id,
    entry.agent_id, convert_to('{{"entry_id":"' || entry.entry_id || '","evidence":', 'UTF8'),
    convert_to('","occurred_at":"' || to_char(entry.occurred_at AT TIME ZONE 'UTC', {ISO})
        || '","postings":[' || coalesce(posting.lines, '') || '],"prev":'
        || CASE entry.stream_seq WHEN 1 THEN 'null' ELSE '"' || encode((
            SELECT before.leaf_hash FROM ledger_entry before
            WHERE before.stream_id = entry.stream_id AND before.stream_seq = entry.stream_seq - 1
        ), 'hex') || '"' END
        || ',"recorded_at":"' || entry.recorded || '","sealed":{{', 'UTF8'),
    agent.content, merchant.content,
    convert_to('}},"stream_id":"' || entry.stream_id || '","stream_seq":' || entry.stream_seq || ',"v":1}}', 'UTF8'),
    leaf.leaf_hash = entry.leaf_hash AND (posting.entry_id IS NULL OR (
        (posting.merchant IS NULL OR (posting.merchant = entry.merchant_id AND posting.merchant = posting.merchant_2))
        AND (posting.builder IS NULL OR (posting.builder = posting.builder_2 AND position(
            convert_to('"builder_id":"' || posting.builder || '"', 'UTF8') IN coalesce(agent.content, '')
        ) > 0))
        AND posting.other IS NULL
    ))
FROM ledger_leaf leaf
LEFT JOIN (
    SELECT *, to_char(recorded_at AT TIME ZONE 'UTC', {ISO}) AS recorded
    FROM ledger_entry WHERE id BETWEEN %(lowest)s AND %(highest)s ORDER BY id OFFSET 0
) entry ON entry.id = leaf.entry_id
LEFT JOIN ledger_opening agent ON agent.entry_id = leaf.entry_id
    AND agent.party = 'agent' AND agent.entry_id BETWEEN %(lowest)s AND %(highest)s
LEFT JOIN ledger_opening merchant ON merchant.entry_id = leaf.entry_id
    AND merchant.party = 'merchant' AND merchant.entry_id BETWEEN %(lowest)s AND %(highest)s
LEFT JOIN (
    SELECT entry_id,
        string_agg('["' || account || '","' || currency || '",' || amount_minor || ']', ',' ORDER BY place) AS lines,
        min(owner_id) FILTER (WHERE starts_with(account, 'merchant_')) AS merchant,
        max(owner_id) FILTER (WHERE starts_with(account, 'merchant_')) AS merchant_2,
        min(owner_id) FILTER (WHERE starts_with(account, 'builder_')) AS builder,
        max(owner_id) FILTER (WHERE starts_with(account, 'builder_')) AS builder_2,
        max(owner_id) FILTER (
            WHERE owner_id <> '' AND NOT starts_with(account, 'merchant_') AND NOT starts_with(account, 'builder_')
        ) AS other
    FROM ledger_posting WHERE entry_id BETWEEN %(lowest)s AND %(highest)s GROUP BY entry_id
) posting ON posting.entry_id = leaf.entry_id
WHERE leaf.index >= %(first)s AND leaf.index < %(last)s
"""  # noqa: S608 - our own texts


def leaves(first: int, last: int) -> Iterator[tuple[int, bytes, str | None, bool]]:
    """The leaves from `first` up to `last`, in no order: place, hash, when its entry was recorded, and whether that
    entry is what was hashed and spells its own body."""
    lowest, highest = query(_RANGE, [first, last])[0]
    values = {"first": first, "last": last, "lowest": lowest, "highest": highest}
    with in_order():
        for index, leaf_hash, body, recorded, *parts, agrees in stream(_SPELT, values):
            is_sound = agrees is True and sha256(b"\x00" + body).digest() == leaf_hash and _is_spelt(body, *parts)
            yield index, leaf_hash, recorded, is_sound


def _is_spelt(
    body: bytes,
    kind: bytes,
    merchant_id: str | None,
    agent_id: str | None,
    head: bytes,
    before_sealed: bytes | None,
    for_agent: bytes | None,
    for_merchant: bytes | None,
    after_sealed: bytes,
) -> bool:
    if before_sealed is None:  # the entry that it follows is missing
        return False
    agent = b"" if for_agent is None else b'"agent":"%b"' % sha256(for_agent).hexdigest().encode()
    merchant = b"" if for_merchant is None else b'"merchant":"%b"' % sha256(for_merchant).hexdigest().encode()
    tail = b"".join((before_sealed, agent, b"," if agent and merchant else b"", merchant, after_sealed))
    if not (body.startswith(head) and body.endswith(tail)):
        return False
    found = _MIDDLE.fullmatch(body, len(head), len(body) - len(tail))
    return found is not None and found[2] == kind and _are_sound(found[1], merchant_id, agent_id)


def _are_sound(written: bytes, merchant_id: str | None, agent_id: str | None) -> bool:
    """Whether these facts are canonical and name no other parties."""
    try:
        facts = orjson.loads(written)
    except orjson.JSONDecodeError:
        return False
    if facts.get("merchant_id", merchant_id) != merchant_id or facts.get("agent_id", agent_id) != agent_id:
        return False
    return is_canonical(written, facts)


def is_canonical(written: bytes, value: dict[str, Any]) -> bool:
    """Whether these bytes are the one form of an object (`rako.core.facts.canonical`)."""
    try:
        # Only ASCII text surely has ASCII keys; the long way round is for the others.
        again = orjson.dumps(value, option=_CANONICAL) if written.isascii() else canonical(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return again == written and (_PLAIN.issuperset(map(type, value.values())) or _is_exact(value.values()))


def _is_exact(values: Iterable[Any]) -> bool:
    """Whether there are no floats among these: two implementations may write one float in two ways."""
    for value in values:
        kind = type(value)
        if kind in _PLAIN:
            continue
        if kind is float or (kind is dict and not _is_exact(value.values())) or (kind is list and not _is_exact(value)):
            return False
    return True
