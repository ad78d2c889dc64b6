"""Reckons a closed month again, from the ledger: every byte must come out as it was written."""

import hashlib
from collections.abc import Iterator

from ledger.models import Entry
from settlement import gathering, rules
from settlement.closing import scope_of
from settlement.drafting import Drafts, document, draft
from settlement.models import Batch, Invoice, Payout, Statement
from settlement.periods import Period

_INVOICE = ("kind", "number", "merchant_id", "currency", "line_count", "net_minor", "vat_rate", "vat_minor")
_STATEMENT = (
    *("number", "builder_id", "currency", "line_count", "opening_minor", "earned_minor", "reversed_minor"),
    *("paid_minor", "closing_minor"),
)


def differences(batch: Batch) -> Iterator[str]:
    """Where a batch is not what the ledger makes of its month; nothing if it is sound."""
    if batch.rule_version != rules.VERSION:
        yield f"was settled by rules of version {batch.rule_version}, which are not here"
        return
    period = Period(batch.period)
    scope = scope_of(period, batch.cut, batch.inputs)
    lines, waiting = gathering.lines_stored(batch.pk), gathering.waiting_stored(batch.pk)
    if gathering.lines_now(scope) != lines:
        yield "its lines are not what the ledger's entries come to"
    if gathering.waiting_now(scope) != waiting:
        yield "what waited is not what the ledger's entries leave waiting"
    if (lines.count, lines.sha256) != (batch.line_count, batch.lines_sha256):
        yield "its lines are not those that it was closed with"
    drafts = draft(period, batch.pk, batch.inputs)
    content = document(period, batch.rule_version, batch.cut, batch.inputs, drafts, lines, waiting)
    if content != bytes(batch.document):
        yield "its document is not what its lines come to"
    yield from _told_differences(batch)
    yield from _row_differences(batch, drafts)


def _told_differences(batch: Batch) -> Iterator[str]:
    """Where the ledger's entry tells of another document."""
    if hashlib.sha256(bytes(batch.document)).hexdigest() != batch.document_sha256:
        yield "its document is not that of its hash"
    entry = Entry.objects.filter(stream_id=batch.pk, kind="settlement.closed").first()
    told = f'"document_sha256":"{batch.document_sha256}"'.encode()
    if entry is None or told not in bytes(entry.body):
        yield "no entry of the ledger tells of its document"


def _row_differences(batch: Batch, drafts: Drafts) -> Iterator[str]:
    """Where the rows that people see are not the drafts."""
    invoices = sorted(Invoice.objects.filter(batch=batch).values_list(*_INVOICE))
    if invoices != sorted(tuple(getattr(row, name) for name in _INVOICE) for row in drafts.invoices):
        yield "its invoices are not those of its document"
    statements = sorted(Statement.objects.filter(batch=batch).values_list(*_STATEMENT))
    if statements != sorted(tuple(getattr(row, name) for name in _STATEMENT) for row in drafts.statements):
        yield "its statements are not those of its document"
    paid = sorted((row.builder_id, row.currency, row.paid_minor) for row in drafts.statements if row.paid_minor)
    if paid != sorted(Payout.objects.filter(batch=batch).values_list("builder_id", "currency", "amount_minor")):
        yield "its payouts are not those of its document"
