"""Invoices, statements and batches as they appear on the wire (protocol, section 1)."""

from datetime import date
from typing import Any

from rest_framework import serializers

from ledger.models import Entry
from rako.core.money import number_to_wire, to_wire
from rako.core.wire import DateField, InstantField, WireSerializer, instant
from settlement.models import Batch, Invoice, Statement
from settlement.papers import invoice as invoice_papers
from settlement.papers import statement as statement_papers
from settlement.papers.offer_sums import OfferSum, offer_sums
from settlement.rules import MINIMUM_PAYOUT_MINOR


class PartyReply(WireSerializer):
    name = serializers.CharField()
    address = serializers.CharField()
    country = serializers.CharField(required=False)
    vat_number = serializers.CharField()


class OfferSumReply(WireSerializer):
    offer_id = serializers.CharField(help_text="Empty for what all further offers come to.")
    offer = serializers.CharField()
    attribution_path = serializers.CharField()
    quantity = serializers.IntegerField()
    told_late = serializers.IntegerField(help_text="How many of them happened in a month that was closed by then.")
    amount = serializers.FloatField()


class InvoiceReply(WireSerializer):
    id = serializers.CharField()
    kind = serializers.ChoiceField(choices=["invoice", "credit_note"])
    number = serializers.CharField()
    batch_id = serializers.CharField()
    period = serializers.CharField()
    currency = serializers.CharField()
    sales = serializers.IntegerField()
    net = serializers.FloatField()
    vat_rate = serializers.FloatField(help_text="0.2 is 20 %.")
    vat = serializers.FloatField()
    total = serializers.FloatField(help_text="Positive, on credit notes too.")
    issued_on = DateField()
    due_on = DateField()
    status = serializers.ChoiceField(
        choices=["open", "overdue", "paid", "applied"], help_text="`applied`: a credit note."
    )
    paid_at = InstantField(allow_null=True)


class InvoicesReply(WireSerializer):
    invoices = InvoiceReply(many=True)
    count = serializers.IntegerField()
    next_cursor = serializers.CharField(required=False)


class ReversedReply(WireSerializer):
    period = serializers.CharField()
    number = serializers.CharField()


class WholeInvoiceReply(InvoiceReply):
    seller = PartyReply()
    buyer = PartyReply()
    lines = OfferSumReply(many=True)
    reverses = ReversedReply(many=True, help_text="The invoices that a credit note takes something back of.")
    ledger_entry_id = serializers.CharField(allow_null=True, help_text="See `/v1/ledger/entries/{id}`.")


class StatementReply(WireSerializer):
    id = serializers.CharField()
    number = serializers.CharField()
    batch_id = serializers.CharField()
    currency = serializers.CharField()
    sales = serializers.IntegerField()
    opening = serializers.FloatField()
    earned = serializers.FloatField()
    reversed = serializers.FloatField(help_text="Zero or less.")
    paid = serializers.FloatField()
    closing = serializers.FloatField(help_text="Carried forward; below zero, it is owed.")


class WaitingReply(WireSerializer):
    reason = serializers.ChoiceField(choices=["held", "findings"])
    quantity = serializers.IntegerField()
    amount = serializers.FloatField()


class WholeStatementReply(StatementReply):
    period = serializers.CharField()
    minimum_payout = serializers.FloatField()
    earnings = OfferSumReply(many=True)
    reversals = OfferSumReply(many=True)
    waiting = WaitingReply(many=True)


class SettlementReply(WireSerializer):
    batch_id = serializers.CharField()
    period = serializers.CharField()
    closed_at = InstantField()
    log_size = serializers.IntegerField(help_text="How many entries of the log it was reckoned from.")
    document_sha256 = serializers.CharField()
    invoices = InvoiceReply(many=True, required=False, help_text="For merchants.")
    statements = StatementReply(many=True, required=False, help_text="For builders.")


class SettlementsReply(WireSerializer):
    settlements = SettlementReply(many=True)
    count = serializers.IntegerField()
    next_cursor = serializers.CharField(required=False)


def invoice_wire(invoice: Invoice, period: str, today: date) -> dict[str, Any]:
    """An invoice or credit note in one row."""
    currency = invoice.currency
    return {
        "id": invoice.pk,
        "kind": invoice.kind,
        "number": invoice.number,
        "batchId": invoice.batch_id,
        "period": period,
        "currency": currency,
        "sales": invoice.line_count,
        "net": to_wire(invoice.net_minor, currency),
        "vatRate": number_to_wire(invoice.vat_rate),
        "vat": to_wire(invoice.vat_minor, currency),
        "total": to_wire(invoice.total_minor, currency),
        "issuedOn": invoice.issued_on.isoformat(),
        "dueOn": invoice.due_on.isoformat(),
        "status": invoice_papers.standing(invoice, today),
        "paidAt": None if invoice.paid_at is None else instant(invoice.paid_at),
    }


def whole_invoice_wire(invoice: Invoice, today: date) -> dict[str, Any]:
    """An invoice or credit note with what it is for. Load it with its batch."""
    sums = offer_sums(invoice_papers.lines_of(invoice), "commission_minor")
    entry = Entry.objects.filter(stream_id=invoice.pk).order_by("stream_seq").values_list("entry_id", flat=True)
    return invoice_wire(invoice, invoice.batch.period, today) | {
        "seller": _party(invoice.seller),
        "buyer": _party(invoice.buyer),
        "lines": _sums_wire(sums, invoice.currency),
        "reverses": [{"period": period, "number": n} for period, n in invoice_papers.reversed_invoices(invoice)],
        "ledgerEntryId": entry.first(),
    }


def statement_wire(statement: Statement) -> dict[str, Any]:
    """A statement in one row."""
    amounts = {
        name: to_wire(getattr(statement, f"{name}_minor"), statement.currency)
        for name in ("opening", "earned", "reversed", "paid", "closing")
    }
    return {
        "id": statement.pk,
        "number": statement.number,
        "batchId": statement.batch_id,
        "currency": statement.currency,
        "sales": statement.line_count,
    } | amounts


def whole_statement_wire(statement: Statement) -> dict[str, Any]:
    """A statement with what it adds up, and what waits."""
    lines, currency = statement_papers.lines_of(statement), statement.currency
    return statement_wire(statement) | {
        "period": Batch.objects.values_list("period", flat=True).get(pk=statement.batch_id),
        "minimumPayout": to_wire(MINIMUM_PAYOUT_MINOR[currency], currency),
        "earnings": _sums_wire(offer_sums(lines.filter(payout_minor__gt=0), "payout_minor"), currency),
        "reversals": _sums_wire(offer_sums(lines.filter(payout_minor__lt=0), "payout_minor"), currency),
        "waiting": [
            {"reason": row["reason"], "quantity": row["quantity"], "amount": to_wire(row["sum"], currency)}
            for row in statement_papers.waiting_of(statement)
        ],
    }


def settlement_wire(batch: Batch, documents: dict[str, Any]) -> dict[str, Any]:
    """A batch with the party's documents."""
    return {
        "batchId": batch.pk,
        "period": batch.period,
        "closedAt": instant(batch.closed_at),
        "logSize": batch.cut,
        "documentSha256": batch.document_sha256,
    } | documents


def _party(details: dict[str, Any]) -> dict[str, str]:
    shown = {name: details[name] for name in ("name", "address", "country") if name in details}
    return shown | {"vatNumber": details["vat_number"]}


def _sums_wire(sums: list[OfferSum], currency: str) -> list[dict[str, Any]]:
    return [
        {
            "offerId": row.offer_id,
            "offer": row.offer,
            "attributionPath": row.path,
            "quantity": row.quantity,
            "toldLate": row.late,
            "amount": to_wire(row.amount_minor, currency),
        }
        for row in sums
    ]
