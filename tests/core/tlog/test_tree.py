"""The tiled tree equals the RFC's recursion, at any size and in any batches."""

from itertools import pairwise

import pytest

from rako.core.tlog.tree import EMPTY_ROOT, TILE_WIDTH, Appender, Tree, TreeError, edge_widths, node_hash
from tests.core.tlog.naive import NaiveTree
from tests.core.tlog.stored_log import DEPTH, StoredLog, dice, make_leaves

LEAVES = make_leaves(300 * DEPTH)
NAIVE = NaiveTree(LEAVES)
HEIGHTS = (1, 2, 3, 8)


def some(size: int, *, also: tuple[int, ...] = ()) -> list[int]:
    """A few numbers below `size` – all of them when the tests run deep – and always those where subtrees end."""
    if DEPTH > 1:
        return list(range(size))
    drawn = dice(size).sample(range(size), min(size, 4))
    return sorted({*drawn, *(number for number in (0, size // 2, size - 1, *also) if 0 <= number < size)})


@pytest.mark.parametrize("height", HEIGHTS)
def test_every_root_equals_the_recursion(height):
    log = StoredLog(LEAVES, height=height)

    roots = [log.tree(size).root() for size in range(301)]

    assert roots == [NAIVE.root(0, size) for size in range(301)]


@pytest.mark.parametrize("height", HEIGHTS)
def test_every_inclusion_path_equals_the_recursion(height):
    log = StoredLog(LEAVES, height=height)

    wrong = [
        (size, index)
        for size in range(1, 301)
        for tree in [log.tree(size)]
        for index in some(size, also=(1, 255, 256))
        if tree.inclusion(index) != NAIVE.path(index, 0, size)
    ]

    assert wrong == []


@pytest.mark.parametrize("height", HEIGHTS)
def test_every_consistency_proof_equals_the_recursion(height):
    log = StoredLog(LEAVES, height=height)

    wrong = [
        (old, size)
        for size in range(1, 301)
        for tree in [log.tree(size)]
        for old in [number + 1 for number in some(size, also=(1, 127, 255))]
        if tree.consistency(old) != NAIVE.proof(old, 0, size)
    ]

    assert wrong == []


@pytest.mark.parametrize("height", HEIGHTS)
def test_the_appender_knows_root_and_edge_after_any_batch(height):
    appender, draw = Appender(height=height), dice(height)

    while appender.size < 300:
        appender.append(LEAVES[appender.size : min(300, appender.size + draw.randrange(40))])

        assert appender.root() == NAIVE.root(0, appender.size)
        assert [len(tile) // 32 for tile in appender.edge] == edge_widths(appender.size, height=height)


@pytest.mark.parametrize("height", HEIGHTS)
def test_batches_do_not_change_what_is_stored(height):
    at_once, by_parts, draw = StoredLog(LEAVES, height=height), StoredLog([], height=height), dice(height)

    while by_parts.appender.size < len(LEAVES):
        start = by_parts.appender.size
        by_parts.append(LEAVES[start : start + draw.randrange(1, 50)])

    assert (by_parts.tiles, by_parts.appender.edge) == (at_once.tiles, at_once.appender.edge)


def test_an_appender_goes_on_from_size_and_edge():
    first, whole = Appender(height=2), Appender(height=2)
    first.append(LEAVES[:77])
    whole.append(LEAVES[:77])

    second = Appender(first.size, first.edge, height=2)

    assert second.append(LEAVES[77:300]) == whole.append(LEAVES[77:300])
    assert (second.size, second.root()) == (300, NAIVE.root(0, 300))


def test_completed_tiles_come_lowest_level_first_and_in_order():
    tiles = Appender(height=1).append(LEAVES[:8])

    assert [(tile.level, tile.index) for tile in tiles] == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (2, 0)]
    assert tiles[4] == (1, 0, tiles[0].root + tiles[1].root, node_hash(tiles[0].root, tiles[1].root))


def test_a_tile_is_256_hashes_wide_and_leaves_its_root_one_level_up():
    appender = Appender()

    (tile,) = appender.append(LEAVES[: TILE_WIDTH + 1])

    assert (tile.hashes, tile.root) == (b"".join(LEAVES[:256]), NAIVE.root(0, 256))
    assert appender.edge == [LEAVES[256], tile.root]


def test_no_leaves_have_the_root_of_nothing():
    assert Appender().root() == Tree(0, StoredLog([]).fetch).root() == EMPTY_ROOT
    assert Appender().append([]) == []


@pytest.mark.parametrize("hashes", [[b""], [bytes(31)], [bytes(33)], [bytes(31), bytes(33)], [bytes(64)]])
def test_a_hash_of_another_length_is_refused_and_adds_nothing(hashes):
    appender = Appender()
    appender.append(LEAVES[:3])

    with pytest.raises(TreeError):
        appender.append([LEAVES[3], *hashes])

    assert (appender.size, appender.root()) == (3, NAIVE.root(0, 3))


@pytest.mark.parametrize(
    ("size", "edge"),
    [(-1, []), (1, []), (0, [bytes(32)]), (3, [bytes(64)]), (256, [bytes(32)]), (2, [bytes(64), bytes(32)])],
)
def test_an_edge_that_contradicts_the_size_is_refused(size, edge):
    with pytest.raises(TreeError):
        Appender(size, edge)


@pytest.mark.parametrize("answer", [b"", bytes(31), bytes(32 * 9), bytes(32 * 11)])
def test_a_tile_of_another_width_is_refused(answer):
    with pytest.raises(TreeError):
        Tree(10, lambda level, index, width: answer).root()


@pytest.mark.parametrize("index", [-1, 10, 11])
def test_there_is_no_path_to_a_leaf_that_is_not_there(index):
    with pytest.raises(TreeError):
        StoredLog(LEAVES[:10]).tree().inclusion(index)


@pytest.mark.parametrize("old_size", [-1, 11])
def test_there_is_no_proof_from_a_larger_tree(old_size):
    with pytest.raises(TreeError):
        StoredLog(LEAVES[:10]).tree().consistency(old_size)


@pytest.mark.parametrize("old_size", [0, 10])
def test_nothing_is_to_prove_from_nothing_or_to_oneself(old_size):
    assert StoredLog(LEAVES[:10]).tree().consistency(old_size) == []


def test_a_proof_in_a_large_tree_reads_few_tiles_and_each_once():
    log = StoredLog(make_leaves(70_000))

    for old, new in pairwise(sorted(dice(1).sample(range(1, 70_000), 30))):
        log.fetches.clear()
        tree = log.tree()
        tree.inclusion(old), tree.consistency(new)

        assert len(set(log.fetches)) == len(log.fetches) <= 7
