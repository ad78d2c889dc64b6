"""Records conversions: the one way in for every proof of a sale, whoever brings it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from ledger import commission
from ledger.accounts import Split, accrued, difference
from ledger.evidence import OF_MERCHANT, SaleEvidence
from ledger.lifecycle import claim_waiting, holding, parties_of
from ledger.models import Conversion, Entry, Evidence, Status
from ledger.models.conversion import Level
from ledger.priority import live, rivals, takes_over
from ledger.supersession import hand_over, supersede, with_service_date
from merchants.verticals import VERTICALS
from rako.core.aap_code import decode
from rako.core.errors import Conflict
from rako.core.facts import Appended, Fact, Posting, state, stating
from rako.core.ids import new_id
from rako.core.money import Money
from rako.core.postgres import Statement, send
from rako.core.rows import inserting
from rako.core.wire import instant
from sessions_app.models import Recommendation

# Which levels a proof of a level raises, if it agrees with what is recorded: none is ever lowered.
RAISES: dict[Level, tuple[Level, ...]] = {
    # The payment itself outranks everybody's word.
    Level.ORCHESTRATED: (Level.RECONCILED, Level.PAYMENT_OBSERVED, Level.MERCHANT_REPORTED),
    Level.RECONCILED: (Level.MERCHANT_REPORTED,),
}
TELL_OF_EVIDENCE = ("conversion.recorded", "evidence.attached", "evidence.contradicts")


class SessionConverted(Conflict):
    code, message = "session_converted", "Session already converted"


class OrderAttributed(Conflict):
    code, message = "order_attributed", "This order was already attributed"


@dataclass(frozen=True, slots=True)
class Recorded:
    """The conversion a proof belongs to: `made` by it, or the proof was `attached` to it, or was known before."""

    conversion: Conversion
    entry: Appended
    made: bool = False
    attached: bool = False


def record_conversion(recommendation: Recommendation, evidence: SaleEvidence) -> Recorded:
    """Credit a proven sale to a recommendation, once.

    The first proof makes the conversion; the same proof again changes nothing; the other party's proof is attached. A
    proof by a path of higher priority makes a conversion that supersedes the one there is (`ledger.priority`).
    Raises SessionConverted or OrderAttributed when it contradicts what is recorded. Load the recommendation with
    agent, offer and the offer's merchant.
    """
    with transaction.atomic(savepoint=False):
        recorded = _record(recommendation, evidence)
    # Raised out here: within, it would end the caller's transaction, too.
    if isinstance(recorded, Conflict):
        raise recorded
    return recorded


# One at a time for a session: whoever waits here sees all that the one before wrote. (NO KEY: rows that only refer to
# the session are not held up.) Those that had the order before are held, too: this proof may take it away from them,
# and by id, like everywhere, so that nobody waits in a circle. None can be added: the order's reference is held.
_LOCK_SESSIONS = """
SELECT FROM sessions_app_session WHERE id IN (
    SELECT %s UNION ALL SELECT session_id FROM ledger_conversion WHERE merchant_id = %s AND order_reference = %s
) ORDER BY id FOR NO KEY UPDATE
"""
_CONVERT_SESSION = "UPDATE sessions_app_session SET status = 'converted' WHERE id = %s"
_LOOK = """
SELECT EXISTS (SELECT FROM ledger_evidence WHERE merchant_id = %s AND source = %s AND reference = %s)
    OR EXISTS (SELECT FROM ledger_conversion WHERE session_id = %s)
    OR EXISTS (SELECT FROM ledger_conversion WHERE merchant_id = %s AND order_reference = %s),
    EXISTS (SELECT FROM ledger_event WHERE merchant_id = %s AND sale_reference IN (%s, %s) AND conversion_id IS NULL)
"""


def _record(recommendation: Recommendation, evidence: SaleEvidence) -> Recorded | Conflict:
    merchant_id, references = recommendation.offer.merchant_id, [evidence.reference, evidence.order_reference]
    _, _, [[is_known, has_waiting]] = send(
        # What happened to this sale may be told at the same time: it finds the sale, or the sale finds it.
        holding(merchant_id, *references),
        Statement(_LOCK_SESSIONS, [recommendation.session_id, merchant_id, evidence.order_reference]),
        looking(recommendation, evidence),
    )
    recorded = _add_to_known(recommendation, evidence) if is_known else _make(recommendation, evidence)
    if has_waiting and isinstance(recorded, Recorded):
        claim_waiting(recorded.conversion, references)
    return recorded


def looking(recommendation: Recommendation, evidence: SaleEvidence) -> Statement:
    """Whether anything is known of a sale, and whether something that happened to it waits for it."""
    merchant_id, session_id = recommendation.offer.merchant_id, recommendation.session_id
    proof, order = [merchant_id, str(evidence.source), evidence.reference], [merchant_id, evidence.order_reference]
    return Statement(_LOOK, [*proof, session_id, *order, merchant_id, evidence.reference, evidence.order_reference])


def _add_to_known(recommendation: Recommendation, evidence: SaleEvidence) -> Recorded | Conflict:
    """A proof of a session or an order of which something is known."""
    told = _told(recommendation, evidence)
    known = next((row for row in told if row.path == evidence.path), None)
    if known is None:
        return _credit(recommendation, evidence, told)
    if known.conversion.session_id != recommendation.session_id:
        return OrderAttributed()
    return Recorded(live(known.conversion), entry_of(known))


def _credit(recommendation: Recommendation, evidence: SaleEvidence, told: list[Evidence]) -> Recorded | Conflict:
    """Make a conversion, attach the proof to the one there is, or supersede that (`ledger.priority`)."""
    found = rivals(recommendation, evidence, told)
    if not found:
        return _make(recommendation, evidence)
    rival = found[0]
    if len(found) > 1:  # this session has a sale, and this order is another's
        return OrderAttributed()
    if takes_over(evidence, rival, recommendation):
        successor_id = supersede(rival, evidence)
        recorded = _make(recommendation, with_service_date(evidence, rival), conversion_id=successor_id)
        hand_over(rival, recorded.conversion, evidence)
        return recorded
    if rival.session_id != recommendation.session_id:
        return OrderAttributed()
    return _attach(rival, recommendation, evidence)


def _told(recommendation: Recommendation, evidence: SaleEvidence) -> list[Evidence]:
    """What is known under this reference, by whatever path."""
    rows = Evidence.objects.filter(
        merchant=recommendation.offer.merchant_id, source=evidence.source, reference=evidence.reference
    )
    return list(rows.select_related("conversion"))


def entry_of(evidence: Evidence) -> Appended:
    """The entry that tells of a piece of evidence."""
    entry = Entry.objects.get(idempotency_key=f"evidence:{evidence.pk}")
    return Appended(entry.pk, entry.entry_id, entry.stream_seq, entry.recorded_at, bytes(entry.leaf_hash), False)


def conversion_of(
    recommendation: Recommendation, evidence: SaleEvidence, conversion_id: str | None = None
) -> tuple[Conversion, dict[str, Any], list[Posting]]:
    """A proven sale as it is recorded, not yet stored: its row, and what its first entry tells besides and books.

    Load the recommendation with agent, offer and the offer's merchant.
    """
    offer, code = recommendation.offer, decode(recommendation.aap_code)
    earned = commission.compute(
        code.payload["com"],
        value_minor=evidence.money.amount_minor,
        currency=evidence.money.currency,
        path=evidence.path,
        fee_rate=offer.merchant.network_fee_rate,
    )
    rules = VERTICALS[offer.vertical]
    ends_at = _validation_end(rules.validation_starts, rules.validation_days, evidence)
    conversion = Conversion(
        pk=conversion_id or new_id(),
        status=Status.MATCHED if ends_at is None else Status.PENDING_VALIDATION,
        attribution_path=evidence.path,
        verification_level=evidence.level,
        session_id=recommendation.session_id,
        recommendation=recommendation,
        agent=recommendation.agent,
        builder_id=recommendation.agent.builder_id,
        merchant_id=offer.merchant_id,
        offer=offer,
        code_sha256=code.sha256,
        order_reference=evidence.order_reference,
        transaction_value_minor=evidence.money.amount_minor,
        currency=evidence.money.currency,
        commission_type=earned.type,
        commission_minor=earned.amount,
        network_fee_minor=earned.fee,
        builder_payout_minor=earned.payout,
        network_fee_rate=offer.merchant.network_fee_rate,
        refunds_reverse_cpa=offer.merchant.refunds_reverse_cpa,
        validation_days=rules.validation_days,
        converted_at=evidence.occurred_at,
        recorded_at=timezone.now(),
        first_validation_ends_at=ends_at,
        validation_ends_at=ends_at,
    )
    postings = difference({}, accrued(Split(earned.amount, earned.fee, earned.payout)), parties_of(conversion))
    return conversion, _commission_facts(conversion, earned), postings


def _make(recommendation: Recommendation, evidence: SaleEvidence, *, conversion_id: str | None = None) -> Recorded:
    conversion, facts, postings = conversion_of(recommendation, evidence, conversion_id)
    fact, row = proof_of(conversion, evidence, "conversion.recorded", facts=facts, postings=postings)
    convert = Statement(_CONVERT_SESSION, [conversion.session_id])
    *_, [entry] = send(inserting(conversion), convert, stating(fact, inserting(row)))
    conversion._state.adding = False
    return Recorded(conversion, Appended(*entry), made=True)


def _attach(conversion: Conversion, recommendation: Recommendation, evidence: SaleEvidence) -> Recorded | Conflict:
    """A second party's proof of the same sale, or one by another path. A second payment, order, or report by the same
    path is no such thing, nor is another recommendation's; and the merchant's own word names one order.

    One that names another amount is kept as a contradiction: it changes neither commission nor level.
    """
    is_other = ~Q(reference=evidence.reference)
    of_another = Q(Q(path=evidence.path) | is_other, source=evidence.source)
    if evidence.source in OF_MERCHANT:
        of_another |= Q(is_other, source__in=OF_MERCHANT)
    if conversion.recommendation_id != recommendation.pk or conversion.evidence.filter(of_another).exists():
        return SessionConverted()
    recorded = Money(conversion.transaction_value_minor, conversion.currency)
    agrees = evidence.money == recorded
    # It certifies only what it agrees with.
    if agrees and conversion.verification_level in RAISES.get(evidence.level, ()):
        Conversion.objects.filter(pk=conversion.pk).update(verification_level=evidence.level)
        conversion.verification_level = evidence.level
    fact, row = proof_of(conversion, evidence, "evidence.attached" if agrees else "evidence.contradicts")
    return Recorded(conversion, state(fact, along_with=row), attached=True)


def proof_of(
    conversion: Conversion,
    evidence: SaleEvidence,
    kind: str,
    *,
    facts: dict[str, Any] | None = None,
    postings: Sequence[Posting] = (),
) -> tuple[Fact, Evidence]:
    """A piece of evidence and the fact that tells of it, to be stated in one round trip."""
    row = Evidence(
        conversion=conversion,
        merchant_id=conversion.merchant_id,
        source=evidence.source,
        level=evidence.level,
        path=evidence.path,
        reference=evidence.reference,
        transaction_value_minor=evidence.money.amount_minor,
        currency=evidence.money.currency,
        occurred_at=evidence.occurred_at,
        received_at=evidence.received_at,
        sha256=evidence.sha256,
        details=evidence.details,
    )
    fact = Fact(
        stream_id=conversion.pk,
        kind=kind,
        facts=_facts(conversion, evidence) | (facts or {}),
        for_merchant={"order_reference": evidence.order_reference, "reference": evidence.reference},
        for_agent={"agent_id": conversion.agent_id, "builder_id": conversion.builder_id},
        evidence_sha256=evidence.sha256,
        postings=postings,
        occurred_at=evidence.occurred_at,
        idempotency_key=f"evidence:{row.pk}",  # which PostgreSQL holds unique by merchant, source and reference
        merchant_id=conversion.merchant_id,
        agent_id=conversion.agent_id,
    )
    return fact, row


def _validation_end(starts: str, days: int, evidence: SaleEvidence) -> datetime | None:
    """When validation ends, or None until the event that starts it is known (protocol, section 4)."""
    if starts == "conversion":
        return evidence.occurred_at + timedelta(days=days)
    if starts == "service_date" and evidence.service_on is not None:
        return midnight(evidence.service_on) + timedelta(days=days)
    return None


def midnight(day: date) -> datetime:
    """When a day begins, in UTC."""
    return datetime.combine(day, time(), UTC)


def _facts(conversion: Conversion, evidence: SaleEvidence) -> dict[str, Any]:
    return {
        "conversion_id": conversion.pk,
        "status": str(conversion.status),
        "verification_level": str(conversion.verification_level),
        "session_id": conversion.session_id,
        "recommendation_id": conversion.recommendation_id,
        "merchant_id": conversion.merchant_id,
        "offer_id": conversion.offer_id,
        "transaction_value_minor": evidence.money.amount_minor,
        "currency": evidence.money.currency,
        "evidence": {
            "source": str(evidence.source),
            "level": str(evidence.level),
            "path": str(evidence.path),
            "received_at": instant(evidence.received_at),
            "sha256": evidence.sha256,
        },
    }


def _commission_facts(conversion: Conversion, earned: commission.Commission) -> dict[str, Any]:
    ends_at = conversion.validation_ends_at
    return {
        "attribution_path": str(conversion.attribution_path),
        "code_sha256": conversion.code_sha256,
        "refunds_reverse_cpa": conversion.refunds_reverse_cpa,
        "validation_days": conversion.validation_days,
        "validation_ends_at": None if ends_at is None else instant(ends_at),
        "commission": {
            "type": earned.type,
            "gross_minor": earned.gross,
            "path_multiplier": str(earned.multiplier),
            "amount_minor": earned.amount,
            "fee_rate": str(conversion.network_fee_rate),
            "fee_minor": earned.fee,
            "payout_minor": earned.payout,
        },
    }
