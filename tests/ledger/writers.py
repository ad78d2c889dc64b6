"""Transactions that a test moves on one step at a time, in any order."""

from random import Random

from django.db import connection

from tests.ledger.told import tell_in_bulk


class Writer:
    """A connection with transactions ahead of it, each of a few entries. Most end in COMMIT."""

    def __init__(self, number: int) -> None:
        self.ahead: list[int] = []
        self.kept: list[str] = []
        self._told, self._uncommitted = number * 1_000_000, list[str]()
        self._connection = connection.copy()
        self._connection.set_autocommit(False)

    def plan(self, chance: Random, transactions: int) -> None:
        self.ahead = [chance.randint(1, 4) for _ in range(transactions)]

    def step(self, chance: Random) -> None:
        """Tell the next entry of the transaction, or end it. Some have their id long before they write."""
        if not self._uncommitted and chance.random() < 0.3:
            with self._connection.cursor() as cursor:
                cursor.execute("SELECT pg_current_xact_id()")
        elif len(self._uncommitted) < self.ahead[0]:
            self._told += 1
            self._uncommitted += tell_in_bulk(1, first=self._told, using=self._connection)
        else:
            self._end(chance.random() < 0.8)

    def close(self) -> None:
        self._connection.close()

    def _end(self, commits: bool) -> None:
        if commits:
            self._connection.commit()
            self.kept += self._uncommitted
        else:
            self._connection.rollback()
        self._uncommitted = []
        self.ahead.pop(0)
