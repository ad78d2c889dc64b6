"""Our trees and proofs against those of pymerkle, which someone else wrote.

Its inclusion paths begin with the leaf itself. Its consistency proofs are not the RFC's: past the end of the old tree
they go on down to a single leaf. Folding that descent gives the RFC's proof, made of pymerkle's hashes only.
"""

from functools import reduce

import pytest
from pymerkle import InmemoryTree
from pymerkle.proof import ConsistencyProof

from rako.core.tlog.proofs import verify_consistency, verify_inclusion
from rako.core.tlog.tree import leaf_hash
from tests.core.tlog.stored_log import DEPTH, StoredLog, dice

ENTRIES = [f"entry {number}".encode() * (number % 5) for number in range(400 * DEPTH)]
FOREIGN = InmemoryTree(algorithm="sha256")
OURS = StoredLog([leaf_hash(entry) for entry in ENTRIES])
_draw = dice(62)
_sizes = [*range(1, 20), 31, 32, 33, 255, 256, 257, *_draw.sample(range(20, len(ENTRIES)), 200 * DEPTH)]
INCLUSIONS = [(_draw.randrange(size), size) for size in _sizes]
CONSISTENCIES = [(_draw.randint(1, size), size) for size in _sizes]


@pytest.fixture(scope="module", autouse=True)
def _foreign_tree():
    FOREIGN.append_entries(ENTRIES)


def foreign_consistency(old: int, new: int) -> list[bytes]:
    """pymerkle's proof, its descent below the old tree folded."""
    proof: ConsistencyProof = FOREIGN.prove_consistency(old, new)
    if old == new:
        return []
    below = proof.subset.index(1)
    rest = reduce(FOREIGN.hash_pair, proof.path[1:below], proof.path[0])
    is_whole_left = sum(proof.subset) == 1
    return [rest, *proof.path[below + 1 :]] if is_whole_left else [proof.path[below], rest, *proof.path[below + 1 :]]


def test_over_200_roots_are_the_same():
    assert [OURS.tree(size).root() for size in _sizes] == [FOREIGN.get_root(size) for size in _sizes]
    assert len(_sizes) > 200


def test_over_200_inclusion_paths_are_the_same_and_hold():
    for index, size in INCLUSIONS:
        path = OURS.tree(size).inclusion(index)

        assert path == FOREIGN.prove_inclusion(index + 1, size).path[1:]
        assert verify_inclusion(leaf_hash(ENTRIES[index]), index, size, path, FOREIGN.get_root(size))


def test_over_200_consistency_proofs_are_the_same_and_hold():
    for old, new in CONSISTENCIES:
        path = OURS.tree(new).consistency(old)

        assert path == foreign_consistency(old, new), (old, new)
        assert verify_consistency(old, new, FOREIGN.get_root(old), FOREIGN.get_root(new), path)


# What a liar may change in (leaf, index, size, path, root); each must break the proof.
INCLUSION_LIES = {
    "other leaf": lambda leaf, index, size, path, root: (leaf_hash(b"other"), index, size, path, root),
    "no leaf": lambda leaf, index, size, path, root: (b"", index, size, path, root),
    "root as leaf": lambda leaf, index, size, path, root: (root, index, size, path, root),
    "index - 1": lambda leaf, index, size, path, root: (leaf, index - 1, size, path, root),
    "index + 1": lambda leaf, index, size, path, root: (leaf, index + 1, size, path, root),
    "index ^ 2": lambda leaf, index, size, path, root: (leaf, index ^ 2, size, path, root),
    "size * 2": lambda leaf, index, size, path, root: (leaf, index, size * 2, path, root),
    "size // 2": lambda leaf, index, size, path, root: (leaf, index, size // 2, path, root),
    "size 0": lambda leaf, index, size, path, root: (leaf, index, 0, path, root),
    "other root": lambda leaf, index, size, path, root: (leaf, index, size, path, leaf_hash(root)),
    "trailing garbage": lambda leaf, index, size, path, root: (leaf, index, size, [*path, bytes(32)], root),
    "trailing root": lambda leaf, index, size, path, root: (leaf, index, size, [*path, root], root),
    "preceding leaf": lambda leaf, index, size, path, root: (leaf, index, size, [leaf, *path], root),
    "empty hash": lambda leaf, index, size, path, root: (leaf, index, size, [*path, b""], root),
    "truncated": lambda leaf, index, size, path, root: (leaf, index, size, path[:-1], root),
    "no path": lambda leaf, index, size, path, root: (leaf, index, size, [], root),
    "cut hash": lambda leaf, index, size, path, root: (leaf, index, size, [path[0][:31], *path[1:]], root),
    "joined hashes": lambda leaf, index, size, path, root: (leaf, index, size, [b"".join([*path, leaf])], root),
}

# The same for (old size, new size, old root, new root, path).
CONSISTENCY_LIES = {
    "old size 0": lambda old, new, old_root, root, path: (0, new, old_root, root, path),
    "old size - 1": lambda old, new, old_root, root, path: (old - 1, new, old_root, root, path),
    "old size + 1": lambda old, new, old_root, root, path: (old + 1, new, old_root, root, path),
    "old size ^ 2": lambda old, new, old_root, root, path: (old ^ 2, new, old_root, root, path),
    "new size * 2": lambda old, new, old_root, root, path: (old, new * 2, old_root, root, path),
    "new size // 2": lambda old, new, old_root, root, path: (old, new // 2, old_root, root, path),
    "sizes swapped": lambda old, new, old_root, root, path: (new, old, old_root, root, path),
    "same size": lambda old, new, old_root, root, path: (new, new, old_root, root, path),
    "roots swapped": lambda old, new, old_root, root, path: (old, new, root, old_root, path),
    "other old root": lambda old, new, old_root, root, path: (old, new, leaf_hash(old_root), root, path),
    "other root": lambda old, new, old_root, root, path: (old, new, old_root, leaf_hash(root), path),
    "trailing garbage": lambda old, new, old_root, root, path: (old, new, old_root, root, [*path, bytes(32)]),
    "trailing root": lambda old, new, old_root, root, path: (old, new, old_root, root, [*path, root]),
    "preceding root": lambda old, new, old_root, root, path: (old, new, old_root, root, [old_root, *path]),
    "truncated": lambda old, new, old_root, root, path: (old, new, old_root, root, path[:-1]),
    "no path": lambda old, new, old_root, root, path: (old, new, old_root, root, []),
    "cut hash": lambda old, new, old_root, root, path: (old, new, old_root, root, [path[0][:31], *path[1:]]),
    "joined hashes": lambda old, new, old_root, root, path: (old, new, old_root, root, [b"".join(path), bytes(32)]),
}


@pytest.mark.parametrize("lie", INCLUSION_LIES)
def test_a_false_inclusion_is_refused(lie):
    for index, size in [case for case in INCLUSIONS if case[1] > 2]:
        truth = (leaf_hash(ENTRIES[index]), index, size, OURS.tree(size).inclusion(index), OURS.tree(size).root())

        assert not verify_inclusion(*INCLUSION_LIES[lie](*truth)), (index, size)


@pytest.mark.parametrize("lie", CONSISTENCY_LIES)
def test_a_false_consistency_is_refused(lie):
    for old, new in [case for case in CONSISTENCIES if case[0] < case[1]]:
        truth = (old, new, OURS.tree(old).root(), OURS.tree(new).root(), OURS.tree(new).consistency(old))

        assert not verify_consistency(*CONSISTENCY_LIES[lie](*truth)), (old, new)
