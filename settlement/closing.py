"""Closes a month: its lines, documents, payouts and entries are all there, or none is.

Whatever happens on the way, a rerun begins anew and comes to the same: the one transaction holds the numbers, too.
"""

import hashlib
import time
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from ledger.models import Head
from ledger.sequencer import Sequencer, lag
from ledger.validation import close_validation_periods
from merchants.models import Merchant
from rako.core.errors import Conflict
from rako.core.facts import state_all
from rako.core.ids import new_id
from rako.core.wire import instant
from sessions_app.models import Builder
from settlement import gathering, rules
from settlement.drafting import Drafts, document, draft, due_on
from settlement.findings import merchants_with_findings
from settlement.gathering import Scope
from settlement.models import Batch, Counter, Invoice, Line, Payout, Statement
from settlement.periods import Period
from settlement.telling import fact_of_batch, fact_of_invoice, fact_of_payout, fact_of_statement

LOCK = 0x52414B4F534554  # RAKOSET
_SEQUENCED_WITHIN_SECONDS = 30
_CHUNK = 1000
# What earlier months carried forward is paid with it.
_PAY_CARRIED = """
UPDATE settlement_statement statement SET payout_id = payout.id FROM settlement_payout payout
WHERE payout.batch_id = %s AND payout.builder_id = statement.builder_id AND payout.currency = statement.currency
    AND statement.payout_id IS NULL
"""
_FIRST = {"INV": 0, "CRN": 0, "STM": 0}


class CannotSettle(Conflict):
    code, message = "cannot_settle", "This month cannot be settled"


class _Undone(Exception):
    """A dry run is over."""


def settle(period: Period, *, is_dry_run: bool = False) -> Batch:
    """Close a month and order its payouts; a month that is closed gives its batch. Nothing stays of a dry run.

    Raises CannotSettle for a month that is not over or comes before one that is closed, without a seller to name on
    invoices, and if the log does not catch up.
    """
    _check_over(period)
    if not (settings.RAKO_INVOICE_SELLER["name"] and settings.RAKO_INVOICE_SELLER["address"]):
        raise CannotSettle("RAKO_INVOICE_NAME and RAKO_INVOICE_ADDRESS are not set: invoices need a seller")
    if not is_dry_run:
        # What was over by the month's end belongs to it, whenever the worker came by last.
        for _ in close_validation_periods(min(period.ends_at, timezone.now())):
            pass
    # Before the transaction: entries that are committed by now belong to it, whoever sequences them.
    _wait_for_log()
    try:
        with transaction.atomic():
            batch = _settle(period)
            if is_dry_run:
                raise _Undone
    except _Undone:
        pass
    return batch


def _settle(period: Period) -> Batch:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
    closed = Batch.objects.filter(period=period.text).first()
    if closed is not None:
        return closed
    last = Batch.objects.order_by("-period").first()
    if last is not None and last.period > period.text:
        raise CannotSettle(f"{last.period} is closed already: what was left of {period} is in it")
    batch_id, cut = new_id(), _log_size()
    inputs = _inputs(last)
    gathering.store(scope_of(period, cut, inputs), batch_id)
    inputs |= {"buyers": _buyers(batch_id), "builders": _builders(batch_id)}
    drafts = draft(period, batch_id, inputs)
    _keep_numbers(inputs, drafts)
    lines, waiting = gathering.lines_stored(batch_id), gathering.waiting_stored(batch_id)
    content = document(period, rules.VERSION, cut, inputs, drafts, lines, waiting)
    batch = Batch.objects.create(
        id=batch_id,
        period=period.text,
        rule_version=rules.VERSION,
        cut=cut,
        inputs=inputs,
        line_count=lines.count,
        lines_sha256=lines.sha256,
        document=content,
        document_sha256=hashlib.sha256(content).hexdigest(),
    )
    # Entries last: they must be committed soon after they are written.
    _write(batch, drafts)
    return batch


def scope_of(period: Period, cut: int, inputs: dict[str, Any]) -> Scope:
    """What a batch looks at, from what was written down of it."""
    return Scope(
        period=period,
        previous=inputs["previous"],
        late_before=datetime.fromisoformat(inputs["late_before"]),
        since=inputs["since"],
        cut=cut,
        held_merchants=inputs["held_merchants"],
    )


def _check_over(period: Period) -> None:
    # The sandbox moves its own clock (close_validation_periods --as-of).
    if settings.RAKO_MODE != "sandbox" and timezone.now() < period.ends_at:
        raise CannotSettle(f"{period} is not over yet")


def _wait_for_log() -> None:
    began = time.monotonic()
    sequencer = Sequencer()
    while True:
        sequencer.tick()
        waited = time.monotonic() - began
        count, oldest = lag()
        if not count or oldest < waited:
            return
        if waited > _SEQUENCED_WITHIN_SECONDS:
            raise CannotSettle(f"The log is {oldest:.0f} seconds behind: is the sequencer at work?")
        time.sleep(0.1)


def _log_size() -> int:
    size = Head.objects.order_by("-size").values_list("size", flat=True).first()
    return 0 if size is None else size


def _inputs(last: Batch | None) -> dict[str, Any]:
    """What the result depends on beside the ledger: written down, so that it can be had again."""
    late_before = datetime.min.replace(tzinfo=UTC) if last is None else Period(last.period).ends_at
    return {
        "previous": "" if last is None else last.pk,
        "previous_document_sha256": "" if last is None else last.document_sha256,
        "late_before": instant(late_before),
        "since": 0 if last is None else last.cut,
        "held_merchants": sorted(merchants_with_findings()),
        "first_numbers": {series: number + 1 for series, number in _numbers().items()},
        "issued_on": timezone.now().date().isoformat(),
        "seller": settings.RAKO_INVOICE_SELLER,
    }


def _buyers(batch_id: str) -> dict[str, Any]:
    """The merchants with lines in a batch, as their invoices name them."""
    of_batch = Line.objects.filter(batch=batch_id).values("merchant_id")
    return {
        row.pk: {
            "name": row.legal_name or row.name,
            "address": row.billing_address,
            "country": row.billing_country,
            "vat_number": row.vat_number,
            "vat_rate": str(row.vat_rate),
        }
        for row in Merchant.objects.filter(pk__in=of_batch)
    }


def _builders(batch_id: str) -> dict[str, str]:
    """The builders with lines in a batch, as their statements name them."""
    of_batch = Line.objects.filter(batch=batch_id).values("builder_id")
    return dict(Builder.objects.filter(pk__in=of_batch).values_list("pk", "name"))


def _numbers() -> dict[str, int]:
    """The last number of each series. The settlement's lock is what keeps others from them."""
    return _FIRST | dict(Counter.objects.filter(series__in=_FIRST).values_list("series", "last"))


def _keep_numbers(inputs: dict[str, Any], drafts: Drafts) -> None:
    given = {"INV": 0, "CRN": 0, "STM": len(drafts.statements)}
    for row in drafts.invoices:
        given["INV" if row.kind == "invoice" else "CRN"] += 1
    Counter.objects.bulk_create(
        [Counter(series=series, last=inputs["first_numbers"][series] - 1 + count) for series, count in given.items()],
        update_conflicts=True,
        unique_fields=["series"],
        update_fields=["last"],
    )


def _write(batch: Batch, drafts: Drafts) -> None:
    """The documents' rows, the payouts, and the entries that tell of them."""
    invoices = Invoice.objects.bulk_create(_invoice_rows(batch, drafts), batch_size=_CHUNK)
    rows = [(row, _payout(batch, row.builder_id, row.currency, row.paid_minor)) for row in drafts.statements]
    Payout.objects.bulk_create([payout for _, payout in rows if payout is not None], batch_size=_CHUNK)
    statements = Statement.objects.bulk_create(
        [
            Statement(
                number=row.number,
                batch=batch,
                builder_id=row.builder_id,
                currency=row.currency,
                line_count=row.line_count,
                opening_minor=row.opening_minor,
                earned_minor=row.earned_minor,
                reversed_minor=row.reversed_minor,
                paid_minor=row.paid_minor,
                closing_minor=row.closing_minor,
                payout=payout,
            )
            for row, payout in rows
        ],
        batch_size=_CHUNK,
    )
    with connection.cursor() as cursor:
        cursor.execute(_PAY_CARRIED, [batch.pk])
    facts = [fact_of_batch(batch), *map(fact_of_invoice, invoices)]
    for statement, (row, payout) in zip(statements, rows, strict=True):
        facts.append(fact_of_statement(statement, row.newly_owed_minor))
        if payout is not None:
            facts.append(fact_of_payout(payout, "ordered"))
    state_all(facts)


def _invoice_rows(batch: Batch, drafts: Drafts) -> list[Invoice]:
    inputs = batch.inputs
    return [
        Invoice(
            kind=row.kind,
            number=row.number,
            batch=batch,
            merchant_id=row.merchant_id,
            currency=row.currency,
            line_count=row.line_count,
            net_minor=row.net_minor,
            vat_rate=row.vat_rate,
            vat_minor=row.vat_minor,
            total_minor=row.total_minor,
            seller=inputs["seller"],
            buyer=inputs["buyers"][row.merchant_id],
            issued_on=inputs["issued_on"],
            due_on=due_on(inputs),
        )
        for row in drafts.invoices
    ]


def _payout(batch: Batch, builder_id: str, currency: str, amount_minor: int) -> Payout | None:
    if not amount_minor:
        return None
    return Payout(builder_id=builder_id, batch=batch, currency=currency, amount_minor=amount_minor)
