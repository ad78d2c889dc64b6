"""What the signer signed last, as a file that is either the old or the new one, whenever the power goes."""

import json
import os
from pathlib import Path
from typing import Any

from rako.core.tlog.checkpoints import Checkpoint, CheckpointError
from rako.core.tlog.encoding import decode_hash, encode_base64
from rako.core.tlog.hashing import EMPTY_ROOT


class Refused(Exception):
    """The signer will not sign. `reason` is one of the codes below, `size` the size it signed last, if it knows.

    shrunk, fork, inconsistent: the log contradicts what was signed – raise the alarm, sign nothing.
    stale: `old_size` is not the last size; ask `last` and prove it from there.
    lost_state, corrupt_state, wrong_origin: the folder is damaged or another log's; bring back the right one.
    """

    def __init__(self, reason: str, size: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.size = size


def read_state(path: Path, origin: str) -> Checkpoint:
    """The last checkpoint signed. Raises Refused: lost_state, corrupt_state or wrong_origin."""
    try:
        state = _parse(path.read_bytes())
    except FileNotFoundError:
        raise Refused("lost_state") from None
    except (ValueError, TypeError, KeyError, CheckpointError):
        raise Refused("corrupt_state") from None
    if state.origin != origin:
        raise Refused("wrong_origin")
    return state


def write_state(path: Path, state: Checkpoint) -> None:
    """Replace the state. When this returns, it is on the disk; only one process at a time may call it."""
    content = {"origin": state.origin, "size": state.size, "root": encode_base64(state.root)}
    draft = path.with_suffix(".tmp")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(json.dumps(content) + "\n")
        file.flush()
        os.fsync(descriptor)
    draft.rename(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder as safe as the files behind them."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _parse(content: bytes) -> Checkpoint:
    fields: dict[str, Any] = json.loads(content)
    if set(fields) != {"origin", "size", "root"} or type(fields["size"]) is not int:
        raise ValueError("not a signer's state")
    state = Checkpoint(fields["origin"], fields["size"], decode_hash(fields["root"]))
    if state.size == 0 and state.root != EMPTY_ROOT:
        raise ValueError("an empty log has one root only")
    return state
