"""One flipped bit, anywhere in the stored log, is found (R24). RAKO_TEST_DEPTH=10 flips a thousand."""

import os
import random
from typing import NamedTuple

import pytest
from django.db import connection

from ledger.verification.run import Scope, verify
from tests.ledger.tampering import as_superuser, log, rows, signer, undone

__all__ = ["log", "signer"]

DEPTH = int(os.environ.get("RAKO_TEST_DEPTH", "1"))
FLIPS = 13 * DEPTH


class Field(NamedTuple):
    """A column of bytes, text or numbers, and what names its row."""

    table: str
    column: str
    key: str


PLACES = [
    Field("ledger_entry", "body", "id"),
    Field("ledger_leaf", "leaf_hash", "index"),
    Field("ledger_tile", "hashes", "level"),
    Field("ledger_tile", "root", "level"),
    Field("ledger_posting", "amount_minor", "entry_id * 10 + place"),
    Field("ledger_head", "root", "size"),
    Field("ledger_checkpoint", "note", "size"),
    Field("ledger_opening", "content", "entry_id::text || party"),
]


def flipped(value, chance):
    """The value with one bit changed; None if PostgreSQL could not store it."""
    if isinstance(value, int):
        return value ^ 1 << chance.randrange(62) or None
    raw = bytearray(value.encode() if isinstance(value, str) else value)
    raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
    if not isinstance(value, str):
        return bytes(raw)
    try:
        return None if 0 in raw else raw.decode()
    except UnicodeDecodeError:
        return None


def flip(place, chance):
    """Flip a bit of one row; gives what was done."""
    stored = rows(f"SELECT {place.key}, {place.column} FROM {place.table} ORDER BY 1")
    key, value = chance.choice(stored)
    damaged = None
    while damaged is None:
        damaged = flipped(bytes(value) if isinstance(value, memoryview) else value, chance)

    def write():
        with connection.cursor() as cursor:
            cursor.execute(f"UPDATE {place.table} SET {place.column} = %s WHERE {place.key} = %s", [damaged, key])
            assert cursor.rowcount == 1

    as_superuser(write)
    return f"{place.table}.{place.column} of {key}: {value!r} -> {damaged!r}"


@pytest.mark.parametrize("place", PLACES, ids=lambda place: f"{place.table}.{place.column}")
def test_a_flipped_bit_is_found(signer, place):
    seed = random.SystemRandom().randrange(2**32)
    chance = random.Random(seed)  # noqa: S311  # repeatable, not secret
    missed = []

    for _ in range(FLIPS):
        with undone():
            done = flip(place, chance)
            if verify(Scope()).is_sound:
                missed.append(done)

    assert missed == [], f"seed {seed}"
