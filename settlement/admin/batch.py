"""Batches: the months that are closed, what they came to, and their exports."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, OuterRef, QuerySet, Subquery, Sum
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.urls import path, reverse

from rako.core.admin import ReadOnlyAdmin
from rako.core.admin_text import amount_text, number_text, time_column
from settlement.exports.formats import FORMATS, export_reply
from settlement.exports.lines import FINANCE
from settlement.models import Batch, Invoice, Statement, Waiting

_INVOICED = ("net_minor", "vat_minor", "total_minor")
_STATED = ("opening_minor", "earned_minor", "reversed_minor", "paid_minor", "closing_minor")


@admin.register(Batch)
class BatchAdmin(ReadOnlyAdmin):
    """Closed months."""

    has_stream = True
    list_display = ("period", "lines_text", "invoices", "statements", "closed")
    ordering = ("-period",)
    search_fields = ("period__exact", "document_sha256__exact")
    search_help_text = "A month (YYYY-MM), an id, or the SHA-256 that a document has at its foot."
    fieldsets = (
        (None, {"fields": ("period", "id", "closed", "lines_text", "waits", "rule_version", "looked_at")}),
        ("Sums", {"fields": ("sums",), "classes": ("rako-bare",)}),
        ("To check", {"fields": ("document_hash", "lines_hash", "how")}),
    )
    closed = time_column("closed_at", "closed at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Batch]:
        rows: QuerySet[Batch] = super().get_queryset(request).defer("document", "inputs")
        return rows.annotate(invoice_count=_counted(Invoice), statement_count=_counted(Statement))

    def get_urls(self) -> list[Any]:
        export = self.admin_site.admin_view(self.export)
        return [
            path("<str:batch_id>/export/<str:form>/", export, name="settlement_batch_export"),
            *super().get_urls(),
        ]

    def object_links(self, request: HttpRequest, row: Batch) -> list[tuple[str, str]]:
        return [(f"Export: {form}", reverse("admin:settlement_batch_export", args=[row.pk, form])) for form in FORMATS]

    def export(self, request: HttpRequest, batch_id: str, form: str) -> HttpResponseBase:
        """All lines of the month as a file."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if form not in FORMATS:
            raise Http404
        return export_reply(get_object_or_404(self.get_queryset(request), pk=batch_id), FINANCE, form)

    @admin.display(description="lines", ordering="line_count")
    def lines_text(self, batch: Batch) -> str:
        """How many commissions it settled."""
        return number_text(batch.line_count)

    @admin.display(description="invoices and credit notes")
    def invoices(self, batch: Any) -> str:
        """How many it has issued."""
        return number_text(batch.invoice_count or 0)

    @admin.display(description="statements")
    def statements(self, batch: Any) -> str:
        """How many it has issued."""
        return number_text(batch.statement_count or 0)

    @admin.display(description="waits for the next")
    def waits(self, batch: Batch) -> str:
        """How many conversions, and why."""
        rows = Waiting.objects.filter(batch=batch.pk).values("reason").order_by("reason").annotate(count=Count("*"))
        said = [f"{number_text(row['count'])} {Waiting.Reason(row['reason']).label}" for row in rows]
        return "; ".join(said) or "nothing"

    @admin.display(description="size of the log", ordering="cut")
    def looked_at(self, batch: Batch) -> str:
        """How many entries it was reckoned from."""
        return number_text(batch.cut)

    @admin.display(description="sums")
    def sums(self, batch: Batch) -> str:
        """What documents and payouts come to, by currency."""
        context = {
            "invoiced": _sums(Invoice.objects.filter(batch=batch.pk), ("kind", "currency"), _INVOICED),
            "stated": _sums(Statement.objects.filter(batch=batch.pk), ("currency",), _STATED),
        }
        return render_to_string("admin/settlement/sums.html", context)

    @admin.display(description="SHA-256 of the document")
    def document_hash(self, batch: Batch) -> str:
        """As the ledger's entry and all its papers have it."""
        return batch.document_sha256

    @admin.display(description="SHA-256 of the lines")
    def lines_hash(self, batch: Batch) -> str:
        """Of all of them, spelled as CSV."""
        return batch.lines_sha256

    @admin.display(description="how")
    def how(self, batch: Batch) -> str:
        """The command that reckons the month again."""
        return f"manage.py resettle --period {batch.period} --check"


def _counted(model: Any) -> Subquery:
    """How many documents a batch has, beside each other: joined, they would multiply."""
    rows = model.objects.filter(batch=OuterRef("pk")).order_by().values("batch")
    return Subquery(rows.annotate(count=Count("*")).values("count"))


def _sums(rows: QuerySet[Any], by: tuple[str, ...], columns: tuple[str, ...]) -> list[dict[str, str]]:
    found = rows.order_by(*by).values(*by).annotate(count=Count("*"), **{f"{name}_sum": Sum(name) for name in columns})
    return [
        {name: str(row[name]).replace("_", " ") for name in by}
        | {"count": number_text(row["count"])}
        | {name.removesuffix("_minor"): amount_text(int(row[f"{name}_sum"]), row["currency"]) for name in columns}
        for row in found
    ]
