"""Merchants' own reports of sales (protocol, section 1, POST /v1/conversions)."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import orjson
from django.utils import timezone

from ledger.conversions import OrderAttributed, Recorded, SessionConverted, entry_of, midnight, record_conversion
from ledger.evidence import PAYMENT_ORDER, SaleEvidence
from ledger.lifecycle import Told, tell
from ledger.models import Conversion, Event, Evidence
from ledger.models.conversion import Level, Path
from ledger.priority import live
from ledger.redemption import REDEEMED
from ledger.windows import OutsideWindow, PathNotAccepted, check_accepted, check_proof, check_time, check_window
from merchants.models import Merchant
from merchants.verticals import VERTICALS
from rako.core.aap_code import decode
from rako.core.errors import BadRequest, Conflict, Refusal
from rako.core.ids import is_id
from rako.core.money import Money, from_wire
from rako.core.wire import instant
from sessions_app.models import Recommendation
from sessions_app.recommend import RecommendationNotFound, SessionExpired, SessionNotFound

ONE_DAY, LONGEST_WAIT = timedelta(days=1), timedelta(days=3 * 366)

UNDER_WAY = ("open", "expiring", "processing", "unknown", "succeeded")


class ReportConflict(Conflict):
    code, message = "report_conflict", "This orderReference was already reported with other content"


class PaymentInProgress(Conflict):
    code, message = "in_progress", "A payment for this session is in progress"

    def __init__(self) -> None:
        super().__init__(retry_after=60)


# What any report of a sale may be refused for, beside malformed fields.
REFUSALS: tuple[Refusal, ...] = (
    PathNotAccepted,
    SessionNotFound,
    RecommendationNotFound,
    ReportConflict,
    OutsideWindow,
    OrderAttributed,
    SessionConverted,
    PaymentInProgress(),
    SessionExpired,
)


@dataclass(frozen=True, slots=True)
class Report:
    """What a merchant says of a sale. `value` is a JSON number in major units of `currency` (the offer's if None).

    `redeemed` is what is kept of an attribution token that it comes with (`ledger.redemption`).
    """

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
    redeemed: dict[str, Any] = field(default_factory=dict, kw_only=True)


def report_conversion(merchant: Merchant, report: Report, *, level: Level = Level.MERCHANT_REPORTED) -> Recorded:
    """Record a merchant's report, or attach it to the conversion that the payment made.

    One of the level `reconciled` is a piece of evidence of its own: it confirms what was reported before.

    The same report again gives the conversion that has the sale, and one that adds the service date starts its
    validation. Raises BadRequest, SessionNotFound, RecommendationNotFound, PathNotAccepted, SessionExpired or
    OutsideWindow for a sale outside the path's window, ReportConflict, SessionConverted or OrderAttributed.
    """
    recommendation = _find_recommendation(merchant, report)
    content = content_of(report, recommendation)
    earlier = _earlier(merchant, report, level)
    if earlier is not None:
        if not _repeats(content, earlier):
            raise ReportConflict()
        return _with_service_date(Recorded(live(earlier.conversion), entry_of(earlier)), report)
    known = _recorded(recommendation) if level == Level.RECONCILED else None
    evidence = judge(report, recommendation, level=level, known=known)
    if evidence.path == Path.AAP_FLOW:  # a payment outranks the others
        _check_no_rival_payment(recommendation)
    recorded = record_conversion(recommendation, evidence)
    if not recorded.made and not recorded.attached:  # a twin of this report was faster: is it really the same?
        twin = _earlier(merchant, report, level)
        if twin is not None and not _repeats(content, twin):
            raise ReportConflict()
    return _with_service_date(recorded, report)


def judge(
    report: Report, recommendation: Recommendation, *, level: Level, known: Conversion | None = None
) -> SaleEvidence:
    """What a report proves of a sale to this recommendation, or confirms of the one that is `known`.

    Raises BadRequest, PathNotAccepted, SessionExpired or OutsideWindow.
    """
    content, now = content_of(report, recommendation), timezone.now()
    if known is None:
        path, occurred_at = Path(report.attribution_path), report.occurred_at or now
        check_accepted(recommendation, path)
        check_window(recommendation, path, occurred_at, now=now, evidence=report.evidence)
    else:  # by which path, and whether in its window, was judged when it was recorded
        path, occurred_at = Path(known.attribution_path), report.occurred_at or known.converted_at
        check_time(recommendation, occurred_at, now=now)
    if report.service_on is not None:
        _check_service_date(report.service_on, _sold_at(recommendation) or occurred_at)
    return SaleEvidence(
        source=_source(level),
        level=level,
        path=path,
        reference=report.order_reference,
        order_reference=report.order_reference,
        money=Money(content["transaction_value_minor"], content["currency"]),
        occurred_at=occurred_at,
        received_at=now,
        sha256=content_hash(content),
        service_on=report.service_on,
        details=content,
    )


def content_of(report: Report, recommendation: Recommendation) -> dict[str, Any]:
    """What makes two reports the same: everything the merchant stated. Raises BadRequest."""
    if report.order_reference.startswith(PAYMENT_ORDER):
        raise BadRequest(f"orderReference must not start with {PAYMENT_ORDER}", code="invalid_field")
    check_proof(Path(report.attribution_path), report.evidence)
    # The signed code's currency, whatever the offer is priced in by now.
    return _content(report, _money(report, decode(recommendation.aap_code).payload["cur"]))


def _repeats(content: dict[str, Any], earlier: Evidence) -> bool:
    """Whether a report says what an earlier one said, or that and the service date, which was not known then."""
    told, now = (_stated(each, earlier.conversion) for each in (earlier.details, content))
    if told == now | {"service_date": None}:
        return now["service_date"] is None or _starts_with_service(earlier.conversion)
    return told == now


def _stated(content: dict[str, Any], conversion: Conversion) -> dict[str, Any]:
    """What is stated of the sale: by which token or event it came is kept, and may be another the next time.

    A report that names no recommendation means the one that has the sale; events and tokens always name it.
    """
    named = content["recommendation_id"] or conversion.recommendation_id
    return {name: value for name, value in content.items() if name not in REDEEMED} | {"recommendation_id": named}


def _starts_with_service(conversion: Conversion) -> bool:
    return VERTICALS[conversion.offer.vertical].validation_starts == "service_date"


def _with_service_date(recorded: Recorded, report: Report) -> Recorded:
    """Start a validation that waits for the service date, if the report tells it and the first did not."""
    conversion, service_on = recorded.conversion, report.service_on
    if service_on is None or conversion.first_validation_ends_at is not None or not _starts_with_service(conversion):
        return recorded
    _check_service_date(service_on, conversion.converted_at)
    begins_at, content = midnight(service_on), {"conversion_id": conversion.pk, "service_date": service_on.isoformat()}
    told = Told(
        Event.Kind.VALIDATION_STARTED,
        conversion.order_reference,
        conversion.pk,
        occurred_at=begins_at,
        sha256=content_hash(content),
    )
    tell(conversion.merchant_id, told, conversion=conversion)
    same = {"kind": told.kind, "reference": told.reference, "is_inherited": False}
    stored = Event.objects.get(merchant=conversion.merchant_id, **same)
    if stored.occurred_at != begins_at:
        raise ReportConflict()
    conversion.refresh_from_db()
    return recorded


def _find_recommendation(merchant: Merchant, report: Report) -> Recommendation:
    """This merchant's recommendation that the sale belongs to: the named one, else the session's latest."""
    if not is_id(report.session_id):
        raise SessionNotFound()
    rows = Recommendation.objects.filter(session=report.session_id, offer__merchant=merchant).select_related(
        "session", "agent", "offer__merchant"
    )
    found = list(rows.order_by("-created_at", "-id"))
    if report.recommendation_id is None and found:
        converted = Conversion.objects.filter(merchant=merchant, session=report.session_id, is_superseded=False)
        made_by = converted.values_list("recommendation", flat=True).first()
        return next((row for row in found if row.pk == made_by), found[0])
    return choose_recommendation(found, report)


def choose_recommendation(found: Sequence[Recommendation], report: Report) -> Recommendation:
    """Of the merchant's recommendations of a session, latest first, the one that the report names, or the latest."""
    if not found:
        raise SessionNotFound()
    if report.recommendation_id is None:
        return found[0]
    named = next((row for row in found if row.pk == report.recommendation_id), None)
    if named is None:
        raise RecommendationNotFound()
    return named


def _check_no_rival_payment(recommendation: Recommendation) -> None:
    """A report must not take the sale away from a payment that is under way for another recommendation."""
    session = recommendation.session
    rivals = session.checkouts.filter(backend="orchestrated").exclude(recommendation=recommendation)
    if rivals.filter(state__in=UNDER_WAY).exists():
        raise PaymentInProgress()


def _money(report: Report, code_currency: str) -> Money:
    currency = report.currency or code_currency
    if currency != code_currency:
        raise BadRequest(f"currency must be {code_currency}, the offer's", code="invalid_field")
    try:
        return Money(from_wire(report.value, currency), currency)
    except ValueError as error:
        raise BadRequest(f"transactionValue {error}", code="invalid_field") from None


def _sold_at(recommendation: Recommendation) -> datetime | None:
    """When the sale was that a payment proved before its report came, undated, perhaps long after."""
    known = _recorded(recommendation) if recommendation.session.is_converted else None
    return None if known is None else known.converted_at


def _check_service_date(service_on: date, sold_at: datetime) -> None:
    if not -ONE_DAY <= service_on - sold_at.date() <= LONGEST_WAIT:
        raise BadRequest("serviceDate must lie between the sale and three years after it", code="invalid_field")


def _content(report: Report, money: Money) -> dict[str, Any]:
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
    return stated | report.redeemed


def content_hash(content: dict[str, Any]) -> str:
    """The hash over what a merchant stated, by which entries name it."""
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _earlier(merchant: Merchant, report: Report, level: Level) -> Evidence | None:
    """What the merchant said of this order by the same path; its records know no paths."""
    same = Evidence.objects.filter(merchant=merchant, source=_source(level), reference=report.order_reference)
    if level != Level.RECONCILED:
        same = same.filter(path=report.attribution_path)
    return same.select_related("conversion").first()


def _source(level: Level) -> Evidence.Source:
    return Evidence.Source.RECONCILIATION if level == Level.RECONCILED else Evidence.Source.MERCHANT_REPORT


def _recorded(recommendation: Recommendation) -> Conversion | None:
    """The sale of its session, if one is recorded."""
    return recommendation.session.conversions.filter(is_superseded=False).first()
