"""Conversion proofs made by hand: nothing of the product and nothing of the verifier is used here.

The Merkle tree is the naive recursion of RFC 9162, section 2.1, so that it shares no mistake with the loops it tests.
"""

import base64
import copy
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ORIGIN = "rako.sh/ledger"
CONVERSION = "01KAMZ000000000000000000C1"
RECOMMENDATION = "01KAMZ000000000000000000R1"
MERCHANT, OFFER, SESSION = (f"01KAMZ000000000000000000{kind}1" for kind in "MQS")
EVIDENCE = b'{"type":"payment_intent.succeeded","amount":1200}'
ISSUED_AT = 1795341600  # 2026-11-22T10:00:00Z
PLACES = (5, 7, 12, 13, 19)
SIZE = 20


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def canonical(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def half(size: int) -> int:
    """The largest power of two below the size."""
    power = 1
    while power * 2 < size:
        power *= 2
    return power


def root_of(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    cut = half(len(leaves))
    return sha256(b"\x01" + root_of(leaves[:cut]) + root_of(leaves[cut:]))


def inclusion(index: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    cut = half(len(leaves))
    if index < cut:
        return [*inclusion(index, leaves[:cut]), root_of(leaves[cut:])]
    return [*inclusion(index - cut, leaves[cut:]), root_of(leaves[:cut])]


def consistency(size: int, leaves: list[bytes], whole: bool = True) -> list[bytes]:
    """The proof that the first `size` leaves are a prefix (RFC 9162, section 2.1.4.1)."""
    if size == len(leaves):
        return [] if whole else [root_of(leaves)]
    cut = half(len(leaves))
    if size <= cut:
        return [*consistency(size, leaves[:cut], whole), root_of(leaves[cut:])]
    return [*consistency(size - cut, leaves[cut:], False), root_of(leaves[:cut])]


@dataclass(frozen=True)
class Signer:
    """A private key under a name, as a signer of C2SP notes."""

    name: str
    seed: str

    @property
    def private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(sha256(self.seed.encode()))

    @property
    def raw(self) -> bytes:
        return self.private.public_key().public_bytes_raw()

    @property
    def key_id(self) -> bytes:
        return sha256(self.name.encode() + b"\n\x01" + self.raw)[:4]

    @property
    def vkey(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{b64(bytes([1]) + self.raw)}"

    @property
    def pem(self) -> str:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.private.public_key().public_bytes(serialization.Encoding.PEM, form).decode()

    def note(self, text: str) -> str:
        return f"{text}\n— {self.name} {b64(self.key_id + self.private.sign(text.encode()))}\n"


LOG = Signer(ORIGIN, "log")
RECEIPT = Signer(f"{ORIGIN}/receipt", "receipt")
CODE = Signer("code", "code")


def payload(**changes: Any) -> dict[str, Any]:
    """What the code says: 8.00 GBP for each sale of a plan at 12.00."""
    return {
        "v": 1,
        "iss": "rako.sh",
        "off": OFFER,
        "mer": MERCHANT,
        "pro": "Côte Mobile",
        "prd": "Plan 20 GB",
        "prc": 12,
        "cur": "GBP",
        "com": {"type": "cpa", "value": 8},
        "iat": ISSUED_AT,
        "exp": ISSUED_AT + 30 * 24 * 3600,
    } | changes


def compact(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def code_text(content: dict[str, Any] | bytes, signer: Signer = CODE) -> str:
    """A signed code with this payload; with these very bytes, if it is given as such."""
    raw = content if isinstance(content, bytes) else compact(content)
    return f"aap://rako.sh/v1/{b64url(raw)}.{b64url(signer.private.sign(raw))}"


def entry(number: int, kind: str, minute: int, facts: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A body without `prev` and `sealed`, which are filled in when it is recorded."""
    moment = f"2026-11-22T10:{minute:02}:00.000Z"
    return {
        "entry_id": f"01KAMZ000000000000000000E{number}",
        "evidence": None,
        "facts": facts,
        "kind": kind,
        "nonce": sha256(b"nonce %d" % number).hex()[:32],
        "occurred_at": moment,
        "postings": [],
        "recorded_at": moment.replace("00.000Z", "01.250Z"),
        "stream_id": CONVERSION,
        "stream_seq": number,
        "v": 1,
    } | changes


def split(amount: int, fee: int) -> dict[str, int]:
    return {"amount_minor": amount, "fee_minor": fee, "payout_minor": amount - fee}


def postings(amount: int, fee: int) -> list[list[Any]]:
    return [["merchant_accrued", "GBP", amount], ["builder_pending", "GBP", fee - amount], ["fee_pending", "GBP", -fee]]


def bodies(code: str) -> list[dict[str, Any]]:
    """A recommendation, its sale, the merchant's own report of it, and its validation."""
    common = {"recommendation_id": RECOMMENDATION, "session_id": SESSION, "offer_id": OFFER, "merchant_id": MERCHANT}
    common["code_sha256"] = sha256(code.encode()).hex()
    sale = common | {
        "conversion_id": CONVERSION,
        "status": "pending_validation",
        "verification_level": "orchestrated",
        "attribution_path": "aap_flow",
        "transaction_value_minor": 1200,
        "currency": "GBP",
        "validation_days": 30,
        "commission": {
            "type": "cpa",
            "gross_minor": 800,
            "path_multiplier": "1.00",
            "fee_rate": "0.2000",
            **split(800, 160),
        },
        "evidence": {
            "source": "psp_event",
            "level": "orchestrated",
            "received_at": "2026-11-22T10:05:00.900Z",
            "sha256": sha256(EVIDENCE).hex(),
        },
    }
    known = {"conversion_id": CONVERSION, "verification_level": "reconciled", "status": "pending_validation"}
    changed = {"conversion_id": CONVERSION, "status_before": "pending_validation", "status": "validated"}
    changed["retained"] = split(800, 160)
    moved = postings(-800, -160)
    moved += [["merchant_receivable", "GBP", 800], ["builder_payable", "GBP", -640], ["fee_revenue", "GBP", -160]]
    report = sha256(b"the merchant's report").hex()
    return [
        entry(0, "recommendation.recorded", 1, common, stream_id=RECOMMENDATION, stream_seq=1),
        entry(1, "conversion.recorded", 5, sale, postings=postings(800, 160), evidence=sha256(EVIDENCE).hex()),
        entry(2, "evidence.attached", 6, known, evidence=report),
        entry(3, "conversion.validated", 7, changed, postings=moved),
    ]


OPENINGS = {
    "merchant": [None, {"order_reference": "ORD-1", "reference": "pi_1"}, {"order_reference": "ORD-1"}, None],
    "agent": [{"agent_id": "01KAMZ000000000000000000A1"}, {"builder_id": "01KAMZ000000000000000000B1"}, None, None],
}


def opening(party: str, number: int) -> bytes | None:
    content = OPENINGS[party][number]
    return None if content is None else canonical(content | {"nonce": sha256(f"{party}{number}".encode()).hex()[:32]})


@dataclass
class Forged:
    """A proof's file as data, and what its makers know."""

    file: dict[str, Any]
    leaves: list[bytes] = field(default_factory=list)

    def save(self, path: Path) -> Path:
        path.write_text(json.dumps(self.file, ensure_ascii=False))
        return path

    def checkpoint(self, size: int, signer: Signer = LOG) -> str:
        return signer.note(f"{ORIGIN}\n{size}\n{b64(root_of(self.leaves[:size]))}\n")

    def consistency(self, start: int, end: int) -> dict[str, Any]:
        return {"from": start, "to": end, "path": [b64(step) for step in consistency(start, self.leaves[:end])]}


def forge(
    change: Callable[[list[dict[str, Any]]], Any] = lambda bodies: None,
    *,
    spell: Callable[[dict[str, Any]], bytes] = canonical,
    terms: dict[str, Any] | bytes | None = None,
    party: str = "merchant",
    size: int = SIZE,
) -> Forged:
    """A valid proof, or what an authority gone wrong would sign: `change` edits the bodies, `spell` their bytes."""
    code = code_text(terms or payload())
    contents = copy.deepcopy(bodies(code))
    change(contents)
    raws: list[bytes] = []
    for number, body in enumerate(contents):
        before = sha256(b"\x00" + raws[-1]).hex() if number > 1 else None
        seals = {side: opening(side, min(number, 3)) for side in OPENINGS}
        sealed = {side: sha256(raw).hex() for side, raw in seals.items() if raw}
        raws.append(spell({"prev": before, "sealed": sealed} | body))
    leaves = [sha256(b"some other entry %d" % place) for place in range(size)]
    for place, raw in zip(PLACES, raws, strict=False):
        leaves[place] = sha256(b"\x00" + raw)
    shown = []
    for number, (place, raw) in enumerate(zip(PLACES, raws, strict=False)):
        body, private = contents[number], opening(party, min(number, 3))
        promise = f"{ORIGIN}/receipt\n{body.get('entry_id')}\n{b64(leaves[place])}\n{body.get('recorded_at')}\n"
        shown.append(
            {
                "entryId": f"01KAMZ000000000000000000E{number}",
                "index": place,
                "body": b64(raw),
                "inclusion": [b64(step) for step in inclusion(place, leaves)],
                "receipt": RECEIPT.note(promise),
                "opening": private and b64(private),
            }
        )
    forged = Forged({}, leaves)
    forged.file = {
        "format": "rako-conversion-proof@v1",
        "party": party,
        "origin": ORIGIN,
        "conversionId": CONVERSION,
        "aapCode": code,
        "checkpoint": forged.checkpoint(size),
        "entries": shown,
        "keys": {
            "checkpoint": [LOG.vkey],
            "receipt": [RECEIPT.vkey],
            "codes": [{"keyId": "2026", "publicKey": CODE.pem}],
        },
    }
    return forged
