"""V13: evidence is what its entry tells, and the hash in it is that of what was received."""

import hashlib
from collections.abc import Iterator
from typing import Any

import orjson

from ledger.conversions import TELL_OF_EVIDENCE
from ledger.models import Conversion, Evidence
from ledger.models.conversion import Path
from ledger.verification.told import Told
from rako.core.wire import instant

# Those whose details are what was hashed.
_HASHED = (Evidence.Source.MERCHANT_REPORT, Evidence.Source.RECONCILIATION, Evidence.Source.DECISION)


def evidence_differences(conversion: Conversion, told: list[Told]) -> Iterator[tuple[str, str]]:
    """Where a conversion's evidence and the entries that tell of it are not the same."""
    entries = {_way(entry.facts["evidence"]): entry for entry in told if entry.kind in TELL_OF_EVIDENCE}
    for evidence in conversion.evidence.all():
        entry = entries.pop((evidence.source, evidence.path), None)
        if entry is None:
            yield "V13", f"no entry tells of its evidence {evidence.pk}"
        elif _as_stored(evidence) != _as_told(entry, evidence):
            yield "V13", f"evidence {evidence.pk} differs from its entry"
        elif evidence.source in _HASHED and evidence.sha256 != _hash(evidence.details):
            yield "V13", f"evidence {evidence.pk} is not what the merchant reported, or was decided"
    for source, path in entries:
        yield "V13", f"its evidence of source {source} by {path} is missing"


def _way(proof: dict[str, Any]) -> tuple[str, str]:
    """What tells a sale's pieces of evidence apart. Entries from before there were other paths name none."""
    return proof["source"], proof.get("path", Path.AAP_FLOW)


def _as_stored(evidence: Evidence) -> tuple[Any, ...]:
    return (
        evidence.merchant_id,
        evidence.sha256,
        evidence.sha256,
        evidence.level,
        evidence.transaction_value_minor,
        evidence.currency,
        instant(evidence.occurred_at),
        instant(evidence.received_at),
        evidence.reference,
    )


def _as_told(entry: Told, evidence: Evidence) -> tuple[Any, ...]:
    """The same from the entry. An opening that was erased says nothing of the reference."""
    facts, proof = entry.facts, entry.facts["evidence"]
    return (
        facts["merchant_id"],
        entry.body["evidence"],
        proof["sha256"],
        proof["level"],
        facts["transaction_value_minor"],
        facts["currency"],
        entry.body["occurred_at"],
        proof["received_at"],
        evidence.reference if entry.for_merchant is None else entry.for_merchant.get("reference"),
    )


def _hash(details: Any) -> str:
    """The hash over a report's content, as `ledger.reports` takes it."""
    return hashlib.sha256(orjson.dumps(details, option=orjson.OPT_SORT_KEYS)).hexdigest()
