"""The hashing of RFC 6962 (section 2.1): SHA-256, with a first byte that tells entries from inner nodes.

Several hashes in a row are one bytes object, 32 bytes each: that is how tiles are stored, and quick to hash.
"""

from collections.abc import Iterable
from hashlib import sha256

HASH_SIZE = 32
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """The hash of an entry. Its prefix differs from a node's, so that no entry can pose as a subtree."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two neighbouring subtrees."""
    return sha256(b"\x01" + left + right).digest()


def parents(row: bytes) -> bytes:
    """The row above: one hash per two neighbours. A last one without neighbour is left out."""
    hashed, prefix = sha256, b"\x01"  # local names: this line is where a log spends its time
    return b"".join([hashed(prefix + row[at : at + 64]).digest() for at in range(0, len(row) - 63, 64)])


def subtree_root(row: bytes) -> bytes:
    """The root over 2^n hashes."""
    while len(row) > HASH_SIZE:
        row = parents(row)
    return row


def joined_root(rows: Iterable[bytes]) -> bytes:
    """The root of a tree from its incomplete tiles, lowest level first: the perfect subtrees they end in, joined."""
    root = b""
    for tile in rows:
        row = tile
        while row:
            if len(row) % (2 * HASH_SIZE):
                last = row[-HASH_SIZE:]
                root = node_hash(last, root) if root else last
            row = parents(row)
    return root or EMPTY_ROOT
