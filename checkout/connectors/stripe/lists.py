"""What an account holds, for reconciliation: one request a page, newest first."""

import logging
import math
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from checkout.connectors.base import (
    DisputeSnapshot,
    Page,
    PaymentSnapshot,
    RefundSnapshot,
    VerifiedEvent,
)
from checkout.connectors.stripe import events, reading, snapshots
from checkout.connectors.stripe.client import Calls
from checkout.connectors.stripe.reading import Nonsense, Thing

log = logging.getLogger("rako.stripe")

MOST = 100
T = TypeVar("T")


def payments(calls: Calls, since: datetime, until: datetime, cursor: str) -> Page[PaymentSnapshot]:
    """Payment intents with what was refunded of them. A list does not tell which session made one."""
    params = window(since, until, cursor) | {"expand": ["data.latest_charge"]}
    return _page(calls.ask(lambda client: client.v1.payment_intents.list(params=params)), snapshots.of_intent)


def refunds(calls: Calls, since: datetime, until: datetime, cursor: str) -> Page[RefundSnapshot]:
    params = window(since, until, cursor)
    return _page(calls.ask(lambda client: client.v1.refunds.list(params=params)), snapshots.refund)


def disputes(calls: Calls, since: datetime, until: datetime, cursor: str) -> Page[DisputeSnapshot]:
    params = window(since, until, cursor)
    return _page(calls.ask(lambda client: client.v1.disputes.list(params=params)), snapshots.dispute)


def told(calls: Calls, since: datetime, until: datetime, cursor: str) -> Page[VerifiedEvent]:
    """The events that say something about a sale; Stripe keeps them for thirty days."""
    params = window(since, until, cursor) | {"types": sorted(events.TYPES)}
    return _page(calls.ask(lambda client: client.v1.events.list(params=params)), events.read)


def window(since: datetime, until: datetime, cursor: str) -> Any:
    """The parameters of one page. Stripe's times are whole seconds: from the first that is not before `since`."""
    created = {"gte": math.ceil(since.timestamp()), "lt": math.ceil(until.timestamp())}
    return {"created": created, "limit": MOST} | ({"starting_after": cursor} if cursor else {})


def _page(listed: Thing, read: Callable[[Thing], T]) -> Page[T]:
    found = reading.things(listed, "data")
    has_more = reading.flag(listed, "has_more") and found
    items = [item for one in found if (item := _readable(one, read)) is not None]
    return Page(items, reading.text(found[-1], "id") if has_more else "")


def _readable(one: Thing, read: Callable[[Thing], T]) -> T | None:
    """An item of a list, None for one that cannot be ours: a merchant's other business may be of any kind."""
    try:
        return read(one)
    except Nonsense as error:
        if reading.is_ours(one):
            raise
        log.info("%s %s of a list is passed over: %s", one.get("object"), one.get("id"), error)
        return None
