"""A batch's documents and the one that holds them all, from its stored lines and its inputs: nothing else matters."""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from rako.core.facts import canonical
from settlement import rules, sums
from settlement.gathering import Digest
from settlement.periods import Period
from settlement.rules import DUE_DAYS, InvoiceDraft, StatementDraft


@dataclass(frozen=True, slots=True)
class Drafts:
    """All documents of a batch, in the order of their numbers."""

    invoices: list[InvoiceDraft]
    statements: list[StatementDraft]


def draft(period: Period, batch_id: str, inputs: dict[str, Any]) -> Drafts:
    """The documents that the stored lines of a batch come to."""
    # Who is not registered charges none.
    is_registered = bool(inputs["seller"]["vat_number"])
    rates = {
        merchant: Decimal(buyer["vat_rate"] if is_registered else 0) for merchant, buyer in inputs["buyers"].items()
    }
    numbers = inputs["first_numbers"]
    invoices = rules.invoices(sums.by_merchant(batch_id), rates, numbers["INV"], numbers["CRN"])
    earned = sums.by_builder(batch_id)
    carried = sums.openings(period.text, [row.builder_id for row in earned])
    return Drafts(invoices, rules.statements(earned, carried, numbers["STM"]))


def due_on(inputs: dict[str, Any]) -> date:
    """When a batch's invoices fall due."""
    return date.fromisoformat(inputs["issued_on"]) + timedelta(days=DUE_DAYS)


def document(
    period: Period, rule_version: int, cut: int, inputs: dict[str, Any], drafts: Drafts, lines: Digest, waiting: Digest
) -> bytes:
    """The batch as canonical JSON: what its entry in the ledger holds the hash of."""
    return canonical(
        {
            "period": period.text,
            "rule_version": rule_version,
            "cut": cut,
            "inputs": inputs,
            "lines": {"count": lines.count, "sha256": lines.sha256},
            "waiting": {"count": waiting.count, "sha256": waiting.sha256},
            "invoices": [_invoice(row, inputs) for row in drafts.invoices],
            "statements": [_statement(row) for row in drafts.statements],
        }
    )


def _invoice(row: InvoiceDraft, inputs: dict[str, Any]) -> dict[str, Any]:
    return {
        "kind": row.kind,
        "number": row.number,
        "merchant_id": row.merchant_id,
        "currency": row.currency,
        "line_count": row.line_count,
        "net_minor": row.net_minor,
        "vat_rate": str(row.vat_rate),
        "vat_minor": row.vat_minor,
        "total_minor": row.total_minor,
        "issued_on": inputs["issued_on"],
        "due_on": due_on(inputs).isoformat(),
    }


def _statement(row: StatementDraft) -> dict[str, Any]:
    return {
        "number": row.number,
        "builder_id": row.builder_id,
        "currency": row.currency,
        "line_count": row.line_count,
        "opening_minor": row.opening_minor,
        "earned_minor": row.earned_minor,
        "reversed_minor": row.reversed_minor,
        "paid_minor": row.paid_minor,
        "closing_minor": row.closing_minor,
    }
