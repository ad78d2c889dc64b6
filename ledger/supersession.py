"""A sale passes to a path of higher priority: its conversion is rejected, and what happened to the sale handed on."""

from dataclasses import replace
from datetime import timedelta

from ledger.evidence import SaleEvidence
from ledger.lifecycle import Kind, Told, carry_out, tell_of
from ledger.models import Conversion, Event, Evidence
from rako.core.ids import new_id

# Decided about the one conversion: its successor is validated by itself, in its own time.
_OWN = (Kind.VALIDATED, Kind.SUPERSEDED)
# About who recommended, not about the sale: another builder's conversion does not answer for it.
_OF_BUILDER = (Kind.HELD, Kind.RELEASED, Kind.FRAUD_FOUND)


def supersede(conversion: Conversion, evidence: SaleEvidence) -> str:
    """Reject a conversion, whose session the caller holds, for a proof of higher priority; gives its successor's id.

    The caller makes the successor, and then hands over what happened to the sale, in the same transaction.
    """
    successor_id = new_id()
    told = Told(
        kind=Kind.SUPERSEDED,
        sale_reference=conversion.order_reference,
        reference=successor_id,
        # With the sale that takes over: what one earns and the other loses falls into one month.
        occurred_at=evidence.occurred_at,
        reason=f"The sale was proven by {evidence.path!s}, which comes before {conversion.attribution_path}",
        sha256=evidence.sha256,
        received_at=evidence.received_at,
    )
    tell_of(conversion, told)
    return successor_id


def with_service_date(evidence: SaleEvidence, conversion: Conversion) -> SaleEvidence:
    """A payment does not tell when a flight leaves: what the superseded conversion knew of it is not lost."""
    ends_at = conversion.first_validation_ends_at
    if evidence.service_on is not None or ends_at is None:
        return evidence
    return replace(evidence, service_on=(ends_at - timedelta(days=conversion.validation_days)).date())


def hand_over(conversion: Conversion, successor: Conversion, evidence: SaleEvidence) -> None:
    """What happened to the sale so far – refunds, disputes, milestones – holds for its new conversion, too.

    But for what was decided about its value, if a payment says what that is.
    """
    left_out = _OWN if conversion.builder_id == successor.builder_id else (*_OWN, *_OF_BUILDER)
    if evidence.source == Evidence.Source.PSP_EVENT:
        left_out = (*left_out, Kind.CORRECTED)
    inherited = [
        Event(
            conversion=successor,
            is_inherited=True,
            merchant_id=event.merchant_id,
            kind=event.kind,
            sale_reference=event.sale_reference,
            reference=event.reference,
            amount_minor=event.amount_minor,
            reason=event.reason,
            occurred_at=event.occurred_at,
            received_at=event.received_at,
            sha256=event.sha256,
        )
        for event in conversion.events.exclude(kind__in=left_out).order_by("occurred_at", "id")
    ]
    for event in inherited:
        event.save()
    if inherited:
        carry_out(successor.pk, inherited)
        successor.refresh_from_db()
