"""Lists, one request a page.

Payments and disputes are read by windows of time that are halved until one fits into a page, because nothing better
holds: with a filter by time `starting_after` is ignored by the server's source, and disputes have no documented order.
A full page is thrown away and its halves are asked for; `cursor` is the windows that are left, in milliseconds. A
payment's time is told in milliseconds, so windows include their first one and exclude their last.
"""

import logging
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from checkout.connectors.base import Page, PspFault, PspRejected
from checkout.connectors.hyperswitch import errors, reading
from checkout.connectors.hyperswitch.client import Client
from checkout.connectors.hyperswitch.reading import Body
from checkout.connectors.hyperswitch.snapshots import readable

log = logging.getLogger("rako.hyperswitch")

LIMIT = 100
_CURSOR = re.compile(r"[0-9]{1,14}-[0-9]{1,14}(,[0-9]{1,14}-[0-9]{1,14}){0,99}\Z", re.ASCII)
Window = tuple[int, int]
T = TypeVar("T")


def payments_page(client: Client, window: Window) -> list[Body]:
    """Payments of a window, `LIMIT` at the most. Raises PspFault if the server does not know the filter."""
    params = {"limit": str(LIMIT), "created.gte": _iso(window[0]), "created.lte": _iso(window[1])}
    with readable():
        found = reading.bodies(reading.body(client.get("/payments/list", params)).get("data"))
        if not _are_within(found, "created", window):
            log.error("payments are not filtered by their time")
            raise PspFault()
        return found


def disputes_page(client: Client, window: Window) -> list[Body]:
    """Disputes of a window. Of the two forms of the filter the documented one is tried first."""
    for since, until in (("received_time.gte", "received_time.lte"), ("start_time", "end_time")):
        params = {"limit": str(LIMIT), since: _iso(window[0]), until: _iso(window[1])}
        with readable():
            try:
                found = reading.bodies(client.get("/disputes/list", params))
            except errors.Missing:
                return []
            except errors.Refused:
                continue
            if _are_within(found, "created_at", window):
                return found
    log.error("disputes are not filtered by their time")
    raise PspFault()


def refunds_page(client: Client, since: datetime, until: datetime, cursor: str) -> tuple[list[Body], str]:
    """Refunds of a time and where the next ones begin: here the cursor is the documented offset."""
    if cursor and not re.match(r"[0-9]{1,9}\Z", cursor, re.ASCII):
        raise PspRejected()
    first, last = _whole_window(since, until)
    offset = int(cursor or 0)
    content = {"start_time": _iso(first), "end_time": _iso(last), "limit": LIMIT, "offset": offset}
    try:
        answer = client.post("/refunds/list", content)
    except errors.Missing:
        return [], ""
    with readable():
        found = reading.bodies(reading.body(answer).get("data"))
    return found, str(offset + len(found)) if len(found) >= LIMIT else ""


def by_windows(
    fetch: Callable[[Window], list[Body]], key: str, since: datetime, until: datetime, cursor: str
) -> tuple[list[Body], str]:
    """The bodies of the next window and the cursor after it. `key` is the field with an object's time."""
    if since >= until:
        return [], ""
    (first, last), *left = _windows(since, until, cursor)
    found = fetch((first, last))
    if len(found) >= LIMIT and last - first > 1:
        middle = (first + last) // 2
        return [], _text([(first, middle), (middle, last), *left])
    if len(found) >= LIMIT:
        log.error("more than %s objects in one millisecond: some may be missing", LIMIT)
    with readable():
        return [one for one in found if first <= _milliseconds(reading.moment(one, key)) < last], _text(left)


def page_of(
    items: Sequence[T], since: datetime, until: datetime, when: Callable[[T], datetime], cursor: str
) -> Page[T]:
    """What was created in [since, until), whatever the server made of the bounds."""
    return Page([item for item in items if since <= when(item) < until], cursor)


def _windows(since: datetime, until: datetime, cursor: str) -> list[Window]:
    if not cursor:
        return [_whole_window(since, until)]
    if not _CURSOR.match(cursor):
        raise PspRejected()
    pairs = [part.split("-") for part in cursor.split(",")]
    return [(int(first), int(last)) for first, last in pairs]


def _whole_window(since: datetime, until: datetime) -> Window:
    return _milliseconds(since), _milliseconds(until) + 1


def _text(windows: list[Window]) -> str:
    return ",".join(f"{first}-{last}" for first, last in windows)


def _milliseconds(moment: datetime) -> int:
    seconds = int(moment.timestamp() // 1)
    return seconds * 1000 + moment.microsecond // 1000


def _iso(milliseconds: int) -> str:
    whole = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


def _are_within(found: list[Body], key: str, window: Window) -> bool:
    """Whether the filter was understood; a server that ignores it would send the same page for ever."""
    return all(window[0] - 1 <= _milliseconds(reading.moment(one, key)) <= window[1] + 1 for one in found)
