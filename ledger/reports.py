"""Merchants' own reports of sales (protocol, section 1, POST /v1/conversions)."""

import hashlib
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import orjson
from django.utils import timezone

from ledger.conversions import Recorded, entry_of, record_conversion
from ledger.evidence import PAYMENT_ORDER, SaleEvidence
from ledger.models import Conversion, Evidence
from ledger.models.conversion import Level, Path
from ledger.priority import live
from ledger.windows import check_accepted, check_proof, check_window
from merchants.models import Merchant
from rako.core.aap_code import decode
from rako.core.errors import BadRequest, Conflict
from rako.core.ids import is_id
from rako.core.money import Money, from_wire
from rako.core.wire import instant
from sessions_app.models import Recommendation
from sessions_app.recommend import RecommendationNotFound, SessionNotFound

ONE_DAY, LONGEST_WAIT = timedelta(days=1), timedelta(days=3 * 366)


_UNDER_WAY = ("open", "expiring", "processing", "unknown", "succeeded")


class ReportConflict(Conflict):
    code, message = "report_conflict", "This orderReference was already reported with other content"


@dataclass(frozen=True, slots=True)
class Report:
    """What a merchant says of a sale. `value` is a JSON number in major units of `currency` (the offer's if None)."""

    session_id: str
    order_reference: str
    value: int | float
    recommendation_id: str | None = None
    currency: str | None = None
    payment_reference: str | None = None
    occurred_at: datetime | None = None
    service_on: date | None = None
    attribution_path: str = Path.AAP_FLOW
    evidence: dict[str, Any] = field(default_factory=dict)


def report_conversion(merchant: Merchant, report: Report) -> Recorded:
    """Record a merchant's report, or attach it to the conversion that the payment made.

    The same report again gives the conversion that has the sale. Raises BadRequest, SessionNotFound,
    RecommendationNotFound, PathNotAccepted, SessionExpired or OutsideWindow for a sale outside the path's window,
    ReportConflict, SessionConverted or OrderAttributed.
    """
    if report.order_reference.startswith(PAYMENT_ORDER):
        raise BadRequest(f"orderReference must not start with {PAYMENT_ORDER}", code="invalid_field")
    path = Path(report.attribution_path)
    check_proof(path, report.evidence)
    recommendation = _find_recommendation(merchant, report)
    # The signed code's currency, whatever the offer is priced in by now.
    money = _money(report, decode(recommendation.aap_code).payload["cur"])
    content = _content(report, money)
    earlier = _earlier(merchant, report)
    if earlier is not None:
        if earlier.details != content:
            raise ReportConflict()
        return Recorded(live(earlier.conversion), entry_of(earlier))
    check_accepted(recommendation, path)
    now = timezone.now()
    occurred_at = report.occurred_at or now
    check_window(recommendation, path, occurred_at, now=now, evidence=report.evidence)
    _check_service(occurred_at, report.service_on)
    if path == Path.AAP_FLOW:  # a payment outranks the others
        _check_no_rival_payment(recommendation)
    evidence = SaleEvidence(
        source=Evidence.Source.MERCHANT_REPORT,
        level=Level.MERCHANT_REPORTED,
        path=path,
        reference=report.order_reference,
        order_reference=report.order_reference,
        money=money,
        occurred_at=occurred_at,
        received_at=now,
        sha256=hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest(),
        service_on=report.service_on,
        details=content,
    )
    recorded = record_conversion(recommendation, evidence)
    if not recorded.made and not recorded.attached:  # a twin of this report was faster: is it really the same?
        twin = _earlier(merchant, report)
        if twin is not None and twin.details != content:
            raise ReportConflict()
    return recorded


def _find_recommendation(merchant: Merchant, report: Report) -> Recommendation:
    """This merchant's recommendation that the sale belongs to: the named one, else the session's latest."""
    if not is_id(report.session_id):
        raise SessionNotFound()
    rows = Recommendation.objects.filter(session=report.session_id, offer__merchant=merchant).select_related(
        "session", "agent", "offer__merchant"
    )
    found = list(rows.order_by("-created_at", "-id"))
    if not found:
        raise SessionNotFound()
    if report.recommendation_id is None:
        converted = Conversion.objects.filter(merchant=merchant, session=report.session_id, is_superseded=False)
        made_by = converted.values_list("recommendation", flat=True).first()
        return next((row for row in found if row.pk == made_by), found[0])
    named = [row for row in found if row.pk == report.recommendation_id]
    if not named:
        raise RecommendationNotFound()
    return named[0]


def _check_no_rival_payment(recommendation: Recommendation) -> None:
    """A report must not take the sale away from a payment that is under way for another recommendation."""
    session = recommendation.session
    rivals = session.checkouts.filter(backend="orchestrated").exclude(recommendation=recommendation)
    if rivals.filter(state__in=_UNDER_WAY).exists():
        raise Conflict("A payment for this session is in progress", code="in_progress", retry_after=60)


def _money(report: Report, code_currency: str) -> Money:
    currency = report.currency or code_currency
    if currency != code_currency:
        raise BadRequest(f"currency must be {code_currency}, the offer's", code="invalid_field")
    try:
        return Money(from_wire(report.value, currency), currency)
    except ValueError as error:
        raise BadRequest(f"transactionValue {error}", code="invalid_field") from None


def _check_service(occurred_at: datetime, service_on: date | None) -> None:
    if service_on is not None and not -ONE_DAY <= service_on - occurred_at.date() <= LONGEST_WAIT:
        raise BadRequest("serviceDate must lie between the sale and three years after it", code="invalid_field")


def _content(report: Report, money: Money) -> dict[str, Any]:
    """What makes two reports the same: everything the merchant stated."""
    stated: dict[str, Any] = {
        "session_id": report.session_id,
        "order_reference": report.order_reference,
        "transaction_value_minor": money.amount_minor,
        "currency": money.currency,
        "recommendation_id": report.recommendation_id,
        "payment_reference": report.payment_reference,
        "occurred_at": None if report.occurred_at is None else instant(report.occurred_at),
        "service_date": None if report.service_on is None else report.service_on.isoformat(),
    }
    if report.attribution_path != Path.AAP_FLOW or report.evidence:
        stated |= {"attribution_path": str(report.attribution_path), "evidence": report.evidence}
    return stated


def _earlier(merchant: Merchant, report: Report) -> Evidence | None:
    """What the merchant said of this order by the same path."""
    reports = Evidence.objects.filter(merchant=merchant, source=Evidence.Source.MERCHANT_REPORT)
    same = reports.filter(reference=report.order_reference, path=report.attribution_path)
    return same.select_related("conversion").first()
