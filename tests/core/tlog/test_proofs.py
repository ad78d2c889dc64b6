"""A proof convinces only for its own leaf, place, size and root; its text has one spelling."""

import pytest

from rako.core.tlog.proofs import (
    MAX_PATH,
    Proof,
    ProofError,
    format_proof,
    parse_proof,
    verify_consistency,
    verify_inclusion,
)
from rako.core.tlog.tree import node_hash
from tests.core.tlog.naive import NaiveTree
from tests.core.tlog.stored_log import DEPTH, dice, make_leaves

SIZE = 24 * DEPTH
LEAVES = make_leaves(SIZE)
NAIVE = NaiveTree(LEAVES)
INCLUSIONS = [(index, size) for size in range(1, SIZE + 1) for index in range(size)]
CONSISTENCIES = [(old, size) for size in range(1, SIZE + 1) for old in range(1, size + 1)]
NOTE = "log.example\n1\nroot\n\n— log.example c2ln\n"


def flips(path: list[bytes], bits: int = 4 * DEPTH) -> list[list[bytes]]:
    """The path with one bit flipped: so many random bits of each hash, one at a time."""
    drawn = dice(len(path)).sample(range(256), min(bits, 256))
    flipped = [(n, (int.from_bytes(node) ^ 1 << bit).to_bytes(32)) for n, node in enumerate(path) for bit in drawn]
    return [[*path[:n], node, *path[n + 1 :]] for n, node in flipped]


def test_every_inclusion_proof_holds_and_no_flipped_bit_does():
    for index, size in INCLUSIONS:
        path, root = NAIVE.path(index, 0, size), NAIVE.root(0, size)

        assert verify_inclusion(LEAVES[index], index, size, path, root)
        assert not any(verify_inclusion(LEAVES[index], index, size, bad, root) for bad in flips(path))
        assert not any(verify_inclusion(leaf, index, size, path, root) for [leaf] in flips([LEAVES[index]]))


def test_every_consistency_proof_holds_and_no_flipped_bit_does():
    for old, size in CONSISTENCIES:
        path, old_root, root = NAIVE.proof(old, 0, size), NAIVE.root(0, old), NAIVE.root(0, size)

        assert verify_consistency(old, size, old_root, root, path)
        assert not any(verify_consistency(old, size, old_root, root, bad) for bad in flips(path))
        assert not any(verify_consistency(old, size, bad, root, path) for [bad] in flips([old_root]))
        assert not any(verify_consistency(old, size, old_root, bad, path) for [bad] in flips([root]))


def test_not_one_bit_of_a_path_is_idle():
    for index in range(21):
        path, proof = NAIVE.path(index, 0, 21), NAIVE.proof(index + 1, 0, 21)

        assert not any(verify_inclusion(LEAVES[index], index, 21, bad, NAIVE.root(0, 21)) for bad in flips(path, 256))
        assert not any(
            verify_consistency(index + 1, 21, NAIVE.root(0, index + 1), NAIVE.root(0, 21), bad)
            for bad in flips(proof, 256)
        )


def test_an_inclusion_proof_holds_at_no_other_place():
    for index, size in INCLUSIONS:
        path, root = NAIVE.path(index, 0, size), NAIVE.root(0, size)

        assert not any(
            verify_inclusion(LEAVES[index], other, size, path, root) for other in range(-1, size + 2) if other != index
        )


@pytest.mark.parametrize(("index", "size"), [(0, 0), (-1, 1), (1, 1), (0, -1), (7, 3)])
def test_no_leaf_is_outside_a_tree(index, size):
    assert not verify_inclusion(LEAVES[0], index, size, [], LEAVES[0])


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 1), (-1, 1), (2, 1), (-1, -1)])
def test_no_tree_continues_an_empty_or_larger_one(old, new):
    assert not verify_consistency(old, new, LEAVES[0], LEAVES[0], [])
    assert not verify_consistency(old, new, LEAVES[0], LEAVES[0], [LEAVES[0]])


def test_a_consistency_proof_holds_for_no_other_old_size():
    for old, size in CONSISTENCIES:
        path, old_root, root = NAIVE.proof(old, 0, size), NAIVE.root(0, old), NAIVE.root(0, size)

        assert not any(
            verify_consistency(other, size, old_root, root, path) for other in range(-1, size + 2) if other != old
        )


@pytest.mark.parametrize("change", ["append", "prepend", "drop_last", "drop_first", "swap", "shorten", "lengthen"])
def test_a_path_of_another_shape_is_refused(change):
    changed = {
        "append": lambda path: [*path, bytes(32)],
        "prepend": lambda path: [bytes(32), *path],
        "drop_last": lambda path: path[:-1],
        "drop_first": lambda path: path[1:],
        "swap": lambda path: [*path[:-2], path[-1], path[-2]],
        "shorten": lambda path: [*path[:-1], path[-1][:-1]],
        "lengthen": lambda path: [*path[:-1], path[-1] + b"\0"],
    }[change]

    for index, old, size in [(3, 5, 8), (5, 6, 7), (0, 3, 20), (19, 19, 20), (12, 13, 24)]:
        inclusion, consistency = changed(NAIVE.path(index, 0, size)), changed(NAIVE.proof(old, 0, size))

        assert not verify_consistency(old, size, NAIVE.root(0, old), NAIVE.root(0, size), consistency)
        assert not verify_inclusion(LEAVES[index], index, size, inclusion, NAIVE.root(0, size))


def test_a_root_above_the_root_convinces_nobody():
    """Garbage hashed onto the true root: right in itself, but the size leaves no room for it."""
    path, old_root, root = NAIVE.path(5, 0, 8), NAIVE.root(0, 8), NAIVE.root(0, 20)
    above, proof = node_hash(bytes(32), old_root), [*NAIVE.proof(8, 0, 20), bytes(32)]

    assert not verify_inclusion(LEAVES[5], 5, 8, [*path, bytes(32)], above)
    assert not verify_consistency(8, 20, above, node_hash(bytes(32), root), proof)


def test_a_tree_continues_itself_without_a_path_only():
    root = NAIVE.root(0, 8)

    assert verify_consistency(8, 8, root, root, [])
    assert not verify_consistency(8, 8, root, root, [root])
    assert not verify_consistency(8, 8, root, NAIVE.root(0, 7), [])


def test_the_border_between_two_hashes_cannot_be_moved():
    left, right = LEAVES[0], LEAVES[1]
    root = node_hash(left, right)

    assert verify_inclusion(right, 1, 2, [left], root)
    assert not verify_inclusion(right[1:], 1, 2, [left + right[:1]], root)
    assert not verify_consistency(1, 2, left[:-1], root, [left[-1:] + right])
    assert not verify_consistency(1, 1, b"", b"", [])


def test_a_proofs_text_is_the_specified_one():
    text = format_proof(73894, [bytes(32), b"\xff" * 32], NOTE, extra=b"extra data")

    assert text == (
        "c2sp.org/tlog-proof@v1\n"
        "extra ZXh0cmEgZGF0YQ==\n"
        "index 73894\n"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
        "//////////////////////////////////////////8=\n"
        "\n"
        "log.example\n1\nroot\n\n— log.example c2ln\n"
    )


@pytest.mark.parametrize("extra", [None, b"", b"\0\xff"])
@pytest.mark.parametrize("path", [(), tuple(make_leaves(1)), tuple(make_leaves(MAX_PATH))])
def test_a_proofs_text_is_read_back(path, extra):
    text = format_proof(0, path, NOTE, extra)

    assert parse_proof(text) == Proof(0, path, NOTE, extra)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "c2sp.org/tlog-proof@v1",
        "c2sp.org/tlog-proof@v1\n\n",
        f"c2sp.org/tlog-proof@v1\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v2\nindex 0\n\n{NOTE}",
        f" c2sp.org/tlog-proof@v1\nindex 0\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\r\nindex 0\r\n\r\n{NOTE}",
        "c2sp.org/tlog-proof@v1\nindex 0\n\n",
        "c2sp.org/tlog-proof@v1\nindex 0\nlog.example",
        f"c2sp.org/tlog-proof@v1\nindex 00\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex +1\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex -1\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex 1 \n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex ١\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex 9223372036854775808\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex 0\nextra AA==\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nextra A\nindex 0\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nextra AB==\nindex 0\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nextra AA==\nextra AA==\nindex 0\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex 0\nAA==\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex 0\n{'A' * 43}\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex 0\n{'A' * 42}B=\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex 0\n{'_' * 43}=\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex 0\n{('A' * 43 + '=' + chr(10)) * 64}\n{NOTE}",
    ],
)
def test_another_spelling_of_a_proof_is_refused(text):
    with pytest.raises(ProofError):
        parse_proof(text)


@pytest.mark.parametrize(("index", "path", "note"), [(-1, [], NOTE), (0, [b"x"], NOTE), (0, [], ""), (2**63, [], NOTE)])
def test_no_text_is_made_of_what_is_no_proof(index, path, note):
    with pytest.raises(ProofError):
        format_proof(index, path, note)
