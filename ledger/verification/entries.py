"""V2, V8, V9: an entry is what was hashed, its columns, postings and openings say what its body says, and it follows
the entry before it in its stream.

This is where a verification spends its time: per entry a few function calls, no objects, and reasons are worked out
only for what is wrong.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

import orjson

from ledger.verification.findings import Report
from rako.core.facts import canonical

# In this order, too.
_KEYS = (
    *("entry_id", "evidence", "facts", "kind", "nonce", "occurred_at", "postings", "prev", "recorded_at"),
    *("sealed", "stream_id", "stream_seq", "v"),
)
_COPIED = ("entry_id", "stream_id", "stream_seq", "kind", "occurred_at", "recorded_at")
_CANONICAL = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER


def check_entry(row: tuple[Any, ...], report: Report) -> None:
    """Note what is wrong with one row of `rows`."""
    # Unpacked once: names are looked up faster here than attributes would be.
    index, leaf_hash, key, entry_id, stream_id, seq, kind, merchant_id, agent_id, occurred_at, recorded_at = row[:11]
    raw, entry_hash, hash_before, for_merchant, for_agent, line = row[11:]
    if key is None:
        report.add("V1", f"leaf {index}", "its entry is missing", index)
        return
    subject = entry_id
    found = sha256(b"\x00" + raw).digest()
    if found != entry_hash or (found != leaf_hash and index is not None):
        report.add("V2", subject, "the leaf's hash is not that of the body", index)
    body = _parse(raw)
    if body is None:
        report.add("V8", subject, "the body is not that of an entry", index)
        return
    facts, sealed = body["facts"], body["sealed"]
    if not _is_canonical(raw, body) or not raw.endswith(b'"stream_seq":%d,"v":1}' % seq):
        report.add("V8", subject, "the body is not canonical, or not of version 1", index)
    told = (body["entry_id"], body["stream_id"], body["stream_seq"], body["kind"], body["occurred_at"])
    if told != (entry_id, stream_id, seq, kind, occurred_at) or body["recorded_at"] != recorded_at:
        columns = (entry_id, stream_id, seq, kind, occurred_at, recorded_at)
        report.add("V8", subject, f"differs from its body: {_differing(body, columns)}", index)
    if facts.get("merchant_id", merchant_id) != merchant_id or facts.get("agent_id", agent_id) != agent_id:
        report.add("V8", subject, "the party in its column is not the one in its facts", index)
    if body["prev"] != (None if hash_before is None else hash_before.hex()) or (seq > 1) is (hash_before is None):
        report.add("V9", subject, f"does not follow number {seq - 1} of its stream", index)
    opened = for_merchant and sha256(for_merchant).hexdigest(), for_agent and sha256(for_agent).hexdigest()
    if opened != (sealed.get("merchant"), sealed.get("agent")) and not _are_erased(opened, sealed, report):
        report.add("V8", subject, "an opening is not what the body has sealed", index)
    if line is None:
        if body["postings"]:
            report.add("V8", subject, "its postings are missing", index)
    elif orjson.dumps(body["postings"]).decode() != line[0]:
        report.add("V8", subject, "the postings are not those of the body", index)
    elif not _are_owners(line[1].split(","), body["postings"], merchant_id, for_agent):
        report.add("V8", subject, "a posting belongs to another party", index)


def _parse(raw: bytes) -> dict[str, Any] | None:
    """The body, if it has the parts that every body has."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    if type(body) is not dict or tuple(body) != _KEYS:
        return None
    is_formed = type(body["facts"]) is dict and type(body["sealed"]) is dict and type(body["postings"]) is list
    return body if is_formed else None


def _is_canonical(raw: bytes, body: dict[str, Any]) -> bool:
    try:
        # Only ASCII text surely has ASCII keys; the long way round is for the others.
        written = orjson.dumps(body, option=_CANONICAL) if raw.isascii() else canonical(body)
    except (TypeError, ValueError):
        return False
    return written == raw and _is_exact(body["facts"].values())


def _is_exact(values: Iterable[Any]) -> bool:
    """Whether there are no floats among these: two implementations may write one float in two ways."""
    for value in values:
        kind = type(value)
        if kind is str or kind is int:
            continue
        if kind is float or (kind is dict and not _is_exact(value.values())) or (kind is list and not _is_exact(value)):
            return False
    return True


def _are_erased(opened: tuple[Any, ...], sealed: dict[str, Any], report: Report) -> bool:
    """Whether all that differs are openings that are gone: these may be erased."""
    erased = 0
    for party, found in zip(("merchant", "agent"), opened, strict=True):
        if found is not None and found != sealed.get(party):
            return False
        erased += found is None and party in sealed
    report.tally("openings erased", erased)
    return True


def _are_owners(owners: list[str], postings: list[Any], merchant_id: str | None, for_agent: bytes | None) -> bool:
    """Whether each account is its party's. Whose builder it is, the agent's opening tells, unless it was erased."""
    for owner, (account, _, _) in zip(owners, postings, strict=True):
        if account.startswith("builder_"):
            if for_agent is not None and f'"builder_id":"{owner}"'.encode() not in for_agent:
                return False
        elif owner != (merchant_id if account.startswith("merchant_") else ""):
            return False
    return True


def _differing(body: dict[str, Any], columns: tuple[Any, ...]) -> str:
    return ", ".join(name for name, value in zip(_COPIED, columns, strict=True) if body[name] != value)
