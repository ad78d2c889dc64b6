"""What only we have: payments and refunds that no list named, calls without an end, events that never arrived."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice

from django.db.models import Q, QuerySet

from checkout.connectors.base import (
    Attempt,
    MalformedEvent,
    OutcomeEvent,
    PaymentConnector,
    PaymentSnapshot,
    VerifiedEvent,
)
from checkout.models import Checkout, Finding, PspObject, WebhookReceipt
from checkout.reconciliation.differences import NOT_REFUNDED, Difference
from checkout.reconciliation.records import Records
from checkout.reconciliation.windows import Window
from ledger.models import Event, Evidence
from merchants.models import Connection

_BATCH = 100
# A call that has no end by then has died.
UNDECIDED_AFTER = timedelta(minutes=15)
_MOST_ASKED_AGAIN = 200


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


def left_open(connection: Connection, kinds: Collection[str], since: datetime) -> list[Finding]:
    """Open findings about payments that no list of this run named, and those that mending refunds may have ended."""
    rows = Finding.objects.filter(connection=connection, state=Finding.State.OPEN, kind__in=kinds)
    old = rows.filter(Q(last_seen_at__lt=since) | Q(kind=Finding.Kind.REFUND_TOTAL_MISMATCH))
    return list(old.select_related("checkout").order_by("-is_money", "last_seen_at")[:_MOST_ASKED_AGAIN])


def find(connection: Connection, finding: Finding, psp: PaymentConnector) -> PaymentSnapshot | None:
    """What a finding is about, as it stands at the PSP now: a payment, or a call of ours that made none yet."""
    found = psp.get_payment(finding.reference)
    row = finding.checkout
    if found is not None or row is None or any(recorded(connection, [finding.reference])):
        return found
    return psp.find_attempt(Attempt(row.pk, row.psp_id, row.created_at))


def recorded(connection: Connection, references: Collection[str]) -> Iterator[Difference]:
    """Of payments that the PSP does not know, those that are recorded."""
    told = Evidence.objects.filter(
        merchant=connection.merchant_id, source=Evidence.Source.PSP_EVENT, reference__in=references
    )
    for row in told:
        yield Difference(Finding.Kind.MISSING_AT_PSP, row.reference, "the PSP has no such payment")


def refunds(connection: Connection, window: Window, seen: set[int]) -> Iterator[list[Event]]:
    """Refunds of this connection's payments in a window that the list did not name, in batches."""
    noted = PspObject.objects.filter(connection=connection).values("psp_id")
    told = Event.objects.filter(
        merchant=connection.merchant_id,
        kind=Event.Kind.REFUNDED,
        is_inherited=False,
        reference__in=noted,
        occurred_at__gte=window.since,
        occurred_at__lt=window.until,
    )
    failed = Event.objects.filter(merchant=connection.merchant_id, kind=Event.Kind.REFUND_FAILED).values("reference")
    yield from _batches(told.exclude(reference__in=failed), seen)


def extra_refunds(connection: Connection, events: Sequence[Event], psp: PaymentConnector) -> Iterator[Difference]:
    """Those of some refunds that the PSP seems not to know: their payment's refunds come to less there.

    That no list named them proves nothing: a refund may have been made long before it succeeded.
    """
    references = {event.sale_reference for event in events}
    records = Records(connection, references)
    payments = {reference: psp.get_payment(reference) for reference in references}
    for event in events:
        payment = payments[event.sale_reference]
        if payment is None or (payment.refunded_minor or 0) < records.refunded_minor(event.sale_reference):
            checkout = records.checkout_of([event.sale_reference])
            yield Difference(Finding.Kind.REFUND_EXTRA, event.reference, NOT_REFUNDED, checkout)


def undecided(
    connection: Connection, psp: PaymentConnector, now: datetime, seen: set[int]
) -> Iterator[list[PaymentSnapshot]]:
    """What the PSP has of our calls whose end we do not know, as far as no list named it."""
    states = [Checkout.State.CREATING, Checkout.State.UNKNOWN, Checkout.State.PROCESSING]
    rows = Checkout.objects.filter(connection=connection, state__in=states, created_at__lt=now - UNDECIDED_AFTER)
    for row in rows.iterator(chunk_size=_BATCH):
        if hash(row.psp_id) in seen:
            continue
        found = psp.find_attempt(Attempt(row.pk, row.psp_id, row.created_at))
        if found is not None and hash(found.psp_id) not in seen:
            yield [found]


def gaps(connection: Connection, events: Sequence[VerifiedEvent], psp: PaymentConnector) -> Iterator[Difference]:
    """Those of some events that tell of our payments and never arrived, oldest first."""
    ids = [event.event_id for event in events]
    stored = WebhookReceipt.objects.filter(connection=connection, event_id__in=ids)
    arrived = set(stored.values_list("event_id", flat=True))
    missed = sorted(
        (event for event in events if event.event_id not in arrived),
        # PSPs that keep events list the newest first: of one moment, the last of the list came first.
        key=lambda event: (event.occurred_at, -ids.index(event.event_id)),
    )
    outcomes = {event.event_id: _outcomes(event, psp) for event in missed}
    named = {psp_id for told in outcomes.values() for outcome in told for psp_id in outcome.psp_ids}
    pointed = {outcome.metadata.get("aap_checkout_id", "") for told in outcomes.values() for outcome in told}
    known = set(PspObject.objects.filter(connection=connection, psp_id__in=named).values_list("psp_id", flat=True))
    checkouts = set(Checkout.objects.filter(connection=connection, pk__in=pointed).values_list("pk", flat=True))
    for event in missed:
        for outcome in outcomes[event.event_id]:
            if known & set(outcome.psp_ids) or outcome.metadata.get("aap_checkout_id") in checkouts:
                # A refund's event names only the payment, which this one may be the first to name.
                known |= set(outcome.psp_ids)
                detail = f"{event.event_type} of {event.occurred_at:%FT%TZ}"
                yield Difference(Finding.Kind.WEBHOOK_GAP, event.event_id, detail)
                break


def _outcomes(event: VerifiedEvent, psp: PaymentConnector) -> list[OutcomeEvent]:
    try:
        return psp.normalize(event)
    except MalformedEvent:
        return []


def _batches(rows: QuerySet, seen: set[int]) -> Iterator[list]:  # type: ignore[type-arg]
    unseen = (row for row in rows.iterator(chunk_size=_BATCH) if hash(row.reference) not in seen)
    while batch := list(islice(unseen, _BATCH)):
        yield batch
