"""The only hand that signs checkpoints: it remembers what it signed last, outside the database.

A database restored from a backup, rolled back or rewritten looks whole from inside. The signer's folder – on another
disk or host, if it is to be worth something – holds the private key and the last signed size and root, and nothing is
signed unless a consistency proof leads there from it.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from rako.core.tlog.checkpoints import Checkpoint
from rako.core.tlog.hashing import EMPTY_ROOT
from rako.core.tlog.notes import NoteSigner
from rako.core.tlog.proofs import verify_consistency
from rako.core.tlog.signer_state import Refused, read_state, sync_folder, write_state

__all__ = ["Refused", "Signer"]
KEY, STATE, LOCK = "key", "state.json", "lock"


class Signer:
    """Signs the checkpoints of one log, never two that contradict each other. Any number of processes may share it.

    Raises FileNotFoundError if the folder has no key: `Signer.create` makes one, and nothing else does.
    """

    def __init__(self, folder: Path, origin: str) -> None:
        key = load_pem_private_key((folder / KEY).read_bytes(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise TypeError("the key is not an Ed25519 key")
        self._folder, self._origin = folder, origin
        self._notes = NoteSigner(origin, key)

    @classmethod
    def create(cls, folder: Path, origin: str) -> "Signer":
        """Make the key and the state of an empty log. Raises FileExistsError if the folder has either already."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        with _locked(folder):
            if (folder / STATE).exists():  # of a lost key: what it signed must not be forgotten
                raise FileExistsError(folder / STATE)
            _write_key(folder / KEY)
            write_state(folder / STATE, Checkpoint(origin, 0, EMPTY_ROOT))
        return cls(folder, origin)

    @property
    def vkey(self) -> str:
        """The public half, for whoever opens the checkpoints."""
        return self._notes.vkey

    @property
    def last(self) -> tuple[int, bytes]:
        """Size and root of the last checkpoint signed; size 0 before the first. Raises Refused if they are lost."""
        state = read_state(self._folder / STATE, self._origin)
        return state.size, state.root

    def sign(self, checkpoint_size: int, root: bytes, consistency_path: Sequence[bytes], *, old_size: int) -> str:
        """The signed checkpoint of this size and root, as a note.

        `consistency_path` proves that it continues the checkpoint of `old_size`, the last one signed (empty if that is
        0). Asking again for the last one gives the same bytes, whatever the path. Raises Refused, and then remembers
        nothing, if it would contradict what was signed; CheckpointError if it is no checkpoint.
        """
        wanted = Checkpoint(self._origin, checkpoint_size, root)
        with _locked(self._folder):
            last = read_state(self._folder / STATE, self._origin)
            if wanted != last:
                _refuse_contradiction(last, wanted, consistency_path, old_size)
                write_state(self._folder / STATE, wanted)
            # Also for a repeated one: whoever wrote it may have died before its name was safe on the disk.
            sync_folder(self._folder)
            return self._notes.sign(wanted.text)


def _refuse_contradiction(last: Checkpoint, wanted: Checkpoint, path: Sequence[bytes], old_size: int) -> None:
    if wanted.size == last.size:
        raise Refused("fork", last.size)
    if old_size != last.size:  # before `shrunk`: someone else signed meanwhile, which happens and harms nobody
        raise Refused("stale", last.size)
    if wanted.size < last.size:
        raise Refused("shrunk", last.size)
    proven = verify_consistency(last.size, wanted.size, last.root, wanted.root, path) if last.size else not path
    if not proven:
        raise Refused("inconsistent", last.size)


def _write_key(path: Path) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # exclusive: a key is never replaced
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(descriptor)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One signer at a time, over all processes and threads. The kernel lets go when a process dies."""
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
