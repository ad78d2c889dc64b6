"""Where a sale stands, as a pure function of what happened to it (protocol, sections 3 and 4).

Nothing here depends on the order in which events were told: they are taken in the order in which they happened, and
the same set of events always gives the same standing.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from ledger.accounts import NOTHING, Split, accrued, confirmed, settled
from ledger.models.conversion import Event, Status
from ledger.models.entry import Account

Kind = Event.Kind

# Events of one moment are taken in this order.
_RANK = {kind: rank for rank, kind in enumerate(Kind)}


@dataclass(frozen=True, slots=True)
class Happening:
    """An event as far as the standing depends on it. `reference` ties the events of one refund or dispute together."""

    kind: Kind
    reference: str
    occurred_at: datetime
    amount_minor: int | None = None


@dataclass(frozen=True, slots=True)
class Sale:
    """The sale as recorded. `split_after(refunded)` is the commission that is left when so much was refunded."""

    value_minor: int
    split: Split
    validation_ends_at: datetime | None
    validation_days: int
    split_after: Callable[[int], Split]


@dataclass(frozen=True, slots=True)
class Standing:
    """Status, the commission that is left, when validation ends, and the accounts that this occupies."""

    status: Status
    retained: Split
    validation_ends_at: datetime | None
    accounts: dict[Account, int]


def derive(sale: Sale, events: Collection[Happening]) -> Standing:
    """The standing of a sale to which all this has happened."""
    told = sorted(events, key=lambda event: (event.occurred_at, _RANK[event.kind], event.reference))
    kinds = {event.kind for event in told}
    ends_at = _validation_end(sale, told)
    reversed_by, refunded = _reversals(told, ends_at)
    retained = NOTHING if reversed_by else sale.split_after(min(refunded, sale.value_minor))
    if refunded >= sale.value_minor > 0:
        retained, reversed_by = NOTHING, reversed_by or Status.CLAWED_BACK
    status = reversed_by or _disputed(told) or _advance(kinds, ends_at)
    return Standing(status, retained, ends_at, _occupied(sale, retained, told))


def _validation_end(sale: Sale, told: list[Happening]) -> datetime | None:
    """Known from the start, or counted from the event that starts validation."""
    if sale.validation_ends_at is not None:
        return sale.validation_ends_at
    started = next((event.occurred_at for event in told if event.kind == Kind.VALIDATION_STARTED), None)
    return None if started is None else started + timedelta(days=sale.validation_days)


def _reversals(told: list[Happening], ends_at: datetime | None) -> tuple[Status | None, int]:
    """What took the whole commission away, if something did, and how much was refunded in time (section 4).

    After validation the merchant absorbs refunds and cancellations; a lost dispute and fraud reverse at any time.
    """
    failed = {event.reference for event in told if event.kind == Kind.REFUND_FAILED}
    lost = _lost(told)
    taken, refunded = None, 0
    for event in told:
        in_time = ends_at is None or event.occurred_at < ends_at
        if event.kind == Kind.FRAUD_FOUND:  # what came first decides
            taken = taken or (Status.REJECTED if in_time else Status.CLAWED_BACK)
        elif (event.kind == Kind.DISPUTE_LOST and event.reference in lost) or (
            event.kind == Kind.CANCELLED and in_time
        ):
            taken = taken or Status.CLAWED_BACK
        elif event.kind == Kind.REFUNDED and in_time and event.reference not in failed:
            refunded += event.amount_minor or 0
    return taken, refunded


def _lost(told: list[Happening]) -> set[str]:
    """The disputes that were lost for good: money that was given back after all counts as won, whenever it is told."""
    won = {event.reference for event in told if event.kind == Kind.DISPUTE_WON}
    return {event.reference for event in told if event.kind == Kind.DISPUTE_LOST} - won


def _disputed(told: list[Happening]) -> Status | None:
    closed = {event.reference for event in told if event.kind in (Kind.DISPUTE_WON, Kind.DISPUTE_LOST)}
    opened = {event.reference for event in told if event.kind == Kind.DISPUTE_OPENED}
    return Status.DISPUTED if opened - closed else None


def _advance(kinds: set[Kind], ends_at: datetime | None) -> Status:
    """How far the sale has come on its way to the payout, when nothing stands in it."""
    for kind, status in (
        (Kind.SETTLED, Status.SETTLED),
        (Kind.SETTLEMENT_STARTED, Status.SETTLEMENT_PENDING),
        (Kind.VALIDATED, Status.VALIDATED),
        (Kind.DISPUTE_WON, Status.RESOLVED),
    ):
        if kind in kinds:
            return status
    return Status.MATCHED if ends_at is None else Status.PENDING_VALIDATION


def _occupied(sale: Sale, retained: Split, told: list[Happening]) -> dict[Account, int]:
    settlement = next((event for event in told if event.kind == Kind.SETTLED), None)
    if settlement is not None:
        return settled(retained, sale.split.payout if settlement.amount_minor is None else settlement.amount_minor)
    return confirmed(retained) if any(event.kind == Kind.VALIDATED for event in told) else accrued(retained)
