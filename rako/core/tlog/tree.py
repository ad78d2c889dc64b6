"""The Merkle tree of RFC 6962 (section 2.1) over SHA-256, kept in tiles (C2SP tlog-tiles).

A tile holds up to 2^height neighbouring hashes of one level: level 0 has the leaf hashes, each level above has one hash
per *full* tile below. So full tiles never change, and all that ever moves is the edge: one incomplete tile per level.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from rako.core.tlog.hashing import EMPTY_ROOT, HASH_SIZE, joined_root, leaf_hash, node_hash, parents, subtree_root

__all__ = [
    "EMPTY_ROOT",
    "TILE_WIDTH",
    "Appender",
    "FullTile",
    "Tree",
    "TreeError",
    "edge_widths",
    "leaf_hash",
    "node_hash",
]

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT

Fetch = Callable[[int, int, int], bytes]


class TreeError(Exception):
    """The hashes given do not fit the size given, or the tree has no such leaf or older size."""


class FullTile(NamedTuple):
    """A completed tile: its place, its hashes one after the other, and their subtree's root. It never changes again."""

    level: int
    index: int  # type: ignore[assignment]  # a tile's index; nobody asks this tuple for tuple.index
    hashes: bytes
    root: bytes


def edge_widths(size: int, *, height: int = TILE_HEIGHT) -> list[int]:
    """How many hashes the incomplete tile of each level holds in a tree of `size` leaves, lowest level first."""
    widths = []
    while size > 0:
        widths.append(size % (1 << height))
        size >>= height
    return widths


class Appender:
    """The growing end of a tree: takes leaf hashes, gives back the tiles they complete, knows the root.

    It holds no more than the edge – less than 2^height hashes a level – and is restored from `size` and `edge`, where
    `edge[level]` is the level's incomplete tile. Raises TreeError if these contradict each other.
    """

    def __init__(self, size: int = 0, edge: Sequence[bytes] = (), *, height: int = TILE_HEIGHT) -> None:
        lengths = [width * HASH_SIZE for width in edge_widths(size, height=height)]
        padded = [bytes(tile) for tile in edge] + [b""] * (len(lengths) - len(edge))
        if size < 0 or [len(tile) for tile in padded[: len(lengths)]] != lengths or any(padded[len(lengths) :]):
            raise TreeError(f"The edge is not that of {size} leaves")
        self.size = size
        self._edge = padded[: len(lengths)]
        self._height = height

    @property
    def edge(self) -> list[bytes]:
        """Each level's incomplete tile, lowest first: what the next Appender starts from."""
        return list(self._edge)

    def append(self, hashes: Iterable[bytes]) -> list[FullTile]:
        """Add leaves and return the tiles they complete, the lowest level first, each level in order.

        Raises TreeError, and adds nothing, unless each hash has 32 bytes.
        """
        leaves = list(hashes)
        if not set(map(len, leaves)) <= {HASH_SIZE}:
            raise TreeError("A leaf hash has 32 bytes")
        completed: list[FullTile] = []
        level, pending = 0, b"".join(leaves)
        while pending:
            tiles = self._extend(level, pending)
            completed += tiles
            level, pending = level + 1, b"".join([tile.root for tile in tiles])
        self.size += len(leaves)
        return completed

    def root(self) -> bytes:
        """The root over all leaves so far."""
        return joined_root(self._edge)

    def _extend(self, level: int, hashes: bytes) -> list[FullTile]:
        if level == len(self._edge):
            self._edge.append(b"")
        run = self._edge[level] + hashes
        length = HASH_SIZE << self._height
        cut = len(run) - len(run) % length
        self._edge[level] = run[cut:]
        first = self.size >> self._height * (level + 1)
        pieces = [run[at : at + length] for at in range(0, cut, length)]
        return [FullTile(level, first + n, piece, subtree_root(piece)) for n, piece in enumerate(pieces)]


class Tree:
    """Reads roots and proofs of the first `size` leaves from stored tiles.

    `fetch(level, index, width)` gives the first `width` hashes of a tile, 32 bytes each; a tile has more of them than
    asked for when the stored tree is larger than `size`. Since a tile only ever grows at its end, cutting a full tile
    to `width` is right, and so any older size can be read from today's tiles. Each tile is fetched once per Tree: about
    five for a proof among a million leaves. Raises TreeError if fetch answers with another length.
    """

    def __init__(self, size: int, fetch: Fetch, *, height: int = TILE_HEIGHT) -> None:
        if size < 0:
            raise TreeError("A tree has no fewer than 0 leaves")
        self.size = size
        self._fetch = fetch
        self._height = height
        self._tiles: dict[tuple[int, int], list[bytes]] = {}

    def root(self) -> bytes:
        """The root of these leaves; EMPTY_ROOT if there are none."""
        return self._subtree(0, self.size) if self.size else EMPTY_ROOT

    def inclusion(self, index: int) -> list[bytes]:
        """The path from leaf `index` (from 0) to the root: RFC 6962, section 2.1.1. Raises TreeError if not a leaf."""
        if not 0 <= index < self.size:
            raise TreeError(f"No leaf {index} among {self.size}")
        path = []
        low, high = 0, self.size
        while high - low > 1:
            middle = low + _left_width(high - low)
            if index < middle:
                path.append((middle, high))
                high = middle
            else:
                path.append((low, middle))
                low = middle
        return [self._subtree(*span) for span in reversed(path)]

    def consistency(self, old_size: int) -> list[bytes]:
        """The proof that the first `old_size` leaves are still the same: RFC 6962, section 2.1.2.

        Empty when nothing needs proving: from size 0, or to the same size. Raises TreeError if `old_size` is larger.
        """
        if not 0 <= old_size <= self.size:
            raise TreeError(f"No older size {old_size} of {self.size}")
        path = []
        low, high = 0, self.size if old_size else 0
        while high > old_size:
            middle = low + _left_width(high - low)
            if old_size <= middle:
                path.append((middle, high))
                high = middle
            else:
                path.append((low, middle))
                low = middle
        if low:  # else the old tree is a whole subtree of the new one, and its root is known to whoever checks
            path.append((low, high))
        return [self._subtree(*span) for span in reversed(path)]

    def _subtree(self, low: int, high: int) -> bytes:
        """The root over the leaves from `low` up to `high`, which are a subtree of the RFC's recursive split."""
        width = high - low
        if width & (width - 1):
            middle = low + _left_width(width)
            return node_hash(self._subtree(low, middle), self._subtree(middle, high))
        rank = width.bit_length() - 1
        return self._perfect(rank, low >> rank)

    def _perfect(self, rank: int, number: int) -> bytes:
        """The root of the `number`-th subtree of 2^rank leaves."""
        level, rise = divmod(rank, self._height)
        tile, place = divmod(number, 1 << (self._height - rise))
        rows = self._rows(level, tile)
        while len(rows) <= rise:  # each row of a tile is hashed once, and only as far up as asked for
            rows.append(parents(rows[-1]))
        return rows[rise][place * HASH_SIZE : (place + 1) * HASH_SIZE]

    def _rows(self, level: int, index: int) -> list[bytes]:
        rows = self._tiles.get((level, index))
        if rows is None:
            width = min(1 << self._height, (self.size >> self._height * level) - (index << self._height))
            hashes = self._fetch(level, index, width)
            if len(hashes) != width * HASH_SIZE:
                raise TreeError(f"Tile {index} of level {level} has {len(hashes)} bytes instead of {width} hashes")
            rows = self._tiles[level, index] = [hashes]
        return rows


def _left_width(width: int) -> int:
    """How many of `width` leaves go left: the largest power of two below it."""
    return 1 << (width - 1).bit_length() - 1
