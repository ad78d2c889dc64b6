"""Entries in the admin, one by one and stream by stream, and the accounts they move."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ledger.admin.balances import balances, postings, trial_balances, wanted_of
from ledger.admin.shown_entries import account_name, hash_before, owners_of, show_entries, stream_url, with_all
from ledger.admin.timeline import subject_of, timeline
from ledger.models import Account, Entry
from ledger.proofs import NotSequencedYet, entry_proof
from rako.core.admin import ReadOnlyAdmin
from rako.core.admin_text import change_url, time_column
from rako.core.ids import is_id
from rako.core.money import EXPONENTS


class FamilyFilter(admin.SimpleListFilter):
    """By what entries are about. The kinds themselves are not listed: finding them all would read all entries."""

    title = "what it is about"
    parameter_name = "about"
    _FAMILIES: ClassVar[tuple[str, ...]] = (
        *("search", "recommendation", "click", "checkout", "payment", "conversion", "evidence", "milestone"),
        *("builder", "merchant", "log"),
    )

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(family, family) for family in self._FAMILIES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Entry]) -> QuerySet[Entry]:
        value = self.value()
        return queryset.filter(kind__startswith=f"{value}.") if value in self._FAMILIES else queryset


# No date hierarchy and no search in kinds: entries are many millions, and only ids, streams and keys have an index.
@admin.register(Entry)
class EntryAdmin(ReadOnlyAdmin):
    """The facts, in the order in which they were recorded."""

    list_display = ("id", "recorded", "kind", "place", "stream", "number", "entry_id")
    list_filter = (FamilyFilter,)
    list_select_related = ("leaf",)
    search_fields = ("idempotency_key__exact",)
    search_help_text = "The id of an entry or of a stream (a conversion, checkout …), or an exact idempotency key."
    id_fields = ("entry_id", "stream_id")
    fieldsets = (
        (None, {"fields": ("id", "entry_id", "kind", "stream", "number", "subject", "idempotency_key")}),
        ("Content", {"fields": ("content",), "classes": ("rako-bare",)}),
    )
    recorded = time_column("recorded_at", "recorded at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Entry]:
        return super().get_queryset(request).defer("body")

    def get_urls(self) -> list[Any]:
        pages = (
            ("stream/<str:stream_id>/", self.stream_page, "ledger_stream"),
            ("balances/", self.balances_page, "ledger_balances"),
            ("postings/", self.postings_page, "ledger_postings"),
            ("<int:pk>/proof/", self.proof, "ledger_entry_proof"),
        )
        own = [path(route, self.admin_site.admin_view(view), name=name) for route, view, name in pages]
        return [*own, *super().get_urls()]

    def object_links(self, request: HttpRequest, row: Entry) -> list[tuple[str, str]]:
        return [
            ("Whole stream", stream_url(row.stream_id)),
            ("Proof of inclusion", reverse("admin:ledger_entry_proof", args=[row.pk])),
        ]

    def stream_page(self, request: HttpRequest, stream_id: str) -> HttpResponse:
        """One stream in order. Also for one that nothing was stated of: what is older than the ledger has none."""
        self._admit(request, "ledger.view_entry")
        if not is_id(stream_id):
            raise Http404
        page = request.GET.get("page", "")
        shown = timeline(stream_id, int(page) if page.isascii() and page.isdigit() and len(page) < 9 else 1)
        title = f"Timeline of {shown.subject or 'stream'} {stream_id}"
        return self._page(request, "stream", title, timeline=shown)

    def balances_page(self, request: HttpRequest) -> HttpResponse:
        """Balances by account, owner and currency, under their trial balance."""
        self._admit(request, "ledger.view_balance")
        wanted = wanted_of(request.GET)
        page, rows = balances(wanted, request.GET.get("page"))
        return self._page(
            request,
            "balances",
            "Balances",
            wanted=wanted,
            page=page,
            rows=rows,
            trials=trial_balances(wanted),
            accounts=[(account, account_name(account)) for account in Account.values],
            currencies=sorted(EXPONENTS),
        )

    def postings_page(self, request: HttpRequest) -> HttpResponse:
        """The postings behind one balance, newest first."""
        self._admit(request, "ledger.view_posting")
        wanted = {"owner_id": ""} | wanted_of(request.GET)
        if wanted.get("account") not in Account.values or wanted.get("currency") not in EXPONENTS:
            raise Http404
        before = request.GET.get("before", "")
        found = postings(wanted, int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None)
        owner = owners_of([wanted["owner_id"]])[wanted["owner_id"]]
        title = f"Postings: {wanted['account'].replace('_', ' ')}"
        name = account_name(wanted["account"])
        return self._page(request, "postings", title, wanted=wanted, found=found, owner=owner, account=name)

    def proof(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The entry's place in the log as C2SP tlog-proof; or, while it has none, why."""
        self._admit(request, "ledger.view_entry")
        entry = get_object_or_404(Entry.objects.select_related("leaf"), pk=pk)
        try:
            text = entry_proof(entry)
        except NotSequencedYet:
            wait = "The entry is not in a signed checkpoint yet, which takes about a second: please try again."
            self.message_user(request, wait, messages.WARNING)
            return redirect(change_url(entry))
        headers = {"Content-Disposition": f'inline; filename="entry-{entry.entry_id}.tlog-proof"'}
        return HttpResponse(text, content_type="text/plain; charset=utf-8", headers=headers)

    @admin.display(description="stream", ordering="stream_id")
    def stream(self, entry: Entry) -> SafeString:
        """The stream's id, leading to its timeline."""
        return format_html('<a href="{}">{}</a>', stream_url(entry.stream_id), entry.stream_id)

    @admin.display(description="number in its stream", ordering="stream_seq")
    def number(self, entry: Entry) -> int:
        """Counted from 1."""
        return entry.stream_seq

    @admin.display(description="index in the log")
    def place(self, entry: Entry) -> str:
        """Its leaf, if the sequencer has come to it."""
        leaf = getattr(entry, "leaf", None)
        return "not sequenced yet" if leaf is None else f"{leaf.pk:,}"

    @admin.display(description="about")
    def subject(self, entry: Entry) -> SafeString | str:
        """The row whose stream it is, by its page."""
        name, url = subject_of(entry)
        return format_html('<a href="{}">{} {}</a>', url, name, entry.stream_id) if url else "–"

    @admin.display(description="content")
    def content(self, entry: Entry) -> str:
        """What it says and moves, as in its timeline."""
        rows = list(with_all(Entry.objects.filter(pk=entry.pk)))
        return render_to_string("admin/ledger/_entry.html", {"shown": show_entries(rows, hash_before(entry))[0]})

    def _admit(self, request: HttpRequest, permission: str) -> None:
        user: Any = request.user
        if not user.has_perm(permission):
            raise PermissionDenied

    def _page(self, request: HttpRequest, name: str, title: str, **content: Any) -> HttpResponse:
        context = self.admin_site.each_context(request) | {"opts": self.opts, "title": title} | content
        return TemplateResponse(request, f"admin/ledger/{name}.html", context)
