"""Which path a sale is attributed by, when several claim it (protocol, section 4): one sale, one commission.

A sale is one order of one merchant, or one session. The live conversion has it; those it superseded earn nothing.
"""

from collections.abc import Collection

from django.db.models import Q

from ledger.evidence import SaleEvidence
from ledger.models import Conversion, Event, Evidence
from ledger.models.conversion import Path
from sessions_app.models import Recommendation

# The order in which the paths are listed is their priority: the first outranks all others.
PRIORITY = {path: rank for rank, path in enumerate(Path, start=1)}


def live(conversion: Conversion) -> Conversion:
    """The conversion that has the sale now: this one, or what superseded it in the end."""
    while conversion.is_superseded:
        successor = Event.objects.filter(conversion=conversion, kind=Event.Kind.SUPERSEDED).values("reference")
        conversion = Conversion.objects.get(pk__in=successor)
    return conversion


def rivals(recommendation: Recommendation, evidence: SaleEvidence, told: Collection[Evidence]) -> list[Conversion]:
    """The live conversions that have this sale already. `told` is evidence under the same reference by any path."""
    same_order = Q(merchant=recommendation.offer.merchant_id, order_reference=evidence.order_reference)
    rows = Conversion.objects.filter(Q(session=recommendation.session_id) | same_order, is_superseded=False)
    found = {row.pk: row for row in (*rows, *(live(row.conversion) for row in told))}
    return list(found.values())


def takes_over(evidence: SaleEvidence, rival: Conversion, recommendation: Recommendation) -> bool:
    """Whether a proof takes the sale away from its conversion: by a path of higher priority, for the same merchant.

    The merchant's word does so for the same order and amount only, so that nothing recorded is talked down; a payment
    does so for its session.
    """
    if rival.merchant_id != recommendation.offer.merchant_id:
        return False
    if PRIORITY[evidence.path] >= PRIORITY[Path(rival.attribution_path)]:
        return False
    said = (evidence.order_reference, evidence.money.amount_minor, evidence.money.currency)
    recorded = (rival.order_reference, rival.transaction_value_minor, rival.currency)
    return evidence.source == Evidence.Source.PSP_EVENT or said == recorded
