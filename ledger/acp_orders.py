"""What ACP's order events come to: a merchant's report of a sale, its refunds, its cancellation (docs/bridges.md).

Nothing of an event is stored but its hash: its order is reported once, each refund told once, whatever is sent again.
"""

import hashlib
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from ledger.acp_events import Order, Refund, read_event
from ledger.cancellations import cancel_conversion
from ledger.conversions import OrderAttributed
from ledger.lifecycle import Told, holding, tell
from ledger.models import Conversion, Event, Evidence
from ledger.models.conversion import Level, Path
from ledger.priority import live
from ledger.redemption import what_is_kept
from ledger.reports import Report, ReportConflict, report_conversion
from merchants.models import Merchant
from rako.core.aap_code import decode
from rako.core.errors import BadRequest, RakoError
from rako.core.money import to_wire
from rako.core.postgres import send
from sessions_app.attribution_token import find_recommendation

# Not, or not yet, sold.
NO_SALE = ("canceled", "manual_review")
_REASON = "ACP order event"


@dataclass(frozen=True, slots=True)
class Result:
    """What an event came to (`OrderEventReply` has the words), and why if it came to nothing."""

    status: str
    conversion: Conversion | None = None
    reason: str = ""
    code: str = ""


def take_in(merchant: Merchant, body: bytes) -> Result:
    """Carry out an authentic event. Raises MalformedEvent, and what passes by itself, so that it is sent again."""
    order, sha256 = read_event(body), hashlib.sha256(body).hexdigest()
    if order is None:
        return Result("ignored", reason="No event of an order")
    try:
        sale = _sale(merchant, order, sha256)
        if sale.conversion is not None and _follow(sale.conversion, order, sha256):
            return Result("clawback_recorded", sale.conversion)
        return sale
    except RakoError as error:
        if error.retry_after is not None:
            raise
        return Result("rejected", reason=str(error), code=error.code)


def _sale(merchant: Merchant, order: Order, sha256: str) -> Result:
    """The order's conversion: the one it has, or a new one if it comes with a token."""
    known = _known(merchant, order)
    if known is not None:
        return known
    if order.token is None:
        return Result("ignored", reason="Neither an order that was reported nor one with an attribution token")
    if order.status == "canceled":
        return _cancelled_before(merchant, order, order.token, sha256)
    if order.status in NO_SALE or order.total_minor is None:
        return Result("ignored", reason="No sale yet: it is under review, or has no total")
    try:
        return _report(merchant, order, order.token, order.total_minor, sha256)
    except ReportConflict:
        # Reported meanwhile, by another event of the order: that one tells of other bytes.
        known = _known(merchant, order)
        if known is None:
            raise
        return known


def _cancelled_before(merchant: Merchant, order: Order, text: str, sha256: str) -> Result:
    """The event that tells of the sale is late, or sent again: whenever it comes, the sale is cancelled."""
    find_recommendation(text, merchant_id=merchant.pk)
    tell(merchant.pk, _told(Event.Kind.CANCELLED, order, _reference(order, "canceled"), sha256))
    return Result("ignored", reason="Cancelled before its sale was told of")


def _known(merchant: Merchant, order: Order) -> Result | None:
    told = Evidence.objects.filter(merchant=merchant, source=Evidence.Source.MERCHANT_REPORT, path=Path.AAP_FLOW)
    evidence = told.filter(reference=order.reference).select_related("conversion").first()
    if evidence is None:
        return None
    takes_back = order.status == "canceled" or order.refunds or order.refunded_minor
    if not takes_back and order.total_minor not in (None, evidence.transaction_value_minor):
        raise ReportConflict()
    if order.token is not None:
        recommendation, _ = find_recommendation(order.token, merchant_id=merchant.pk)
        if recommendation.session_id != evidence.conversion.session_id:
            raise OrderAttributed()
    return Result("duplicate", live(evidence.conversion))


def _report(merchant: Merchant, order: Order, text: str, total_minor: int, sha256: str) -> Result:
    recommendation, token = find_recommendation(text, merchant_id=merchant.pk)
    # ACP's orders name no currency: it is the offer's, as the code has it.
    value = to_wire(total_minor, decode(recommendation.aap_code).payload["cur"])
    report = Report(
        recommendation.session_id,
        order.reference,
        value,
        recommendation_id=recommendation.pk,
        redeemed=what_is_kept(token) | {"event_sha256": sha256},
    )
    recorded = report_conversion(merchant, report)
    status = "conversion_recorded" if recorded.made else "evidence_attached" if recorded.attached else "duplicate"
    return Result(status, recorded.conversion)


@transaction.atomic
def _follow(conversion: Conversion, order: Order, sha256: str) -> bool:
    """Tell what happened to the order since; whether any of it was new.

    It counts from when it is told, like all that a merchant tells: nothing is dated back into the validation.
    """
    # One event of an order at a time: what is new is what was not told before.
    send(holding(conversion.merchant_id, order.reference))
    new = [told for told in _told_by(conversion, order, sha256) if not _is_told(conversion, told)]
    for told in new:
        tell(conversion.merchant_id, told, conversion=conversion)
    cancels = order.status == "canceled" and not conversion.events.filter(kind=Event.Kind.CANCELLED).exists()
    if cancels:
        cancel_conversion(conversion, reason=_REASON)
    return bool(new) or cancels


def _told_by(conversion: Conversion, order: Order, sha256: str) -> list[Told]:
    # Where a payment proved the sale, its processor tells of refunds: the same money is not given back twice.
    if conversion.verification_level == Level.ORCHESTRATED:
        return []
    told = [_refund_told(conversion, order, refund, sha256) for refund in order.refunds]
    return [one for one in (*told, _listed_refunds(conversion, order, sha256)) if one is not None]


def _refund_told(conversion: Conversion, order: Order, refund: Refund, sha256: str) -> Told | None:
    if refund.currency not in (None, conversion.currency):
        raise BadRequest(f"The currency of a refund must be {conversion.currency}", code="invalid_field")
    reference = _reference(order, refund.id)
    if refund.status == "completed" and refund.amount_minor:
        return _told(Event.Kind.REFUNDED, order, reference, sha256, refund.amount_minor)
    was_told = conversion.events.filter(kind=Event.Kind.REFUNDED, reference=reference).exists()
    return _told(Event.Kind.REFUND_FAILED, order, reference, sha256) if refund.status == "failed" and was_told else None


def _listed_refunds(conversion: Conversion, order: Order, sha256: str) -> Told | None:
    """What a list of refunds without names, as of 2026-01-30, comes to beyond what was told before."""
    if order.refunds:  # the later form, which names them
        return None
    prefix = _reference(order, "refunds:")
    earlier = conversion.events.filter(kind=Event.Kind.REFUNDED, reference__startswith=prefix)
    more = order.refunded_minor - sum(event.amount_minor or 0 for event in earlier)
    if more <= 0:
        return None
    return _told(Event.Kind.REFUNDED, order, f"{prefix}{order.refunded_minor}", sha256, more)


def _told(kind: Event.Kind, order: Order, reference: str, sha256: str, amount_minor: int | None = None) -> Told:
    return Told(kind, order.reference, reference, timezone.now(), amount_minor, _REASON, sha256)


def _is_told(conversion: Conversion, told: Told) -> bool:
    same = Event.objects.filter(merchant=conversion.merchant_id, kind=told.kind, reference=told.reference)
    return same.filter(is_inherited=False).exists()


def _reference(order: Order, name: str) -> str:
    """A name of the order's that no other order of the merchant's has."""
    return f"acp:{hashlib.sha256(order.reference.encode()).hexdigest()[:32]}:{name}"
