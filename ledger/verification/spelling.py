"""Spells each entry's body from the columns, postings and openings that copy it: byte for byte the body, or something
is wrong.

This is where a verification spends its time. PostgreSQL puts together what should stand around evidence, facts and
nonce, while we hash, add the times (we write them faster), and read no more of a body than we must – the facts. A yes
or no is enough here; `entries` looks at what is odd again and works out the reasons. Where the facts are is told from
both ends, so that nothing in them can pose as another part.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Any

import orjson

from ledger.verification.rows import LINES, OWNERS, in_order, query, stream
from rako.core.facts import canonical

_CANONICAL = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
_KIND = re.compile(r"[a-z_]+(?:\.[a-z_]+)*")
_HEX = b"0123456789abcdef"
_NONCE = 32
_PLAIN = frozenset({str, int, bool, type(None)})
# What reading a column that was emptied, or holds what no entry has, may come to.
_UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
# PostgreSQL counts time from here, in microseconds.
_EPOCH = datetime(2000, 1, 1)  # noqa: DTZ001 - all in UTC
_MILLISECONDS = [f".{count:03d}Z" for count in range(1000)]

# The parts of entries are read in the order of their numbers, side by side. (OFFSET 0: or else the least and the
# greatest would be looked for from the ends of the whole log.)
_RANGE = """
SELECT min(entry_id), max(entry_id)
FROM (SELECT entry_id FROM ledger_leaf WHERE index >= %s AND index < %s OFFSET 0) leaf
"""
_STORED = f"""
SELECT leaf.index, leaf.leaf_hash, leaf.leaf_hash = entry.leaf_hash, entry.body, entry.recorded_at,
    entry.entry_id, entry.kind, entry.merchant_id, entry.agent_id, entry.occurred_at,
    '","postings":[' || coalesce(posting.lines, '') || '],"prev":'
        || CASE entry.stream_seq WHEN 1 THEN 'null' ELSE '"' || encode((
            SELECT before.leaf_hash FROM ledger_entry before
            WHERE before.stream_id = entry.stream_id AND before.stream_seq = entry.stream_seq - 1
        ), 'hex') || '"' END || ',"recorded_at":"',
    '","sealed":{{' || coalesce('"agent":"' || encode(sha256(agent.content), 'hex')
            || CASE WHEN merchant.content IS NULL THEN '"' ELSE '",' END, '')
        || coalesce('"merchant":"' || encode(sha256(merchant.content), 'hex') || '"', '')
        || '}},"stream_id":"' || entry.stream_id || '","stream_seq":' || entry.stream_seq || ',"v":1}}',
    posting.lines, posting.owners, CASE WHEN posting.entry_id IS NOT NULL THEN agent.content END
FROM ledger_leaf leaf
LEFT JOIN ledger_entry entry ON entry.id = leaf.entry_id AND entry.id BETWEEN %(lowest)s AND %(highest)s
LEFT JOIN ledger_opening agent ON agent.entry_id = leaf.entry_id
    AND agent.party = 'agent' AND agent.entry_id BETWEEN %(lowest)s AND %(highest)s
LEFT JOIN ledger_opening merchant ON merchant.entry_id = leaf.entry_id
    AND merchant.party = 'merchant' AND merchant.entry_id BETWEEN %(lowest)s AND %(highest)s
LEFT JOIN (
    SELECT entry_id, {LINES} AS lines, {OWNERS} AS owners
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
        for index, leaf_hash, agrees, body, recorded_at, *row in stream(_STORED, values):
            recorded = is_sound = None
            try:
                recorded = _iso(recorded_at)
                is_sound = agrees and sha256(b"\x00" + body).digest() == leaf_hash and _is_spelt(body, recorded, row)
            except _UNREADABLE:
                is_sound = False
            yield index, leaf_hash, recorded, is_sound is True


def _is_spelt(body: bytes, recorded: str, row: list[Any]) -> bool:
    entry_id, kind, merchant_id, agent_id, occurred_at, before_time, after_time, lines, owners, for_agent = row
    if before_time is None or after_time is None:  # what it follows is missing
        return False
    head = f'{{"entry_id":"{entry_id}","evidence":'.encode()
    tail = f'","occurred_at":"{_iso(occurred_at)}{before_time}{recorded}{after_time}'.encode()
    if not (body.startswith(head) and body.endswith(tail)):
        return False
    written = _facts(body, len(head), len(body) - len(tail), _before_nonce(kind))
    if written is None or not _are_sound(written, merchant_id, agent_id):
        return False
    if owners is None:
        return lines is None
    moved_merchant, named_builder = _moved(lines or "", owners)
    # Whose builder it is, the agent's opening tells.
    return moved_merchant in (None, merchant_id) and named_builder in (for_agent or b"")


def _facts(body: bytes, start: int, end: int, before_nonce: bytes) -> bytes | None:
    """The facts in what stands there, if evidence and nonce around them are well-formed."""
    nonce_at = end - _NONCE
    digits = body[nonce_at:end]
    if body.startswith(b'null,"facts":', start):
        start += 13
    elif body.startswith(b'"', start) and body.startswith(b'","facts":', start + 65):
        digits += body[start + 1 : start + 65]
        start += 75
    else:
        return None
    if nonce_at < start or digits.translate(None, _HEX) or not body.endswith(before_nonce, start, nonce_at):
        return None
    return body[start : nonce_at - len(before_nonce)]


@lru_cache(maxsize=256)
def _before_nonce(kind: str) -> bytes:
    if not _KIND.fullmatch(kind):
        raise ValueError("not a kind")
    return f',"kind":"{kind}","nonce":"'.encode()


def _are_sound(written: bytes, merchant_id: str | None, agent_id: str | None) -> bool:
    """Whether these facts are canonical and name no other parties."""
    facts = orjson.loads(written)
    if facts.get("merchant_id", merchant_id) != merchant_id or facts.get("agent_id", agent_id) != agent_id:
        return False
    return is_canonical(written, facts)


@lru_cache(maxsize=4096)
def _moved(lines: str, owners: str) -> tuple[str | None, bytes]:
    """The merchant whose accounts these postings move, and the builder as an opening names it, if any. Raises
    ValueError if they do not balance, or are of several of these. (Most sales are like many others.)"""
    sums: Counter[str] = Counter()
    parties: dict[str, set[str]] = {"merchant": set(), "builder": set(), "": {""}}
    for (account, currency, amount), owner in zip(orjson.loads(f"[{lines}]"), owners.split(","), strict=True):
        sums[currency] += amount
        party = account.partition("_")[0]
        parties[party if party in parties else ""].add(owner)
    if any(sums.values()) or max(map(len, parties.values())) > 1:
        raise ValueError("not the postings of one sale")
    named = [f'"builder_id":"{builder}"'.encode() for builder in parties["builder"]]
    return next(iter(parties["merchant"]), None), b"".join(named)


def _iso(moment: int) -> str:
    """A time as PostgreSQL sends it, as bodies write it."""
    second, rest = divmod(moment, 1_000_000)
    return _second(second) + _MILLISECONDS[rest // 1000]


@lru_cache(maxsize=1024)
def _second(second: int) -> str:
    return (_EPOCH + timedelta(seconds=second)).isoformat()


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
