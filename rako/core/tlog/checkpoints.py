"""Checkpoints (C2SP tlog-checkpoint): the log's size and root at one moment, as the text of a signed note.

<origin>
<size>
<base64 of the root>
"""

from collections.abc import Iterable
from dataclasses import dataclass

from rako.core.tlog.encoding import MAX_SIZE, decode_decimal, decode_hash, encode_base64
from rako.core.tlog.hashing import HASH_SIZE
from rako.core.tlog.notes import NoteError, Verifier, open_note


class CheckpointError(NoteError):
    """The text is no checkpoint, or not one of the log it should be of."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The first `size` entries of the log `origin` have this `root`. Raises CheckpointError if that cannot be said."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        lines = (self.origin, *self.extensions)
        if not all(lines) or any("\n" in line for line in lines):
            raise CheckpointError("an empty or broken line")
        if not 0 <= self.size <= MAX_SIZE or len(self.root) != HASH_SIZE:
            raise CheckpointError("no size or no root")

    @property
    def text(self) -> str:
        """What is signed, byte for byte."""
        return "".join(f"{line}\n" for line in (self.origin, self.size, encode_base64(self.root), *self.extensions))


def parse_checkpoint(text: str) -> Checkpoint:
    """Read a note's text. Raises CheckpointError unless `Checkpoint.text` would write these very bytes."""
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop() != "":
        raise CheckpointError("not a checkpoint")
    try:
        return Checkpoint(lines[0], decode_decimal(lines[1]), decode_hash(lines[2]), tuple(lines[3:]))
    except ValueError:
        raise CheckpointError("not a checkpoint") from None


def open_checkpoint(note: str, verifiers: Iterable[Verifier], origin: str) -> Checkpoint:
    """The checkpoint of a note that the log `origin` itself signed, under its origin as the key's name.

    Witnesses alone are not enough, even when their keys are among `verifiers`. Raises NoteError (CheckpointError if it
    is a checkpoint of another log); `open_note` tells which witnesses cosigned.
    """
    opened = open_note(note, verifiers)
    checkpoint = parse_checkpoint(opened.text)
    if checkpoint.origin != origin or origin not in opened.names:
        raise CheckpointError(f"not a checkpoint of {origin}")
    return checkpoint
