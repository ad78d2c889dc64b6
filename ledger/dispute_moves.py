"""How a dispute advances: its states, its clock, and the entry that each move leaves in the dispute's own stream.

| state | whose turn | until | what then |
|---|---|---|---|
| awaiting_merchant, awaiting_builder | that side's | 7 days | under review |
| under_review | staff's | 14 days | stands first in their queue |
| decided, withdrawn | nobody's | | |
"""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from ledger.models import Dispute, Side
from ledger.models.conversion import Path
from rako.core.errors import Conflict
from rako.core.facts import Appended, Fact, state
from rako.core.wire import instant

State = Dispute.State

MOVES: dict[State, frozenset[State]] = {
    # What the merchant disputes is under review at once (protocol, section 4).
    State.OPEN: frozenset({State.AWAITING_MERCHANT, State.AWAITING_BUILDER, State.UNDER_REVIEW}),
    State.AWAITING_MERCHANT: frozenset({State.AWAITING_BUILDER, State.UNDER_REVIEW, State.DECIDED, State.WITHDRAWN}),
    State.AWAITING_BUILDER: frozenset({State.AWAITING_MERCHANT, State.UNDER_REVIEW, State.DECIDED, State.WITHDRAWN}),
    State.UNDER_REVIEW: frozenset({State.DECIDED, State.WITHDRAWN}),
    State.DECIDED: frozenset(),
    State.WITHDRAWN: frozenset(),
}
AWAITING = {Side.MERCHANT: State.AWAITING_MERCHANT, Side.BUILDER: State.AWAITING_BUILDER}


class DisputeMoved(Conflict):
    code, message = "dispute_moved", "The dispute's state does not allow that"


def due_at(to: State, now: datetime) -> datetime | None:
    """Until when a state waits for whoever's turn it is."""
    if to in Dispute.ENDED:
        return None
    days = settings.RAKO_DISPUTE_REVIEW_DAYS if to == State.UNDER_REVIEW else settings.RAKO_DISPUTE_ANSWER_DAYS
    return now + timedelta(days=days)


def move(dispute: Dispute, to: State, *, reason: str = "", **decided: Any) -> None:
    """Change the state, with the decision if it is one, and append its entry. Raises DisputeMoved."""
    origin = State(dispute.state)
    if to not in MOVES[origin]:
        raise DisputeMoved(f"A dispute that is {origin} cannot become {to}")
    now = timezone.now()
    ended_at = now if to in Dispute.ENDED else None
    values = {"state": to, "due_at": due_at(to, now), "ended_at": ended_at, "reason": reason} | decided
    # Compare and swap: whoever comes second gets zero rows.
    if not Dispute.objects.filter(pk=dispute.pk, state=origin).update(**values):
        raise DisputeMoved(f"The dispute is no longer {origin}")
    for name, value in values.items():
        setattr(dispute, name, value)
    if not state_of(dispute, now, {"reason": reason} if reason else None, state_before=origin.value).is_new:
        raise DisputeMoved(f"The dispute was {to} before")


def state_of(dispute: Dispute, at: datetime, private: dict[str, Any] | None, **more: Any) -> Appended:
    """Append the entry of the dispute's state, which comes once. What is private is sealed, for both sides to open."""
    fact = Fact(
        stream_id=dispute.pk,
        kind="dispute.opened" if dispute.state == State.OPEN else f"dispute.{dispute.state}",
        facts=facts_of(dispute) | more,
        for_merchant=private,
        for_agent=private,
        occurred_at=at,
        idempotency_key=f"dispute:{dispute.pk}:{dispute.state}",
        merchant_id=dispute.merchant_id,
        agent_id=dispute.agent_id,
    )
    return state(fact)


def facts_of(dispute: Dispute) -> dict[str, Any]:
    """What an entry says of a dispute as it is then, and verification compares with the row."""
    # Entries from before there was another path name none.
    by_path = {} if dispute.attribution_path == Path.AAP_FLOW else {"attribution_path": str(dispute.attribution_path)}
    return by_path | {
        "dispute_id": dispute.pk,
        "kind": str(dispute.kind),
        "opened_by": str(dispute.opened_by),
        "merchant_id": dispute.merchant_id,
        "recommendation_id": dispute.recommendation_id,
        "conversion_id": dispute.conversion_id,
        "currency": dispute.currency,
        "claimed_value_minor": dispute.claimed_value_minor,
        "sold_at": _instant(dispute.sold_at),
        "state": str(dispute.state),
        "due_at": _instant(dispute.due_at),
        "ended_at": _instant(dispute.ended_at),
        "decision": str(dispute.decision),
        "decided_value_minor": dispute.decided_value_minor,
        "decided_by": str(dispute.decided_by),
    }


def _instant(moment: datetime | None) -> str | None:
    return None if moment is None else instant(moment)
