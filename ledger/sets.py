"""Records sales in sets: those that meet nothing but their recommendation, with a few round trips for all of them. Any
other goes the way of a single one (`ledger.conversions`); the same rows and entries come of either.
"""

from collections.abc import Sequence

from ledger.conversions import Recorded, conversion_of, looking, proof_of
from ledger.evidence import SaleEvidence
from ledger.lifecycle import key_of
from rako.core.facts import state_all
from rako.core.postgres import Statement, send, send_each
from rako.core.rows import inserting
from sessions_app.models import Recommendation, Session

Proven = tuple[Recommendation, SaleEvidence]

# What somebody else has under way is passed over: whoever waits for one sale would hold up all others.
_TRY = """
SELECT key FROM unnest(%s::text[]) AS key WHERE pg_try_advisory_xact_lock(hashtextextended(key, 0))
"""
_LOCK_SESSIONS = "SELECT id FROM sessions_app_session WHERE id = ANY(%s) FOR NO KEY UPDATE SKIP LOCKED"


def record_unmet(proven: Sequence[Proven]) -> dict[int, Recorded]:
    """Record, in the caller's transaction, the sales of which nothing is known, for which nothing waits and that nobody
    else has under way, by their place. Each is of another order, payment and session.

    Locks are those of `record_conversion`, and nobody is waited for.
    """
    keys = [
        {key_of(recommendation.offer.merchant_id, name) for name in (evidence.reference, evidence.order_reference)}
        for recommendation, evidence in proven
    ]
    sessions = [recommendation.session_id for recommendation, _ in proven]
    held, locked = send(Statement(_TRY, [sorted(set[str]().union(*keys))]), Statement(_LOCK_SESSIONS, [sessions]))
    ours = {key for (key,) in held}, {session for (session,) in locked}
    free = [place for place in range(len(proven)) if keys[place] <= ours[0] and sessions[place] in ours[1]]
    met = send_each([looking(*proven[place]) for place in free])
    unmet = [place for place, [found] in zip(free, met, strict=True) if not any(found)]
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
