"""Turns the ledger's entries into messages. The log is the outbox.

Whatever changes a conversion, a dispute, a payout or a document appends its entry in the same transaction. So what is
to be told is known exactly when the change is committed, at no cost to it: a change that is rolled back has no entry,
and an entry that is committed enters the log, in whose order this follows it. Where it is, and the messages of what
lies before, are written by one transaction: each entry is turned into messages once, however often this dies or runs.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import orjson
from django.db import connection, transaction

from notifications.catalogue import KINDS
from notifications.models import Endpoint, Message
from notifications.payloads import Told, event_type, payload

BATCH = 5000
_MILLISECOND = timedelta(milliseconds=1)
_LOCK = 0x52414B4F484F4F  # any fixed number; this one spells RAKOHOO

_AHEAD = """
SELECT coalesce((SELECT max(size) FROM ledger_head), 0), coalesce((SELECT next_index FROM notifications_position), 0)
"""
_MOVE_ON = """
INSERT INTO notifications_position (id, next_index) VALUES (1, %s)
ON CONFLICT (id) DO UPDATE SET next_index = excluded.next_index
"""
# Statements and payouts have no agent: whose they are is in the builder's opening.
_ENTRIES = """
SELECT entry.entry_id, entry.recorded_at, entry.body, entry.merchant_id, entry.agent_id, agent.builder_id,
    sale.currency, for_merchant.content, for_agent.content
FROM ledger_leaf leaf
JOIN ledger_entry entry ON entry.id = leaf.entry_id
LEFT JOIN sessions_app_agent agent ON agent.id = entry.agent_id
LEFT JOIN ledger_conversion sale ON sale.id = entry.stream_id
LEFT JOIN ledger_opening for_merchant ON for_merchant.entry_id = entry.id AND for_merchant.party = 'merchant'
LEFT JOIN ledger_opening for_agent ON for_agent.entry_id = entry.id AND for_agent.party = 'agent'
WHERE leaf.index >= %s AND leaf.index < %s AND entry.kind = ANY(%s) AND (
    entry.merchant_id = ANY(%s) OR agent.builder_id = ANY(%s)
    OR entry.merchant_id IS NULL AND entry.agent_id IS NULL AND for_agent.content IS NOT NULL
)
ORDER BY leaf.index
"""


class _Found(NamedTuple):
    entry_id: str
    recorded_at: datetime
    body: bytes
    merchant_id: str | None
    agent_id: str | None
    agents_builder_id: str | None
    currency: str | None
    for_merchant: bytes | None
    for_agent: bytes | None


def follow_log(batch: int = BATCH) -> int:
    """Make the messages of the next entries of the log; how many entries were passed.

    One transaction at a time does it; for any other, and at the log's end, there is nothing to do.
    """
    size, done = _ahead()
    if size <= done:
        return 0
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        if not cursor.fetchone()[0]:
            return 0
        size, done = _ahead()  # somebody may have gone on since
        endpoints = list(Endpoint.objects.filter(state=Endpoint.State.ENABLED).defer("secret", "old_secret"))
        until = min(size, done + batch) if endpoints else size
        if until > done:
            Message.objects.bulk_create(_messages(endpoints, done, until), batch_size=1000)
            cursor.execute(_MOVE_ON, [until])
    return max(0, until - done)


def _ahead() -> tuple[int, int]:
    with connection.cursor() as cursor:
        cursor.execute(_AHEAD)
        size, done = cursor.fetchone()
        return size, done


def _messages(endpoints: Iterable[Endpoint], start: int, until: int) -> list[Message]:
    """The messages of a stretch of the log."""
    by_owner: dict[tuple[str, str], list[Endpoint]] = {}
    for endpoint in endpoints:
        by_owner.setdefault(next(iter(endpoint.owner.items())), []).append(endpoint)
    owners = [[owner for kind, owner in by_owner if kind == wanted] for wanted in ("merchant_id", "builder_id")]
    if not by_owner:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_ENTRIES, [start, until, list(KINDS), *owners])
        found = [_Found(*row) for row in cursor.fetchall()]
    return [message for entry in found for message in _messages_of(entry, by_owner)]


def _messages_of(entry: _Found, by_owner: dict[tuple[str, str], list[Endpoint]]) -> Iterator[Message]:
    body, for_merchant, for_agent = map(_opened, (entry.body, entry.for_merchant, entry.for_agent))
    builder_id = entry.agents_builder_id or for_agent.get("builder_id")
    parties = (("merchant_id", entry.merchant_id, for_merchant), ("builder_id", builder_id, for_agent))
    for party, owner_id, opening in parties:
        # Not what happened before there was an endpoint. (Entries are stamped in whole milliseconds, rounded down.)
        wanting = [
            endpoint
            for endpoint in by_owner.get((party, owner_id or ""), ())
            if endpoint.created_at - _MILLISECOND < entry.recorded_at
        ]
        if not wanting:
            continue
        told = Told(entry.entry_id, body, opening, entry.agent_id, entry.currency)
        name, text = event_type(told), payload(told, is_merchant=party == "merchant_id")
        for endpoint in wanting:
            if not endpoint.event_types or name in endpoint.event_types:
                yield Message(endpoint=endpoint, entry_id=entry.entry_id, event_type=name, payload=text)


def _opened(content: bytes | None) -> dict[str, Any]:
    return {} if content is None else dict(orjson.loads(bytes(content)))
