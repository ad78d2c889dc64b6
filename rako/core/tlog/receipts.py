"""Receipts: the log's promise, given at once, that an entry will be in the tree. A signed note of its own key name."""

from rako.core.tlog.encoding import encode_base64
from rako.core.tlog.hashing import HASH_SIZE


def receipt_name(origin: str) -> str:
    """The name of the keys that sign receipts; also a receipt's first line, so that it cannot pass as a checkpoint."""
    return f"{origin}/receipt"


def receipt_text(origin: str, entry_id: str, leaf_hash: bytes, recorded_at: str) -> str:
    """The text to sign: which entry, by id and leaf hash, was recorded when (as the entry's body spells it).

    Raises ValueError if a part would break its line.
    """
    lines = (receipt_name(origin), entry_id, encode_base64(leaf_hash), recorded_at)
    if len(leaf_hash) != HASH_SIZE or not all(lines) or any("\n" in line for line in lines):
        raise ValueError("not the parts of a receipt")
    return "".join(f"{line}\n" for line in lines)
