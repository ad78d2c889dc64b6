"""Builds the tree anew from its leaves, in one pass, and gives its root at any size on the way.

Other code than the sequencer's, on purpose: a fault in that one would not be found by itself.
"""

from collections.abc import Iterable

from rako.core.tlog.hashing import EMPTY_ROOT, HASH_SIZE, node_hash, parents
from rako.core.tlog.tree import TILE_HEIGHT, TILE_WIDTH, FullTile


class Growth:
    """A tree that grows by leaf hashes. `edge` are the incomplete tiles of each level at `size`, to start from there.

    Every node is hashed once: roots are put together from rows that the tiles need anyway.
    """

    def __init__(self, size: int = 0, edge: Iterable[bytes] = ()) -> None:
        self.size = size
        self._edge = list(edge) or [b""]
        # The perfect subtrees of whole tiles, largest first: what lies left of the growing tile.
        self._left = [node for tile in reversed(self._edge[1:]) for node in reversed(_perfect(_rows(tile)))]

    def extend(self, hashes: list[bytes], sizes: Iterable[int] = ()) -> tuple[dict[int, bytes], list[FullTile]]:
        """Add leaves; gives the roots at those of `sizes` that were passed, and the tiles that were completed."""
        wanted, roots, tiles = sorted(sizes, reverse=True), {}, []
        done = 0
        while done < len(hashes):
            room = TILE_WIDTH - self.size % TILE_WIDTH
            part = hashes[done : done + room]
            done += len(part)
            rows = _rows(self._edge[0] + b"".join(part))
            start, self.size = self.size, self.size + len(part)
            while wanted and wanted[-1] <= self.size:
                size = wanted.pop()
                if size > start:
                    roots[size] = self._root(rows, size - start + len(self._edge[0]) // HASH_SIZE)
            self._edge[0] = rows[0]
            if len(part) == room:
                tiles += self._complete(rows)
        return roots, tiles

    def root(self) -> bytes:
        """The root over all leaves so far."""
        rows = _rows(self._edge[0])
        return self._root(rows, len(rows[0]) // HASH_SIZE)

    def _root(self, rows: list[bytes], width: int) -> bytes:
        root = b""
        for node in _perfect(rows, width) + self._left[::-1]:
            root = node_hash(node, root) if root else node
        return root or EMPTY_ROOT

    def _complete(self, rows: list[bytes]) -> list[FullTile]:
        """Take the lowest tile as done, and those above that it completes."""
        number = self.size // TILE_WIDTH - 1
        node = rows[TILE_HEIGHT]
        tiles = [FullTile(0, number, rows[0], node)]
        self._edge[0] = b""
        count = number
        while count & 1:
            node = node_hash(self._left.pop(), node)
            count >>= 1
        self._left.append(node)
        for level in range(1, len(self._edge) + 1):
            if level == len(self._edge):
                self._edge.append(b"")
            self._edge[level] += tiles[-1].root
            if len(self._edge[level]) < TILE_WIDTH * HASH_SIZE:
                break
            number >>= TILE_HEIGHT
            tiles.append(FullTile(level, number, self._edge[level], _rows(self._edge[level])[TILE_HEIGHT]))
            self._edge[level] = b""
        return tiles


def _rows(tile: bytes) -> list[bytes]:
    """The rows of a tile from its hashes up to its root; an incomplete one has rows of perfect subtrees only."""
    rows = [tile]
    for _ in range(TILE_HEIGHT):
        rows.append(parents(rows[-1]))
    return rows


def _perfect(rows: list[bytes], width: int | None = None) -> list[bytes]:
    """The perfect subtrees of the first `width` hashes of a tile, smallest first."""
    width = len(rows[0]) // HASH_SIZE if width is None else width
    numbers = ((row, (width >> rank) - 1) for rank, row in enumerate(rows) if width >> rank & 1)
    return [row[number * HASH_SIZE : (number + 1) * HASH_SIZE] for row, number in numbers]
