"""Checks the ledger against itself and the database's guards against the source: what an auditor runs."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from django.db import connection

from ledger.models import Conversion, Entry, Evidence
from rako.core.aap_code import decode
from rako.core.append_only import GUARDED_TABLES, REFUSAL_FUNCTION
from rako.core.facts import canonical
from rako.core.wire import instant

_CHUNK = 2000
_TELL_OF_EVIDENCE = ("conversion.recorded", "evidence.attached", "evidence.contradicts")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be. `subject` is the entry, conversion or table it was found at."""

    check: str
    subject: str
    detail: str


def verify_entries() -> Iterator[tuple[Entry, list[Finding]]]:
    """Every entry in order, with what is wrong with it: hash, canonical body, columns, place in its stream."""
    tails: dict[str, tuple[int, str]] = {}
    for entry in Entry.objects.order_by("id").iterator(chunk_size=_CHUNK):
        yield entry, list(_entry_findings(entry, tails))
        tails[entry.stream_id] = (entry.stream_seq, bytes(entry.leaf_hash).hex())


def _entry_findings(entry: Entry, tails: dict[str, tuple[int, str]]) -> Iterator[Finding]:
    raw = bytes(entry.body)
    if hashlib.sha256(b"\x00" + raw).digest() != bytes(entry.leaf_hash):
        yield Finding("hash", entry.entry_id, "the leaf hash is not that of the body")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        yield Finding("body", entry.entry_id, "the body is not JSON")
        return
    if canonical(body) != raw:
        yield Finding("body", entry.entry_id, "the body is not canonical")
    for name in ("entry_id", "stream_id", "stream_seq", "kind"):
        if body.get(name) != getattr(entry, name):
            yield Finding("columns", entry.entry_id, f"{name} differs from the body")
    seq, prev = tails.get(entry.stream_id, (0, None))
    if entry.stream_seq != seq + 1 or body.get("prev") != prev:
        yield Finding("stream", entry.entry_id, f"does not follow number {seq} of its stream")


def verify_conversions() -> Iterator[tuple[Conversion, list[Finding]]]:
    """Every conversion, with what its first entry and its evidence contradict."""
    bodies = {
        entry.stream_id: orjson.loads(bytes(entry.body))
        for entry in Entry.objects.filter(kind="conversion.recorded").iterator(chunk_size=_CHUNK)
    }
    rows = Conversion.objects.select_related("recommendation").prefetch_related("evidence").order_by("id")
    for conversion in rows.iterator(chunk_size=_CHUNK):
        yield conversion, list(_conversion_findings(conversion, bodies.get(conversion.pk)))


def _conversion_findings(conversion: Conversion, body: dict[str, Any] | None) -> Iterator[Finding]:
    if body is None:
        yield Finding("conversion", conversion.pk, "no entry tells of it")
        return
    told = {
        "merchant_id": conversion.merchant_id,
        "builder_id": conversion.builder_id,
        "agent_id": conversion.agent_id,
        "recommendation_id": conversion.recommendation_id,
        "session_id": conversion.session_id,
        "offer_id": conversion.offer_id,
        "order_reference": conversion.order_reference,
        "code_sha256": conversion.code_sha256,
        "transaction_value_minor": conversion.transaction_value_minor,
        "currency": conversion.currency,
        "attribution_path": conversion.attribution_path,
        "validation_days": conversion.validation_days,
        "occurred_at": instant(conversion.converted_at),
    }
    for name, value in told.items():
        if body.get(name) != value:
            yield Finding("conversion", conversion.pk, f"{name} differs from its entry")
    split = body.get("commission", {})
    parts = (split.get("amount_minor"), split.get("fee_minor"), split.get("payout_minor"))
    ours = (conversion.commission_minor, conversion.network_fee_minor, conversion.builder_payout_minor)
    if parts != ours:
        yield Finding("conversion", conversion.pk, "the commission differs from its entry")
    if decode(conversion.recommendation.aap_code).sha256 != conversion.code_sha256:
        yield Finding("conversion", conversion.pk, "the code is not the recommendation's")
    if body.get("evidence", {}).get("sha256") not in {row.sha256 for row in conversion.evidence.all()}:
        yield Finding("conversion", conversion.pk, "the evidence its entry names is missing")


def verify_evidence() -> Iterator[tuple[Evidence, list[Finding]]]:
    """Every piece of evidence, held against the entry that tells of it."""
    told = {}
    for entry in Entry.objects.filter(kind__in=_TELL_OF_EVIDENCE).iterator(chunk_size=_CHUNK):
        body = orjson.loads(bytes(entry.body))
        told[entry.stream_id, body.get("evidence", {}).get("source")] = body
    for evidence in Evidence.objects.order_by("id").iterator(chunk_size=_CHUNK):
        yield evidence, list(_evidence_findings(evidence, told.get((evidence.conversion_id, evidence.source))))


def _evidence_findings(evidence: Evidence, body: dict[str, Any] | None) -> Iterator[Finding]:
    if body is None:
        yield Finding("evidence", evidence.pk, "no entry tells of it")
        return
    ours = (evidence.sha256, evidence.reference, evidence.transaction_value_minor, evidence.currency)
    proof = body["evidence"]
    if ours != (proof["sha256"], proof["reference"], body["transaction_value_minor"], body["currency"]):
        yield Finding("evidence", evidence.pk, "differs from its entry")


def verify_guards() -> list[Finding]:
    """Guards that are missing, disabled or not ALWAYS on the tables whose rows are facts."""
    wanted = {(table, f"{table}_{kind}") for table in GUARDED_TABLES for kind in ("no_change", "no_truncate")}
    wanted.add(("ledger_entry", "ledger_entry_stamp"))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled = 'A'"
        )
        present = set(cursor.fetchall())
        cursor.execute("SELECT tablename, rulename FROM pg_rules WHERE tablename = ANY(%s)", [sorted(GUARDED_TABLES)])
        rules = cursor.fetchall()
        cursor.execute("SELECT prosrc FROM pg_proc WHERE proname = 'rako_refuse_change'")
        refusals = [source for (source,) in cursor.fetchall()]
    missing = [
        Finding("guard", table, f"{name} is missing or not ALWAYS on") for table, name in sorted(wanted - present)
    ]
    if len(refusals) != 1 or refusals[0] not in REFUSAL_FUNCTION:
        missing.append(Finding("guard", "rako_refuse_change", "the function that refuses changes is not ours"))
    return missing + [Finding("guard", table, f"the rule {name} rewrites statements") for table, name in rules]
