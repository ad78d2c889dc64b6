"""V6: what is known outside the database – the signer's memory, and checkpoints that somebody kept – as claims to hold
the log against. Only these tell a log that was rewritten, or cut off, as a whole."""

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import requests
from django.conf import settings

from ledger.verification.findings import Report
from ledger.verification.walk import Claim
from rako.core.tlog.checkpoints import parse_checkpoint
from rako.core.tlog.notes import NoteError, Verifier, note_text, open_note
from rako.core.tlog.signer import STATE
from rako.core.tlog.signer_state import Refused, read_state

MAX_BYTES = 16 * 1024 * 1024
SECONDS = 20.0


class Unreadable(Exception):
    """The checkpoints that were asked for cannot be read: nothing can be said about them."""


def read_checkpoints(source: str) -> list[str]:
    """The notes in a file, or at an http(s) address, with an empty line between two. Raises Unreadable."""
    is_address = source.startswith(("https://", "http://"))
    try:
        content = (_download(source) if is_address else Path(source).read_bytes()).decode()
    except (OSError, UnicodeDecodeError) as error:  # requests' errors are OSErrors
        raise Unreadable(f"{source}: {type(error).__name__}") from None
    blocks = [block for block in (part.strip("\n") for part in content.split("\n\n")) if block]
    if not blocks or len(blocks) % 2:
        raise Unreadable(f"{source}: not checkpoints")
    notes = [f"{text}\n\n{lines}\n" for text, lines in zip(blocks[::2], blocks[1::2], strict=True)]
    return list(dict.fromkeys(notes))


def checkpoint_claims(report: Report, notes: Iterable[str], keys: Sequence[Verifier]) -> list[Claim]:
    """What the notes claim of this log. One that none of its keys signed is noted. Raises Unreadable."""
    claims = []
    for note in notes:
        try:
            checkpoint = parse_checkpoint(note_text(note))
        except NoteError as error:
            raise Unreadable(f"a checkpoint: {error}") from None
        if checkpoint.origin != settings.RAKO_LEDGER_ORIGIN:
            raise Unreadable(f"a checkpoint of another log: {checkpoint.origin}")
        claim = Claim(f"outside checkpoint {checkpoint.size}", checkpoint.size, checkpoint.root)
        claims.append(claim)
        if not _is_signed(note, keys):
            detail = "is signed by no key of this log: it is forged, or the log's keys were replaced"
            report.add("V6", claim.subject, detail, claim.size)
    report.tally("checkpoints from outside", len(claims))
    return claims


def signer_claims(report: Report) -> list[Claim]:
    """What the signer remembers, if its folder can be read from here."""
    path = settings.RAKO_SIGNER_DIR / STATE
    try:
        state = read_state(path, settings.RAKO_LEDGER_ORIGIN)
    except OSError:
        return []
    except Refused as refusal:
        if refusal.reason != "lost_state":  # it may be on another host
            report.add("V6", "the signer", f"its memory is no help: {refusal.reason}")
        return []
    report.tally("state of the signer")
    return [Claim("the signer", state.size, state.root)]


def _is_signed(note: str, keys: Sequence[Verifier]) -> bool:
    try:
        return settings.RAKO_LEDGER_ORIGIN in open_note(note, keys).names
    except NoteError:
        return False


def _download(url: str) -> bytes:
    """The bytes at an address: not endless, not for ever, and from there alone."""
    deadline = time.monotonic() + SECONDS
    headers = {"Accept-Encoding": "identity"}
    with requests.get(url, headers=headers, timeout=SECONDS, allow_redirects=False, stream=True) as response:
        if response.status_code != requests.codes.ok:
            raise OSError(f"status {response.status_code}")
        content = bytearray()
        for piece in response.iter_content(64 * 1024):
            content += piece
            if len(content) > MAX_BYTES or time.monotonic() > deadline:
                raise OSError("too long")
    return bytes(content)
