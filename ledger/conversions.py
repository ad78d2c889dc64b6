"""Records conversions: the one way in for every proof of a sale, whoever brings it."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from ledger import commission, entries
from ledger.evidence import SaleEvidence
from ledger.models import Conversion, Evidence
from ledger.models.conversion import Level
from merchants.verticals import VERTICALS
from rako.core.aap_code import Code, decode
from rako.core.errors import Conflict
from rako.core.money import Money
from sessions_app.models import Recommendation, Session


class SessionConverted(Conflict):
    code, message = "session_converted", "Session already converted"


class OrderAttributed(Conflict):
    code, message = "order_attributed", "This order was already attributed"


@dataclass(frozen=True, slots=True)
class Recorded:
    """The conversion a proof belongs to: `made` by it, or the proof was `attached` to it, or was known before."""

    conversion: Conversion
    made: bool = False
    attached: bool = False


def record_conversion(recommendation: Recommendation, evidence: SaleEvidence) -> Recorded:
    """Credit a proven sale to a recommendation, once.

    The first proof makes the conversion; the same proof again changes nothing; the other party's proof is attached.
    Raises SessionConverted or OrderAttributed when it contradicts what is recorded. Load the recommendation with
    session, agent, offer and the offer's merchant.
    """
    try:
        with transaction.atomic():
            return _record(recommendation, evidence)
    except IntegrityError:
        # The same payment or order was recorded for another session between our look and our insert: look again.
        with transaction.atomic():
            return _record(recommendation, evidence)


def _record(recommendation: Recommendation, evidence: SaleEvidence) -> Recorded:
    # One at a time for a session: whoever waits here sees all that the one before wrote. (NO KEY: rows that only
    # refer to the session are not held up.)
    Session.objects.select_for_update(no_key=True).get(pk=recommendation.session_id)
    known = _known(recommendation, evidence)
    if known is not None:
        if known.conversion.session_id != recommendation.session_id:
            raise OrderAttributed()
        return Recorded(known.conversion)
    existing = Conversion.objects.filter(session=recommendation.session_id).first()
    if existing is not None:
        return _attach(existing, recommendation, evidence)
    if Conversion.objects.filter(
        merchant=recommendation.offer.merchant_id, order_reference=evidence.order_reference
    ).exists():
        raise OrderAttributed()
    return Recorded(_make(recommendation, evidence), made=True)


def _known(recommendation: Recommendation, evidence: SaleEvidence) -> Evidence | None:
    return (
        Evidence.objects.filter(
            merchant=recommendation.offer.merchant_id, source=evidence.source, reference=evidence.reference
        )
        .select_related("conversion")
        .first()
    )


def _make(recommendation: Recommendation, evidence: SaleEvidence) -> Conversion:
    offer, code = recommendation.offer, decode(recommendation.aap_code)
    earned = commission.compute(
        code.payload["com"],
        value_minor=evidence.money.amount_minor,
        currency=evidence.money.currency,
        path=evidence.path,
        fee_rate=offer.merchant.network_fee_rate,
    )
    rules = VERTICALS[offer.vertical]
    conversion = Conversion.objects.create(
        attribution_path=evidence.path,
        verification_level=evidence.level,
        session=recommendation.session,
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
        validation_days=rules.validation_days,
        converted_at=evidence.occurred_at,
        recorded_at=timezone.now(),
        validation_ends_at=_validation_end(rules.validation_starts, rules.validation_days, evidence),
    )
    _store_evidence(conversion, evidence)
    facts = _facts(conversion, evidence) | _commission_facts(conversion, earned, code, offer.merchant.network_fee_rate)
    entries.append(
        conversion.pk,
        "conversion.recorded",
        facts,
        occurred_at=evidence.occurred_at,
        idempotency_key=f"conversion:{conversion.session_id}",
        is_new_stream=True,
    )
    Session.objects.filter(pk=conversion.session_id).update(status=Session.Status.CONVERTED)
    return conversion


def _attach(conversion: Conversion, recommendation: Recommendation, evidence: SaleEvidence) -> Recorded:
    """A second party's proof of the same sale. A second payment, or another recommendation's, is no such thing.

    One that names another amount is kept as a contradiction: it changes neither commission nor level.
    """
    if conversion.recommendation_id != recommendation.pk or conversion.evidence.filter(source=evidence.source).exists():
        raise SessionConverted()
    _store_evidence(conversion, evidence)
    recorded = Money(conversion.transaction_value_minor, conversion.currency)
    agrees = evidence.money == recorded
    # The payment itself outranks the merchant's word, but it certifies only what it agrees with.
    if agrees and evidence.level == Level.ORCHESTRATED:
        Conversion.objects.filter(pk=conversion.pk).update(verification_level=evidence.level)
        conversion.verification_level = evidence.level
    entries.append(
        conversion.pk,
        "evidence.attached" if agrees else "evidence.contradicts",
        _facts(conversion, evidence),
        occurred_at=evidence.occurred_at,
        idempotency_key=f"evidence:{conversion.merchant_id}:{evidence.source}:{evidence.sha256}",
    )
    return Recorded(conversion, attached=True)


def _store_evidence(conversion: Conversion, evidence: SaleEvidence) -> None:
    Evidence.objects.create(
        conversion=conversion,
        merchant_id=conversion.merchant_id,
        source=evidence.source,
        level=evidence.level,
        reference=evidence.reference,
        transaction_value_minor=evidence.money.amount_minor,
        currency=evidence.money.currency,
        occurred_at=evidence.occurred_at,
        received_at=evidence.received_at,
        sha256=evidence.sha256,
        details=evidence.details,
    )


def _validation_end(starts: str, days: int, evidence: SaleEvidence) -> datetime | None:
    """When validation ends, or None until the event that starts it is known (protocol, section 4)."""
    if starts == "conversion":
        return evidence.occurred_at + timedelta(days=days)
    if starts == "service_date" and evidence.service_on is not None:
        return datetime.combine(evidence.service_on, time(), UTC) + timedelta(days=days)
    return None


def _facts(conversion: Conversion, evidence: SaleEvidence) -> dict[str, Any]:
    return {
        "conversion_id": conversion.pk,
        "status": conversion.status,
        "verification_level": conversion.verification_level,
        "session_id": conversion.session_id,
        "recommendation_id": conversion.recommendation_id,
        "agent_id": conversion.agent_id,
        "builder_id": conversion.builder_id,
        "merchant_id": conversion.merchant_id,
        "offer_id": conversion.offer_id,
        "transaction_value_minor": evidence.money.amount_minor,
        "currency": evidence.money.currency,
        "evidence": {
            "source": str(evidence.source),
            "level": str(evidence.level),
            "reference": evidence.reference,
            "received_at": evidence.received_at.astimezone(UTC).isoformat(),
            "sha256": evidence.sha256,
        },
    }


def _commission_facts(
    conversion: Conversion, earned: commission.Commission, code: Code, fee_rate: Any
) -> dict[str, Any]:
    return {
        "attribution_path": str(conversion.attribution_path),
        "code_sha256": code.sha256,
        "order_reference": conversion.order_reference,
        "validation_days": conversion.validation_days,
        "commission": {
            "type": earned.type,
            "gross_minor": earned.gross,
            "path_multiplier": str(earned.multiplier),
            "amount_minor": earned.amount,
            "fee_rate": str(fee_rate),
            "fee_minor": earned.fee,
            "payout_minor": earned.payout,
        },
    }
