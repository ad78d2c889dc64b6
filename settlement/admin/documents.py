"""Invoices, credit notes and statements: lists, and each as the page or PDF that its party gets."""

from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from rako.core.admin import ReadOnlyAdmin
from rako.core.admin_text import badge, money_column, percent_text
from settlement.models import Invoice, Statement
from settlement.papers.invoice import invoice_paper, standing
from settlement.papers.paper import Paper
from settlement.papers.replies import paper_reply
from settlement.papers.statement import statement_paper

_TONES = {"paid": "good", "open": "open", "overdue": "held"}


class StandingFilter(admin.SimpleListFilter):
    """Whether it is paid, and whether it should be."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state, state) for state in _TONES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Invoice]) -> QuerySet[Invoice]:
        overdue = Q(paid_at=None, kind=Invoice.Kind.INVOICE, due_on__lt=timezone.now().date())
        wanted = {"paid": Q(paid_at__isnull=False), "open": Q(paid_at=None) & ~overdue, "overdue": overdue}
        value = self.value()
        return queryset.filter(wanted[value]) if value in wanted else queryset


class _PaperAdmin(ReadOnlyAdmin):
    """Documents: each has a page and a PDF. Subclasses make the paper."""

    has_stream = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request).select_related(*self.list_select_related)
        return rows.defer("batch__document", "batch__inputs")

    def get_urls(self) -> list[Any]:
        page = self.admin_site.admin_view(self.paper_page)
        return [path("<str:pk>/paper/<str:form>/", page, name=self._paper_address), *super().get_urls()]

    def object_links(self, request: HttpRequest, row: Any) -> list[tuple[str, str]]:
        addresses = [reverse(f"admin:{self._paper_address}", args=[row.pk, form]) for form in ("html", "pdf")]
        return list(zip(("View", "PDF"), addresses, strict=True))

    def paper_page(self, request: HttpRequest, pk: str, form: str) -> HttpResponse:
        """The document as its party gets it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        paper = self.paper(get_object_or_404(self.get_queryset(request), pk=pk))
        return paper_reply(paper, form)

    def paper(self, row: Any) -> Paper:
        """The document for people."""
        raise NotImplementedError

    @property
    def _paper_address(self) -> str:
        return f"settlement_{self.opts.model_name}_paper"

    @admin.display(description="month", ordering="batch__period")
    def month(self, row: Any) -> str:
        """The settled month."""
        return str(row.batch.period)


@admin.register(Invoice)
class InvoiceAdmin(_PaperAdmin):
    """Invoices and credit notes to merchants."""

    list_display = ("number", "merchant", "month", "net", "total", "state", "due_on")
    list_filter = (StandingFilter, "kind", "currency", "issued_on")
    list_select_related: ClassVar[tuple[str, ...]] = ("merchant", "batch")
    search_fields = ("number__iexact", "merchant__name")
    search_help_text = "The number, the merchant's name, or an id (document, merchant, batch)."
    id_fields = ("pk", "merchant", "batch")
    fieldsets = (
        (None, {"fields": ("number", "kind", "id", "merchant", "batch", "state", "paid_at")}),
        ("Amounts", {"fields": ("line_count", "net", "vat_percent", "vat", "total")}),
        ("Dates", {"fields": ("issued_on", "due_on")}),
    )
    net = money_column("net_minor", "net")
    vat = money_column("vat_minor", "VAT")
    total = money_column("total_minor", "total")

    def paper(self, row: Invoice) -> Paper:
        return invoice_paper(row)

    @admin.display(description="state")
    def state(self, invoice: Invoice) -> SafeString:
        """Paid, open or overdue."""
        said = standing(invoice, timezone.now().date())
        return badge(said, _TONES[said])

    @admin.display(description="VAT rate", ordering="vat_rate")
    def vat_percent(self, invoice: Invoice) -> str:
        """In percent."""
        return percent_text(100 * invoice.vat_rate)


@admin.register(Statement)
class StatementAdmin(_PaperAdmin):
    """Statements to builders."""

    list_display = ("number", "builder", "month", "opening", "earned", "reversed_", "paid", "closing")
    list_filter = ("currency",)
    list_select_related: ClassVar[tuple[str, ...]] = ("builder", "batch")
    search_fields = ("number__iexact", "builder__name")
    search_help_text = "The number, the builder's name, or an id (statement, builder, batch, payout)."
    id_fields = ("pk", "builder", "batch", "payout")
    fieldsets = (
        (None, {"fields": ("number", "id", "builder", "batch", "payout")}),
        ("Amounts", {"fields": ("line_count", "opening", "earned", "reversed_", "paid", "closing")}),
    )
    opening = money_column("opening_minor", "carried from before")
    earned = money_column("earned_minor", "earned")
    reversed_ = money_column("reversed_minor", "reversed")
    paid = money_column("paid_minor", "paid out")
    closing = money_column("closing_minor", "carried forward")

    def paper(self, row: Statement) -> Paper:
        return statement_paper(row)
