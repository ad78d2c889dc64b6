"""How disputes end: conceded by the other side, or decided by staff, with all that follows for the sale.

| kind | upheld | partly | rejected |
|---|---|---|---|
| missing_sale | recorded as claimed | recorded at the decided value | nothing |
| wrong_amount | corrected as claimed | corrected to the decided value | stands |
| refused_conversion, clawback | reinstated | reinstated at the decided value | stays reversed |
| merchant_dispute | reversed | corrected to the decided value | stands |
"""

import hashlib
from typing import Any

import orjson
from django.db import transaction
from django.utils import timezone

from ledger.conversions import record_conversion
from ledger.decisions import decide_of, hold_to_decide
from ledger.dispute_moves import DisputeMoved, move
from ledger.disputes import lock, reference_of
from ledger.evidence import SaleEvidence
from ledger.lifecycle import holding_sales
from ledger.models import Conversion, Dispute, Event, Evidence, Side
from ledger.models.conversion import Level, Path
from rako.core.errors import BadRequest, Conflict, Forbidden
from rako.core.money import MAX_MINOR, Money
from sessions_app.models import Recommendation

Kind, State, Decision = Dispute.Kind, Dispute.State, Dispute.Decision
_Event = Event.Kind

# What is told of the sale. A dispute that is closed without taking anything from the sale is `won`.
OUTCOMES: dict[tuple[Dispute.Kind, Dispute.Decision], tuple[Event.Kind, ...]] = {
    (Kind.WRONG_AMOUNT, Decision.UPHELD): (_Event.CORRECTED, _Event.DISPUTE_WON),
    (Kind.WRONG_AMOUNT, Decision.PARTLY): (_Event.CORRECTED, _Event.DISPUTE_WON),
    (Kind.WRONG_AMOUNT, Decision.REJECTED): (_Event.DISPUTE_WON,),
    (Kind.REFUSED_CONVERSION, Decision.UPHELD): (_Event.REINSTATED, _Event.DISPUTE_WON),
    (Kind.REFUSED_CONVERSION, Decision.PARTLY): (_Event.REINSTATED, _Event.CORRECTED, _Event.DISPUTE_WON),
    (Kind.REFUSED_CONVERSION, Decision.REJECTED): (_Event.DISPUTE_WON,),
    (Kind.CLAWBACK, Decision.UPHELD): (_Event.REINSTATED, _Event.DISPUTE_WON),
    (Kind.CLAWBACK, Decision.PARTLY): (_Event.REINSTATED, _Event.CORRECTED, _Event.DISPUTE_WON),
    (Kind.CLAWBACK, Decision.REJECTED): (_Event.DISPUTE_WON,),
    (Kind.MERCHANT_DISPUTE, Decision.UPHELD): (_Event.DISPUTE_LOST,),
    (Kind.MERCHANT_DISPUTE, Decision.PARTLY): (_Event.CORRECTED, _Event.DISPUTE_WON),
    (Kind.MERCHANT_DISPUTE, Decision.REJECTED): (_Event.DISPUTE_WON,),
}


class ForStaff(Conflict):
    code, message = "for_staff", "A sale that was found to be fraud is for staff to decide"


@holding_sales
def accept(dispute: Dispute, side: Side) -> Dispute:
    """Concede: the dispute is upheld as claimed. Raises Forbidden for who opened it, DisputeMoved or ForStaff."""
    dispute = lock(dispute)
    if side != dispute.other_side:
        raise Forbidden("Only the other side accepts a dispute")
    if dispute.kind in (Kind.REFUSED_CONVERSION, Kind.CLAWBACK) and _is_fraud(_sale(dispute)):
        raise ForStaff()
    return _end(dispute, Decision.UPHELD, None, f"accepted by the {side}", side)


@transaction.atomic
def decide(dispute: Dispute, decision: Dispute.Decision, reason: str, value_minor: int | None = None) -> Dispute:
    """Staff's decision; one that is partly upheld names the value that the sale then has.

    Raises BadRequest, DisputeMoved while a side still has time to answer, and what recording a sale raises.
    """
    dispute = lock(dispute)
    if dispute.state != State.UNDER_REVIEW:
        raise DisputeMoved(f"A dispute that is {dispute.state} is not decided by staff")
    least = 0 if dispute.kind == Kind.MISSING_SALE else 1
    if decision == Decision.PARTLY and not (value_minor is not None and least <= value_minor <= MAX_MINOR):
        raise BadRequest("A decision to uphold in part names the value", code="invalid_field")
    return _end(dispute, decision, value_minor if decision == Decision.PARTLY else None, reason, Side.STAFF)


def _end(dispute: Dispute, decision: Dispute.Decision, value_minor: int | None, reason: str, by: Side) -> Dispute:
    """Carry a decision out at the sale, then end the dispute. The caller holds it."""
    if dispute.is_ended:
        raise DisputeMoved(f"The dispute is {dispute.state}")
    value = dispute.claimed_value_minor if decision == Decision.UPHELD else value_minor
    if dispute.kind != Kind.MISSING_SALE:
        told = OUTCOMES[Kind(dispute.kind), decision]
        said = f"{decision}: {reason}"[:300]
        _sale(dispute).refresh_from_db()
        decide_of(_sale(dispute), *told, reference=reference_of(dispute), reason=said, amount_minor=value)
    decided: dict[str, Any] = {"decision": decision, "decided_by": by, "decided_value_minor": value}
    if dispute.kind == Kind.MISSING_SALE and decision != Decision.REJECTED:
        decided["conversion"] = _record(dispute, decision, value or 0)
    move(dispute, State.DECIDED, reason=reason[:300], **decided)
    return dispute


def _is_fraud(conversion: Conversion) -> bool:
    """Held, so that fraud that is found at this moment is not pardoned unseen."""
    return hold_to_decide(conversion).events.filter(kind=_Event.FRAUD_FOUND).exists()


def _sale(dispute: Dispute) -> Conversion:
    if dispute.conversion is None:
        raise DisputeMoved("The dispute is about no recorded sale")
    return dispute.conversion


def _record(dispute: Dispute, decision: Dispute.Decision, value_minor: int) -> Conversion:
    """Have the sale recorded like a merchant's report, the decision being its evidence. Raises SessionConverted if
    another recommendation of the session has the sale by now, or OrderAttributed."""
    related = ("session", "agent", "offer__merchant")
    recommendation = Recommendation.objects.select_related(*related).get(pk=dispute.recommendation_id)
    sold_at = dispute.sold_at or dispute.opened_at
    content = {
        "dispute_id": dispute.pk,
        "decision": str(decision),
        "order_reference": dispute.order_reference,
        "transaction_value_minor": value_minor,
        "currency": dispute.currency,
    }
    evidence = SaleEvidence(
        source=Evidence.Source.DECISION,
        level=Level.RECONCILED,
        path=Path(dispute.attribution_path),
        reference=reference_of(dispute),
        order_reference=dispute.order_reference or reference_of(dispute),
        money=Money(value_minor, dispute.currency),
        occurred_at=sold_at,
        received_at=timezone.now(),
        sha256=hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest(),
        details=content,
    )
    return record_conversion(recommendation, evidence).conversion
