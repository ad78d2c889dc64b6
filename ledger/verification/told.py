"""What the entries of some streams tell, read for comparison with the rows they tell of."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from ledger.verification.rows import query

_ENTRIES = """
SELECT entry.stream_id, entry.entry_id, leaf.index, entry.kind, entry.idempotency_key, entry.merchant_id,
    entry.agent_id, entry.body, for_merchant.content, for_agent.content
FROM ledger_entry entry LEFT JOIN ledger_leaf leaf ON leaf.entry_id = entry.id
LEFT JOIN ledger_opening for_merchant ON for_merchant.entry_id = entry.id AND for_merchant.party = 'merchant'
LEFT JOIN ledger_opening for_agent ON for_agent.entry_id = entry.id AND for_agent.party = 'agent'
WHERE entry.stream_id = ANY(%s) ORDER BY entry.stream_id, entry.stream_seq
"""


@dataclass(frozen=True, slots=True)
class Told:
    """An entry as far as other tables repeat it. Parts that cannot be read are empty; erased openings are None."""

    entry_id: str
    index: int | None
    kind: str
    key: str
    parties: tuple[str | None, str | None]
    body: dict[str, Any]
    for_merchant: dict[str, Any] | None
    for_agent: dict[str, Any] | None

    @property
    def facts(self) -> dict[str, Any]:
        """What is open to both parties."""
        facts = self.body.get("facts")
        return facts if isinstance(facts, dict) else {}


def told_by(streams: Sequence[str]) -> dict[str, list[Told]]:
    """The entries of each stream, in order."""
    found: dict[str, list[Told]] = defaultdict(list)
    for stream_id, entry_id, index, kind, key, merchant_id, agent_id, *parts in query(_ENTRIES, [list(streams)]):
        body, for_merchant, for_agent = (None if part is None else _read(bytes(part)) for part in parts)
        told = Told(entry_id, index, kind, key, (merchant_id, agent_id), body or {}, for_merchant, for_agent)
        found[stream_id].append(told)
    return found


def _read(content: bytes) -> dict[str, Any]:
    try:
        read = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return read if isinstance(read, dict) else {}
