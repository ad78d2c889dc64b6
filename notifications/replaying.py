"""Queues what an endpoint missed while it was disabled, by reading the log again for it alone.

Two numbers tell all there is to know. `missed_index` is where the log was, as far as it had been followed, when the
endpoint was disabled: all before is queued, for whoever followed the log had it among the enabled ones. Everything from
the log's position at any moment while it is enabled will be queued as it happens. What lies between is read here, in
short transactions that keep out whoever follows the log; what both should meet, PostgreSQL takes once.
"""

import logging
from datetime import datetime, timedelta

from django.db import InterfaceError, OperationalError, connection, transaction
from django.utils import timezone

from notifications.dispatching import position, take_turn
from notifications.making import messages_between
from notifications.models import Endpoint, Message, oldest_kept

log = logging.getLogger("rako.webhooks.out")

BATCH = 5000
# How far the clocks of those who ask and of PostgreSQL may differ: the moments of entries are compared exactly.
_SKEW = timedelta(minutes=10)
# All that was recorded at a time or later entered the log after the last head before it.
_INDEX_AT = "SELECT coalesce(max(size), 0) FROM ledger_head WHERE created_at < %s"
# Tried in one turn, by lot: nobody's range holds up those of others, however long it is or whatever is wrong with it.
_TRIED = 10


def index_at(moment: datetime) -> int:
    """An index of the log at or before the first entry that was recorded then or later."""
    with connection.cursor() as cursor:
        cursor.execute(_INDEX_AT, [moment - _SKEW])
        [[index]] = cursor.fetchall()
    return int(index)


def replay(batch: int = BATCH) -> int:
    """Queue what is next of what an endpoint missed; how many entries were passed. One that fails is left for later."""
    waiting = Endpoint.objects.filter(state=Endpoint.State.ENABLED, missed_index__isnull=False).order_by("?")
    for pk in waiting.values_list("pk", flat=True)[:_TRIED]:
        try:
            if passed := _replay(pk, batch):
                return passed
        except (OperationalError, InterfaceError):  # the database's, not the endpoint's
            raise
        except Exception:
            log.exception("endpoint %s is not told what it missed", pk)
    return 0


@transaction.atomic
def _replay(pk: str, batch: int) -> int:
    rows = Endpoint.objects.select_for_update(no_key=True, skip_locked=True, of=("self",)).defer("secret", "old_secret")
    endpoint = rows.filter(pk=pk, state=Endpoint.State.ENABLED, missed_index__isnull=False).first()
    if endpoint is None or not take_turn():
        return 0
    oldest = oldest_kept(timezone.now())
    start, end = endpoint.missed_index or 0, position()
    until = min(start + batch, end)
    if start < until:
        since = max(oldest, endpoint.missed_since or oldest)
        made = messages_between(start, until, [endpoint], since=since)
        Message.objects.bulk_create(made, batch_size=1000, ignore_conflicts=True)
    missed = {"missed_index": until} if until < end else {"missed_index": None, "missed_since": None}
    Endpoint.objects.filter(pk=pk).update(**missed)
    return max(1, until - start)  # even the last look is something that was done
