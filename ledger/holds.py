"""Holds on suspicious sales: placed by a rule, released or confirmed by staff. A held sale waits and loses nothing."""

import logging
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from ledger.decisions import OURS, decide_of
from ledger.fraud_rules import Signal
from ledger.lifecycle import CannotMove
from ledger.models import Conversion, Event, FraudHold
from ledger.priority import live
from rako.core.errors import Conflict
from rako.core.facts import Fact, state
from rako.core.postgres import violated
from sessions_app.models import Builder

log = logging.getLogger("rako.fraud")

State = FraudHold.State


class HoldEnded(Conflict):
    code, message = "hold_ended", "The hold has ended"


def place(conversion_id: str, signal: Signal) -> FraudHold | None:
    """Hold a sale. None if this rule held it before, or if the sale cannot be held any more."""
    conversion = Conversion.objects.get(pk=conversion_id)
    hold = FraudHold(conversion=conversion, **signal._asdict())
    try:
        with transaction.atomic():
            # The sale first: its lifecycle locks it, and a row that refers to it already would stand in the way.
            decide_of(conversion, Event.Kind.HELD, reference=reference_of(hold), reason=f"fraud signal {hold.rule}")
            state(_fact(hold), along_with=hold)
    except CannotMove as error:
        log.warning("%s cannot be held for %s: %s", conversion_id, signal.rule, error)
        return None
    except IntegrityError as error:
        if violated(error) != "hold_once_by_a_rule":
            raise
        return None
    return hold


@transaction.atomic
def release(hold: FraudHold, reason: str) -> None:
    """Let a sale go on. Raises HoldEnded."""
    for each in _open_ones(pk=hold.pk):
        _end(each, State.RELEASED, reason)


@transaction.atomic
def confirm(hold: FraudHold, reason: str) -> None:
    """The sale was fraud: its commission is gone, its builder is flagged, and nothing holds it any more.

    Raises HoldEnded.
    """
    found = _open_ones(conversion=hold.conversion_id)
    if hold.pk not in {each.pk for each in found}:
        raise HoldEnded()
    _decide(hold, Event.Kind.FRAUD_FOUND, reason)
    # Held, its reversal would wait, too: no settlement would take it.
    for each in found:
        _end(each, State.CONFIRMED, reason)
    Builder.objects.filter(pk=hold.conversion.builder_id).update(fraud_found_at=timezone.now())


def reference_of(hold: FraudHold) -> str:
    """What its events are told under: the rule and the conversion."""
    return f"{OURS}hold:{hold.rule}:{hold.conversion_id}"


def facts_of(hold: FraudHold) -> dict[str, str | int]:
    """What an entry says of a hold, and verification compares with the row."""
    return {
        "hold_id": hold.pk,
        "conversion_id": hold.conversion_id,
        "rule": hold.rule,
        "measured": hold.measured,
        "threshold": hold.threshold,
        "state": str(hold.state),
    }


def _open_ones(**which: Any) -> list[FraudHold]:
    """Open holds, for one transaction at a time. Raises HoldEnded if there is none."""
    rows = FraudHold.objects.select_for_update(of=("self",), no_key=True).select_related("conversion")
    found = list(rows.filter(state=State.OPEN, **which).order_by("pk"))
    if not found:
        raise HoldEnded()
    return found


def _decide(hold: FraudHold, kind: Event.Kind, reason: str) -> None:
    # A sale that another builder's path has by now does not answer for this one.
    if live(hold.conversion).builder_id == hold.conversion.builder_id:
        decide_of(hold.conversion, kind, reference=reference_of(hold), reason=reason)


def _end(hold: FraudHold, to: State, reason: str) -> None:
    _decide(hold, Event.Kind.RELEASED, reason)
    hold.state = to
    FraudHold.objects.filter(pk=hold.pk).update(state=to, ended_at=timezone.now(), reason=reason[:300])
    state(_fact(hold))


def _fact(hold: FraudHold) -> Fact:
    """The entry of a hold, in a stream of its own and of no party: thresholds are nobody's to play with."""
    return Fact(
        stream_id=hold.pk,
        kind="hold.placed" if hold.state == State.OPEN else f"hold.{hold.state}",
        facts=facts_of(hold),
        occurred_at=hold.placed_at if hold.state == State.OPEN else timezone.now(),
        idempotency_key=f"hold:{hold.pk}:{hold.state}",
    )
