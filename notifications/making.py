"""Makes the messages of a stretch of the log, each from its entry and from what never changes."""

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import orjson
from django.db import connection

from notifications.catalogue import KINDS, SALES
from notifications.models import Endpoint, Message
from notifications.payloads import Told, envelope, event_type, payload
from notifications.sales import Cause, Owner, count_sales

_MILLISECOND = timedelta(milliseconds=1)
# Statements and payouts have no agent: whose they are is in the builder's opening. Batches are everybody's.
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
    entry.merchant_id = ANY(%s) OR agent.builder_id = ANY(%s) OR entry.merchant_id IS NULL AND entry.agent_id IS NULL
)
ORDER BY leaf.index
"""
_Telling = tuple[Owner, str, str]  # whom, the event type, the payload


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


def messages_between(
    start: int, until: int, endpoints: Iterable[Endpoint], *, since: datetime | None = None
) -> Iterator[Message]:
    """The messages of the log's entries from one index to before another: of what was recorded since the endpoint was
    made, or since that moment if it is later."""
    by_owner: dict[Owner, list[Endpoint]] = {}
    for endpoint in endpoints:
        by_owner.setdefault(next(iter(endpoint.owner.items())), []).append(endpoint)
    owners = [[owner for kind, owner in by_owner if kind == wanted] for wanted in ("merchant_id", "builder_id")]
    if not by_owner:
        return
    with connection.cursor() as cursor:
        cursor.execute(_ENTRIES, [start, until, [*KINDS, *SALES], *owners])
        found = [_Found(*row) for row in cursor.fetchall()]
    for entry, told in _told(found, by_owner):
        for owner, name, text in told:
            for endpoint in by_owner.get(owner, ()):
                # Entries are stamped in whole milliseconds, rounded down.
                is_new = max(endpoint.created_at, since or endpoint.created_at) - _MILLISECOND < entry.recorded_at
                if is_new and (not endpoint.event_types or name in endpoint.event_types):
                    yield Message(endpoint=endpoint, entry_id=entry.entry_id, event_type=name, payload=text)


def _told(found: Iterable[_Found], owners: Collection[Owner]) -> Iterator[tuple[_Found, list[_Telling]]]:
    """What each entry has told whom of those owners."""
    bodies = [(entry, _opened(entry.body)) for entry in found]
    sales = count_sales((Cause(entry.entry_id, body["kind"], body["stream_id"]) for entry, body in bodies), owners)
    for entry, body in bodies:
        told = [*_to_parties(entry, body, owners)]
        for owner, data in sales.get(entry.entry_id, {}).items():
            text = envelope(SALES[body["kind"]], body["occurred_at"], data | {"entryId": entry.entry_id})
            told.append((owner, SALES[body["kind"]], text))
        yield entry, told


def _to_parties(entry: _Found, body: dict[str, Any], owners: Collection[Owner]) -> Iterator[_Telling]:
    """What the entry tells the merchant and the builder whom it concerns."""
    for_merchant, for_agent = _opened(entry.for_merchant), _opened(entry.for_agent)
    builder_id = entry.agents_builder_id or for_agent.get("builder_id")
    parties = (("merchant_id", entry.merchant_id, for_merchant), ("builder_id", builder_id, for_agent))
    for party, owner_id, opening in parties:
        if owner_id and (party, owner_id) in owners:
            told = Told(entry.entry_id, body, opening, entry.agent_id, entry.currency)
            yield (party, owner_id), event_type(told), payload(told, is_merchant=party == "merchant_id")


def _opened(content: bytes | None) -> dict[str, Any]:
    return {} if content is None else dict(orjson.loads(bytes(content)))
