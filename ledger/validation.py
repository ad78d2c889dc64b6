"""The end of validation: what was not taken back by then is owed (protocol, sections 3 and 4).

Each end is told as of the moment at which the period ended, whenever we come to it, so that it belongs to that month.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from ledger.lifecycle import (
    SESSION_STATUS,
    CannotMove,
    Told,
    check_move,
    fact_of,
    happenings,
    sale_of,
    tell,
)
from ledger.models import Conversion, Event, Status
from ledger.models.conversion import DUE
from ledger.standing import derive
from rako.core.facts import state_all
from sessions_app.models import Session

log = logging.getLogger("rako.validation")

CHUNK = 100


@dataclass(frozen=True, slots=True)
class Closed:
    """Conversions whose periods were looked at together: how many were validated, and which could not be."""

    validated: int
    left: tuple[str, ...] = ()


def due(as_of: datetime) -> QuerySet[Conversion]:
    """Conversions whose validation ended by then; what is disputed waits until it is resolved."""
    return Conversion.objects.filter(status__in=DUE, validation_ends_at__lte=as_of).order_by("validation_ends_at", "pk")


def close_validation_periods(as_of: datetime) -> Iterator[Closed]:
    """Validate all that is due, a chunk at a step and each in a transaction of its own.

    Safe beside whatever else happens to these sales, and beside a second run.
    """
    rows, after = due(as_of), Q()
    while chunk := list(rows.filter(after).values_list("validation_ends_at", "pk")[:CHUNK]):
        yield _close([pk for _, pk in chunk], as_of)
        ends_at, pk = chunk[-1]
        after = Q(validation_ends_at__gt=ends_at) | Q(validation_ends_at=ends_at, pk__gt=pk)


def _close(ids: Sequence[str], as_of: datetime) -> Closed:
    try:
        return Closed(_validate(ids, as_of))
    except (CannotMove, IntegrityError):  # one of them is odd: the others must not wait for it
        return _close_each(ids, as_of)


@transaction.atomic
def _validate(ids: Sequence[str], as_of: datetime) -> int:
    """Validate those that are still due, in sets. Raises CannotMove if one of them cannot be."""
    # Sessions before conversions and each by id, like whoever records sales or what happens to them.
    sessions = Session.objects.filter(pk__in=Conversion.objects.filter(pk__in=ids).values("session")).order_by("pk")
    list(sessions.select_for_update(no_key=True).values_list("pk"))
    rows = due(as_of).filter(pk__in=ids).order_by("pk").select_for_update(of=("self",), no_key=True)
    found = list(rows.select_related("recommendation").prefetch_related("events"))
    events = [_ending(conversion) for conversion in found]
    facts = []
    for conversion, event in zip(found, events, strict=True):
        sale, told = sale_of(conversion), list(conversion.events.all())
        before, after = derive(sale, happenings(told)), derive(sale, happenings([*told, event]))
        check_move(before, after, event)
        if (before.status, after.status) != (conversion.status, Status.VALIDATED):
            raise CannotMove(f"A {before.status} conversion cannot become {after.status}")
        facts.append(fact_of(conversion, before, after, event))
    Event.objects.bulk_create(events)
    still = Conversion.objects.filter(pk__in=[row.pk for row in found], status__in=DUE)
    if still.update(status=Status.VALIDATED) != len(found):
        raise CannotMove("A conversion is no longer due")
    Session.objects.filter(pk__in=[row.session_id for row in found]).update(status=SESSION_STATUS[Status.VALIDATED])
    state_all(facts)
    return len(found)


def _close_each(ids: Sequence[str], as_of: datetime) -> Closed:
    validated, left = 0, []
    for conversion in due(as_of).filter(pk__in=ids):
        event = _ending(conversion)
        told = Told(event.kind, event.sale_reference, event.reference, event.occurred_at)  # type: ignore[arg-type]
        try:
            moved = tell(conversion.merchant_id, told, conversion=conversion)
            if moved is None or moved.pk != conversion.pk:
                raise CannotMove("Its end was told of another conversion")
            validated += 1
        except (CannotMove, IntegrityError) as error:
            log.error("conversion %s could not be validated: %s", conversion.pk, error)
            left.append(conversion.pk)
    return Closed(validated, tuple(left))


def _ending(conversion: Conversion) -> Event:
    return Event(
        conversion=conversion,
        merchant_id=conversion.merchant_id,
        kind=Event.Kind.VALIDATED,
        sale_reference=conversion.order_reference,
        reference=conversion.pk,
        occurred_at=conversion.validation_ends_at,  # type: ignore[misc]  # what is due has one
    )
