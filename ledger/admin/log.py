"""The transparency log in the admin: signed checkpoints, their keys, and what verifications found."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ledger.admin.findings import finding_text
from ledger.models import Checkpoint, Cosignature, LogKey, Verification
from rako.core.admin import ReadOnlyAdmin
from rako.core.admin_text import badge, block, time_column
from rako.core.tlog.checkpoints import open_checkpoint
from rako.core.tlog.notes import NoteError, parse_vkey


@admin.register(Checkpoint)
class CheckpointAdmin(ReadOnlyAdmin):
    """Sizes and roots that the log has signed, and who has cosigned them."""

    list_display = ("size", "created", "witnesses")
    list_filter = ("created_at",)
    fieldsets = (
        (None, {"fields": ("size", "created", "root", "signature", "exported")}),
        ("Signed note", {"fields": ("verbatim",), "classes": ("rako-bare",)}),
        ("Cosignatures", {"fields": ("cosignatures",), "classes": ("rako-bare",)}),
    )
    created = time_column("created_at", "created at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Checkpoint]:
        cosignatures = Prefetch("cosignatures", Cosignature.objects.order_by("witness"))
        return super().get_queryset(request).select_related("head").prefetch_related(cosignatures)

    def get_urls(self) -> list[Any]:
        note = self.admin_site.admin_view(self.note)
        return [path("<int:size>/note/", note, name="ledger_checkpoint_note"), *super().get_urls()]

    def object_links(self, request: HttpRequest, row: Checkpoint) -> list[tuple[str, str]]:
        return [("Signed note", reverse("admin:ledger_checkpoint_note", args=[row.pk]))]

    def note(self, request: HttpRequest, size: int) -> HttpResponse:
        """The note with its cosignatures, as anybody checks it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        checkpoint = get_object_or_404(self.get_queryset(request), pk=size)
        headers = {"Content-Disposition": f'attachment; filename="checkpoint-{size}.txt"'}
        return HttpResponse(_whole_note(checkpoint), content_type="text/plain; charset=utf-8", headers=headers)

    @admin.display(description="entries", ordering="pk")
    def size(self, checkpoint: Checkpoint) -> str:
        """How many entries it is over."""
        return f"{checkpoint.pk:,}"

    @admin.display(description="cosigned by")
    def witnesses(self, checkpoint: Checkpoint) -> str:
        """The witnesses by name."""
        return ", ".join(each.witness for each in checkpoint.cosignatures.all()) or "nobody"

    @admin.display(description="Merkle root")
    def root(self, checkpoint: Checkpoint) -> SafeString:
        """Of the head, in hex."""
        return format_html("<code>{}</code>", bytes(checkpoint.head.root).hex())

    @admin.display(description="signature")
    def signature(self, checkpoint: Checkpoint) -> SafeString:
        """Whether one of the log's own keys signed this very size and root: checked now."""
        problem = signature_problem(checkpoint)
        if problem:
            return badge(f"does not hold: {problem}", "bad")
        return badge(f"holds: signed by {settings.RAKO_LEDGER_ORIGIN} over this size and root", "good")

    @admin.display(description="kept elsewhere")
    def exported(self, checkpoint: Checkpoint) -> str:
        """Where the newest checkpoint is sent every minute."""
        target = settings.RAKO_CHECKPOINT_EXPORT
        if not target:
            return "nowhere: RAKO_CHECKPOINT_EXPORT is not set"
        host = urlsplit(target).hostname if "://" in target else None  # the rest of an address may be secret
        return f"the newest is sent to {host} every minute" if host else "the newest is added to a file every minute"

    @admin.display(description="note")
    def verbatim(self, checkpoint: Checkpoint) -> SafeString:
        """The signed bytes."""
        return block(checkpoint.note)

    @admin.display(description="cosignatures")
    def cosignatures(self, checkpoint: Checkpoint) -> str:
        """A row per witness; each was verified when it arrived."""
        return render_to_string("admin/ledger/cosignatures.html", {"rows": checkpoint.cosignatures.all()})


@admin.register(LogKey)
class LogKeyAdmin(ReadOnlyAdmin):
    """Public keys of the log, those of the past too."""

    list_display = ("vkey", "purpose", "created")
    list_filter = ("purpose",)
    fields = ("vkey", "purpose", "created")
    created = time_column("created_at", "first used at")


@admin.register(Verification)
class VerificationAdmin(ReadOnlyAdmin):
    """Runs of `verify_ledger`: what was looked at and what was found."""

    list_display = ("created", "mode", "result", "looked_at", "log_size", "duration")
    list_filter = ("is_sound", "mode", "created_at")
    fieldsets = (
        (None, {"fields": ("created", "mode", "result", "looked_at", "log_size", "duration")}),
        ("Findings", {"fields": ("findings_table",), "classes": ("rako-bare",)}),
    )
    created = time_column("created_at", "ended at")

    @admin.display(description="result", ordering="is_sound")
    def result(self, run: Verification) -> SafeString:
        """Sound or not."""
        return badge("sound", "good") if run.is_sound else badge("TAMPERED WITH", "bad")

    @admin.display(description="entries looked at", ordering="entries")
    def looked_at(self, run: Verification) -> str:
        """How many entries it read."""
        return f"{run.entries:,}"

    @admin.display(description="size of the log", ordering="size")
    def log_size(self, run: Verification) -> str:
        """When it ended."""
        return f"{run.size:,}"

    @admin.display(description="took", ordering="seconds")
    def duration(self, run: Verification) -> str:
        """In seconds."""
        return f"{run.seconds:,.1f} s"

    @admin.display(description="the first findings")
    def findings_table(self, run: Verification) -> str:
        """What was found, as far as it was kept."""
        rows = [finding_text(finding) for finding in run.findings]
        return render_to_string("admin/ledger/findings.html", {"rows": rows, "is_sound": run.is_sound})


def signature_problem(checkpoint: Checkpoint) -> str:
    """Why a checkpoint is not the log's word for its head, or "" if it is. Load it with its head."""
    keys = LogKey.objects.filter(purpose=LogKey.Purpose.CHECKPOINT).values_list("vkey", flat=True)
    try:
        opened = open_checkpoint(checkpoint.note, map(parse_vkey, keys), settings.RAKO_LEDGER_ORIGIN)
    except NoteError as error:
        return str(error)
    head = checkpoint.head
    return "" if (opened.size, opened.root) == (head.pk, bytes(head.root)) else "it is over another head"


def _whole_note(checkpoint: Checkpoint) -> str:
    return checkpoint.note + "".join(each.line for each in checkpoint.cosignatures.all())
