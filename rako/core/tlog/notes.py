"""Signed notes (C2SP signed-note): a text, an empty line, and one line per signature over the text.

The keys are in vkeys.py. The same text signed again gives the same bytes, for Ed25519 draws no random numbers.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rako.core.tlog.encoding import decode_base64, encode_base64
from rako.core.tlog.vkeys import ED25519, NoteError, Verifier, key_name, parse_vkey

__all__ = ["NoteError", "NoteSigner", "OpenedNote", "Signature", "Verifier", "note_text", "open_note", "parse_vkey"]

MAX_NOTE_BYTES = 1_000_000  # as the reference implementation: room for post-quantum signatures, and an end to parsing
MAX_SIGNATURES = 100
_SIGNATURE_LINE = re.compile(r"— ([^ ]+) ([A-Za-z0-9+/=]+)\Z")
_FORBIDDEN = re.compile(r"[\x00-\x09\x0b-\x1f]")


class Signature(NamedTuple):
    """A signature that was verified: by whom, over which moment (witnesses only, unix seconds), and its line."""

    name: str
    key_id: bytes
    timestamp: int | None
    line: str


@dataclass(frozen=True, slots=True)
class OpenedNote:
    """A note's text, signed by at least one trusted key, and the signatures that were verified."""

    text: str
    signatures: tuple[Signature, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Who signed, of those trusted."""
        return tuple(signature.name for signature in self.signatures)


class NoteSigner:
    """Signs notes with one Ed25519 key under one name. Raises NoteError if that cannot be a key's name."""

    def __init__(self, name: str, private_key: Ed25519PrivateKey) -> None:
        self.verifier = Verifier(key_name(name), ED25519, private_key.public_key().public_bytes_raw())
        self._private_key = private_key

    @property
    def name(self) -> str:
        return self.verifier.name

    @property
    def vkey(self) -> str:
        """The public half, as others need it to open the notes."""
        return self.verifier.vkey

    def sign(self, text: str) -> str:
        """The whole note. The same text gives the same bytes. Raises NoteError unless `text` is lines, each ended."""
        signature = self._private_key.sign(_checked(text).encode())
        if not text.endswith("\n"):
            raise NoteError("a note's text ends in a newline")
        return f"{text}\n— {self.name} {encode_base64(self.verifier.key_id + signature)}\n"


def open_note(note: str, verifiers: Iterable[Verifier]) -> OpenedNote:
    """Take a note apart and keep what trusted keys vouch for; signatures of unknown keys are passed over.

    Raises NoteError if the form is wrong, no trusted key signed, or the signature of a trusted key does not hold.
    """
    text, lines = _split(note)
    known = _by_identity(verifiers)
    signatures: dict[tuple[str, bytes], Signature] = {}
    for line in lines:
        name, key_id, signature = _parse_line(line)
        verifier = known.get((name, key_id))
        if verifier is not None:
            found = Signature(name, key_id, verifier.verify(text, signature), f"{line}\n")
            signatures.setdefault((name, key_id), found)  # signing twice counts once
    if not signatures:
        raise NoteError("no trusted key signed this note")
    return OpenedNote(text, tuple(signatures.values()))


def note_text(note: str) -> str:
    """The text that a note's signatures are over, of a note one made oneself: nothing is verified."""
    return _split(note)[0]


def _split(note: str) -> tuple[str, list[str]]:
    text, blank, tail = _checked(note).rpartition("\n\n")
    if not blank or not tail.endswith("\n"):
        raise NoteError("not a signed note")
    lines = tail[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise NoteError("more signatures than anyone needs")
    return f"{text}\n", lines


def _parse_line(line: str) -> tuple[str, bytes, bytes]:
    match = _SIGNATURE_LINE.match(line)
    if match is None:
        raise NoteError("not a signature line")
    try:
        raw = decode_base64(match[2])
    except ValueError:
        raise NoteError("not a signature line") from None
    if len(raw) < 5:
        raise NoteError("not a signature line")
    return key_name(match[1]), raw[:4], raw[4:]


def _by_identity(verifiers: Iterable[Verifier]) -> dict[tuple[str, bytes], Verifier]:
    known: dict[tuple[str, bytes], Verifier] = {}
    for verifier in verifiers:
        identity = (verifier.name, verifier.key_id)
        if known.setdefault(identity, verifier) != verifier:
            raise NoteError(f"two keys share the name and id of {verifier.name}")
    return known


def _checked(text: str) -> str:
    """Text that every reader sees alike: UTF-8, no control characters but newlines, not endless."""
    try:
        length = len(text.encode())
    except UnicodeEncodeError:
        raise NoteError("not UTF-8") from None
    if length > MAX_NOTE_BYTES or _FORBIDDEN.search(text):
        raise NoteError("too long, or with control characters")
    return text
