"""Appends entries: canonical bodies, chained within their stream."""

import secrets
from datetime import datetime
from typing import Any

import orjson

from ledger.models import Entry
from rako.core.ids import new_id
from rako.core.wire import instant

BODY_VERSION = 1


def canonical(body: dict[str, Any]) -> bytes:
    """RFC 8785 bytes for what bodies hold: ASCII keys, integers, text, booleans, null; floats are refused."""
    _refuse_floats(body)
    return orjson.dumps(body, option=orjson.OPT_SORT_KEYS)


def append(
    stream_id: str,
    kind: str,
    facts: dict[str, Any],
    *,
    occurred_at: datetime,
    idempotency_key: str,
    is_new_stream: bool = False,
) -> Entry:
    """Append one entry at the end of its stream, inside the caller's transaction.

    Raises IntegrityError if the key was used or another writer took the place; nothing is stored then.
    """
    tail = None if is_new_stream else _tail(stream_id)
    seq = 1 if tail is None else tail.stream_seq + 1
    entry_id = new_id()
    body = facts | {
        "v": BODY_VERSION,
        "entry_id": entry_id,
        "kind": kind,
        "stream_id": stream_id,
        "stream_seq": seq,
        "prev": None if tail is None else bytes(tail.leaf_hash).hex(),
        # 128 random bits: equal facts have different hashes, so a published hash cannot be guessed open.
        "nonce": secrets.token_hex(16),
        "occurred_at": instant(occurred_at),
    }
    return Entry.objects.create(
        entry_id=entry_id,
        stream_id=stream_id,
        stream_seq=seq,
        kind=kind,
        idempotency_key=idempotency_key,
        occurred_at=occurred_at,
        body=canonical(body),
    )


def _tail(stream_id: str) -> Entry | None:
    return Entry.objects.filter(stream_id=stream_id).order_by("-stream_seq").first()


def _refuse_floats(value: Any) -> None:
    if isinstance(value, float):
        raise TypeError("ledger bodies hold no floats: money is whole minor units, rates are text")
    if isinstance(value, dict):
        for item in value.values():
            _refuse_floats(item)
    if isinstance(value, list | tuple):
        for item in value:
            _refuse_floats(item)
