"""Every layer of a proof, bent: nothing bent may pass, and the verdict names the check that holds that layer."""

import base64
import copy
import json
import os
import random
import re

import pytest

from tests.tools import forge as f
from tests.tools.conftest import VERIFIER

DEPTH = int(os.environ.get("RAKO_TEST_DEPTH", "1"))
GOOD = f.forge().file
AGENTS = f.forge(party="agent").file
ALIEN = f.Signer(f.ORIGIN, "alien")


def at(container, path):
    for step in path.split("."):
        container = container[int(step) if step.lstrip("-").isdigit() else step]
    return container


def put(path, value):
    """An edit that sets a place of the file or of the bodies: to a value, or to what a function makes of the old."""
    parent, _, last = path.rpartition(".")
    key = int(last) if last.isdigit() else last

    def edit(content):
        container = at(content, parent) if parent else content
        container[key] = value(container[key]) if callable(value) else value

    return edit


def drop(path):
    parent, _, last = path.rpartition(".")

    def edit(content):
        container = at(content, parent) if parent else content
        del container[int(last) if last.isdigit() else last]

    return edit


def both(*edits):
    return lambda content: [edit(content) for edit in edits] and None


def in_base64(change):
    return lambda text: f.b64(change(base64.b64decode(text)))


def last_bit(raw):
    return raw[:-1] + bytes([raw[-1] ^ 1])


def in_signature(note):
    """The note with one bit of its last signature flipped."""
    head, _, signature = note.rstrip("\n").rpartition(" ")
    return f"{head} {in_base64(last_bit)(signature)}\n"


def swap_last_two(entries):
    return [*entries[:-2], entries[-1], entries[-2]]


OTHER_CODE = f.code_text(f.payload(com={"type": "cpa", "value": 9}))
TEXT_OF = GOOD["checkpoint"].rpartition("\n\n")[0] + "\n"

# What someone without the authority's keys can do to a file he was given.
OUTSIDER = {
    "payload of the code": (put("aapCode", lambda code: code.replace("/v1/e", "/v1/f")), "code"),
    "signature of the code": (put("aapCode", lambda code: code[:-20] + "AAAA" + code[-16:]), "code"),
    "code key": (put("keys.codes.0.publicKey", ALIEN.pem), "code"),
    "no code key": (put("keys.codes", []), "code"),
    "another genuine code": (put("aapCode", OTHER_CODE), "identities"),
    "code of another issuer": (put("aapCode", lambda code: code.replace("rako.sh", "rako.io")), "code"),
    "amount in a body": (
        put("entries.1.body", in_base64(lambda raw: raw.replace(b'"amount_minor":800', b'"amount_minor":801'))),
        "inclusion",
    ),
    "nonce of a body": (
        put("entries.2.body", in_base64(lambda raw: re.sub(rb'"nonce":"..', b'"nonce":"00', raw))),
        "inclusion",
    ),
    "space in a body": (put("entries.1.body", in_base64(lambda raw: raw.replace(b":", b": ", 1))), "body"),
    "newline after a body": (put("entries.1.body", in_base64(lambda raw: raw + b"\n")), "body"),
    "bodies exchanged": (
        both(put("entries.2.body", GOOD["entries"][3]["body"]), put("entries.3.body", GOOD["entries"][2]["body"])),
        "body",
    ),
    "entry id": (put("entries.1.entryId", "01KAMZ000000000000000000E9"), "body"),
    "hash in a path": (put("entries.1.inclusion.0", in_base64(last_bit)), "inclusion"),
    "path too short": (drop("entries.1.inclusion.4"), "inclusion"),
    "path too long": (put("entries.1.inclusion", lambda path: [*path, path[0]]), "inclusion"),
    "path in another order": (put("entries.1.inclusion", lambda path: path[::-1]), "inclusion"),
    "index of a neighbour": (put("entries.1.index", 6), "inclusion"),
    "index beyond the ledger": (put("entries.1.index", 27), "inclusion"),
    "index beyond the ledger, with the right last bits": (put("entries.1.index", 7 + 32), "inclusion"),
    "negative index": (put("entries.1.index", -13), "inclusion"),
    "size in the checkpoint": (put("checkpoint", lambda note: note.replace("\n20\n", "\n21\n")), "checkpoint"),
    "root in the checkpoint": (
        put("checkpoint", lambda note: note.replace(note.split("\n")[2], f.b64(bytes(32)))),
        "checkpoint",
    ),
    "signature of the checkpoint": (put("checkpoint", in_signature), "checkpoint"),
    "checkpoint signed by another key": (put("checkpoint", ALIEN.note(TEXT_OF)), "checkpoint"),
    "checkpoint signed by the receipts' key": (put("checkpoint", f.RECEIPT.note(TEXT_OF)), "checkpoint"),
    "a false signature beside the true one": (
        put("checkpoint", lambda note: note + in_signature(note).rpartition("\n\n")[2]),
        "checkpoint",
    ),
    "checkpoint key": (put("keys.checkpoint", [ALIEN.vkey]), "checkpoint"),
    "no checkpoint key": (put("keys.checkpoint", []), "checkpoint"),
    "origin": (put("origin", "rako.sh/other"), "checkpoint"),
    "receipt as checkpoint": (put("checkpoint", GOOD["entries"][1]["receipt"]), "checkpoint"),
    "receipt of another entry": (put("entries.1.receipt", GOOD["entries"][2]["receipt"]), "receipts"),
    "signature of a receipt": (put("entries.3.receipt", in_signature), "receipts"),
    "time in a receipt": (put("entries.1.receipt", lambda note: note.replace("01.250Z", "00.250Z")), "receipts"),
    "checkpoint as receipt": (put("entries.1.receipt", GOOD["checkpoint"]), "receipts"),
    "receipt key": (put("keys.receipt", [f.Signer(f.RECEIPT.name, "alien").vkey]), "receipts"),
    "checkpoint key for receipts": (put("keys.receipt", [f.LOG.vkey]), "receipts"),
    "opening of the other party": (put("entries.1.opening", AGENTS["entries"][1]["opening"]), "openings"),
    "opening of another entry": (put("entries.1.opening", GOOD["entries"][2]["opening"]), "openings"),
    "opening altered": (
        put("entries.1.opening", in_base64(lambda raw: raw.replace(b"ORD-1", b"ORD-2"))),
        "openings",
    ),
    "opening invented": (put("entries.3.opening", GOOD["entries"][1]["opening"]), "openings"),
    "party": (put("party", "agent"), "openings"),
    "conversion id": (put("conversionId", "01KAMZ000000000000000000C2"), "streams"),
    "entry left out in the middle": (drop("entries.2"), "streams"),
    "first entry left out": (drop("entries.1"), "streams"),
    "recommendation left out": (drop("entries.0"), "streams"),
    "entries in another order": (put("entries", swap_last_two), "streams"),
    "entry twice": (put("entries", lambda entries: [*entries, entries[-1]]), "streams"),
    "recommendation again at the end": (put("entries", lambda entries: [*entries, entries[0]]), "streams"),
}

# What makes the file no proof at all.
MISSHAPEN = {
    "unknown format": put("format", "rako-conversion-proof@v2"),
    "unknown key": put("note", "hello"),
    "no checkpoint": drop("checkpoint"),
    "unknown key of an entry": put("entries.1.note", "hello"),
    "entry without a receipt": drop("entries.1.receipt"),
    "party of no kind": put("party", "bank"),
    "conversion id of no kind": put("conversionId", "1"),
    "code of no kind": put("aapCode", "aap://rako.sh/v2/x.y"),
    "code with a line after it": put("aapCode", lambda code: code + "\n"),
    "code in other base64": put("aapCode", lambda code: code[:-1] + chr(ord(code[-1]) + 1)),
    "body in no base64": put("entries.1.body", "*"),
    "body with stray spaces": put("entries.1.body", lambda text: f" {text}"),
    "body in base64url": put("entries.1.body", "-_-_"),
    "body in other base64": put("entries.1.body", "AB=="),
    "body in other letters": put("entries.1.body", "ÄÖÜ="),
    "half a hash": put("entries.1.inclusion.0", f.b64(bytes(16))),
    "garbage in a path": put("entries.1.inclusion", lambda path: [*path, "garbage"]),
    "number in a path": put("entries.1.inclusion.0", 7),
    "index as text": put("entries.1.index", "7"),
    "index as fraction": put("entries.1.index", 7.0),
    "index as truth": put("entries.1.index", True),
    "opening as object": put("entries.1.opening", {}),
    "entries as object": put("entries", {}),
    "no entries": put("entries", []),
    "recommendation alone": put("entries", lambda entries: entries[:1]),
    "checkpoint without signature": put("checkpoint", lambda note: note.rpartition("—")[0]),
    "checkpoint with a word after it": put("checkpoint", lambda note: note + "x"),
    "checkpoint with another dash": put("checkpoint", lambda note: note.replace("—", "-")),
    "checkpoint with a carriage return": put("checkpoint", lambda note: note.replace("\n20", "\r\n20")),
    "receipt with a broken signature": put("entries.1.receipt", lambda note: note[:-3] + "\n"),
    "key id of another key": put("keys.checkpoint.0", lambda key: key.replace(f.LOG.key_id.hex(), "00000000")),
    "key of another kind": put("keys.receipt.0", f"{f.RECEIPT.name}+00000000+{f.b64(bytes([4]) + bytes(32))}"),
    "key without parts": put("keys.receipt.0", "key"),
    "PEM of no key": put("keys.codes.0.publicKey", "-----BEGIN PUBLIC KEY-----"),
    "PEM of another kind": put("keys.codes.0.publicKey", lambda pem: pem.replace("MCowBQYDK2Vw", "MCowBQYDK2Vu")),
}


def facts(number, **changes):
    return lambda bodies: bodies[number]["facts"].update(changes)


def commission(**changes):
    return lambda bodies: bodies[1]["facts"]["commission"].update(changes)


def retained(**changes):
    return lambda bodies: bodies[3]["facts"]["retained"].update(changes)


def generous(bodies):
    """More commission, consistently in split and postings: only the signed code says otherwise."""
    commission(gross_minor=1000, **f.split(1000, 200))(bodies)
    bodies[1]["postings"] = f.postings(1000, 200)


def later(bodies):
    bodies[0].update(recorded_at="2026-11-22T10:59:00.000Z")


# What an authority might record and sign, and must not.
AUTHORITY = {
    "key of a body missing": (drop("1.evidence"), "body"),
    "key of a body too many": (put("1.note", "x"), "body"),
    "another version": (put("1.v", 2), "body"),
    "version as truth": (put("1.v", True), "body"),
    "malformed nonce": (put("1.nonce", "0" * 31), "body"),
    "malformed kind": (put("2.kind", "Evidence"), "body"),
    "malformed time": (put("1.recorded_at", "2026-11-22T10:05:00Z"), "body"),
    "malformed evidence hash": (put("1.evidence", "AA"), "body"),
    "seal of a third party": (put("1.sealed", {"bank": "0" * 64}), "body"),
    "posting without currency": (put("1.postings.0", ["merchant_accrued", 800]), "body"),
    "amount as text": (put("1.postings.0.2", "800"), "body"),
    "amount as truth": (put("1.postings.0.2", True), "body"),
    "amount as fraction": (put("1.postings.0.2", 800.0), "body"),
    "amount beyond all readers": (put("1.postings.0.2", 2**53), "body"),
    "rate as fraction": (commission(fee_rate=0.2), "body"),
    "rate above one": (commission(fee_rate="1.2000"), "body"),
    "unknown path": (facts(1, attribution_path="magic"), "body"),
    "unknown level": (facts(1, verification_level="certain"), "body"),
    "unknown beginning": (facts(1, status="settled"), "body"),
    "facts without currency": (drop("1.facts.currency"), "body"),
    "change without what is left": (drop("3.facts.retained"), "body"),
    "gap in the numbers": (put("3.stream_seq", 4), "streams"),
    "numbers from zero": (put("1.stream_seq", 0), "streams"),
    "first entry with a predecessor": (put("1.prev", "0" * 64), "streams"),
    "broken chain": (put("3.prev", "0" * 64), "streams"),
    "no chain": (put("2.prev", None), "streams"),
    "entry of another stream": (put("2.stream_id", "01KAMZ000000000000000000C2"), "streams"),
    "facts of another conversion": (facts(2, conversion_id="01KAMZ000000000000000000C2"), "streams"),
    "recommendation in another stream": (put("0.stream_id", "01KAMZ000000000000000000R2"), "streams"),
    "recommendation as second entry": (put("0.stream_seq", 2), "streams"),
    "another session": (facts(0, session_id="01KAMZ000000000000000000S2"), "identities"),
    "another recommendation": (facts(1, recommendation_id="01KAMZ000000000000000000R2"), "identities"),
    "another merchant than the recommended": (facts(1, merchant_id="01KAMZ000000000000000000M2"), "identities"),
    "another merchant than the code's": (
        both(*(facts(number, merchant_id="01KAMZ000000000000000000M2") for number in (0, 1))),
        "identities",
    ),
    "another offer than the code's": (
        both(*(facts(number, offer_id="01KAMZ000000000000000000Q2") for number in (0, 1))),
        "identities",
    ),
    "another code": (both(*(facts(number, code_sha256="0" * 64) for number in (0, 1))), "identities"),
    "another code in the recommendation": (facts(0, code_sha256="0" * 64), "identities"),
    "another currency": (facts(1, currency="EUR"), "identities"),
    "other evidence in the facts": (put("1.facts.evidence.sha256", "0" * 64), "identities"),
    "recommendation after the sale": (later, "times"),
    "recommendation before the code": (put("0.occurred_at", "2026-11-22T09:00:00.000Z"), "times"),
    "recommendation after the code's life": (put("0.occurred_at", "2026-12-23T10:00:00.000Z"), "times"),
    "recommendation at no time": (put("0.occurred_at", "2026-13-22T10:00:00.000Z"), "times"),
    "more commission, all else consistent": (generous, "commission"),
    "another type": (commission(type="percentage"), "commission"),
    "another multiplier": (commission(path_multiplier="0.75"), "commission"),
    "a path of lesser worth": (facts(1, attribution_path="influence"), "commission"),
    "fee not of its rate": (commission(**f.split(800, 100)), "commission"),
    "payout not the rest": (commission(payout_minor=641), "commission"),
    "negative sale": (facts(1, transaction_value_minor=-1200), "commission"),
    "unbalanced postings": (put("1.postings.0.2", 801), "postings"),
    "balanced across currencies": (put("3.postings.0.1", "EUR"), "postings"),
    "other amounts": (put("1.postings", f.postings(900, 180)), "postings"),
    "other accounts": (put("1.postings.1.0", "builder_payable"), "postings"),
    "signs reversed": (put("1.postings", f.postings(-800, -160)), "postings"),
    "one posting more": (
        put("1.postings", lambda lines: [*lines, ["bank", "GBP", 5], ["bank", "GBP", -5]]),
        "postings",
    ),
    "no postings": (put("1.postings", []), "postings"),
    "recommendation moves money": (put("0.postings", f.postings(800, 160)), "postings"),
    "more left than earned": (retained(**f.split(900, 180)), "lifecycle"),
    "more fee left than earned": (retained(**f.split(800, 200)), "lifecycle"),
    "less than nothing left": (retained(**f.split(-100, -20)), "lifecycle"),
    "parts that do not add up": (retained(fee_minor=100), "lifecycle"),
    "evidence that moves money": (put("2.postings", f.postings(-800, -160)), "lifecycle"),
    "evidence that changes the status": (facts(2, status="validated"), "lifecycle"),
    "evidence that changes it in the open": (
        facts(2, status="settled", status_before="pending_validation"),
        "lifecycle",
    ),
    "evidence that leaves too much": (facts(2, retained=f.split(900, 180)), "lifecycle"),
    "the payout booked as the fee": (
        put("3.postings", [["builder_pending", "GBP", 640], ["fee_revenue", "GBP", -640]]),
        "lifecycle",
    ),
    "nothing moved, though less is left": (
        both(retained(**f.split(400, 80)), put("3.postings", [])),
        "lifecycle",
    ),
    "a change from another status": (facts(3, status_before="settled"), "lifecycle"),
}

# The same contents in another spelling: a second reading of signed bytes.
SPELLINGS = {
    "spaces": lambda body: json.dumps(body, sort_keys=True).encode(),
    "keys out of order": lambda body: json.dumps(body, separators=(",", ":")).encode(),
    "a key twice": lambda body: f.canonical(body).replace(b'{"entry_id"', b'{"entry_id":"x","entry_id"'),
    "a fraction": lambda body: f.canonical(body).replace(b'"v":1', b'"v":1.0'),
    "an exponent": lambda body: f.canonical(body).replace(b'"v":1', b'"v":1e0'),
    "minus zero": lambda body: f.canonical(body).replace(b'"v":1', b'"v":-0'),
    "an escaped letter": lambda body: f.canonical(body).replace(b'"kind"', b'"k\\u0069nd"'),
    "a lone surrogate": lambda body: f.canonical(body).replace(b'"GBP"', b'"\\ud800"'),
    "bad UTF-8": lambda body: f.canonical(body).replace(b'"kind"', b'"k\xffnd"'),
    "no JSON": lambda body: b"{",
    "a list": lambda body: b"[]",
    "deep nesting": lambda body: b"[" * 100_000,
}


@pytest.mark.parametrize("name", OUTSIDER)
def test_an_outsider_cannot_bend_a_file(verdict, name):
    edit, check = OUTSIDER[name]
    file = copy.deepcopy(GOOD)

    edit(file)

    assert verdict(file) == (3, check)


@pytest.mark.parametrize("name", MISSHAPEN)
def test_a_misshapen_file_is_unreadable(verdict, name):
    file = copy.deepcopy(GOOD)

    MISSHAPEN[name](file)

    assert verdict(file)[0] == 1


@pytest.mark.parametrize("name", AUTHORITY)
def test_the_authority_cannot_sign_what_the_protocol_forbids(verdict, name):
    edit, check = AUTHORITY[name]

    assert verdict(f.forge(edit).file) == (3, check)


@pytest.mark.parametrize("name", SPELLINGS)
def test_an_entry_has_one_spelling(verdict, name):
    assert verdict(f.forge(spell=SPELLINGS[name]).file) == (3, "body")


def test_the_file_under_another_partys_name_shows_only_its_own_details(verdict):
    assert verdict(AGENTS) == (0, None)
    assert verdict(AGENTS | {"party": "merchant"}) == (3, "openings")


# --- Chance


def binary_fields(file):
    """Places of decoded bytes in a file, as functions that put a changed value there."""
    yield from [("aapCode", re.compile(r"(?<=/v1/)[\w-]+")), ("aapCode", re.compile(r"(?<=\.)[\w-]{86}$"))]
    for path in ("checkpoint", *(f"entries.{number}.receipt" for number in range(len(file["entries"])))):
        yield from [(path, re.compile(r"(?<=\n)[\w+/]{43}=(?=\n)")), (path, re.compile(r"(?<= )[\w+/]+=*(?=\n$)"))]
    for number, entry in enumerate(file["entries"]):
        yield f"entries.{number}.body", re.compile(r".+")
        if entry["opening"]:
            yield f"entries.{number}.opening", re.compile(r".+")
        yield from (
            (f"entries.{number}.inclusion.{step}", re.compile(r".+")) for step in range(len(entry["inclusion"]))
        )
    yield from [("keys.checkpoint.0", re.compile(r"[^+]+=*$")), ("keys.receipt.0", re.compile(r"[^+]+=*$"))]
    yield "keys.codes.0.publicKey", re.compile(r"(?<=\n)[\w+/=]{60}(?=\n)")


def flip(text, rng):
    """One bit of the bytes that the base64 text stands for."""
    is_url = "-" in text or "_" in text or len(text) % 4
    plain = text.replace("-", "+").replace("_", "/")
    raw = bytearray(base64.b64decode(plain + "=" * (-len(plain) % 4)))
    raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    return f.b64url(bytes(raw)) if is_url else f.b64(bytes(raw))


@pytest.mark.parametrize("good", [GOOD, AGENTS], ids=["merchant", "agent"])
def test_no_flipped_bit_passes(verdict, good):
    rng = random.Random(1)  # noqa: S311  # repeatable, not secret
    places = list(binary_fields(good))
    for turn in range(150 * DEPTH):
        path, part = places[turn % len(places)]
        file = copy.deepcopy(good)
        put(path, lambda text, part=part: part.sub(lambda match: flip(match[0], rng), text, count=1))(file)

        assert file != good, path
        assert verdict(file)[0] in (1, 3), (turn, path)


def leaves_of(value, path=()):
    """Every place in the file, containers too."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield from leaves_of(part, (*path, key))


ODDITIES = [None, True, 0, -1, 2**62, "", "x", "é\u0000\ud800", [], [[]], {}, {"": ""}, "AA==", 10**400]


def test_no_odd_value_passes_or_crashes(verdict):
    rng = random.Random(2)  # noqa: S311  # repeatable, not secret
    places = [place for place in leaves_of(GOOD) if place[-1] != "keyId"]  # a name for people: any text will do
    for _ in range(200 * DEPTH):
        file, place = copy.deepcopy(GOOD), rng.choice(places)
        container = file
        for key in place[:-1]:
            container = container[key]
        before, container[place[-1]] = container[place[-1]], rng.choice(ODDITIES)

        erased = place[-1] == "opening" and container["opening"] is None
        if container[place[-1]] != before and not erased:
            assert verdict(file)[0] in (1, 3), place


def test_no_odd_value_that_was_signed_crashes(verdict):
    rng = random.Random(3)  # noqa: S311  # repeatable, not secret
    sample = f.bodies(GOOD["aapCode"])
    places = [place for place in leaves_of(sample) if len(place) > 1]
    for _ in range(200 * DEPTH):
        place, odd = rng.choice(places), rng.choice([odd for odd in ODDITIES if "\ud800" not in str(odd)])

        def bend(bodies, place=place, odd=odd):
            container = bodies
            for key in place[:-1]:
                container = container[key]
            container[place[-1]] = odd

        assert verdict(f.forge(bend).file)[0] in (0, 1, 3), place


def test_every_check_is_attacked_here():
    attacked = {check for table in (OUTSIDER, AUTHORITY) for _, check in table.values()}

    assert set(VERIFIER.CHECKS) - attacked == {"evidence", "outside"}  # attacked in test_verify_proof.py


def test_what_was_erased_for_privacy_leaves_the_rest_proven(verdict):
    file = copy.deepcopy(GOOD)
    file["entries"][1]["opening"] = None

    assert verdict(file) == (0, None)
