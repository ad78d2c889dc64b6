"""V1, V3, V4, V6: walks the log from leaf to leaf, and holds heads, tiles and words kept outside against what grows."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ledger.tree_store import appender_at, tree_of
from ledger.verification.entries import check_entry
from ledger.verification.findings import Report
from ledger.verification.growth import Growth
from ledger.verification.rows import leaves_at, query
from ledger.verification.spelling import leaves
from ledger.verification.times import Batches
from rako.core.tlog.hashing import HASH_SIZE
from rako.core.tlog.tree import FullTile, TreeError

CHUNK = 64 * 256
_SIZE = "SELECT count(*), coalesce(min(index), 0), coalesce(max(index), -1) + 1 FROM ledger_leaf"
_TILES = "SELECT index, hashes, root FROM ledger_tile WHERE level = %s AND index BETWEEN %s AND %s"
# A tile of a level spans 256^(level + 1) leaves.
_NO_TILES = (
    "SELECT level, index FROM ledger_tile WHERE level > 7 OR index < 0 OR index >= %s::bigint >> 8 * (level + 1)"
)


class Claim(NamedTuple):
    """Somebody's word, from outside the tables walked over, that the first `size` entries have this root."""

    subject: str
    size: int
    root: bytes


class Walk:
    """One pass over the leaves from `since` on. Iterate to the end: each step is a chunk, and gives its end."""

    def __init__(self, report: Report, *, since: int = 0, claims: Iterable[Claim] = ()) -> None:
        self._report = report
        self._claims = list(claims)
        self._growth: Growth | None = None  # None when the leaves cannot be followed
        self._batches = Batches(report, since)
        self.since = since
        count, lowest, size = query(_SIZE)[0]
        self.size: int = size
        if lowest < 0 or count > size:
            report.add("V1", f"leaf {lowest}", "leaves are counted from 0", lowest)

    @property
    def steps(self) -> int:
        """How many chunks there are."""
        return max(0, -(-(self.size - self.since) // CHUNK))

    def __iter__(self) -> Iterator[int]:
        self._start()
        for first in range(self.since, self.size, CHUNK):
            last = min(first + CHUNK, self.size)
            self._pass(first, last)
            yield last
        self._end()

    def _start(self) -> None:
        if self.since > self.size:
            self._report.add("V1", f"size {self.since}", f"the log has only {self.size} entries", self.size)
            return
        try:
            self._growth = Growth(self.since, appender_at(self.since).edge)
            for claim in self._claims:
                if claim.size <= self.since:
                    self._hold(claim, tree_of(claim.size).root())
        except TreeError as error:
            self._report.add("V4", f"size {self.since}", str(error), self.since)

    def _pass(self, first: int, last: int) -> None:
        """Read a chunk, let the tree grow by it, and judge what is said of the sizes on the way."""
        hashes, times = self._read(first, last)
        if self._growth is None:
            return
        heads = self._batches.heads(first, last)
        claims = [claim for claim in self._claims if first < claim.size <= last]
        sizes = {head.size for head in heads if head.size <= last} | {claim.size for claim in claims}
        roots, tiles = self._growth.extend(hashes, sizes)
        for head in heads:
            if head.size in roots and roots[head.size] != head.root:
                self._report.add("V3", f"head {head.size}", "is not the root of its leaves", head.size - 1)
        for claim in claims:
            self._hold(claim, roots[claim.size])
        self._batches.judge(heads, first, times)
        self._compare(tiles)

    def _read(self, first: int, last: int) -> tuple[list[bytes], list[str | None]]:
        """Check the entries of a chunk; gives their leaf hashes and times. Past a gap, nothing is said of the tree."""
        count = last - first
        hashes, found = [b""] * count, bytearray(count)
        times: list[str | None] = [None] * count
        odd: list[int] = []
        for index, leaf_hash, recorded_at, is_sound in leaves(first, last):
            place = index - first
            hashes[place], times[place], found[place] = leaf_hash, recorded_at, True
            if not is_sound:
                odd.append(index)
        for row in leaves_at(sorted(odd)):
            check_entry(row, self._report)
        for place in range(count):
            if not found[place] and (place == 0 or found[place - 1]):
                self._lose(first + place)
        self._report.tally("leaves", sum(found))
        if {len(leaf or b"") for leaf in hashes} != {HASH_SIZE}:  # found as V2
            self._growth = None
        return hashes, times

    def _lose(self, index: int) -> None:
        self._report.add("V1", f"leaf {index}", "is missing", index)
        self._growth = None

    def _hold(self, claim: Claim, root: bytes) -> None:
        if root != claim.root:
            detail = f"the first {claim.size} entries have another root: the log was rewritten"
            self._report.add("V6", claim.subject, detail, claim.size - 1)

    def _compare(self, tiles: list[FullTile]) -> None:
        """Hold completed tiles against those that are stored."""
        for level in sorted({tile.level for tile in tiles}):
            wanted = [tile for tile in tiles if tile.level == level]
            rows = query(_TILES, [level, wanted[0].index, wanted[-1].index])
            stored = {index: (bytes(hashes), bytes(root)) for index, hashes, root in rows}
            for tile in wanted:
                hashes, root = stored.get(tile.index, (b"", b""))
                if (hashes, root) != (tile.hashes, tile.root):
                    index = (tile.index << 8 | _first_difference(hashes, tile.hashes)) << 8 * level
                    self._report.add("V4", f"tile {level}/{tile.index}", "is missing or not of its leaves", index)

    def _end(self) -> None:
        """What speaks of more than there is, or leaves something out."""
        for claim in self._claims:
            if claim.size > self.size:
                detail = f"names {claim.size} entries, but the log has only {self.size}: it was truncated"
                self._report.add("V6", claim.subject, detail, self.size)
        (newest,) = query("SELECT coalesce(max(size), 0) FROM ledger_head")[0]
        if newest != self.size:
            self._report.add("V3", f"head {newest}", f"the newest head is not of all {self.size} leaves", newest)
        for level, index in query(_NO_TILES, [self.size]):
            self._report.add("V4", f"tile {level}/{index}", "the tree has no such full tile")


def _first_difference(stored: bytes, ours: bytes) -> int:
    """Which hash of a tile is the first that differs; 0 if only the tile's root does."""
    starts = range(0, len(ours), HASH_SIZE)
    return next((at // HASH_SIZE for at in starts if stored[at : at + HASH_SIZE] != ours[at : at + HASH_SIZE]), 0)
