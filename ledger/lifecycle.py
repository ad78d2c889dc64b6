"""What happens to a sale after it: events are stored as facts, its standing is derived from them and moved here alone.

Events may be told in any order and any number of times, even before the sale itself: the standing, the balances and
the entries of the conversion come out the same.
"""

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from ledger import commission
from ledger.accounts import Parties, Split, difference
from ledger.models import Conversion, Event, Evidence, Status
from ledger.priority import PRIORITY, live
from ledger.standing import Happening, Sale, Standing, derive
from rako.core.aap_code import decode
from rako.core.errors import Conflict
from rako.core.facts import Fact, state
from rako.core.postgres import Statement, send, violated
from rako.core.wire import instant
from sessions_app.models import Session

Kind = Event.Kind
P = ParamSpec("P")
R = TypeVar("R")

# What a sale may be while nothing has reversed it.
_STANDING = (Status.MATCHED, Status.PENDING_VALIDATION, Status.VALIDATED, Status.DISPUTED, Status.RESOLVED)

# What may follow on what. `unmatched` is the standing of evidence that found no recommendation (yet).
MOVES: dict[Status, frozenset[Status]] = {
    Status.UNMATCHED: frozenset({Status.MATCHED, Status.PENDING_VALIDATION, Status.REJECTED}),
    Status.MATCHED: frozenset(
        {Status.PENDING_VALIDATION, Status.DISPUTED, Status.RESOLVED, Status.REJECTED, Status.CLAWED_BACK}
    ),
    Status.PENDING_VALIDATION: frozenset(
        {Status.VALIDATED, Status.DISPUTED, Status.RESOLVED, Status.REJECTED, Status.CLAWED_BACK}
    ),
    Status.VALIDATED: frozenset({Status.DISPUTED, Status.REJECTED, Status.CLAWED_BACK}),
    # Said of a validated sale by its settlement, never of a conversion's row.
    Status.SETTLEMENT_PENDING: frozenset(),
    Status.SETTLED: frozenset(),
    Status.DISPUTED: frozenset({Status.RESOLVED, Status.VALIDATED, Status.REJECTED, Status.CLAWED_BACK}),
    Status.RESOLVED: frozenset({Status.VALIDATED, Status.DISPUTED, Status.REJECTED, Status.CLAWED_BACK}),
    # A refund that failed after all gives the sale back to where it was, and so does a decision to reinstate it.
    Status.CLAWED_BACK: frozenset({*_STANDING, Status.REJECTED}),
    # Or it is something that came before the fraud, told after it.
    Status.REJECTED: frozenset({*_STANDING, Status.CLAWED_BACK}),
}

# What we decide ourselves, about a sale that is there; all else happens outside, and is never refused.
DECISIONS = frozenset({Kind.VALIDATED, Kind.CORRECTED, Kind.HELD, Kind.RELEASED, Kind.SUPERSEDED, Kind.REINSTATED})

# What the session shows of its sale.
SESSION_STATUS = {
    Status.MATCHED: Session.Status.CONVERTED,
    Status.PENDING_VALIDATION: Session.Status.CONVERTED,
    Status.VALIDATED: Session.Status.VALIDATED,
    Status.REJECTED: Session.Status.CANCELLED,
    Status.DISPUTED: Session.Status.DISPUTED,
    Status.RESOLVED: Session.Status.RESOLVED,
    Status.CLAWED_BACK: Session.Status.CLAWED_BACK,
}


class CannotMove(Conflict):
    code, message = "cannot_move", "The conversion's status does not allow that"


@dataclass(frozen=True, slots=True)
class Told:
    """An authenticated statement that something happened to a sale.

    `sale_reference` is the payment's id at the PSP or the merchant's order reference; `reference` tells this event from
    others of its kind: the refund's or dispute's id. `amount_minor` is what was refunded, or what it is corrected to.
    """

    kind: Kind
    sale_reference: str
    reference: str
    occurred_at: datetime
    amount_minor: int | None = None
    reason: str = ""
    sha256: str = ""
    received_at: datetime = field(default_factory=timezone.now)


class PassedOn(Exception):
    """The sale became another session's before its session was held."""


def holding_sales(act: Callable[P, R]) -> Callable[P, R]:
    """Run in a transaction, and anew if a sale passes to another session before `hold_sale` has it.

    What is held by then is let go first: sessions are never taken out of order, so nobody waits in a circle. A sale
    passes on at most as often as there are paths.
    """

    @wraps(act)
    def act_on_held(*args: P.args, **kwargs: P.kwargs) -> R:
        for _ in PRIORITY:
            with suppress(PassedOn), transaction.atomic():
                return act(*args, **kwargs)
        raise CannotMove("The sale passed to others meanwhile")

    return act_on_held


@holding_sales
def tell(merchant_id: str, told: Told, *, conversion: Conversion | None = None) -> Conversion | None:
    """Record an event once and carry it out. None if its sale is not recorded yet: then it waits for it.

    Whoever knows the sale names the `conversion`; otherwise it is found by the event's `sale_reference`. Raises
    CannotMove for a decision (`DECISIONS`) that the sale's status does not allow; nothing is stored then.
    """
    send(holding(merchant_id, told.sale_reference))
    found = conversion or _find(merchant_id, told.sale_reference)
    return _tell(merchant_id, told, None if found is None else hold_sale(found))


def tell_of(conversion: Conversion, told: Told) -> None:
    """Tell of a conversion whose session the caller holds: whoever holds its references may be waiting for that."""
    _tell(conversion.merchant_id, told, conversion)


def _tell(merchant_id: str, told: Told, conversion: Conversion | None) -> Conversion | None:
    event = Event(
        merchant_id=merchant_id,
        kind=told.kind,
        sale_reference=told.sale_reference,
        reference=told.reference,
        amount_minor=told.amount_minor,
        reason=told.reason[:300],
        occurred_at=told.occurred_at,
        received_at=told.received_at,
        sha256=told.sha256,
        conversion=conversion,
    )
    if conversion is None and told.kind in DECISIONS:
        raise CannotMove("There is no such sale")
    try:
        with transaction.atomic():
            event.save()
    except IntegrityError as error:
        if violated(error) != "event_told_once":
            raise
        known = Event.objects.get(merchant=merchant_id, kind=told.kind, reference=told.reference, is_inherited=False)
        return known.conversion and live(known.conversion)
    return None if conversion is None else carry_out(conversion.pk, [event])


def claim_waiting(conversion: Conversion, references: Iterable[str]) -> None:
    """Carry out what happened to a sale before it was recorded. The caller holds the references."""
    waiting = Event.objects.filter(
        merchant=conversion.merchant_id, sale_reference__in=list(references), conversion=None
    ).order_by("occurred_at", "id")
    events = list(waiting.select_for_update())
    if events:
        with connection.cursor() as cursor:  # the one change that PostgreSQL allows to an event
            cursor.execute(
                "UPDATE ledger_event SET conversion_id = %s WHERE id = ANY(%s)",
                [conversion.pk, [event.pk for event in events]],
            )
        carry_out(conversion.pk, events)
        conversion.refresh_from_db()


def holding(merchant_id: str, *references: str) -> Statement:
    """Lets one transaction at a time record a sale or what happened to it, whichever is told first."""
    keys = sorted({key_of(merchant_id, reference) for reference in references})
    return Statement("SELECT pg_advisory_xact_lock(hashtextextended(key, 0)) FROM unnest(%s::text[]) AS key", [keys])


def key_of(merchant_id: str, reference: str) -> str:
    """What is locked of a payment or an order."""
    return f"{merchant_id}:{reference}"


def hold_sale(conversion: Conversion) -> Conversion:
    """The conversion that has the sale, its session held: nobody supersedes it before the caller's transaction ends.

    References are held before, if at all; the conversion after it, like by whoever records a sale. For functions that
    are `holding_sales`.
    """
    found = live(conversion)
    hold_session(found.session_id)
    now = live(Conversion.objects.get(pk=found.pk))
    if now.session_id != found.session_id:
        raise PassedOn
    return now


def hold_session(session_id: str) -> None:
    """Let one transaction at a time record a sale of a session, supersede one, or tell what happened to it."""
    # (NO KEY: rows that only refer to the session are not held up.)
    Session.objects.select_for_update(no_key=True).values_list("pk").get(pk=session_id)


def sale_of(conversion: Conversion) -> Sale:
    """The sale as recorded, for `derive`. Load the conversion with recommendation and merchant."""
    terms = decode(conversion.recommendation.aap_code).payload["com"]
    whole = Split(conversion.commission_minor, conversion.network_fee_minor, conversion.builder_payout_minor)

    def part_of(kept_minor: int, value_minor: int) -> Split:
        earned = commission.compute(
            terms,
            value_minor=kept_minor,
            currency=conversion.currency,
            path=conversion.attribution_path,
            fee_rate=conversion.network_fee_rate,
            part_of_minor=value_minor,
        )
        return Split(earned.amount, earned.fee, earned.payout)

    def split_of(value_minor: int) -> Split:
        return whole if value_minor == conversion.transaction_value_minor else part_of(value_minor, value_minor)

    return Sale(
        value_minor=conversion.transaction_value_minor,
        validation_ends_at=conversion.first_validation_ends_at,
        validation_days=conversion.validation_days,
        split_of=split_of,
        part_of=part_of if conversion.refunds_reverse_cpa else None,
    )


def happenings(events: Collection[Event]) -> list[Happening]:
    """Stored events as `derive` takes them."""
    return [Happening(Kind(row.kind), row.reference, row.occurred_at, row.amount_minor) for row in events]


def parties_of(conversion: Conversion) -> Parties:
    """Whose accounts a conversion moves."""
    return Parties(conversion.merchant_id, conversion.builder_id, conversion.currency)


def _find(merchant_id: str, reference: str) -> Conversion | None:
    proven = Evidence.objects.filter(merchant=merchant_id, reference=reference).select_related("conversion").first()
    if proven is not None:
        return live(proven.conversion)
    return Conversion.objects.filter(merchant=merchant_id, order_reference=reference, is_superseded=False).first()


def carry_out(conversion_id: str, events: list[Event]) -> Conversion:
    """Take the conversion's standing forward over new events, one entry each. The caller holds its session."""
    rows = Conversion.objects.select_for_update(of=("self",)).select_related("recommendation")
    conversion = rows.get(pk=conversion_id)
    sale = sale_of(conversion)
    new = {event.pk for event in events}
    told = [event for event in conversion.events.all() if event.pk not in new]
    before = derive(sale, happenings(told))
    for event in events:
        told.append(event)
        after = derive(sale, happenings(told))
        move(conversion, before, after, event)
        before = after
    return conversion


def move(conversion: Conversion, before: Standing, after: Standing, event: Event) -> None:
    """Change the status and append the event's entry, with the postings of the difference. Raises CannotMove."""
    check_move(before, after, event)
    # Compare and swap: a concurrent mover gets zero rows, not a double transition.
    row = Conversion.objects.filter(pk=conversion.pk, status=before.status)
    changes = standing_values(conversion, after)
    if not row.update(**changes):
        raise CannotMove(f"Conversion {conversion.pk} is no longer {before.status}")
    vars(conversion).update(changes)
    Session.objects.filter(pk=conversion.session_id).update(status=SESSION_STATUS[after.status])
    state(fact_of(conversion, before, after, event))


def standing_values(conversion: Conversion, standing: Standing) -> dict[str, Any]:
    """What a conversion's row says of its standing, by the names of the columns."""
    return {
        "status": standing.status,
        "validation_ends_at": standing.validation_ends_at,
        "is_held": standing.is_held,
        "is_superseded": standing.is_superseded,
        "corrected_value_minor": standing.corrected_minor,
        "refunded_minor": standing.refunded_minor,
        "reversed_commission_minor": conversion.commission_minor - standing.retained.amount,
        "reversed_fee_minor": conversion.network_fee_minor - standing.retained.fee,
        "reversed_payout_minor": conversion.builder_payout_minor - standing.retained.payout,
    }


def check_move(before: Standing, after: Standing, event: Event) -> None:
    """Raises CannotMove unless the event may lead from one standing to the other."""
    ends_at = after.validation_ends_at
    if event.kind == Kind.VALIDATED and (ends_at is None or event.occurred_at < ends_at):
        raise CannotMove("The validation has not ended yet")
    if after.status != before.status and after.status not in MOVES[before.status]:
        raise CannotMove(f"A {before.status} conversion cannot become {after.status}")


def fact_of(conversion: Conversion, before: Standing, after: Standing, event: Event) -> Fact:
    """What the event's entry tells of the move, with the postings of the difference."""
    return Fact(
        stream_id=conversion.pk,
        kind=f"conversion.{event.kind}",
        facts={
            "conversion_id": conversion.pk,
            "status_before": before.status.value,
            "status": after.status.value,
            "is_held": after.is_held,
            "retained": {
                "amount_minor": after.retained.amount,
                "fee_minor": after.retained.fee,
                "payout_minor": after.retained.payout,
            },
            "event_amount_minor": event.amount_minor,
            "validation_ends_at": None if after.validation_ends_at is None else instant(after.validation_ends_at),
        }
        | ({"is_inherited": True} if event.is_inherited else {}),
        for_merchant={"reference": event.reference, "reason": event.reason},
        for_agent={"builder_id": conversion.builder_id, "reason": event.reason},
        evidence_sha256=event.sha256 or None,
        postings=difference(before.accounts, after.accounts, parties_of(conversion)),
        occurred_at=event.occurred_at,
        idempotency_key=f"event:{event.pk}",
        merchant_id=conversion.merchant_id,
        agent_id=conversion.agent_id,
    )
