"""Records sales in sets: those that meet nothing but their recommendation, with a few round trips for all of them. Any
other goes the way of a single one (`ledger.conversions`); the same rows and entries come of either.
"""

from collections.abc import Sequence

from ledger.conversions import Recorded, conversion_of, looking, proof_of
from ledger.evidence import SaleEvidence
from ledger.lifecycle import holding_all
from rako.core.facts import state_all
from rako.core.postgres import Statement, send, send_each
from rako.core.rows import inserting
from sessions_app.models import Recommendation, Session

Proven = tuple[Recommendation, SaleEvidence]

_LOCK_SESSIONS = "SELECT FROM sessions_app_session WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"


def record_unmet(proven: Sequence[Proven]) -> dict[int, Recorded]:
    """Record, in the caller's transaction, the sales of which nothing is known and for which nothing waits, by their
    place. Each is of another order, payment and session.

    Locks are those of `record_conversion`, all of a kind before the next and in its order.
    """
    names = [
        (recommendation.offer.merchant_id, reference)
        for recommendation, evidence in proven
        for reference in (evidence.reference, evidence.order_reference)
    ]
    sessions = [recommendation.session_id for recommendation, _ in proven]
    send(holding_all(names), Statement(_LOCK_SESSIONS, [sessions]))
    met = send_each([looking(*each) for each in proven])
    unmet = [place for place, [found] in enumerate(met) if not any(found)]
    return dict(zip(unmet, record_all([proven[place] for place in unmet]), strict=True))


def record_all(proven: Sequence[Proven]) -> list[Recorded]:
    """Record sales that nothing stands against. Hold their references and sessions."""
    conversions, facts, rows = [], [], []
    for recommendation, evidence in proven:
        conversion, told, postings = conversion_of(recommendation, evidence)
        fact, row = proof_of(conversion, evidence, "conversion.recorded", facts=told, postings=postings)
        conversions.append(conversion)
        facts.append(fact)
        rows.append(row)
    send_each([inserting(conversion) for conversion in conversions])
    sessions = [conversion.session_id for conversion in conversions]
    Session.objects.filter(pk__in=sessions).update(status=Session.Status.CONVERTED)
    entries = state_all(facts, along_with=rows)
    for conversion in conversions:
        conversion._state.adding = False
    return [Recorded(*each, made=True) for each in zip(conversions, entries, strict=True)]
