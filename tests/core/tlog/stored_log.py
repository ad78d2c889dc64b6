"""A log in memory as a database would store it: full tiles for ever, and the edge."""

import os
import random
from hashlib import sha256

from rako.core.tlog.tree import Appender, Tree, leaf_hash

# Multiplies the sizes of the slower tests; the default takes seconds.
DEPTH = int(os.environ.get("RAKO_TEST_DEPTH", "1"))


def dice(seed: int) -> random.Random:
    """Chance that repeats itself, so that a failure can too."""
    return random.Random(seed)  # noqa: S311


def make_leaves(count: int, branch: str = "") -> list[bytes]:
    return [leaf_hash(sha256(f"{branch}{number}".encode()).digest()) for number in range(count)]


class StoredLog:
    def __init__(self, leaves: list[bytes], *, height: int = 8) -> None:
        self.height = height
        self.appender = Appender(height=height)
        self.tiles: dict[tuple[int, int], bytes] = {}
        self.fetches: list[tuple[int, int, int]] = []
        self.append(leaves)

    def append(self, leaves: list[bytes]) -> None:
        for tile in self.appender.append(leaves):
            assert (tile.level, tile.index) not in self.tiles, "a full tile was written twice"
            self.tiles[tile.level, tile.index] = tile.hashes

    def fetch(self, level: int, index: int, width: int) -> bytes:
        self.fetches.append((level, index, width))
        tile = self.tiles.get((level, index))
        return (self.appender.edge[level] if tile is None else tile)[: width * 32]

    def tree(self, size: int | None = None) -> Tree:
        return Tree(self.appender.size if size is None else size, self.fetch, height=self.height)
