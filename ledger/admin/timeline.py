"""One stream of the ledger, page by page: what was stated of a search, a recommendation, a checkout or a sale."""

from dataclasses import dataclass

from django.contrib.admin.utils import quote
from django.urls import reverse

from ledger.admin.shown_entries import ShownEntry, show_entries, stream_url, with_all
from ledger.models import Entry

PAGE = 50

# What a stream is of, by the first word of its kinds; others, such as payouts, have no page of their own.
_SUBJECTS = {
    "search": ("session", "sessions_app_session"),
    "recommendation": ("recommendation", "sessions_app_recommendation"),
    "click": ("recommendation", "sessions_app_recommendation"),
    "checkout": ("checkout", "checkout_checkout"),
    "payment": ("webhook receipt", "checkout_webhookreceipt"),
    "conversion": ("conversion", "ledger_conversion"),
    "evidence": ("conversion", "ledger_conversion"),
    "milestone": ("conversion", "ledger_conversion"),
    "dispute": ("dispute", "ledger_dispute"),
    "hold": ("hold", "ledger_fraudhold"),
}


@dataclass(frozen=True, slots=True)
class Timeline:
    """A page of a stream, for `admin/ledger/_timeline.html`. `count` is of all its entries, 0 if nothing was stated."""

    stream_id: str
    entries: list[ShownEntry]
    count: int
    page: int
    pages: int
    subject: str = ""
    subject_url: str = ""

    @property
    def url(self) -> str:
        """Its own page, which may show more than one that embeds it."""
        return stream_url(self.stream_id)

    @property
    def is_whole(self) -> bool:
        """Whether all of the stream is on this page."""
        return self.pages <= 1


def timeline(stream_id: str, page: int = 1) -> Timeline:
    """A page of a stream, counted from 1. Its cost does not depend on the stream's length: numbers have no gaps."""
    stream = Entry.objects.filter(stream_id=stream_id)
    count = stream.order_by("-stream_seq").values_list("stream_seq", flat=True).first() or 0
    pages = -(-count // PAGE)
    page = max(1, min(page, pages))
    last = page * PAGE
    # With the one before them, which the first of them must follow.
    rows = with_all(stream.filter(stream_seq__gte=last - PAGE, stream_seq__lte=last)).order_by("stream_seq")
    entries = list(rows)
    before = bytes(entries.pop(0).leaf_hash) if entries and entries[0].stream_seq == last - PAGE else None
    subject, url = subject_of(entries[0]) if entries else ("", "")
    return Timeline(stream_id, show_entries(entries, before), count, page, pages, subject, url)


def subject_of(entry: Entry) -> tuple[str, str]:
    """What the entry's stream is of, and that row's page; both empty if it has none."""
    subject, name = _SUBJECTS.get(entry.kind.partition(".")[0], ("", ""))
    return subject, reverse(f"admin:{name}_change", args=[quote(entry.stream_id)]) if name else ""
