"""V2, V8, V9: an entry is what was hashed, its columns, postings and openings say what its body says, and it follows
the entry before it in its stream.

This is where a verification spends its time: per entry a few function calls, no objects, and reasons are worked out
only for what is wrong.
"""

from hashlib import sha256
from typing import Any

import orjson

from ledger.verification.findings import Report
from rako.core.facts import canonical

_KEYS = frozenset(
    (
        *("entry_id", "evidence", "facts", "kind", "nonce", "occurred_at", "postings", "prev", "recorded_at"),
        *("sealed", "stream_id", "stream_seq", "v"),
    )
)
_COPIED = ("entry_id", "stream_id", "stream_seq", "kind", "occurred_at", "recorded_at")
_CANONICAL = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER


def check_entry(row: tuple[Any, ...], report: Report) -> None:
    """Note what is wrong with one row of `rows`."""
    # Unpacked once: names are looked up faster here than attributes would be.
    index, leaf_hash, key, entry_id, stream_id, seq, kind, merchant_id, agent_id, occurred_at, recorded_at = row[:11]
    raw, entry_hash, hash_before, postings, owners, for_merchant, for_agent = row[11:]
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
    if not (_opens(for_merchant, "merchant", sealed, report) and _opens(for_agent, "agent", sealed, report)):
        report.add("V8", subject, "an opening is not what the body has sealed", index)
        return
    if postings is not None or body["postings"]:
        if postings is None or orjson.dumps(body["postings"]) != b"[" + postings + b"]":
            report.add("V8", subject, "the postings are not those of the body", index)
        elif not _are_owners(owners.split(","), body["postings"], merchant_id, for_agent):
            report.add("V8", subject, "a posting belongs to another party", index)


def _parse(raw: bytes) -> dict[str, Any] | None:
    """The body, if it has the parts that every body has."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    if type(body) is not dict or body.keys() != _KEYS:
        return None
    is_formed = type(body["facts"]) is dict and type(body["sealed"]) is dict and type(body["postings"]) is list
    return body if is_formed else None


def _is_canonical(raw: bytes, body: dict[str, Any]) -> bool:
    try:
        # Only ASCII text surely has ASCII keys; the long way round is for the others.
        written = orjson.dumps(body, option=_CANONICAL) if raw.isascii() else canonical(body)
    except (TypeError, ValueError):
        return False
    return written == raw and _is_exact(body)


def _is_exact(value: dict[str, Any]) -> bool:
    """Whether there are no floats in it: two implementations may write one float in two ways."""
    for item in value.values():
        kind = type(item)
        if kind is float or (kind is dict and not _is_exact(item)):
            return False
        if kind is list and not _is_exact(dict(enumerate(item))):  # type: ignore[arg-type]
            return False
    return True


def _opens(content: bytes | None, party: str, sealed: dict[str, Any], report: Report) -> bool:
    """Whether an opening is the sealed one. One that is gone was erased, which openings may be."""
    if content is None:
        if party in sealed:
            report.tally("erased openings")
        return True
    return sha256(content).hexdigest() == sealed.get(party)


def _are_owners(owners: list[str], postings: list[Any], merchant_id: str | None, for_agent: bytes | None) -> bool:
    """Whether each account is its party's. Whose builder it is, the agent's opening tells, unless it was erased."""
    builder_id = orjson.loads(for_agent).get("builder_id") if for_agent is not None else None
    for owner, (account, _, _) in zip(owners, postings, strict=True):
        if account.startswith("merchant_"):
            expected = merchant_id
        elif account.startswith("builder_"):
            expected = builder_id or owner
        else:
            expected = ""
        if owner != expected:
            return False
    return True


def _differing(body: dict[str, Any], columns: tuple[Any, ...]) -> str:
    return ", ".join(name for name, value in zip(_COPIED, columns, strict=True) if body[name] != value)
