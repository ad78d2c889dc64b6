"""V10 across conversions: one sale has one live conversion, and what it superseded leads to it."""

from collections.abc import Iterator

from ledger.verification.findings import Finding
from ledger.verification.rows import query

# Two conversions by one path are refused by PostgreSQL itself: one of any two is by another than the flow.
_TWICE = """
SELECT DISTINCT evidence.conversion_id FROM ledger_evidence evidence
JOIN ledger_conversion conversion ON conversion.id = evidence.conversion_id AND NOT conversion.is_superseded
JOIN ledger_evidence other ON other.merchant_id = evidence.merchant_id AND other.source = evidence.source
    AND other.reference = evidence.reference AND other.conversion_id <> evidence.conversion_id
JOIN ledger_conversion rival ON rival.id = other.conversion_id AND NOT rival.is_superseded
WHERE evidence.path <> 'aap_flow' ORDER BY 1 LIMIT 1000
"""
_WITHOUT_SUCCESSOR = """
SELECT event.conversion_id FROM ledger_event event
WHERE event.kind = 'superseded' AND NOT EXISTS (
    SELECT FROM ledger_conversion successor
    WHERE successor.id = event.reference AND successor.merchant_id = event.merchant_id
) ORDER BY 1 LIMIT 1000
"""
_FROM_NOBODY = """
SELECT event.conversion_id FROM ledger_event event
WHERE event.is_inherited AND NOT EXISTS (
    SELECT FROM ledger_event told
    WHERE told.merchant_id = event.merchant_id AND told.kind = event.kind AND told.reference = event.reference
        AND NOT told.is_inherited
) ORDER BY 1 LIMIT 1000
"""


def sale_findings() -> Iterator[Finding]:
    """Sales with two live conversions, superseded ones without a successor, and events inherited from nobody."""
    for sql, detail in (
        (_TWICE, "another conversion has its order, too"),
        (_WITHOUT_SUCCESSOR, "the conversion that superseded it is missing"),
        (_FROM_NOBODY, "has inherited an event that was never told"),
    ):
        yield from (Finding("V10", f"conversion {pk}", detail) for (pk,) in query(sql))
