"""Which time a run reads, and from where a run that was cut short goes on."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import Min
from django.utils import timezone

from checkout.models import ReadingPosition
from merchants.models import Connection

# What is younger may still be on its way to us.
SETTLED_AFTER = timedelta(minutes=10)
# A payment is created before it is paid, sometimes days before.
OVERLAP = timedelta(hours=48)
SWEEP = timedelta(days=35)
LONG_SWEEP = timedelta(days=120)  # disputes come late


class Window(NamedTuple):
    """Objects created in [since, until)."""

    since: datetime
    until: datetime


class Reading:
    """One list in one window: from which page to go on, and whether it was read whole.

    Another run may have taken the connection to another window meanwhile. Its position is left alone then: a cursor of
    one window would have the next run in another jump over what nobody read.
    """

    def __init__(self, position: ReadingPosition, window: Window) -> None:
        self.window = window
        self.cursor = position.cursor
        self._position = ReadingPosition.objects.filter(pk=position.pk, since=window.since, until=window.until)

    def turn(self, cursor: str) -> None:
        """Note the page to go on with."""
        self.cursor = cursor
        self._position.update(cursor=cursor)

    def end(self) -> None:
        """Note that all was read. Only a window that joins what was read before moves the mark."""
        done: dict[str, datetime | str | None] = {"since": None, "until": None, "cursor": ""}
        position = self._position.first()
        if position is not None:
            until = min(self.window.until, timezone.now())  # nobody has read the future
            read_until = position.read_until
            if self.window.since <= _since(read_until, until):
                done["read_until"] = max(read_until or until, until)
            self._position.update(**done)


def readings(connection: Connection, name: str, asked: Window | None) -> Iterator[Reading]:
    """A list in the window asked for, or else in what came since the last run.

    A run that was cut short in the same window goes on from its page. Without a window asked for, what it left is read
    to its end first.
    """
    position, _ = ReadingPosition.objects.get_or_create(connection=connection, objects_read=name)
    left = Window(position.since, position.until) if position.since and position.until else None
    if asked is None and left is not None:
        yield Reading(position, left)
        position.refresh_from_db()
    if asked is None or asked != left:
        until = timezone.now() - SETTLED_AFTER
        asked = asked or Window(_since(position.read_until, until), until)
        position.since, position.until, position.cursor = asked.since, asked.until, ""
        position.save(update_fields=["since", "until", "cursor"])
    yield Reading(position, asked)


def far_back(connection: Connection, now: datetime, sweep: timedelta) -> Window:
    """The last `sweep`, or more if nothing was read for longer."""
    read_until = ReadingPosition.objects.filter(connection=connection).aggregate(least=Min("read_until"))["least"]
    until = now - SETTLED_AFTER
    return Window(min(now - sweep, _since(read_until, until)), until)


def _since(read_until: datetime | None, until: datetime) -> datetime:
    """Where a window up to `until` must begin, for nothing to be left out."""
    return until - SWEEP if read_until is None else read_until - OVERLAP
