"""RFC 6962, section 2.1, as it is written there: recursive, slow, and with nothing in common with the tiles."""

from functools import cache
from hashlib import sha256


class NaiveTree:
    """The RFC's MTH, PATH and PROOF over leaf hashes. It remembers roots; else it could not end."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.leaves = leaves
        self.root = cache(self.root)

    def root(self, low: int, high: int) -> bytes:
        if low == high:
            return sha256(b"").digest()
        if high - low == 1:
            return self.leaves[low]
        k = split(high - low)
        return sha256(b"\x01" + self.root(low, low + k) + self.root(low + k, high)).digest()

    def path(self, index: int, low: int, high: int) -> list[bytes]:
        if high - low == 1:
            return []
        k = split(high - low)
        if index < k:
            return [*self.path(index, low, low + k), self.root(low + k, high)]
        return [*self.path(index - k, low + k, high), self.root(low, low + k)]

    def proof(self, old: int, low: int, high: int, is_whole: bool = True) -> list[bytes]:
        if old == high - low:
            return [] if is_whole else [self.root(low, high)]
        k = split(high - low)
        if old <= k:
            return [*self.proof(old, low, low + k, is_whole), self.root(low + k, high)]
        return [*self.proof(old - k, low + k, high, False), self.root(low, low + k)]


def split(n: int) -> int:
    """The largest power of two smaller than n."""
    k = 1
    while k * 2 < n:
        k *= 2
    return k
