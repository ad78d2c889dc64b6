"""One reconciliation of a connection: reads the PSP's lists page by page, then looks at what only we have."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import orjson
from django.db.models import Q
from django.utils import timezone

from checkout.calls import calling
from checkout.connectors.base import (
    ConnectorError,
    DisputeSnapshot,
    Page,
    PaymentConnector,
    PaymentSnapshot,
    RefundSnapshot,
    VerifiedEvent,
)
from checkout.models import Finding
from checkout.reconciliation import ours
from checkout.reconciliation.differences import Difference, in_dispute, in_payment, in_refund
from checkout.reconciliation.findings import carry_out, end_arrived, keep, take_in
from checkout.reconciliation.records import Records
from checkout.reconciliation.windows import LONG_SWEEP, SWEEP, Reading, Window, far_back, readings
from merchants.models import Connection

log = logging.getLogger("rako.reconciliation")

Kind = Finding.Kind
_ROUNDS = 3  # of comparing and mending a page

IN_PAYMENTS = (
    *(Kind.MISSING_LOCAL, Kind.AMOUNT_MISMATCH, Kind.CURRENCY_MISMATCH, Kind.STATUS_MISMATCH, Kind.LATE_PAYMENT),
    *(Kind.REFUND_TOTAL_MISMATCH, Kind.DUPLICATE_PAYMENT, Kind.UNKNOWN_RESOLVED, Kind.FOREIGN_METADATA),
    *(Kind.STALE_PENDING, Kind.MISSING_AT_PSP),
)
IN_REFUNDS = (Kind.REFUND_MISSING, Kind.REFUND_EXTRA)
IN_DISPUTES = (Kind.DISPUTE_MISSING, Kind.DISPUTE_STATE_MISMATCH)


@dataclass(slots=True)
class Tally:
    """What a run did: objects read at the PSP, differences found, and how many of them are gone by it."""

    read: int = 0
    found: int = 0
    fixed: int = 0


class Run:
    """A reconciliation of one connection. Iterate: each step is a page, and gives how many objects it had."""

    def __init__(self, connection: Connection, window: Window | None = None, *, is_fixing: bool = False) -> None:
        self.connection = connection
        self.tally = Tally()
        self._window = window
        self._is_fixing = is_fixing
        self._seen: set[int] = set()  # hashes of what the lists named: small, however long these are

    def __iter__(self) -> Iterator[int]:
        """Raises nothing of the PSP's: what could not be read is a finding, and the next run goes on from there."""
        error: list[Difference] = []
        try:
            with calling(self.connection) as psp:
                yield from self._read(psp)
        except ConnectorError as failure:
            error = [Difference(Kind.CONNECTION_ERROR, self.connection.pk, f"{failure.code}: {failure}")]
            self.tally.found += 1
        keep(self.connection, error, looked_at=[self.connection.pk], kinds=[Kind.CONNECTION_ERROR])

    def _read(self, psp: PaymentConnector) -> Iterator[int]:
        steps: list[tuple[str, Callable[..., Page[Any]], Callable[[Sequence[Any], PaymentConnector], None]]] = [
            ("events", psp.list_events, self._events),
            ("payments", psp.list_payments, self._payments),
            ("refunds", psp.list_refunds, self._refunds),
            ("disputes", psp.list_disputes, self._disputes),
        ]
        started_at = timezone.now()
        for name, read, compare in steps if psp.keeps_events else steps[1:]:
            for reading in readings(self.connection, name, self._window):
                for page in self._pages(reading, read):
                    compare(page, psp)
                    self.tally.read += len(page)
                    yield len(page)
                yield from self._only_ours(name, reading.window, psp)
                reading.end()
        end_arrived(self.connection)
        for finding in ours.left_open(self.connection, IN_PAYMENTS, started_at):
            self._look_again(finding, psp)
            yield 0

    def _pages(self, reading: Reading, read: Callable[..., Page[Any]]) -> Iterator[Sequence[Any]]:
        while True:
            page = read(reading.window.since, reading.window.until, cursor=reading.cursor)
            yield page.items
            if not page.cursor:
                return
            reading.turn(page.cursor)

    def _events(self, page: Sequence[VerifiedEvent], psp: PaymentConnector) -> None:
        """Events of our payments that never arrived are taken in as they are, in the PSP's own words."""
        events = {event.event_id: event for event in page}

        def take(gap: Difference) -> None:
            event = events[gap.reference]
            take_in(self.connection, event.event_id, event.event_type, orjson.dumps(dict(event.payload)))

        self._settle(lambda: ours.gaps(self.connection, page, psp), list(events), [Kind.WEBHOOK_GAP], mend=take)

    def _payments(self, page: Sequence[PaymentSnapshot], psp: PaymentConnector, *also: str) -> None:
        names = [name for item in page for name in (item.psp_id, item.payment_ref, *item.psp_ids)]
        pointers = [item.metadata.get("aap_checkout_id") or item.attempt_id for item in page]
        now = timezone.now()

        def compare() -> Iterator[Difference]:
            records = Records(self.connection, names, pointers)
            return (difference for item in page for difference in in_payment(item, records, now))

        self._seen |= {hash(name) for name in names}
        self._settle(compare, [item.payment_ref or item.psp_id for item in page] + [*also], IN_PAYMENTS)

    def _refunds(self, page: Sequence[RefundSnapshot], psp: PaymentConnector) -> None:
        def compare() -> Iterator[Difference]:
            records = Records(self.connection, [item.payment_ref for item in page])
            return (difference for item in page for difference in in_refund(item, records))

        self._seen |= {hash(item.refund_id) for item in page}
        self._settle(compare, [item.refund_id for item in page], IN_REFUNDS)

    def _disputes(self, page: Sequence[DisputeSnapshot], psp: PaymentConnector) -> None:
        now = timezone.now()

        def compare() -> Iterator[Difference]:
            records = Records(self.connection, [item.payment_ref for item in page])
            return (difference for item in page for difference in in_dispute(item, records, now))

        self._settle(compare, [item.dispute_id for item in page], IN_DISPUTES)

    def _only_ours(self, name: str, window: Window, psp: PaymentConnector) -> Iterator[int]:
        """What a list should have named and did not, and calls of ours whose end we do not know."""
        if name == "payments":
            for batch in ours.payments(self.connection, window, self._seen):
                self._ask_for([evidence.reference for evidence in batch], psp)
                yield 0
            for snapshots in ours.undecided(self.connection, psp, timezone.now(), self._seen):
                self._payments(snapshots, psp)
                yield 0
        if name == "refunds":
            for events in ours.refunds(self.connection, window, self._seen):
                compare = partial(ours.extra_refunds, self.connection, events, psp)
                self._settle(compare, [event.reference for event in events], IN_REFUNDS)
                yield 0

    def _ask_for(self, references: Sequence[str], psp: PaymentConnector) -> None:
        """Payments one by one: most are only older than the window at the PSP."""
        found = {reference: psp.get_payment(reference) for reference in references}
        self._payments([snapshot for snapshot in found.values() if snapshot is not None], psp)
        absent = [reference for reference, snapshot in found.items() if snapshot is None]
        self._settle(lambda: ours.recorded(self.connection, absent), absent, IN_PAYMENTS)

    def _look_again(self, finding: Finding, psp: PaymentConnector) -> None:
        """An open finding ends when its cause does, however old its payment is."""
        snapshot = ours.find(self.connection, finding, psp)
        if snapshot is not None:
            self._payments([snapshot], psp, finding.reference)
        else:
            self._settle(lambda: ours.recorded(self.connection, [finding.reference]), [finding.reference], IN_PAYMENTS)

    def _settle(
        self,
        compare: Callable[[], Iterable[Difference]],
        looked_at: Sequence[str],
        kinds: Sequence[Finding.Kind],
        *,
        mend: Callable[[Difference], None] | None = None,
    ) -> None:
        """Keep what differs; when fixing, have it mended first and keep what differs still."""
        left = list(compare())
        seen = set(map(_key, left))
        for _ in range(_ROUNDS if self._is_fixing else 0):
            tried = set(map(_key, left))
            for difference in left:
                (mend or partial(carry_out, self.connection))(difference)
            left = list(compare())  # what was mended may have made others ours
            seen |= set(map(_key, left))
            if set(map(_key, left)) >= tried:
                break
        remaining = set(map(_key, left))
        self.tally.fixed += len(seen - remaining)
        self.tally.found += len(left)
        keep(self.connection, left, looked_at=looked_at, kinds=kinds)


def _key(difference: Difference) -> tuple[str, str]:
    return difference.kind, difference.reference


def reconcile(connection: Connection, window: Window | None = None, *, is_fixing: bool = False) -> Tally:
    """A whole run. What could not be read is a finding, too."""
    run = Run(connection, window, is_fixing=is_fixing)
    for _ in run:
        pass
    return run.tally


def nightly(now: datetime) -> None:
    """Reconcile every connection of late, far enough back for what comes late, and mend what was missed.

    One connection that fails holds up no other.
    """
    sweep = LONG_SWEEP if now.day == 1 else SWEEP
    ended = Q(status="disconnected", disconnected_at__lt=now - LONG_SWEEP)
    for pk in list(Connection.objects.exclude(ended).order_by("pk").values_list("pk", flat=True)):
        try:
            connection = Connection.objects.get(pk=pk)  # on its own: its credentials may be unreadable
            reconcile(connection, far_back(connection, now, sweep), is_fixing=True)
        except Exception:  # logged, and tried again the next night
            log.exception("connection %s could not be reconciled", pk)
