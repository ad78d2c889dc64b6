"""The stored tree: tiles and leaves as the kernel reads them, and proofs for entries."""

from django.db import connection

from rako.core.tlog.tree import TILE_WIDTH, Appender, Tree, edge_widths

_HASH = 32


def fetch(level: int, index: int, width: int) -> bytes:
    """The first `width` hashes of a tile, 32 bytes each; fewer if the stored tree has not so many."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT hashes FROM ledger_tile WHERE level = %s AND index = %s", [level, index])
        row = cursor.fetchone()
    if row is not None:
        return bytes(row[0])[: width * _HASH]
    return hashes(level, index * TILE_WIDTH, width)


def hashes(level: int, start: int, count: int) -> bytes:
    """Up to `count` hashes of a level from `start` on: leaves, or the roots of the full tiles below."""
    sql = "SELECT leaf_hash FROM ledger_leaf WHERE index >= %s AND index < %s ORDER BY index"
    values = [start, start + count]
    if level:
        sql = "SELECT root FROM ledger_tile WHERE level = %s AND index >= %s AND index < %s ORDER BY index"
        values = [level - 1, *values]
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return b"".join(bytes(row[0]) for row in cursor.fetchall())


def tree_of(size: int) -> Tree:
    """The tree of the first `size` entries, for roots and proofs."""
    return Tree(size, fetch)


def appender_at(size: int) -> Appender:
    """The growing end of the tree of `size` entries. Raises TreeError if leaves or tiles are missing."""
    edge = [
        hashes(level, (size >> 8 * (level + 1)) * TILE_WIDTH, width) for level, width in enumerate(edge_widths(size))
    ]
    return Appender(size, edge)
