"""Publishing: has the newest head signed, cosigned by witnesses and put where we cannot take it back.

Nothing here is inside a transaction, and everything may be repeated: the signer gives the same bytes for the same head,
and what was not exported or cosigned this time is so next time.
"""

import contextlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import requests
from django.conf import settings
from django.utils import timezone

from ledger.models import Checkpoint, Cosignature, Head, LogKey
from ledger.tree_store import tree_of
from rako.core.facts import Fact, state
from rako.core.ids import new_id
from rako.core.receipts import receipt_signer
from rako.core.tlog.signer import KEY, Refused, Signer
from rako.core.tlog.witness import Witness, WitnessConflict, WitnessError, WitnessRefused

log = logging.getLogger("rako.ledger")

WITNESS_SECONDS = 5.0
EXPORT_SECONDS = 60.0


class SignerLost(Exception):
    """The signer's folder has no key, but something was signed: a new key must be an operator's decision."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where checkpoints are kept out of our reach: a file that grows, or an address that takes them by POST."""

    target: str

    def send(self, note: str) -> None:
        """Hand over one checkpoint. Raises OSError (requests' errors are such)."""
        if self.target.startswith(("https://", "http://")):
            answer = requests.post(
                self.target,
                note.encode(),
                headers={"Content-Type": "text/plain; charset=utf-8"},
                timeout=WITNESS_SECONDS,
            )
            answer.raise_for_status()
            return
        with Path(self.target).open("a", encoding="utf-8") as file:
            file.write(note + "\n")  # an empty line between two


def open_signer() -> Signer:
    """The signer in its folder; made on first use of a log that has no checkpoint yet. Raises SignerLost."""
    folder, origin = settings.RAKO_SIGNER_DIR, settings.RAKO_LEDGER_ORIGIN
    if not (folder / KEY).exists() and not Checkpoint.objects.exists():
        with contextlib.suppress(FileExistsError):  # another process came first, or there is a state without its key
            Signer.create(folder, origin)
    try:
        return Signer(folder, origin)
    except FileNotFoundError:
        raise SignerLost(f"{folder} holds no key, but the log was signed: see docs/operations.md") from None


class Publisher:
    """Publishes heads as checkpoints; one per sequencer process."""

    def __init__(self) -> None:
        self._signer = open_signer()
        self._witnesses: list[Witness] = settings.RAKO_WITNESSES
        target = settings.RAKO_CHECKPOINT_EXPORT
        self._destination = Destination(target) if target else None
        self._exported_at, self._exported_size = float("-inf"), 0
        for purpose, vkey in (
            (LogKey.Purpose.CHECKPOINT, self._signer.vkey),
            (LogKey.Purpose.RECEIPT, receipt_signer().vkey),
        ):
            LogKey.objects.get_or_create(vkey=vkey, defaults={"purpose": purpose})

    def publish(self) -> Checkpoint | None:
        """Sign the newest head if it is not signed; returns the newest checkpoint. Raises Refused: see operations."""
        try:
            checkpoint = self._checkpoint()
        except Refused as refusal:
            if refusal.reason != "stale":  # another process had a head signed meanwhile
                raise
            checkpoint = self._checkpoint()
        if checkpoint is not None:
            self._collect_cosignatures(checkpoint)
            self._export(checkpoint)
        return checkpoint

    def _checkpoint(self) -> Checkpoint | None:
        """The newest head's, signed unless it was – which is the signer's to say: the log may have been set back."""
        # In this order: what was signed before we look at the log is in it.
        signed = self._signer.last
        head = Head.objects.order_by("-size").first()
        if head is None:
            if signed[0]:
                raise Refused("shrunk", signed[0])
            return None
        size, root = head.size, bytes(head.root)
        stored = Checkpoint.objects.filter(pk=size).first()
        if stored is not None and signed == (size, root):
            return stored
        note = self._signer.sign(size, root, _path(signed[0], size), old_size=signed[0])
        return Checkpoint.objects.get_or_create(head=head, defaults={"note": note})[0]

    def _collect_cosignatures(self, checkpoint: Checkpoint) -> None:
        for witness in self._witnesses:
            latest = Cosignature.objects.filter(witness=witness.name).order_by("-checkpoint").first()
            old_size = 0 if latest is None else latest.checkpoint_id
            if old_size >= checkpoint.pk:
                continue
            try:
                line = self._ask(witness, checkpoint, old_size)
            except WitnessError as error:
                log.warning("witness %s did not cosign %s: %s", witness.name, checkpoint.pk, error)
            else:
                Cosignature.objects.get_or_create(checkpoint=checkpoint, witness=witness.name, defaults={"line": line})

    def _ask(self, witness: Witness, checkpoint: Checkpoint, old_size: int, *, is_second: bool = False) -> str:
        """The witness's lines. Raises WitnessError, and the alarm if it has seen what this log does not continue."""
        try:
            return witness.cosign(checkpoint.note, old_size, _path(old_size, checkpoint.pk), WITNESS_SECONDS)
        except WitnessConflict as conflict:
            if conflict.size > self._signer.last[0] or conflict.size == old_size:
                # It cosigned what we never signed, or another root of this size.
                _alarm(witness, checkpoint, conflict.size)
            elif conflict.size <= checkpoint.pk and not is_second:
                # It got further than we know, as when its answer was lost.
                return self._ask(witness, checkpoint, conflict.size, is_second=True)
            raise
        except WitnessRefused as refusal:
            if refusal.status == requests.codes.unprocessable:  # our tree does not grow out of what it cosigned
                _alarm(witness, checkpoint, old_size)
            raise

    def _export(self, checkpoint: Checkpoint) -> None:
        is_due = time.monotonic() - self._exported_at >= EXPORT_SECONDS and checkpoint.pk != self._exported_size
        if self._destination is None or not is_due:
            return
        try:
            self._destination.send(checkpoint.note)
            self._exported_at, self._exported_size = time.monotonic(), checkpoint.pk
        except OSError as error:
            log.warning("checkpoint %s could not be exported: %s", checkpoint.pk, type(error).__name__)


def _path(old_size: int, size: int) -> Sequence[bytes]:
    return tree_of(size).consistency(old_size) if 0 < old_size < size else []


def _alarm(witness: Witness, checkpoint: Checkpoint, known: int) -> None:
    """Log what contradicts, and keep it as a fact of the ledger itself."""
    log.error("witness %s contradicts our log: it has cosigned size %s", witness.name, known)
    now = timezone.now()
    state(
        Fact(
            stream_id=new_id(),
            kind="log.contradicted",
            facts={"witness": witness.name, "witness_size": known, "checkpoint": checkpoint.note},
            occurred_at=now,
            # Once a day: each of these entries grows the log, has it signed again, and is contradicted again.
            idempotency_key=f"contradicted:{witness.name}:{now:%Y-%m-%d}",
        )
    )
