"""The tree as the verification builds it is the one of RFC 6962, at every size and from every size on."""

import hashlib
import random

import pytest

from ledger.verification.growth import Growth
from rako.core.tlog.tree import Appender

LEAVES = [hashlib.sha256(str(number).encode()).digest() for number in range(70_000)]


def test_every_size_has_its_root():
    roots, _ = Growth().extend(LEAVES[:600], range(1, 601))

    kernel = Appender()
    for size, leaf in enumerate(LEAVES[:600], 1):
        kernel.append([leaf])
        assert roots[size] == kernel.root()


@pytest.mark.parametrize("size", [1, 255, 256, 257, 511, 65_535, 65_536, 66_000])
def test_it_grows_on_from_any_size(size):
    kernel = Appender()
    kernel.append(LEAVES[:size])
    growth = Growth(size, kernel.edge)
    assert growth.root() == kernel.root()

    roots, tiles = growth.extend(LEAVES[size:], [size + 1, 70_000])

    assert sorted(tiles) == sorted(kernel.append(LEAVES[size:]))
    assert roots[70_000] == growth.root() == kernel.root()


def test_however_it_is_cut_it_is_the_same_tree():
    chance = random.Random(7)  # noqa: S311  # repeatable, not secret
    growth, tiles, done = Growth(), [], 0

    while done < len(LEAVES):
        part = LEAVES[done : done + chance.choice([1, 100, 256, 300, 16_384])]
        tiles += growth.extend(part)[1]
        done += len(part)

    kernel = Appender()
    assert sorted(tiles) == sorted(kernel.append(LEAVES))
    assert (growth.size, growth.root()) == (kernel.size, kernel.root())
