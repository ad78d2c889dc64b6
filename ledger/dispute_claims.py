"""What may be disputed, and by whom (protocol, section 1): every refusal is raised here, before anything is stored.

What was asked is judged first, and the sale, which others may be moving, by `check_sale` when it is held.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from ledger.conversions import SessionConverted
from ledger.decisions import OURS
from ledger.models import Conversion, Dispute, Event, Side, Status
from ledger.models.conversion import Path
from ledger.windows import check_window
from rako.core.aap_code import decode
from rako.core.errors import BadRequest, Conflict, Forbidden
from rako.core.money import from_wire
from sessions_app.models import Agent, Recommendation
from sessions_app.recommend import RecommendationNotFound, SessionNotFound

Kind = Dispute.Kind

# How long a sale, or what reversed it, may be contested.
OPEN_FOR = timedelta(days=120)

# Who opens which kind about a sale that is recorded.
OPENED_BY: dict[Kind, tuple[Side, ...]] = {
    Kind.WRONG_AMOUNT: (Side.MERCHANT, Side.BUILDER),
    Kind.REFUSED_CONVERSION: (Side.BUILDER,),
    Kind.CLAWBACK: (Side.BUILDER,),
    Kind.MERCHANT_DISPUTE: (Side.MERCHANT,),
}
_REVERSED = (Status.REJECTED, Status.CLAWED_BACK)
_REVERSING = (Event.Kind.REFUNDED, Event.Kind.CANCELLED, Event.Kind.DISPUTE_LOST, Event.Kind.FRAUD_FOUND)


class CannotDispute(Conflict):
    code, message = "cannot_dispute", "That cannot be disputed"


@dataclass(frozen=True, slots=True)
class MissingSale:
    """A sale that an agent says was never recorded. `value` is a JSON number in major units of the code's currency."""

    session_id: str
    recommendation_id: str
    value: int | float
    sold_at: datetime
    order_reference: str = ""
    attribution_path: str = Path.AAP_FLOW


def about_conversion(conversion: Conversion, side: Side, kind: str, value: int | float | None) -> Dispute:
    """The dispute as it is asked for. Raises BadRequest, or Forbidden for the other side's kind."""
    if kind not in OPENED_BY:
        raise BadRequest(f"kind must be one of {', '.join(OPENED_BY)}", code="invalid_field")
    if side not in OPENED_BY[Kind(kind)]:
        raise Forbidden(f"A {kind} is opened by the {OPENED_BY[Kind(kind)][0]}")
    return Dispute(
        kind=kind,
        opened_by=side,
        merchant_id=conversion.merchant_id,
        agent_id=conversion.agent_id,
        recommendation_id=conversion.recommendation_id,
        conversion=conversion,
        currency=conversion.currency,
        claimed_value_minor=_claimed_value(conversion, Kind(kind), value),
    )


def about_missing_sale(agent: Agent, claim: MissingSale) -> Dispute:
    """The dispute as it is asked for. Raises SessionNotFound, RecommendationNotFound, BadRequest, SessionExpired or
    OutsideWindow for a sale outside the path's window, or CannotDispute."""
    recommendation = _recommendation(agent, claim)
    currency = str(decode(recommendation.aap_code).payload["cur"])
    claimed = _minor(claim.value, currency)
    if claim.order_reference.startswith(OURS):
        raise BadRequest(f"orderReference must not start with {OURS}", code="invalid_field")
    # What counts is when it was sold, not when that is claimed.
    now, path = timezone.now(), Path(claim.attribution_path)
    check_window(recommendation, path, claim.sold_at, now=now, evidence={})
    if now > claim.sold_at + OPEN_FOR:
        raise CannotDispute(f"A sale may be disputed for {OPEN_FOR.days} days")
    return Dispute(
        kind=Kind.MISSING_SALE,
        opened_by=Side.BUILDER,
        merchant_id=recommendation.offer.merchant_id,
        agent=agent,
        recommendation=recommendation,
        currency=currency,
        claimed_value_minor=claimed,
        order_reference=claim.order_reference,
        sold_at=claim.sold_at,
        attribution_path=path,
    )


def check_sale(dispute: Dispute) -> None:
    """Whether the sale, which the caller holds, allows a dispute. Raises CannotDispute, or SessionConverted for a
    missing sale of a session that has one."""
    if dispute.conversion is not None:
        dispute.conversion.refresh_from_db()
        _check_standing(dispute.conversion, Kind(dispute.kind))
        if dispute.kind == Kind.WRONG_AMOUNT and dispute.claimed_value_minor == dispute.conversion.value_minor:
            raise CannotDispute("claimedValue is the recorded one")
    elif Conversion.objects.filter(session=dispute.recommendation.session_id, is_superseded=False).exists():
        raise SessionConverted()


def _check_standing(conversion: Conversion, kind: Kind) -> None:
    if conversion.is_superseded:
        raise CannotDispute("Another recommendation has this order")
    events = conversion.events.filter(kind__in=_REVERSING).order_by("-received_at")
    newest = events.values_list("received_at", flat=True).first() or conversion.recorded_at
    if timezone.now() > newest + OPEN_FOR:
        raise CannotDispute(f"A sale may be disputed for {OPEN_FOR.days} days")
    if kind == Kind.REFUSED_CONVERSION:
        fits = conversion.status == Status.REJECTED
    elif kind == Kind.CLAWBACK:
        refunded = events.filter(kind=Event.Kind.REFUNDED)
        fits = conversion.status == Status.CLAWED_BACK or (conversion.status != Status.REJECTED and refunded.exists())
    else:
        fits = conversion.status not in _REVERSED
    if not fits:
        raise CannotDispute(f"A {conversion.status} conversion cannot be in a {kind}")


def _claimed_value(conversion: Conversion, kind: Kind, value: int | float | None) -> int | None:
    if kind != Kind.WRONG_AMOUNT:
        return None
    if value is None:
        raise BadRequest("claimedValue is required", code="missing_fields")
    minor = _minor(value, conversion.currency)
    if minor == 0:
        raise BadRequest("claimedValue must be more than zero", code="invalid_field")
    return minor


def _recommendation(agent: Agent, claim: MissingSale) -> Recommendation:
    rows = Recommendation.objects.filter(session=claim.session_id, session__agent=agent)
    if not rows.exists():
        raise SessionNotFound()
    found = rows.select_related("session", "offer").filter(pk=claim.recommendation_id).first()
    if found is None:
        raise RecommendationNotFound()
    return found


def _minor(value: int | float, currency: str) -> int:
    try:
        return from_wire(value, currency)
    except ValueError as error:
        raise BadRequest(f"claimedValue {error}", code="invalid_field") from None
