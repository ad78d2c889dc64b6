"""Payouts in the admin: where each stands, what the bank said, and the files that were handed over."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from rako.core.admin import ReadOnlyAdmin, log_acts
from rako.core.admin_text import badge, change_url, money_column, money_text, time_column
from rako.core.errors import RakoError
from settlement.models import Payout, PayoutFile
from settlement.payouts import record_answer, retry
from settlement.providers.base import Answer
from settlement.providers.registry import providers

State = Payout.State
_TONES = {State.PENDING: "open", State.SUBMITTED: "open", State.PAID: "good", State.FAILED: "bad"}
# In which state an action makes sense.
_FITS = {"mark_paid": State.SUBMITTED, "mark_failed": State.SUBMITTED, "retry_now": State.FAILED}


class Flagged(admin.SimpleListFilter):
    """Those that wait until staff lift the flag of their builder."""

    title = "builder"
    parameter_name = "flagged"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Pending, flagged for fraud")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() != "yes":
            return queryset
        return queryset.filter(pk__in=Payout.objects.pending().flagged().values("pk"))


class HasAccount(admin.SimpleListFilter):
    """Those that wait for nothing else."""

    title = "bank account"
    parameter_name = "account"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("missing", "Pending without one")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() != "missing":
            return queryset
        return queryset.filter(pk__in=Payout.objects.pending().without_account().values("pk"))


@admin.register(Payout)
class PayoutAdmin(ReadOnlyAdmin):
    """What builders are paid."""

    list_display = ("standing", "builder", "amount", "to", "batch", "attempts", "created", "paid", "id")
    list_display_links = ("standing", "id")
    list_filter = ("state", "currency", HasAccount, Flagged)
    list_select_related = ("builder", "batch")
    date_hierarchy = "created_at"
    search_fields = ("builder__name", "statements__number__exact")
    search_help_text = "Builder, the exact number of a statement, or an id (payout, builder, file, batch)."
    id_fields = ("pk", "builder", "file", "batch")
    actions = ("mark_paid", "mark_failed", "retry_now")
    fieldsets = (
        (None, {"fields": ("id", "standing", "builder", "amount", "to", "failure")}),
        ("Settled by", {"fields": ("batch", "statements")}),
        ("At the bank", {"fields": ("in_file", "attempts")}),
        ("Time", {"fields": ("created", "submitted", "paid")}),
    )
    amount = money_column("amount_minor", "amount")
    created = time_column("created_at", "ordered at")
    submitted = time_column("submitted_at", "submitted at")
    paid = time_column("paid_at", "paid at")
    has_stream = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Payout]:
        rows: QuerySet[Payout] = Payout.objects.with_hint().order_by(*self.ordering)
        return rows.select_related("builder", "batch").defer("batch__document", "batch__inputs")

    @admin.display(description="state", ordering="state")
    def standing(self, payout: Payout) -> SafeString:
        """Where it stands; what waits for somebody stands out."""
        if payout.state == State.PENDING and payout.builder.fraud_found_at is not None:
            return badge("held: builder flagged for fraud", "held")
        if payout.state == State.PENDING and not getattr(payout, "hint", None):
            return badge("waits for a bank account", "held")
        return badge(payout.state, _TONES[State(payout.state)])

    @admin.display(description="bank account")
    def to(self, payout: Payout) -> str:
        """The end of the account that the builder has now."""
        hint = getattr(payout, "hint", None)
        return f"…{hint}" if hint else "–"

    @admin.display(description="statements")
    def statements(self, payout: Payout) -> str:
        """Whose balances it pays."""
        return ", ".join(payout.statements.order_by("number").values_list("number", flat=True)) or "–"

    @admin.display(description="file")
    def in_file(self, payout: Payout) -> str:
        """The last file that it was in."""
        if payout.file_id is None:
            return "–"
        return format_html('<a href="{}">{}</a>', change_url(PayoutFile(pk=payout.file_id)), payout.file_id)

    def has_confirm_permission(self, request: HttpRequest) -> bool:
        """Saying what the bank said."""
        return self.may(request, "confirm")

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """Paying again what failed."""
        return self.may(request, "retry")

    def action_fits(self, action: str, row: Payout) -> bool:
        return row.state == _FITS[action]

    @admin.action(description="Mark paid…", permissions=["confirm"])
    def mark_paid(self, request: HttpRequest, chosen: QuerySet[Any]) -> HttpResponse | None:
        """The bank has paid them."""
        title = "The bank has paid this: it will never be paid again"
        return self._act(request, chosen, "mark_paid", title, _paid)

    @admin.action(description="Mark failed…", permissions=["confirm"])
    def mark_failed(self, request: HttpRequest, chosen: QuerySet[Any]) -> HttpResponse | None:
        """The bank has refused them: the builder is owed the money again."""
        title = "The bank has refused this: the builder is owed it again, and is told your reason"
        return self._act(request, chosen, "mark_failed", title, _failed)

    @admin.action(description="Retry…", permissions=["retry"])
    def retry_now(self, request: HttpRequest, chosen: QuerySet[Any]) -> HttpResponse | None:
        """Have them made again, to the account that the builder has now."""
        title = "Pay again, to the bank account that the builder has now"
        return self._act(request, chosen, "retry_now", title, lambda payout, reason: retry(payout))

    def _act(
        self,
        request: HttpRequest,
        chosen: QuerySet[Any],
        action: str,
        title: str,
        act: Callable[[Payout, str], object],
    ) -> HttpResponse | None:
        """Do it to each one that it can be done to, and tell of the others."""
        reason = self.ask_reason(request, chosen, action, title)
        if isinstance(reason, HttpResponse):
            return reason
        done = []
        for payout in chosen:
            try:
                act(payout, reason)
                done.append(payout)
            except RakoError as error:
                self.message_user(request, f"{payout}: {error}.", messages.WARNING)
        log_acts(request, done, f"{action.replace('_', ' ').capitalize()}: {reason}")
        if done:
            self.message_user(request, f"{len(done)} payout(s): done.", messages.SUCCESS)
        return None


def _paid(payout: Payout, reason: str) -> None:
    # What was on the page is what is answered: a payout that was sent again since is refused.
    record_answer(Answer(payout.pk, True), file_id=payout.file_id or "")


def _failed(payout: Payout, reason: str) -> None:
    record_answer(Answer(payout.pk, False, reason), file_id=payout.file_id or "")


@admin.register(PayoutFile)
class PayoutFileAdmin(ReadOnlyAdmin):
    """What was handed to the bank. The text names bank accounts: it is only downloaded, under a right of its own."""

    list_display = ("id", "provider", "currency", "holds", "total", "created")
    list_filter = ("provider", "currency")
    date_hierarchy = "created_at"
    search_fields = ("sha256__exact",)
    search_help_text = "The exact SHA-256, or an id."
    fields = ("id", "provider", "currency", "holds", "total", "sha256", "created")
    created = time_column("created_at", "made at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[PayoutFile]:
        rows = super().get_queryset(request).defer("content")
        counted: QuerySet[PayoutFile] = rows.annotate(
            payout_count=Count("payouts"), total_minor=Sum("payouts__amount_minor")
        )
        return counted

    @admin.display(description="payouts")
    def holds(self, file: Any) -> str:
        """How many; those that were sent again since are in a later file."""
        return f"{file.payout_count:,}"

    @admin.display(description="total")
    def total(self, file: Any) -> str:
        """What they come to."""
        return money_text(file.total_minor, file.currency)

    def get_urls(self) -> list[Any]:
        download = self.admin_site.admin_view(self.download)
        return [path("<str:pk>/download/", download, name="settlement_payoutfile_download"), *super().get_urls()]

    def object_links(self, request: HttpRequest, row: PayoutFile) -> list[tuple[str, str]]:
        page = reverse("admin:settlement_payoutfile_download", args=[row.pk])
        return [("Download", page)] if self.may(request, "download") else []

    def download(self, request: HttpRequest, pk: str) -> HttpResponse:
        """The file as the bank gets it; who fetched it is kept."""
        if not self.may(request, "download"):
            raise PermissionDenied
        file = get_object_or_404(PayoutFile, pk=pk)
        log_acts(request, [file], "Downloaded")
        suffix = providers()[file.provider].suffix if file.provider in providers() else ""
        headers = {
            "Content-Disposition": f'attachment; filename="payouts-{file.pk}{suffix}"',
            "Cache-Control": "no-store",
        }
        return HttpResponse(file.content, content_type="application/octet-stream", headers=headers)
