"""Whether the log holds what it must, judged from the rows alone and with other code than the product's."""

from collections import Counter
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from django.db import connection

from tests.core.tlog.naive import NaiveTree

WIDTH = 256


def assert_sound(acknowledged: Iterable[str] = ()) -> int:
    """Every entry has one leaf, heads and tiles are those of the leaves, balances those of the postings; and whatever
    was acknowledged is an entry. Gives the size of the log."""
    entries = {row[0]: row[1:] for row in rows("SELECT id, entry_id, body FROM ledger_entry")}
    leaves = rows("SELECT index, entry_id, leaf_hash FROM ledger_leaf ORDER BY index")
    assert set(acknowledged) <= {entry_id for entry_id, _ in entries.values()}, "an acknowledged entry is gone"
    assert [index for index, _, _ in leaves] == list(range(len(leaves))), "the leaves have gaps"
    assert sorted(key for _, key, _ in leaves) == sorted(entries), "not every entry has one leaf"
    for index, key, leaf in leaves:
        assert bytes(leaf) == sha256(b"\0" + bytes(entries[key][1])).digest(), f"leaf {index} is not of its body"
    _assert_tree([bytes(leaf) for _, _, leaf in leaves])
    assert balances() == sums_of_postings()
    return len(leaves)


def _assert_tree(leaves: list[bytes]) -> None:
    tree = NaiveTree(leaves)
    heads = rows("SELECT size, root, created_at FROM ledger_head ORDER BY size")
    for size, root, _ in heads:
        assert bytes(root) == tree.root(0, size), f"the head at {size} has another root"
    assert [at for _, _, at in heads] == sorted({at for _, _, at in heads}), "time went back between two heads"
    assert (heads[-1][0] if heads else 0) == len(leaves), "the newest head is not of all leaves"
    tiles = {(level, index): (bytes(all_), bytes(root)) for level, index, all_, root in rows("TABLE ledger_tile")}
    expected, level, row = {}, 0, leaves
    while len(row) >= WIDTH:
        span = WIDTH ** (level + 1)
        roots = [tree.root(n * span, (n + 1) * span) for n in range(len(row) // WIDTH)]
        for index, root in enumerate(roots):
            expected[level, index] = b"".join(row[index * WIDTH : (index + 1) * WIDTH]), root
        level, row = level + 1, roots
    assert tiles == expected, "the tiles are not of the leaves"


def balances() -> dict[tuple[str, ...], int]:
    return {tuple(key): amount for *key, amount in rows("TABLE ledger_balance")}


def sums_of_postings() -> dict[tuple[str, ...], int]:
    sums: Counter[tuple[str, ...]] = Counter()
    for *key, amount in rows("SELECT account, owner_id, currency, amount_minor FROM ledger_posting"):
        sums[tuple(key)] += amount
    return dict(sums)


def rows(sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        return list(cursor.fetchall())
