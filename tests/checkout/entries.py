"""What the ledger says of a checkout, for tests."""

import hashlib
import json
from typing import Any

from ledger.models import Entry, Opening


def kinds(stream_id: str) -> list[str]:
    """The kinds of a stream's entries, in order."""
    return list(Entry.objects.filter(stream_id=stream_id).order_by("stream_seq").values_list("kind", flat=True))


def facts(stream_id: str) -> list[dict[str, Any]]:
    """The open facts of a stream's entries, in order."""
    return [body(entry)["facts"] for entry in Entry.objects.filter(stream_id=stream_id).order_by("stream_seq")]


def body(entry: Entry) -> dict[str, Any]:
    """What was hashed."""
    content: dict[str, Any] = json.loads(bytes(entry.body))
    return content


def told(entry: Entry, party: str) -> dict[str, Any]:
    """What an entry says to one party, held against the hash in its body."""
    content = bytes(Opening.objects.get(entry_id=entry.pk, party=party).content)
    assert hashlib.sha256(content).hexdigest() == body(entry)["sealed"][party]
    opened: dict[str, Any] = json.loads(content)
    return opened
