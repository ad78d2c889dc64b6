"""Spells an entry's body from the columns, postings and openings that copy it: byte for byte the body, or something is
wrong.

This is where a verification spends its time, so it reads no more of a body than it must – the facts – and only says
yes or no; `entries` works out the reasons. Where the facts are is told from both ends, so that nothing in them can pose
as another part.
"""

import re
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

import orjson

from rako.core.facts import canonical

_CANONICAL = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
_HEAD = re.compile(rb'\{"entry_id":"([0-9A-Z]{26})","evidence":(?:null|"[0-9a-f]{64}"),"facts":')
_MIDDLE = re.compile(rb',"kind":"[a-z_.]+","nonce":"[0-9a-f]{32}\Z')
_BEFORE_KIND = len(',"kind":"')
_AFTER_KIND = len('","nonce":"') + 32


def is_spelt(row: tuple[Any, ...]) -> bool:
    """Whether a row of `rows` spells its own body."""
    _, _, _, entry_id, stream_id, seq, kind, merchant_id, agent_id, occurred_at, recorded_at = row[:11]
    raw, _, hash_before, for_merchant, for_agent, line = row[11:]
    agent = "" if for_agent is None else f'"agent":"{sha256(for_agent).hexdigest()}"'
    merchant = "" if for_merchant is None else f'"merchant":"{sha256(for_merchant).hexdigest()}"'
    tail = (
        f'","occurred_at":"{occurred_at}","postings":{"[]" if line is None else line[0]},'
        f'"prev":{"null" if hash_before is None else chr(34) + hash_before.hex() + chr(34)},'
        f'"recorded_at":"{recorded_at}","sealed":{{{agent}{"," if agent and merchant else ""}{merchant}}},'
        f'"stream_id":"{stream_id}","stream_seq":{seq},"v":1}}'
    ).encode()
    head, facts_end = _HEAD.match(raw), len(raw) - len(tail) - _BEFORE_KIND - len(kind) - _AFTER_KIND
    if (
        head is None
        or head[1].decode() != entry_id
        or not raw.endswith(tail)
        or not 0 < head.end() < facts_end
        or _MIDDLE.match(raw, facts_end, len(raw) - len(tail)) is None
        or not raw.startswith(kind.encode(), facts_end + _BEFORE_KIND)
        or (seq > 1) is (hash_before is None)
    ):
        return False
    written = raw[head.end() : facts_end]
    facts = orjson.loads(written)
    return (
        type(facts) is dict
        and is_canonical(written, facts)
        and facts.get("merchant_id", merchant_id) == merchant_id
        and facts.get("agent_id", agent_id) == agent_id
    )


def is_canonical(written: bytes, value: dict[str, Any]) -> bool:
    """Whether these bytes are the one form of an object (`rako.core.facts.canonical`)."""
    try:
        # Only ASCII text surely has ASCII keys; the long way round is for the others.
        again = orjson.dumps(value, option=_CANONICAL) if written.isascii() else canonical(value)
    except (TypeError, ValueError):
        return False
    return again == written and _is_exact(value.values())


def _is_exact(values: Iterable[Any]) -> bool:
    """Whether there are no floats among these: two implementations may write one float in two ways."""
    for value in values:
        kind = type(value)
        if kind is str or kind is int:
            continue
        if kind is float or (kind is dict and not _is_exact(value.values())) or (kind is list and not _is_exact(value)):
            return False
    return True
