"""What the deliveries of a PSP come to, said so that the same story reads the same at each of them."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from checkout.connectors.base import OutcomeEvent, OutcomeType, Page, PaymentConnector
from tests.checkout.contract import psp as contract
from tests.checkout.contract.psp import Psp


def paid(psp: Psp, connector: PaymentConnector) -> tuple[str, str]:
    """A page that its buyer paid: the page and the payment."""
    request = contract.request()
    link = connector.create_checkout(request)
    psp.pay(link.psp_id)
    found = connector.find_attempt(contract.attempt(request.attempt_id))
    assert found is not None
    return link.psp_id, found.payment_ref


def told(psp: Psp, connector: PaymentConnector) -> list[OutcomeEvent]:
    """The outcomes of all deliveries, authenticated and read."""
    events = [connector.verify_webhook(body, headers, now=timezone.now()) for body, headers in psp.deliveries()]
    return [outcome for event in events for outcome in connector.normalize(event)]


def plot(outcomes: list[OutcomeEvent]) -> list[OutcomeType]:
    """What happened, each thing once: PSPs tell some twice, and not all of them tell sums."""
    seen: dict[tuple[OutcomeType, str], OutcomeType] = {}
    for outcome in outcomes:
        if outcome.type != OutcomeType.REFUND_TOTAL:
            seen.setdefault((outcome.type, outcome.related_ref), outcome.type)
    return list(seen.values())


def whole(ask: Callable[..., Page[Any]]) -> list[Any]:
    """Everything in a list of the last and the next hour."""
    now = datetime.now(UTC)
    since, until = now - timedelta(hours=1), now + timedelta(hours=1)
    found, cursors = ask(since, until), {""}
    items = list(found.items)
    while found.cursor:
        assert found.cursor not in cursors, "the list goes round in circles"
        cursors.add(found.cursor)
        found = ask(since, until, cursor=found.cursor)
        items += found.items
    return items


ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    1.5,
    2**63 - 1,
    "",
    "x",
    "é" * 300,
    [],
    [None],
    {},
    {"id": {}},
    "1970-13-45T99:00:00Z",
]


def mutations(subject: Any) -> Iterator[Any]:
    """The same JSON with one value at a time gone or replaced by something odd."""
    for path in _paths(subject):
        for odd in ODD:
            yield _with(subject, path, odd)


def _paths(subject: Any) -> Iterator[tuple[Any, ...]]:
    keys = subject.keys() if isinstance(subject, dict) else range(len(subject)) if isinstance(subject, list) else ()
    for key in keys:
        yield (key,)
        for rest in _paths(subject[key]):
            yield (key, *rest)


def _with(subject: Any, path: tuple[Any, ...], odd: Any) -> Any:
    if not path:
        return odd
    copy = subject.copy()
    copy[path[0]] = _with(subject[path[0]], path[1:], odd)
    return copy
