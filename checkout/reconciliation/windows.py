"""Which time a run reads, and from where a run that was cut short goes on."""

from datetime import datetime, timedelta
from typing import NamedTuple

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


def resume(connection: Connection, name: str, window: Window | None) -> tuple[ReadingPosition, Window]:
    """The position in a list, and the window to read: the one asked for, else what came since the last run.

    A run that was cut short in the same window goes on from its page; without a window asked for, in its own.
    """
    position, _ = ReadingPosition.objects.get_or_create(connection=connection, objects_read=name)
    left = Window(position.since, position.until) if position.since and position.until else None
    wanted = window or left or _next(position)
    if left != wanted:
        position.since, position.until, position.cursor = wanted.since, wanted.until, ""
        position.save()
    return position, wanted


def advance(position: ReadingPosition, window: Window) -> None:
    """Note that a window was read whole. Only one that joins what was read before moves the mark."""
    if position.read_until is None or window.since <= position.read_until:
        position.read_until = max(position.read_until or window.until, window.until)
    position.since = position.until = None
    position.cursor = ""
    position.save()


def _next(position: ReadingPosition) -> Window:
    until = timezone.now() - SETTLED_AFTER
    return Window((position.read_until or until) - OVERLAP if position.read_until else until - SWEEP, until)
