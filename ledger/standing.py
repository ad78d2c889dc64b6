"""Where a sale stands, as a pure function of what happened to it (protocol, sections 3 and 4).

Nothing here depends on the order in which events were told: they are taken in the order in which they happened, and
the same set of events always gives the same standing.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from ledger.accounts import NOTHING, Split, accrued, confirmed
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
    """The sale as recorded. `split_of(value_minor)` is the commission that so large a sale earns.

    `part_of(kept_minor, value_minor)` is what is left of it after a partial refund, where that takes its share of fixed
    amounts, too; None where these stay.
    """

    value_minor: int
    validation_ends_at: datetime | None
    validation_days: int
    split_of: Callable[[int], Split]
    part_of: Callable[[int, int], Split] | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Status, the commission that is left, when validation ends, and the accounts that this occupies.

    `corrected_minor` is the value that the sale was corrected to, `refunded_minor` what of it takes back commission.
    What is held waits in its accounts: no settlement takes it.
    """

    status: Status
    corrected_minor: int | None
    refunded_minor: int
    retained: Split
    validation_ends_at: datetime | None
    accounts: dict[Account, int]
    is_held: bool
    is_superseded: bool


def derive(sale: Sale, events: Collection[Happening]) -> Standing:
    """The standing of a sale to which all this has happened."""
    told = sorted(events, key=lambda event: (event.occurred_at, _RANK[event.kind], event.reference))
    kinds = {event.kind for event in told}
    ends_at = _validation_end(sale, told)
    corrected = next((event.amount_minor for event in reversed(told) if event.kind == Kind.CORRECTED), None)
    value = sale.value_minor if corrected is None else corrected
    reversed_by, refunded = _reversals(told, ends_at)
    if refunded >= value > 0:
        reversed_by = reversed_by or Status.CLAWED_BACK
    is_superseded = Kind.SUPERSEDED in kinds
    if is_superseded:
        reversed_by = Status.REJECTED
    retained = NOTHING if reversed_by else _retained(sale, value, refunded)
    disputed = _disputed(told)
    return Standing(
        status=reversed_by or disputed or _advance(kinds, ends_at),
        corrected_minor=corrected,
        refunded_minor=min(refunded, value),
        retained=retained,
        validation_ends_at=ends_at,
        accounts=confirmed(retained) if Kind.VALIDATED in kinds else accrued(retained),
        # What is superseded earns nothing, and its reversal waits for nothing.
        is_held=not is_superseded
        and (disputed is not None or bool(_references(told, Kind.HELD) - _references(told, Kind.RELEASED))),
        is_superseded=is_superseded,
    )


def _retained(sale: Sale, value: int, refunded: int) -> Split:
    kept = value - min(refunded, value)
    return sale.split_of(kept) if kept == value or sale.part_of is None else sale.part_of(kept, value)


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
    failed = _references(told, Kind.REFUND_FAILED)
    # Money that was given back after all counts as won, whenever that is told.
    lost = _references(told, Kind.DISPUTE_LOST) - _references(told, Kind.DISPUTE_WON)
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
        elif event.kind == Kind.REINSTATED:
            taken, refunded = None, 0
    return taken, refunded


def _disputed(told: list[Happening]) -> Status | None:
    closed = _references(told, Kind.DISPUTE_WON) | _references(told, Kind.DISPUTE_LOST)
    return Status.DISPUTED if _references(told, Kind.DISPUTE_OPENED) - closed else None


def _references(told: list[Happening], kind: Event.Kind) -> set[str]:
    """Which refunds, disputes or holds such events are of, whenever they were told."""
    return {event.reference for event in told if event.kind == kind}


def _advance(kinds: set[Kind], ends_at: datetime | None) -> Status:
    """How far the sale has come on its way to settlement, when nothing stands in it."""
    for kind, status in ((Kind.VALIDATED, Status.VALIDATED), (Kind.DISPUTE_WON, Status.RESOLVED)):
        if kind in kinds:
            return status
    return Status.MATCHED if ends_at is None else Status.PENDING_VALIDATION
