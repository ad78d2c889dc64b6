"""V2, V8, V9, V10: an entry is what was hashed, its columns, postings and openings say what its body says, it follows
the entry before it in its stream, and its postings balance."""

from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import orjson

from ledger.verification.findings import Report
from ledger.verification.rows import NAMES
from ledger.verification.spelling import is_canonical

# In this order, too.
_KEYS = (
    *("entry_id", "evidence", "facts", "kind", "nonce", "occurred_at", "postings", "prev", "recorded_at"),
    *("sealed", "stream_id", "stream_seq", "v"),
)
_HEX = frozenset("0123456789abcdef")
_COPIED = ("entry_id", "stream_id", "stream_seq", "kind", "occurred_at", "recorded_at")
_INDEX, _LEAF, _ID, _ENTRY_ID, _MERCHANT, _BODY, _HASH, _AGENTS, _LINE = (
    NAMES.index(name)
    for name in ("index", "leaf_hash", "id", "entry_id", "merchant_id", "body", "entry_hash", "for_agent", "line")
)


def check_entry(row: tuple[Any, ...], report: Report) -> None:
    """Note what is wrong with one row of `rows`. Nothing that may stand in a table makes it raise."""
    try:
        _check(row, report)
    except Exception as error:  # a column emptied, a body nested without end: whatever it is, the run goes on
        report.add("V8", row[_ENTRY_ID], f"cannot be read: {type(error).__name__}", row[_INDEX])


def _check(row: tuple[Any, ...], report: Report) -> None:
    if row[_ID] is None:
        report.add("V1", f"leaf {row[_INDEX]}", "its entry is missing", row[_INDEX])
        return
    found = sha256(b"\x00" + row[_BODY]).digest()
    if found != row[_HASH] or (found != row[_LEAF] and row[_INDEX] is not None):
        report.add("V2", row[_ENTRY_ID], "the leaf's hash is not that of the body", row[_INDEX])
    _compare(row, report)
    for currency in _unbalanced(row[_LINE]):
        report.add("V10", row[_ENTRY_ID], f"the postings in {currency} do not add up to zero", row[_INDEX])
    if row[_LINE] is not None and not _are_owners(row[_LINE], row[_MERCHANT], row[_AGENTS]):
        report.add("V8", row[_ENTRY_ID], "a posting belongs to another party", row[_INDEX])


def _compare(row: tuple[Any, ...], report: Report) -> None:
    """Note where a row does not spell its body. An opening that is gone is no reason: these may be erased."""
    values = dict(zip(NAMES, row, strict=True))
    subject, index = values["entry_id"], values["index"]
    body = _parse(values["body"])
    if body is None:
        report.add("V8", subject, "the body is not that of an entry", index)
        return
    reasons = [("V8", reason) for reason in _differences(body, values)]
    if body["prev"] != (values["hash_before"] and values["hash_before"].hex()) or (values["stream_seq"] == 1) is bool(
        values["hash_before"]
    ):
        reasons.append(("V9", f"does not follow number {values['stream_seq'] - 1} of its stream"))
    erased = [party for party in ("merchant", "agent") if party in body["sealed"] and values[f"for_{party}"] is None]
    for check, reason in reasons:
        report.add(check, subject, reason, index)
    report.tally("openings erased", len(erased))


def _differences(body: dict[str, Any], values: dict[str, Any]) -> list[str]:
    """Where body and copies contradict each other."""
    reasons = []
    facts, sealed, line = body["facts"], body["sealed"], values["line"]
    ending = f'"stream_seq":{values["stream_seq"]},"v":1}}'.encode()
    if not is_canonical(values["body"], body) or not values["body"].endswith(ending):
        reasons.append("the body is not canonical, or not of version 1")
    if differing := [name for name in _COPIED if body[name] != values[name]]:
        reasons.append(f"differs from its body: {', '.join(differing)}")
    if any(facts.get(name, values[name]) != values[name] for name in ("merchant_id", "agent_id")):
        reasons.append("the party in its column is not the one in its facts")
    openings = {party: values[f"for_{party}"] for party in ("merchant", "agent")}
    if any(
        content is not None and sha256(content).hexdigest() != sealed.get(party) for party, content in openings.items()
    ):
        reasons.append("an opening is not what the body has sealed")
    if orjson.dumps(body["postings"]).decode() != (line[0] if line else "[]"):
        reasons.append("the postings are not those of the body")
    if not (_is_hex(body["nonce"], 32) and (body["evidence"] is None or _is_hex(body["evidence"], 64))):
        reasons.append("its evidence or nonce is malformed")
    if not sealed.keys() <= openings.keys():
        reasons.append("it seals something for nobody")
    return reasons


def _is_hex(value: object, length: int) -> bool:
    return type(value) is str and len(value) == length and set(value) <= _HEX


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


def _unbalanced(line: Sequence[str] | None) -> list[str]:
    """The currencies in which an entry's postings do not add up to zero."""
    sums: Counter[str] = Counter()
    for _, currency, amount in orjson.loads(line[0]) if line else []:
        sums[currency] += amount
    return [currency for currency, amount in sums.items() if amount]


def _are_owners(line: Sequence[str], merchant_id: str | None, for_agent: bytes | None) -> bool:
    """Whether each account is its party's. Whose builder it is, the agent's opening tells."""
    _, accounts, owners = line
    for account, owner in zip(accounts.split(","), owners.split(","), strict=True):
        if account.startswith("builder_"):
            if for_agent is None or f'"builder_id":"{owner}"'.encode() not in for_agent:
                return False
        elif owner != (merchant_id if account.startswith("merchant_") else ""):
            return False
    return True
