"""One reconciliation of a connection: reads the PSP's lists page by page, then looks at what only we have."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils import timezone

from checkout.calls import calling
from checkout.connectors.base import ConnectorError, Page, PaymentConnector, VerifiedEvent
from checkout.models import Finding, ReadingPosition, WebhookReceipt
from checkout.reconciliation import ours
from checkout.reconciliation.differences import Difference, in_dispute, in_payment, in_refund
from checkout.reconciliation.findings import fix, keep
from checkout.reconciliation.records import Records
from checkout.reconciliation.windows import LONG_SWEEP, SETTLED_AFTER, SWEEP, Window, advance, resume
from merchants.models import Connection

log = logging.getLogger("rako.reconciliation")

Kind = Finding.Kind

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
            yield from self._read()
        except ConnectorError as failure:
            error = [Difference(Kind.CONNECTION_ERROR, self.connection.pk, f"{failure.code}: {failure}")]
            self.tally.found += 1
        keep(self.connection, error, looked_at=[self.connection.pk], kinds=[Kind.CONNECTION_ERROR])

    def _read(self) -> Iterator[int]:
        with calling(self.connection) as psp:
            steps: list[tuple[str, Callable[..., Page[Any]], Callable[[Sequence[Any], PaymentConnector], None]]] = [
                ("events", psp.list_events, self._events),
                ("payments", psp.list_payments, self._payments),
                ("refunds", psp.list_refunds, self._refunds),
                ("disputes", psp.list_disputes, self._disputes),
            ]
            for name, read, compare in steps if psp.keeps_events else steps[1:]:
                position, window = resume(self.connection, name, self._window)
                for page in self._pages(position, window, read):
                    compare(page, psp)
                    self.tally.read += len(page)
                    yield len(page)
                yield from self._only_ours(name, window, psp)
                advance(position, window)

    def _pages(
        self, position: ReadingPosition, window: Window, read: Callable[..., Page[Any]]
    ) -> Iterator[Sequence[Any]]:
        while True:
            page = read(window.since, window.until, cursor=position.cursor)
            yield page.items
            if not page.cursor:
                return
            position.cursor = page.cursor
            position.save(update_fields=["cursor"])

    def _payments(self, page: Sequence[Any], psp: PaymentConnector) -> None:
        names = [name for item in page for name in (item.psp_id, item.payment_ref, *item.psp_ids)]
        pointers = [item.metadata.get("aap_checkout_id") or item.attempt_id for item in page]
        records, now = Records(self.connection, names, pointers), timezone.now()
        found = [difference for item in page for difference in in_payment(item, records, now)]
        self._seen |= {hash(name) for name in names}
        self._settle(found, [item.payment_ref or item.psp_id for item in page], IN_PAYMENTS)

    def _refunds(self, page: Sequence[Any], psp: PaymentConnector) -> None:
        records = Records(self.connection, [item.payment_ref for item in page])
        found = [difference for item in page for difference in in_refund(item, records)]
        self._seen |= {hash(item.refund_id) for item in page}
        self._settle(found, [item.refund_id for item in page], IN_REFUNDS)

    def _disputes(self, page: Sequence[Any], psp: PaymentConnector) -> None:
        records = Records(self.connection, [item.payment_ref for item in page])
        found = [difference for item in page for difference in in_dispute(item, records, timezone.now())]
        self._settle(found, [item.dispute_id for item in page], IN_DISPUTES)

    def _events(self, page: Sequence[VerifiedEvent], psp: PaymentConnector) -> None:
        """Events of our payments that never arrived. They are taken in as they are, in the PSP's own words."""
        ids = [event.event_id for event in page]
        stored = WebhookReceipt.objects.filter(connection=self.connection, event_id__in=ids)
        arrived = set(stored.values_list("event_id", flat=True))
        missed = [event for event in page if event.event_id not in arrived]
        found = list(ours.gaps(self.connection, missed, psp))
        if self._is_fixing:
            lost = {difference.reference for difference in found}
            taken = [ours.take(self.connection, event) for event in missed if event.event_id in lost]
            self.tally.fixed += sum(taken)
            found = [difference for difference, done in zip(found, taken, strict=True) if not done]
        keep(self.connection, found, looked_at=ids, kinds=[Kind.WEBHOOK_GAP])
        self.tally.found += len(found)

    def _only_ours(self, name: str, window: Window, psp: PaymentConnector) -> Iterator[int]:
        """What a list should have named and did not, and calls of ours whose end we do not know."""
        if name == "payments":
            for batch in ours.payments(self.connection, window, self._seen):
                self._settle([*ours.missing(batch, psp)], [evidence.reference for evidence in batch], IN_PAYMENTS)
                yield 0
            for snapshots in ours.undecided(self.connection, psp, timezone.now()):
                self._payments(snapshots, psp)
                yield 0
        if name == "refunds":
            for events in ours.refunds(self.connection, window, self._seen):
                found = [
                    Difference(Kind.REFUND_EXTRA, event.reference, "the PSP has no such refund") for event in events
                ]
                self._settle(found, [event.reference for event in events], IN_REFUNDS)
                yield 0

    def _settle(self, found: list[Difference], looked_at: Sequence[str], kinds: Sequence[Finding.Kind]) -> None:
        """Fix what can be, and keep the rest."""
        left = [difference for difference in found if not (self._is_fixing and fix(self.connection, difference))]
        self.tally.fixed += len(found) - len(left)
        self.tally.found += len(left)
        keep(self.connection, left, looked_at=looked_at, kinds=kinds)


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
    for connection in Connection.objects.exclude(ended).order_by("pk"):
        try:
            reconcile(connection, Window(now - sweep, now - SETTLED_AFTER), is_fixing=True)
        except Exception:  # logged, and tried again the next night
            log.exception("connection %s could not be reconciled", connection.pk)
