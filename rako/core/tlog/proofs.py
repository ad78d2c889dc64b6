"""Checking proofs (RFC 9162, sections 2.1.3.2 and 2.1.4.2), and the text in which a party keeps one (C2SP tlog-proof).

The checks need no tree and no trust: hashes in, yes or no out. Whatever is malformed is a no.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rako.core.tlog.encoding import decode_base64, decode_decimal, decode_hash, encode_base64
from rako.core.tlog.hashing import HASH_SIZE, node_hash

HEADER = "c2sp.org/tlog-proof@v1"
MAX_PATH = 63  # a path is never longer than the bits of the largest size


class ProofError(ValueError):
    """The text is no proof of C2SP tlog-proof, or its parts cannot make one."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What a proof's text says. Nothing is verified: open the checkpoint, then check the path against its root.

    `extra` is not covered by any signature.
    """

    index: int
    path: tuple[bytes, ...]
    checkpoint_note: str
    extra: bytes | None = None


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether the leaf hash stands at `index` (from 0) among the `size` leaves under `root`."""
    if not 0 <= index < size or not _are_hashes([leaf, root, *path]):
        return False
    place, last, found = index, size - 1, leaf
    for sibling in path:
        if last == 0:  # already at the root: hashes that nobody asked for
            return False
        if place & 1 or place == last:
            found = node_hash(sibling, found)
            place, last = _past_lone_nodes(place, last)
        else:
            found = node_hash(found, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and found == root


def verify_consistency(old_size: int, new_size: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> bool:
    """Whether the tree of `new_size` leaves begins with the tree of `old_size`. No proof is from an empty tree."""
    if not 0 < old_size <= new_size or not _are_hashes([old_root, new_root, *path]):
        return False
    if old_size == new_size:
        return not path and old_root == new_root
    # The old root is left out of the path when the old tree is a whole subtree of the new one.
    hashes = [old_root, *path] if old_size & (old_size - 1) == 0 else list(path)
    if not path:
        return False
    place, last = _past_right_edge(old_size - 1, new_size - 1)
    old = new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            place, last = _past_lone_nodes(place, last)
        else:
            new = node_hash(new, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and old == old_root and new == new_root


def format_proof(index: int, path: Sequence[bytes], checkpoint_note: str, extra: bytes | None = None) -> str:
    """The proof's text: works offline, next to the log's key. Raises ProofError if the parts cannot make one."""
    lines = [HEADER]
    if extra is not None:
        lines.append(f"extra {encode_base64(extra)}")
    lines += [f"index {index}", *map(encode_base64, path), "", checkpoint_note]
    text = "\n".join(lines)
    if parse_proof(text) != Proof(index, tuple(path), checkpoint_note, extra):
        raise ProofError("these are not the parts of a proof")
    return text


def parse_proof(text: str) -> Proof:
    """Read a proof's text. Raises ProofError unless `format_proof` would write these very bytes."""
    head, blank, checkpoint_note = text.partition("\n\n")
    header, *lines = head.split("\n")
    if header != HEADER or not blank or not checkpoint_note:
        raise ProofError("not a tlog-proof of version 1")
    try:
        extra = decode_base64(lines.pop(0).removeprefix("extra ")) if lines and lines[0].startswith("extra ") else None
        if not lines or not lines[0].startswith("index ") or len(lines) > 1 + MAX_PATH:
            raise ProofError("no index, or a path of no possible length")
        index = decode_decimal(lines[0].removeprefix("index "))
        return Proof(index, tuple(map(decode_hash, lines[1:])), checkpoint_note, extra)
    except ValueError as error:
        raise ProofError(str(error)) from None


def _are_hashes(values: Sequence[bytes]) -> bool:
    return all(len(value) == HASH_SIZE for value in values)


def _past_lone_nodes(place: int, last: int) -> tuple[int, int]:
    """Climb while the node is the last of its row and has no sibling: the row above repeats it unhashed."""
    while place and not place & 1:
        place, last = place >> 1, last >> 1
    return place, last


def _past_right_edge(place: int, last: int) -> tuple[int, int]:
    """Climb while the node is a right child: to the root of the largest subtree that ends where the old tree ends."""
    while place & 1:
        place, last = place >> 1, last >> 1
    return place, last
