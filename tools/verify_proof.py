#!/usr/bin/env python3
"""Check a Rako conversion proof offline: one file, Python 3.9 or later, and the package `cryptography`.

What a pass proves, check by check:
  code        the authority signed the offer and its commission terms (the AAP Code);
  body        each ledger entry is in its one canonical spelling, so nobody can read the same bytes in another way;
  checkpoint  the ledger's key signed one state of the whole ledger: its size and its Merkle root;
  inclusion   each entry is in that ledger at the stated index (RFC 9162), so it cannot be changed or taken out;
  receipts    the authority gave a receipt for each entry, for this content and this time;
  openings    the private details shown to you are the ones that were sealed into the entries;
  streams     the conversion's entries are numbered and chained without a gap, and follow its recommendation;
  identities  recommendation, conversion and code name the same session, offer, merchant, currency and code;
  times       the code was in force at the recommendation, which was recorded before the conversion;
  commission  the recorded split is what the signed terms give for this sale, rounded half up at each step;
  postings    every entry balances, and the first one books exactly that split;
  lifecycle   each later change follows the status before it, and never leaves more than the signed terms give for the
              sale's value, as recorded or as last corrected;
  evidence    (--evidence FILE) these bytes are what an entry of the conversion rests on;
  outside     (--checkpoint FILE) a checkpoint that others see is of the same ledger.
What it cannot prove: that what was recorded is true, or that nothing was recorded after the last entry shown.
Exit codes: 0 proven, 3 not proven, 1 a file could not be read, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import base64
import calendar
import hashlib
import json
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any, NamedTuple

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:
    sys.exit("verify_proof needs the package cryptography: pip install cryptography")

MAX_BYTES = 4 * 1024 * 1024
MAX_INTEGER = 2**53 - 1  # beyond it, JSON readers disagree about the number
CLOCK_SKEW_SECONDS = 300
MINOR_DIGITS = {"GBP": 2, "EUR": 2, "USD": 2}
CORRECTED = "conversion.corrected"
MULTIPLIERS = {"aap_flow": "1.00", "tracked_link": "0.75", "extension": "0.75", "influence": "0.50"}

# --- The formats, as `fit` reads them: a type, a pattern for text, (either, or), {key: form}, [form of each item] or
# --- [first, second, third]. A key that ends in `?` may be absent; MORE lets further keys pass.

MORE = "..."
ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
HASH = re.compile(r"[0-9a-f]{64}")
NONCE = re.compile(r"[0-9a-f]{32}")
INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
RATE = re.compile(r"0\.[0-9]{1,8}|1\.0{1,8}")
KIND = re.compile(r"[a-z_]+(\.[a-z_]+)*")
CODE = re.compile(r"aap://([a-z0-9.-]{1,100})/v1/([A-Za-z0-9_-]{1,4000})\.([A-Za-z0-9_-]{86})")
NUMBER = (int, Decimal)
LEVEL = ("orchestrated", "merchant_reported", "payment_observed", "reconciled")

# fmt: off
FILE = {
    "format": "rako-conversion-proof@v1", "party": ("merchant", "agent"), "origin": str,
    "conversionId": ULID, "aapCode": CODE, "checkpoint": str,
    "entries": [{"entryId": ULID, "index": int, "body": str, "inclusion": [str], "receipt": str,
                 "opening": (str, None)}],
    "keys": {"checkpoint": [str], "receipt": [str], "codes": [{"keyId": str, "publicKey": str}]},
}
BODY = {
    "entry_id": ULID, "evidence": (HASH, None), "facts": {MORE: ...}, "kind": KIND, "nonce": NONCE,
    "occurred_at": INSTANT, "postings": [[str, str, int]], "prev": (HASH, None), "recorded_at": INSTANT,
    "sealed": {"agent?": HASH, "merchant?": HASH}, "stream_id": ULID, "stream_seq": int, "v": 1,
}
SPLIT = {"amount_minor": int, "fee_minor": int, "payout_minor": int}
IDS = {"recommendation_id": ULID, "session_id": ULID, "offer_id": ULID, "merchant_id": ULID, "code_sha256": HASH}
RECOMMENDED = {**IDS, MORE: ...}
CONVERTED = {
    **IDS, "conversion_id": ULID, "status": ("matched", "pending_validation"), "validation_days": int,
    "verification_level": LEVEL,
    "attribution_path": tuple(MULTIPLIERS), "transaction_value_minor": int, "currency": str,
    "commission": {"type": str, "gross_minor": int, "path_multiplier": str, "fee_rate": RATE, **SPLIT, MORE: ...},
    "evidence": {"sha256": HASH, MORE: ...}, MORE: ...,
}
CHANGED = {"conversion_id": ULID, "status": str, "status_before": str, "retained": {**SPLIT, MORE: ...}, MORE: ...}
ATTACHED = {  # evidence or a milestone of a sale already recorded: changes no status and moves no money
    "conversion_id": ULID, "status": str, "status_before?": str, "retained?": {**SPLIT, MORE: ...},
    "verification_level?": LEVEL, MORE: ...,
}
TERMS = {
    "v": 1, "iss": str, "off": str, "mer": str, "pro": str, "prd": str, "prc": NUMBER, "cur": tuple(MINOR_DIGITS),
    "com": ({"type": ("cpa", "percentage"), "value": NUMBER}, {"type": "hybrid", "value": NUMBER, "min": NUMBER}),
    "iat": int, "exp": int,
}
OPENING = {"nonce": NONCE, MORE: ...}
CONSISTENCY = {"from": int, "to": int, "path": [str]}
JWKS = {"keys": [{"crv": "Ed25519", "x": str, MORE: ...}], MORE: ...}
# fmt: on


class Unreadable(Exception):
    """A file is missing or is not of its format: exit 1."""


class NotProven(Exception):
    """A check failed; the text says why: exit 3."""


def must(condition: Any, why: str) -> None:
    if not condition:
        raise Unreadable(why)


def want(condition: Any, why: str) -> None:
    if not condition:
        raise NotProven(why)


# --- Reading: forms, and nothing believed -------------------------------------------------------------------------


def fit(value: Any, form: Any, where: str) -> None:
    """Raises ValueError, naming the place, unless the value has the form."""
    if isinstance(form, dict):
        fit_keys(value, form, where)
    elif isinstance(form, list):
        forms = form * len(value) if type(value) is list and len(form) == 1 else form
        if type(value) is not list or len(forms) != len(value):
            raise ValueError(f"{where} is not a list as it should be")
        for place, part in enumerate(value):
            fit(part, forms[place], f"{where}[{place}]")
    elif not any(fits(value, choice, where) for choice in (form if isinstance(form, tuple) else (form,))):
        raise ValueError(f"{where} is malformed or has a value this verifier does not know")


def fit_keys(value: Any, form: dict[str, Any], where: str) -> None:
    if type(value) is not dict:
        raise ValueError(f"{where} is not an object")
    forms = {key.rstrip("?"): part for key, part in form.items() if key != MORE}
    missing = [key for key in forms if key not in value and f"{key}?" not in form]
    extra = [key for key in value if key not in forms and MORE not in form]
    if missing or extra:
        raise ValueError(f"{where} must have the keys {', '.join(forms)}: {', '.join(missing + extra)} is amiss")
    for key in forms.keys() & value.keys():
        fit(value[key], forms[key], f"{where}.{key}")


def fits(value: Any, form: Any, where: str) -> bool:
    if isinstance(form, dict):
        try:
            fit(value, form, where)
        except ValueError:
            return False
        return True
    if isinstance(form, re.Pattern):
        return type(value) is str and form.fullmatch(value) is not None
    if isinstance(form, type):
        return type(value) is form  # exactly: True is no integer
    return type(value) is type(form) and value == form


def strict_json(raw: bytes, parse_float: Any = None) -> Any:
    """JSON without duplicate keys, NaN or, unless told how, fractions. Raises ValueError with the reason."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(items)) != len(items):
            raise ValueError("it names a key twice")
        return dict(items)

    def whole(text: str) -> int:
        if len(text) > 17 or abs(int(text)) > MAX_INTEGER:
            raise ValueError("it holds a number that is too large")
        return int(text)

    def refuse(text: str) -> None:
        raise ValueError(f"it holds {text[:20]}, which is not a whole number")

    hooks = {"parse_int": whole, "parse_float": parse_float or refuse, "parse_constant": refuse}
    try:
        return json.loads(raw.decode(), object_pairs_hook=pairs, **hooks)
    except (RecursionError, ArithmeticError):
        raise ValueError("it is nested too deeply, or holds a number that is too large") from None


def canonical(raw: bytes, form: Any, what: str) -> dict[str, Any]:
    """The object in canonical JSON (RFC 8785, whole numbers only), or NotProven: other bytes could be misread."""
    try:
        value = strict_json(raw)
        again = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
        if again != raw:
            raise ValueError("it is not in its one canonical spelling")
        fit(value, form, "it")
    except (ValueError, RecursionError) as error:
        raise NotProven(f"{what} is not as an entry must be written: {error}") from None
    return value


def read_file(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise Unreadable(f"{path}: {error}") from None
    must(len(raw) <= MAX_BYTES, f"{path} is larger than {MAX_BYTES} bytes")
    return raw


def read_json(path: str, form: Any) -> Any:
    try:
        value = strict_json(read_file(path))
        fit(value, form, path)
    except ValueError as error:
        raise Unreadable(f"{path} is not such a file: {error}") from None
    return value


def unbase64(text: str, what: str, size: int | None = None) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        raise Unreadable(f"{what} is not base64") from None
    must(base64.b64encode(raw).decode() == text, f"{what} is not canonical base64")
    must(size in (None, len(raw)), f"{what} has {len(raw)} bytes instead of {size}")
    return raw


def unbase64url(text: str, what: str, size: int | None = None) -> bytes:
    return unbase64(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), what, size)


class NoteKey(NamedTuple):
    """A verifier key of C2SP signed notes: `<name>+<hex key id>+<base64 of 0x01 and the Ed25519 key>`."""

    name: str
    key_id: bytes
    key: Ed25519PublicKey


def note_key(text: str) -> NoteKey:
    match = re.fullmatch(r"([^+\s\ud800-\udfff]+)\+([0-9a-f]{8})\+(.+)", text)
    must(match, "a verifier key is not of the form name+id+key")
    name, key_id, raw = match[1], bytes.fromhex(match[2]), unbase64(match[3], "a verifier key", 33)
    own = raw[0] == 1 and key_id == hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
    must(own, "the id of a verifier key does not belong to it")
    return NoteKey(name, key_id, Ed25519PublicKey.from_public_bytes(raw[1:]))


def note_key_argument(text: str) -> NoteKey:
    try:
        return note_key(text)
    except Unreadable as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def pem_key(text: str) -> Ed25519PublicKey:
    """An SPKI PEM key; for Ed25519 that is 12 fixed bytes and the 32 of the key."""
    match = re.fullmatch(r"-----BEGIN PUBLIC KEY-----[\r\n]+(\S{60})[\r\n]+-----END PUBLIC KEY-----[\r\n]*", text)
    raw = unbase64(match[1], "a code key", 44) if match else b""
    must(raw.startswith(bytes.fromhex("302a300506032b6570032100")), "a code key is not an Ed25519 key in SPKI PEM")
    return Ed25519PublicKey.from_public_bytes(raw[12:])


def code_keys(path: str) -> list[Ed25519PublicKey]:
    """The key of a PEM file, or the keys of a saved /.well-known/jwks.json."""
    text = read_text(path)
    if text.lstrip()[:1] != "{":
        return [pem_key(text)]
    found = [unbase64url(key["x"], path, 32) for key in read_json(path, JWKS)["keys"]]
    return [Ed25519PublicKey.from_public_bytes(raw) for raw in found]


def read_text(path: str) -> str:
    try:
        return read_file(path).decode()
    except UnicodeDecodeError:
        raise Unreadable(f"{path} is not text") from None


class Note(NamedTuple):
    """A C2SP signed note: its text, and per signature line the key's name, and key id and signature in one."""

    text: str
    signatures: list[tuple[str, bytes]]


def signed_note(note: str, what: str) -> Note:
    text, _, tail = note.rpartition("\n\n")
    lines = re.findall("\u2014 ([^ \n]+) ([^ \n]+)\n", tail)  # each begins with an em dash
    rebuilt = "".join(f"\u2014 {name} {signature}\n" for name, signature in lines)
    proper = text and lines and rebuilt == tail and not re.search(r"[\x00-\x09\x0b-\x1f\ud800-\udfff]", note)
    must(proper, f"{what} is not a signed note")
    return Note(text + "\n", [(name, unbase64(raw, f"a signature of {what}")) for name, raw in lines])


@dataclass
class Entry:
    """One ledger entry of the proof. `body` and `private` are empty until their checks have passed."""

    entry_id: str
    index: int
    raw: bytes
    path: list[bytes]
    receipt: Note
    opening: bytes | None
    body: dict[str, Any] = field(default_factory=dict)
    private: dict[str, Any] = field(default_factory=dict)

    @property
    def leaf(self) -> bytes:
        return hashlib.sha256(b"\x00" + self.raw).digest()

    @property
    def facts(self) -> dict[str, Any]:
        return self.body["facts"]

    def __str__(self) -> str:
        return f"entry {self.entry_id} ({plain(self.body.get('kind', 'unread'))})"


@dataclass
class Proof:
    """The file, and the keys to check it with. `terms`, `size` and `root` are set by the checks that prove them."""

    party: str
    origin: str
    conversion_id: str
    code: str
    checkpoint: Note
    recommendation: Entry
    stream: list[Entry]  # the conversion's own entries
    log_keys: list[NoteKey]
    receipt_keys: list[NoteKey]
    code_keys: list[Ed25519PublicKey]
    options: argparse.Namespace
    terms: dict[str, Any] = field(default_factory=dict)
    size: int = 0
    root: bytes = b""

    @property
    def entries(self) -> list[Entry]:
        return [self.recommendation, *self.stream]


def read_proof(options: argparse.Namespace) -> Proof:
    content = read_json(options.proof, FILE)
    entries, own = [read_entry(entry) for entry in content["entries"]], content["keys"]
    must(len(entries) > 1, "the proof must hold the recommendation and at least one entry of the conversion")
    own_logs, own_receipts = [[note_key(key) for key in own[use]] for use in ("checkpoint", "receipt")]
    own_codes = [pem_key(key["publicKey"]) for key in own["codes"]]
    return Proof(
        content["party"],
        content["origin"],
        content["conversionId"],
        content["aapCode"],
        signed_note(content["checkpoint"], "the checkpoint"),
        entries[0],
        entries[1:],
        options.log_key or own_logs,
        options.receipt_key or own_receipts,
        [key for path in options.code_key for key in code_keys(path)] if options.code_key else own_codes,
        options,
    )


def read_entry(value: dict[str, Any]) -> Entry:
    opening = value["opening"]
    return Entry(
        value["entryId"],
        value["index"],
        unbase64(value["body"], "a body"),
        [unbase64(step, "an inclusion hash", 32) for step in value["inclusion"]],
        signed_note(value["receipt"], "a receipt"),
        None if opening is None else unbase64(opening, "an opening"),
    )


# --- Cryptography: signatures and Merkle trees --------------------------------------------------------------------


def verifies(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def check_signed(note: Note, keys: list[NoteKey], name: str, what: str) -> None:
    """One of our keys of that name signed it, and no line falsely claims to be by one of them."""
    claims = [(k.key, s[4:]) for k in keys for n, s in note.signatures if k.name == name == n and k.key_id == s[:4]]
    want(claims, f"{what} bears no signature by a trusted key named {plain(name)}")
    genuine = all(verifies(key, signature, note.text.encode()) for key, signature in claims)
    want(genuine, f"the signature under {what} is false: the text or the signature was changed")


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def inclusion_root(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes | None:
    """The root that the path leads to, or None if it has the wrong length (RFC 9162, section 2.1.3.2)."""
    here, last, root = index, size - 1, leaf
    for step in path:
        if last == 0:
            return None
        if here & 1 or here == last:
            root = node(step, root)
            while here and not here & 1:
                here, last = here >> 1, last >> 1
        else:
            root = node(root, step)
        here, last = here >> 1, last >> 1
    return root if last == 0 else None


def is_consistent(first: tuple[int, bytes], second: tuple[int, bytes], path: list[bytes]) -> bool:
    """Whether the larger tree only added to the smaller (RFC 9162, section 2.1.4.2). Both are (size, root)."""
    path = ([first[1]] if first[0] & (first[0] - 1) == 0 else []) + path
    here, last = first[0] - 1, second[0] - 1
    while here & 1:
        here, last = here >> 1, last >> 1
    first_root = second_root = path[0] if path else b""
    for step in path[1:]:
        if last == 0:
            return False
        if here & 1 or here == last:
            first_root, second_root = node(step, first_root), node(step, second_root)
            while here and not here & 1:
                here, last = here >> 1, last >> 1
        else:
            second_root = node(second_root, step)
        here, last = here >> 1, last >> 1
    return last == 0 and (first_root, second_root) == (first[1], second[1])


def tree_of(note: Note, origin: str) -> tuple[int, bytes]:
    """Size and root of a checkpoint (C2SP tlog-checkpoint; further lines are extensions)."""
    name, size, root, *_ = [*note.text.split("\n"), "", "", ""]
    want(name == origin, f"the checkpoint is of {plain(name)}, not of {plain(origin)}")
    want(re.fullmatch(r"[1-9][0-9]{0,15}", size), "the checkpoint names no size, or is of an empty ledger")
    return int(size), unbase64(root, "the root of the checkpoint", 32)


# --- The checks, in their order: each returns what it found, or raises NotProven ----------------------------------


def check_code(proof: Proof) -> str:
    issuer, payload, signature = CODE.fullmatch(proof.code).groups()
    signed = unbase64url(payload, "the payload of the code")
    seal = unbase64url(signature, "the signature of the code", 64)
    genuine = any(verifies(key, seal, signed) for key in proof.code_keys)
    want(genuine, "the AAP Code was not signed by a trusted code key, or was changed afterwards")
    try:
        terms = strict_json(signed, Decimal)
        fit(terms, TERMS, "the payload")
    except ValueError as error:
        raise NotProven(f"what the AAP Code says is not as it must be: {error}") from None
    want(tuple(terms) == tuple(TERMS) and terms["iss"] == issuer, "the AAP Code is of another version or issuer")
    proof.terms = terms
    return f"signed offer: {offer_text(terms)}"


def check_bodies(proof: Proof) -> str:
    for entry in proof.entries:
        body = canonical(entry.raw, BODY, str(entry))
        want(body["entry_id"] == entry.entry_id, f"{entry} calls itself {body['entry_id']}")
        entry.body = body
        known = {"recommendation.recorded": RECOMMENDED, "conversion.recorded": CONVERTED}
        usual = ATTACHED if body["kind"].startswith(("evidence.", "milestone.")) else CHANGED
        try:
            fit(body["facts"], known.get(body["kind"], usual), "facts")
        except ValueError as error:
            raise NotProven(f"{entry} is not as an entry must be written: {error}") from None
    return f"{len(proof.entries)} entries are in canonical form"


def check_checkpoint(proof: Proof) -> str:
    check_signed(proof.checkpoint, proof.log_keys, proof.origin, "the checkpoint")
    proof.size, proof.root = tree_of(proof.checkpoint, proof.origin)
    return f"the ledger {plain(proof.origin)} signed its state at {proof.size} entries"


def check_inclusion(proof: Proof) -> str:
    for entry in proof.entries:
        inside = 0 <= entry.index < proof.size
        want(inside, f"{entry} is said to be at index {entry.index} of a ledger of {proof.size} entries")
        leads_there = inclusion_root(entry.leaf, entry.index, proof.size, entry.path) == proof.root
        want(leads_there, f"{entry}, as shown, is not at index {entry.index} of the signed ledger")
    return f"they are in that ledger, at index {', '.join(str(entry.index) for entry in proof.entries)}"


def check_receipts(proof: Proof) -> str:
    name = f"{proof.origin}/receipt"
    for entry in proof.entries:
        check_signed(entry.receipt, proof.receipt_keys, name, f"the receipt of {entry}")
        promised = [name, entry.entry_id, base64.b64encode(entry.leaf).decode(), entry.body["recorded_at"], ""]
        want(entry.receipt.text.split("\n") == promised, f"the receipt of {entry} is for other content or another time")
    return "each entry is what the authority gave a receipt for"


def check_openings(proof: Proof) -> str:
    erased = 0
    for entry in proof.entries:
        seal = entry.body["sealed"].get(proof.party)
        erased += seal is not None and entry.opening is None
        if entry.opening is not None:
            agrees = hashlib.sha256(entry.opening).hexdigest() == seal
            want(agrees, f"the private details shown for {entry} are not those sealed for the {proof.party}")
            entry.private = canonical(entry.opening, OPENING, f"the opening of {entry}")
    # Personal details may be erased; what the entry says to both parties is proven all the same.
    shown = f"the private details shown are those sealed for the {proof.party}"
    return f"{shown}; {erased} of {len(proof.entries)} entries come without theirs" if erased else shown


def check_streams(proof: Proof) -> str:
    first, before = proof.recommendation.body, None
    start = (first["kind"], first["stream_seq"], first["prev"]) == ("recommendation.recorded", 1, None)
    want(start, "the first entry is not the start of a recommendation's stream")
    want(first["stream_id"] == first["facts"]["recommendation_id"], "the recommendation is in another's stream")
    for seq, entry in enumerate(proof.stream, 1):
        body = entry.body
        right_kind = (body["kind"] == "conversion.recorded") == (seq == 1) and body["kind"] != first["kind"]
        want(right_kind, f"{entry} is out of place as entry {seq} of the conversion")
        own = body["stream_id"] == body["facts"]["conversion_id"] == proof.conversion_id
        want(own, f"{entry} belongs to another conversion")
        want(body["stream_seq"] == seq, f"entry {seq} of the conversion is not shown; {entry} stands in its place")
        want(body["prev"] == before, f"{entry} was not recorded right after the entry shown before it")
        before = entry.leaf.hex()
    return f"{len(proof.stream)} entries of the conversion, numbered and chained without a gap"


def check_identities(proof: Proof) -> str:
    asked, sold, terms = proof.recommendation.facts, proof.stream[0].facts, proof.terms
    for key in IDS:
        want(asked[key] == sold[key], f"recommendation and conversion differ in {key}")
    digest = hashlib.sha256(proof.code.encode()).hexdigest()
    want(sold["code_sha256"] == digest, "the ledger recorded another AAP Code than the one shown")
    for key, value in (("merchant_id", terms["mer"]), ("offer_id", terms["off"]), ("currency", terms["cur"])):
        want(sold[key] == value, f"{key} is {plain(sold[key])} in the ledger, but {plain(value)} in the AAP Code")
    same = sold["evidence"]["sha256"] == proof.stream[0].body["evidence"]
    want(same, "the conversion names two different pieces of evidence")
    for key in ("agent_id", "builder_id"):
        told = {entry.private[key] for entry in (proof.recommendation, proof.stream[0]) if key in entry.private}
        want(len(told) < 2, f"the sale is credited to another {key} than the one that recommended")
    return "recommendation, conversion and code agree on session, offer, merchant, currency and code"


def check_times(proof: Proof) -> str:
    asked, sold = proof.recommendation.body, proof.stream[0].body
    want(asked["recorded_at"] <= sold["recorded_at"], "the recommendation was recorded only after the conversion")
    try:
        moment = calendar.timegm(time.strptime(asked["occurred_at"][:19], "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        raise NotProven(f"{asked['occurred_at']} is no time") from None
    in_force = proof.terms["iat"] - CLOCK_SKEW_SECONDS <= moment < proof.terms["exp"]
    want(in_force, f"the AAP Code was not in force at the recommendation ({asked['occurred_at']})")
    return f"recommended {asked['recorded_at']}, converted {sold['recorded_at']}"


def check_commission(proof: Proof) -> str:
    facts = proof.stream[0].facts
    value, currency, path = facts["transaction_value_minor"], facts["currency"], facts["attribution_path"]
    want(value >= 0, "the transaction value is negative")
    right = due(proof.terms["com"], value, currency, path, facts["commission"]["fee_rate"])
    for key, should in right.items():
        found = facts["commission"][key]
        want(found == should, f"{key} was recorded as {plain(found)}, but the signed terms give {plain(should)}")
    return f"{money(value, currency)} sold by {path} earns {money(right['amount_minor'], currency)}, as recorded"


def due(com: dict[str, Any], value: int, currency: str, path: str, rate: str) -> dict[str, Any]:
    """The split that the code's terms give, rounded half up at each step: gross, after the multiplier, fee."""
    sound = all(0 <= com[key] <= 10**12 for key in ("value", "min") if key in com)
    want(sound, "the commission terms of the AAP Code are out of range")
    with localcontext() as context:
        context.prec = 60  # more than the digits of any product here: nothing is rounded but by half_up
        fixed = Decimal(com.get("min", 0) if com["type"] != "cpa" else com["value"]).scaleb(MINOR_DIGITS[currency])
        percent = Decimal(0 if com["type"] == "cpa" else com["value"])
        want(fixed == half_up(fixed), "the fixed commission of the AAP Code has fractions of a minor unit")
        gross = half_up(fixed) + half_up(value * percent / 100)
        amount = half_up(gross * Decimal(MULTIPLIERS[path]))
        fee = half_up(amount * Decimal(rate))
    split = {"amount_minor": amount, "fee_minor": fee, "payout_minor": amount - fee}
    return {"type": com["type"], "gross_minor": gross, "path_multiplier": MULTIPLIERS[path], **split}


def half_up(value: Decimal) -> int:
    return int(value.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def check_postings(proof: Proof) -> str:
    for entry in proof.entries:
        want(not any(balances([entry], by_account=False).values()), f"debits and credits of {entry} are not equal")
    want(proof.recommendation.body["postings"] == [], "the recommendation's entry moves money")
    split, currency = proof.stream[0].facts["commission"], proof.terms["cur"]
    right = [["builder_pending", currency, -split["payout_minor"]], ["fee_pending", currency, -split["fee_minor"]]]
    right.append(["merchant_accrued", currency, split["amount_minor"]])
    booked, right = [sorted(line for line in lines if line[2]) for lines in (proof.stream[0].body["postings"], right)]
    want(booked == right, "the first entry does not book the split: merchant owes all, builder and fee are due")
    return "debits equal credits in every entry, and the first entry books the split"


def balances(entries: list[Entry], by_account: bool = True) -> Counter[Any]:
    sums: Counter[Any] = Counter()
    for account, currency, amount in (line for entry in entries for line in entry.body["postings"]):
        sums[account if by_account else "all", currency] += amount
    return sums


def booked(entries: list[Entry]) -> dict[str, int]:
    """What the accounts of each side come to, whichever of a side's accounts it is in."""
    sums = dict.fromkeys(("merchant", "builder", "fee"), 0)
    for account, _, amount in (line for entry in entries for line in entry.body["postings"]):
        side = account.partition("_")[0]
        sums[side] = sums.get(side, 0) + amount
    return sums


def owed(split: dict[str, int]) -> dict[str, int]:
    return {"merchant": split["amount_minor"], "builder": -split["payout_minor"], "fee": -split["fee_minor"]}


def check_lifecycle(proof: Proof) -> str:
    first = proof.stream[0].facts
    status, left, most = first["status"], first["commission"], first["commission"]
    for number, entry in enumerate(proof.stream[1:], 2):
        facts, most = entry.facts, most_left(proof, number, most)
        before, left = facts.get("status_before", facts["status"]), facts.get("retained", left)
        moves = entry.body["postings"] or facts["status"] != status
        want("retained" in facts or not moves, f"{entry} changes the sale, but does not say what is left of it")
        want(before == status, f"{entry} changes the status {plain(before)}, but it was {plain(status)}")
        want(left["amount_minor"] == left["fee_minor"] + left["payout_minor"], f"what {entry} leaves does not add up")
        bounded = all(0 <= left[part] <= most[part] for part in SPLIT)
        want(bounded, f"{entry} leaves more commission than was earned, or less than nothing")
        want(booked(proof.stream[:number]) == owed(left), f"after {entry} the accounts do not hold what it leaves")
        status = facts["status"]
    return f"every change follows the one before it; the last status shown is {plain(status)}"


def most_left(proof: Proof, number: int, before: dict[str, Any]) -> dict[str, Any]:
    """What the first `number` entries may leave at most: what the signed terms give for the sale's value by then.

    That is the one of the correction that happened last, whenever it was told; of several of one moment, the largest.
    """
    if proof.stream[number - 1].body["kind"] != CORRECTED:
        return before
    told = [entry for entry in proof.stream[:number] if entry.body["kind"] == CORRECTED]
    for entry in told:
        value = entry.facts.get("event_amount_minor")
        sound = type(value) is int and 0 < value <= MAX_INTEGER
        want(sound, f"{entry} corrects the sale, but to no value")
    latest = max(entry.body["occurred_at"] for entry in told)
    value = max(entry.facts["event_amount_minor"] for entry in told if entry.body["occurred_at"] == latest)
    first = proof.stream[0].facts
    return due(proof.terms["com"], value, first["currency"], first["attribution_path"], first["commission"]["fee_rate"])


def check_evidence(proof: Proof) -> str:
    digest = hashlib.sha256(read_file(proof.options.evidence)).hexdigest()
    matching = [entry for entry in proof.stream if entry.body["evidence"] == digest]
    want(matching, "no entry of the conversion rests on this evidence file")
    return f"the file is the evidence of {matching[0]}"


def check_outside(proof: Proof) -> str:
    note = signed_note(read_text(proof.options.checkpoint), "the outside checkpoint")
    check_signed(note, proof.log_keys, proof.origin, "the outside checkpoint")
    older, newer = sorted([(proof.size, proof.root), tree_of(note, proof.origin)])
    if older[0] == newer[0]:
        want(older == newer, "the outside checkpoint is of ANOTHER ledger of the same size: keep both as evidence")
        return f"the outside checkpoint of {older[0]} entries is the same"
    fetch = f"fetch /v1/ledger/consistency?from={older[0]}&to={newer[0]} and pass it with --consistency"
    want(proof.options.consistency, f"the outside checkpoint is of another size and needs a consistency proof; {fetch}")
    content = read_json(proof.options.consistency, CONSISTENCY)
    want((content["from"], content["to"]) == (older[0], newer[0]), f"the consistency proof is for other sizes; {fetch}")
    path = [unbase64(step, "a hash of the consistency proof", 32) for step in content["path"]]
    want(is_consistent(older, newer, path), "the outside checkpoint is not shown to be of the SAME ledger")
    return f"the ledger of {newer[0]} entries holds the one of {older[0]} unchanged"


CHECKS = {
    "code": check_code,
    "body": check_bodies,
    "checkpoint": check_checkpoint,
    "inclusion": check_inclusion,
    "receipts": check_receipts,
    "openings": check_openings,
    "streams": check_streams,
    "identities": check_identities,
    "times": check_times,
    "commission": check_commission,
    "postings": check_postings,
    "lifecycle": check_lifecycle,
    "evidence": check_evidence,
    "outside": check_outside,
}


# --- Telling what was found ---------------------------------------------------------------------------------------

CAVEAT = (
    "Not proven: that the sale was truly as recorded (a lie, validly recorded, passes), that no entry followed the "
    "last one shown (ask for a fresh proof), and, without --checkpoint, that others are shown the same ledger."
)


def plain(value: Any) -> str:
    """Text of the file as one harmless line: no control characters reach the terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(value))[:300]


def money(minor: int, currency: str) -> str:
    digits = MINOR_DIGITS.get(currency)
    if digits is None:
        return f"{minor} minor units of {currency}"
    return f"{Decimal(minor).scaleb(-digits):.{digits}f} {currency}"


def offer_text(terms: dict[str, Any]) -> str:
    return plain(f"{terms['pro']}, {terms['prd']}, at {terms['prc']} {terms['cur']}")


def summary(proof: Proof) -> dict[str, str]:
    """What a proven file says, label by label."""
    entry, last = proof.stream[0], proof.stream[-1]
    facts, currency, split = entry.facts, proof.terms["cur"], entry.facts["commission"]
    left = [split, *(item.facts["retained"] for item in proof.stream if "retained" in item.facts)][-1]
    corrected = [item.facts["event_amount_minor"] for item in proof.stream if item.body["kind"] == CORRECTED]
    levels = [item.facts["verification_level"] for item in proof.stream if "verification_level" in item.facts]
    private = {**proof.recommendation.private, **entry.private}
    open_sums = [
        f"{account} {'debit' if total > 0 else 'credit'} {money(abs(total), unit)}"
        for (account, unit), total in balances(proof.stream).items()
        if total
    ]
    return {
        "Conversion": proof.conversion_id,
        "Shown to": f"the {proof.party}; the other side's details stay sealed",
        "Merchant": facts["merchant_id"],
        **{f"Sealed {key}": str(value) for key, value in private.items() if key != "nonce"},
        "Offer": f"{offer_text(proof.terms)} (offer {facts['offer_id']})",
        "Sale": f"{money(facts['transaction_value_minor'], currency)} by {facts['attribution_path']}",
        **({"Corrected to": ", then ".join(money(value, currency) for value in corrected)} if corrected else {}),
        "Verified as": levels[-1],
        "Commission": f"{money(split['amount_minor'], currency)}: {money(split['payout_minor'], currency)} builder "
        f"payout and {money(split['fee_minor'], currency)} network fee",
        "Left of it": money(left["amount_minor"], currency),
        "Status now": f"{last.facts['status']}, by the last entry shown, of {last.body['recorded_at']}",
        "Recorded": f"{entry.body['recorded_at']}, at index {entry.index} of a ledger of {proof.size} entries",
        "Postings sum up to": "; ".join(open_sums) or "zero in every account",
    }


def judge(options: argparse.Namespace) -> dict[str, Any]:
    """The whole verdict as data; checks after a failed one are not reached. Raises Unreadable."""
    proof, failed, results = read_proof(options), None, []
    left_out = {"evidence": not options.evidence, "outside": not options.checkpoint}
    for name in (name for name in CHECKS if not left_out.get(name)):
        try:
            outcome = ("not reached", "") if failed else ("ok", CHECKS[name](proof))
        except NotProven as why:
            outcome, failed = ("FAILED", str(why)), {"check": name, "why": str(why)}
        results.append({"check": name, "result": outcome[0], "text": outcome[1]})
    pins = {"log": options.log_key, "receipt": options.receipt_key, "code": options.code_key}
    return {
        "verdict": "not proven" if failed else "proven",
        "failed": failed,
        "checks": results,
        "keysFromFile": [name for name, pinned in pins.items() if not pinned],
        "summary": None if failed else summary(proof),  # what a failed file says of itself is not worth repeating
        "caveat": CAVEAT,
    }


def tell(verdict: dict[str, Any]) -> None:
    for line in verdict["checks"]:
        print(f"{line['result']:<12} {line['check']:<11} {line['text']}")
    if verdict["keysFromFile"]:
        print(
            f"WARNING: THE KEYS CAME WITH THE FILE ({', '.join(verdict['keysFromFile'])}), and a forger would have put "
            "in his own: fetch /v1/ledger/keys and /.well-known/jwks.json once from the authority, and pin them with "
            "--log-key, --receipt-key and --code-key"
        )
    if verdict["failed"]:
        print(f"NOT PROVEN: the check '{verdict['failed']['check']}' failed: {verdict['failed']['why']}")
        return
    print("PROVEN")
    for label, value in verdict["summary"].items():
        print(f"  {plain(label):<22} {plain(value)}")
    print(verdict["caveat"])


def arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Check a Rako conversion proof offline.")
    parser.add_argument("proof", help="the file that GET /v1/conversions/{id}/proof gave")
    parser.add_argument("--log-key", type=note_key_argument, action="append", default=[], metavar="VKEY")
    parser.add_argument("--receipt-key", type=note_key_argument, action="append", default=[], metavar="VKEY")
    parser.add_argument("--code-key", action="append", default=[], metavar="FILE", help="a PEM key or a jwks.json")
    parser.add_argument("--evidence", metavar="FILE", help="the bytes that an entry is said to rest on")
    parser.add_argument("--checkpoint", metavar="FILE", help="a checkpoint from elsewhere")
    parser.add_argument("--consistency", metavar="FILE", help="joins that checkpoint to the proof's, if sizes differ")
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON")
    options = parser.parse_args(words)
    if options.consistency and not options.checkpoint:
        parser.error("--consistency needs --checkpoint")
    return options


def main(words: list[str] | None = None) -> int:
    """Judge one proof and print the verdict. Returns the exit code."""
    options = arguments(words)
    try:
        verdict = judge(options)
    except Unreadable as error:
        verdict = {"verdict": "unreadable", "error": plain(error)}
    if options.json:
        print(json.dumps(verdict, indent=2))
    elif verdict["verdict"] == "unreadable":
        print(f"CANNOT READ: {verdict['error']}", file=sys.stderr)
    else:
        tell(verdict)
    return {"proven": 0, "unreadable": 1, "not proven": 3}[verdict["verdict"]]


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(main())
