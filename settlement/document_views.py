"""Invoices, statements and settled months of a party, and their exports (protocol, section 1)."""

from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from rako.core.api_views import AgentView, AnyKeyView, KeyedRequest, MerchantView
from rako.core.errors import BadRequest, NotFound
from rako.core.ids import is_id
from rako.core.openapi import query, raises
from rako.core.paging import PAGE_PARAMETERS, paged
from settlement import document_wire as wire
from settlement.exports.formats import FORMATS, export_reply
from settlement.exports.lines import Reader, has_lines
from settlement.models import Batch, Invoice, Line, Statement
from settlement.papers.invoice import invoice_paper
from settlement.papers.replies import paper_reply
from settlement.papers.statement import statement_paper

_PAPERS = ("json", "html", "pdf")
_PAPER_FORMAT = query("format", {"type": "string", "enum": list(_PAPERS), "default": "json"})
_PAPER_TYPES: dict[Any, Any] = {(200, "text/html"): str, (200, "application/pdf"): OpenApiTypes.BINARY}
# Both grow with the number of parties.
_HEAVY = ("document", "inputs")


class InvoiceNotFound(NotFound):
    code, message = "invoice_not_found", "Invoice not found"


class StatementNotFound(NotFound):
    code, message = "statement_not_found", "Statement not found"


class SettlementNotFound(NotFound):
    code, message = "settlement_not_found", "Settlement not found"


class InvoicesView(MerchantView):
    """GET /v1/invoices"""

    @extend_schema(
        operation_id="listInvoices",
        summary="Your invoices and credit notes, newest first",
        parameters=PAGE_PARAMETERS,
        responses=wire.InvoicesReply,
    )
    def get(self, request: KeyedRequest) -> Response:
        today = timezone.now().date()

        def shown(invoice: Invoice) -> dict[str, Any]:
            return wire.invoice_wire(invoice, invoice.batch.period, today)

        return Response(paged(request, own_invoices(request), "invoices", shown))


class InvoiceView(MerchantView):
    """GET /v1/invoices/{id}"""

    @raises(InvoiceNotFound)
    @extend_schema(
        operation_id="getInvoice",
        summary="One invoice or credit note, as data, page or PDF",
        parameters=[_PAPER_FORMAT],
        responses={(200, "application/json"): wire.WholeInvoiceReply} | _PAPER_TYPES,
    )
    def get(self, request: KeyedRequest, invoice_id: str) -> HttpResponse:
        form = _format(request, _PAPERS)
        invoice = own_invoices(request).filter(pk=invoice_id).first() if is_id(invoice_id) else None
        if invoice is None:
            raise InvoiceNotFound()
        if form == "json":
            return Response(wire.whole_invoice_wire(invoice, timezone.now().date()))
        return paper_reply(invoice_paper(invoice), form)


class StatementView(AgentView):
    """GET /v1/statements/{id}"""

    @raises(StatementNotFound)
    @extend_schema(
        operation_id="getStatement",
        summary="One statement of the agent's builder, as data, page or PDF",
        parameters=[_PAPER_FORMAT],
        responses={(200, "application/json"): wire.WholeStatementReply} | _PAPER_TYPES,
    )
    def get(self, request: KeyedRequest, statement_id: str) -> HttpResponse:
        form = _format(request, _PAPERS)
        rows = Statement.objects.filter(builder=request.user.agent.builder_id)
        statement = rows.filter(pk=statement_id).first() if is_id(statement_id) else None
        if statement is None:
            raise StatementNotFound()
        if form == "json":
            return Response(wire.whole_statement_wire(statement))
        return paper_reply(statement_paper(statement), form)


class SettlementsView(AnyKeyView):
    """GET /v1/settlements"""

    @extend_schema(
        operation_id="listSettlements",
        summary="The months that settled something of yours, with your documents, newest first",
        parameters=PAGE_PARAMETERS,
        responses=wire.SettlementsReply,
    )
    def get(self, request: KeyedRequest) -> Response:
        reader = reader_of(request)
        own = Line.objects.filter(batch=OuterRef("pk"), **{reader.column: reader.id})
        rows = Batch.objects.filter(Exists(own)).defer(*_HEAVY)
        reply = paged(request, rows, "settlements", lambda batch: wire.settlement_wire(batch, {}))
        periods = {row["batchId"]: row["period"] for row in reply["settlements"]}
        documents = _invoices(reader, periods) if reader.kind == "merchant" else _statements(reader, periods)
        for row in reply["settlements"]:
            name = "invoices" if reader.kind == "merchant" else "statements"
            row[name] = [document for document in documents if document["batchId"] == row["batchId"]]
        return Response(reply)


class SettlementExportView(AnyKeyView):
    """GET /v1/settlements/{batch}/export"""

    @raises(SettlementNotFound)
    @extend_schema(
        operation_id="exportSettlement",
        summary="Your lines of a settled month as a file",
        parameters=[query("format", {"type": "string", "enum": list(FORMATS), "default": "json"})],
        responses={
            (200, "application/json"): OpenApiTypes.OBJECT,
            (200, "text/csv"): str,
            (200, "text/plain"): str,
        },
    )
    def get(self, request: KeyedRequest, batch_id: str) -> HttpResponseBase:
        form, reader = _format(request, tuple(FORMATS)), reader_of(request)
        batch = Batch.objects.defer(*_HEAVY).filter(pk=batch_id).first() if is_id(batch_id) else None
        if batch is None or not has_lines(batch.pk, reader):
            raise SettlementNotFound()
        return export_reply(batch, reader, form)


def own_invoices(request: KeyedRequest) -> QuerySet[Invoice]:
    """The merchant's invoices and credit notes: others do not exist for it."""
    rows = Invoice.objects.filter(merchant=request.user.merchant_id).select_related("batch")
    return rows.defer(*(f"batch__{name}" for name in _HEAVY))


def reader_of(request: KeyedRequest) -> Reader:
    """The party that a key speaks for: a merchant, or the builder of an agent."""
    if request.auth == "merchant":
        return Reader("merchant", request.user.merchant_id)
    return Reader("builder", request.user.agent.builder_id)


def _format(request: Request, known: tuple[str, ...]) -> str:
    form = request.query_params.get("format") or "json"
    if form not in known:
        raise BadRequest(f"format must be one of {', '.join(known)}", code="invalid_field")
    return form


def _invoices(reader: Reader, periods: dict[str, str]) -> list[dict[str, Any]]:
    rows = Invoice.objects.filter(merchant=reader.id, batch__in=periods).order_by("number")
    today = timezone.now().date()
    return [wire.invoice_wire(row, periods[row.batch_id], today) for row in rows]


def _statements(reader: Reader, periods: dict[str, str]) -> list[dict[str, Any]]:
    rows = Statement.objects.filter(builder=reader.id, batch__in=periods).order_by("number")
    return [wire.statement_wire(row) for row in rows]
