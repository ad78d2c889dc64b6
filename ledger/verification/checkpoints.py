"""V5: what the signer and the witnesses have signed is what the heads say."""

from collections.abc import Sequence

from django.conf import settings

from ledger.models import Checkpoint, Cosignature, LogKey
from ledger.verification.findings import Report
from rako.core.tlog.checkpoints import open_checkpoint
from rako.core.tlog.notes import NoteError, Verifier, note_text, open_note, parse_vkey

_CHUNK = 2000


def checkpoint_keys(report: Report) -> list[Verifier]:
    """The keys that may have signed checkpoints, retired ones too."""
    keys = []
    for vkey in LogKey.objects.filter(purpose=LogKey.Purpose.CHECKPOINT).values_list("vkey", flat=True):
        try:
            keys.append(parse_vkey(vkey))
        except NoteError as error:
            report.add("V5", f"key {vkey}", str(error))
    return keys


def check_checkpoints(report: Report, keys: Sequence[Verifier], since: int = 0) -> None:
    """Note stored checkpoints that are not signed, or not of their head. (So any two of them are consistent, for each
    head is held against the leaves.)"""
    stored = Checkpoint.objects.filter(pk__gt=since).order_by("pk").values_list("pk", "note", "head__root")
    for size, note, root in stored.iterator(chunk_size=_CHUNK):
        report.tally("checkpoints")
        try:
            checkpoint = open_checkpoint(note, keys, settings.RAKO_LEDGER_ORIGIN)
        except NoteError as error:
            report.add("V5", f"checkpoint {size}", str(error), size - 1)
            continue
        if (checkpoint.size, checkpoint.root) != (size, root and bytes(root)):
            report.add("V5", f"checkpoint {size}", "is signed, but differs from its head", size - 1)


def check_cosignatures(report: Report, since: int = 0) -> None:
    """Note cosignatures that do not hold, of the witnesses whose keys are configured."""
    witnesses = {witness.name: witness.verifier for witness in settings.RAKO_WITNESSES}
    rows = Cosignature.objects.filter(checkpoint__gt=since, witness__in=witnesses).order_by("checkpoint", "witness")
    for size, name, line, note in rows.values_list("checkpoint", "witness", "line", "checkpoint__note").iterator(
        chunk_size=_CHUNK
    ):
        report.tally("cosignatures")
        try:
            open_note(f"{note_text(note)}\n{line}", [witnesses[name]])
        except NoteError as error:
            report.add("V5", f"cosignature of {name} at {size}", str(error), size - 1)
