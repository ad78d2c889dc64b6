"""Turns the ledger's entries into messages. The log is the outbox.

Whatever changes a conversion, a dispute, a payout or a document appends its entry in the same transaction. So what is
to be told is known exactly when the change is committed, at no cost to it: a change that is rolled back has no entry,
and an entry that is committed enters the log, in whose order this follows it. Where it is, and the messages of what
lies before, are written by one transaction: each entry is turned into messages once, however often this dies or runs.
"""

from django.db import connection, transaction

from notifications.making import messages_between
from notifications.models import Endpoint, Message

BATCH = 5000
_LOCK = 0x52414B4F484F4F  # any fixed number; this one spells RAKOHOO

_AHEAD = """
SELECT coalesce((SELECT max(size) FROM ledger_head), 0), coalesce((SELECT next_index FROM notifications_position), 0)
"""
_MOVE_ON = """
INSERT INTO notifications_position (id, next_index) VALUES (1, %s)
ON CONFLICT (id) DO UPDATE SET next_index = excluded.next_index
"""


def follow_log(batch: int = BATCH) -> int:
    """Make the messages of the next entries of the log; how many entries were passed.

    One transaction at a time does it; for any other, and at the log's end, there is nothing to do.
    """
    size, done = _ahead()
    if size <= done:
        return 0
    with transaction.atomic(), connection.cursor() as cursor:
        if not take_turn():
            return 0
        size, done = _ahead()  # somebody may have gone on since
        endpoints = list(Endpoint.objects.filter(state=Endpoint.State.ENABLED).defer("secret", "old_secret"))
        until = min(size, done + batch) if endpoints else size
        if until > done:
            Message.objects.bulk_create(messages_between(done, until, endpoints), batch_size=1000)
            cursor.execute(_MOVE_ON, [until])
    return max(0, until - done)


def take_turn() -> bool:
    """Whether this transaction, until its end, is the only one that makes messages of the log."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        return bool(cursor.fetchone()[0])


def position() -> int:
    """How far the log was followed: the index of the first entry that was not."""
    return _ahead()[1]


def _ahead() -> tuple[int, int]:
    with connection.cursor() as cursor:
        cursor.execute(_AHEAD)
        size, done = cursor.fetchone()
        return int(size), int(done)
