"""What only we have: payments and refunds that no list named, calls without an end, events that never arrived."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice

import orjson
from django.db.models import QuerySet

from checkout import inbox
from checkout.connectors.base import Attempt, MalformedEvent, PaymentConnector, PaymentSnapshot, VerifiedEvent
from checkout.models import Checkout, Finding, PspObject
from checkout.reconciliation.differences import Difference
from checkout.reconciliation.windows import Window
from ledger.models import Event, Evidence
from merchants.models import Connection

_BATCH = 100
# A call that has no end by then has died.
UNDECIDED_AFTER = timedelta(minutes=15)


def payments(connection: Connection, window: Window, seen: set[int]) -> Iterator[list[Evidence]]:
    """Evidence of payments in a window that the lists did not name, in batches."""
    told = Evidence.objects.filter(
        merchant=connection.merchant_id,
        source=Evidence.Source.PSP_EVENT,
        details__connection_id=connection.pk,
        occurred_at__gte=window.since,
        occurred_at__lt=window.until,
    )
    yield from _batches(told, seen)


def missing(evidence: Sequence[Evidence], psp: PaymentConnector) -> Iterator[Difference]:
    """Those that the PSP does not know at all. (Most are older than the window at the PSP, and are asked for alone.)"""
    for row in evidence:
        if psp.get_payment(row.reference) is None:
            yield Difference(Finding.Kind.MISSING_AT_PSP, row.reference, "the PSP has no such payment")


def refunds(connection: Connection, window: Window, seen: set[int]) -> Iterator[list[Event]]:
    """Refunds of this connection's payments in a window that the list did not name, in batches."""
    noted = PspObject.objects.filter(connection=connection).values("psp_id")
    told = Event.objects.filter(
        merchant=connection.merchant_id,
        kind=Event.Kind.REFUNDED,
        reference__in=noted,
        occurred_at__gte=window.since,
        occurred_at__lt=window.until,
    )
    failed = Event.objects.filter(merchant=connection.merchant_id, kind=Event.Kind.REFUND_FAILED).values("reference")
    yield from _batches(told.exclude(reference__in=failed), seen)


def undecided(connection: Connection, psp: PaymentConnector, now: datetime) -> Iterator[list[PaymentSnapshot]]:
    """What the PSP has of our calls whose end we do not know."""
    states = [Checkout.State.CREATING, Checkout.State.UNKNOWN, Checkout.State.PROCESSING]
    rows = Checkout.objects.filter(connection=connection, state__in=states, created_at__lt=now - UNDECIDED_AFTER)
    for row in rows.iterator(chunk_size=_BATCH):
        found = psp.find_attempt(Attempt(row.pk, row.psp_id, row.created_at))
        if found is not None:
            yield [found]


def gaps(connection: Connection, missed: Sequence[VerifiedEvent], psp: PaymentConnector) -> Iterator[Difference]:
    """Those of some events that tell of our payments."""
    outcomes = {event.event_id: _outcomes(event, psp) for event in missed}
    named = {psp_id for told in outcomes.values() for outcome in told for psp_id in outcome.psp_ids}
    pointed = {outcome.metadata.get("aap_checkout_id", "") for told in outcomes.values() for outcome in told}
    ids = set(PspObject.objects.filter(connection=connection, psp_id__in=named).values_list("psp_id", flat=True))
    checkouts = set(Checkout.objects.filter(connection=connection, pk__in=pointed).values_list("pk", flat=True))
    for event in missed:
        told = outcomes[event.event_id]
        if any(ids & set(one.psp_ids) or one.metadata.get("aap_checkout_id") in checkouts for one in told):
            yield Difference(
                Finding.Kind.WEBHOOK_GAP, event.event_id, f"{event.event_type} of {event.occurred_at:%FT%TZ}"
            )


def take(connection: Connection, event: VerifiedEvent) -> bool:
    """Take in an event that never arrived, in the PSP's own words; whether it could be carried out."""
    body = orjson.dumps(dict(event.payload))
    result = inbox.take_in(connection, event.event_id, event.event_type, body)
    return result.status not in {"rejected", "unmatched"}


def _outcomes(event: VerifiedEvent, psp: PaymentConnector) -> list:  # type: ignore[type-arg]
    try:
        return psp.normalize(event)
    except MalformedEvent:
        return []


def _batches(rows: QuerySet, seen: set[int]) -> Iterator[list]:  # type: ignore[type-arg]
    unseen = (row for row in rows.iterator(chunk_size=_BATCH) if hash(row.reference) not in seen)
    while batch := list(islice(unseen, _BATCH)):
        yield batch
