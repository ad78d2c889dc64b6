"""Many reports at once: what is usual is read, judged and written in sets, all else goes the way of a single report.

The same facts and entries come of it. Locks are taken in one order – references, sessions by id, then conversions – so
that batches, single reports, payments and what is told of their sales wait for each other, and never in a circle.
"""

from collections import defaultdict
from collections.abc import Sequence

from django.db import IntegrityError, transaction

from ledger.conversions import Recorded
from ledger.evidence import OF_MERCHANT, SaleEvidence
from ledger.lifecycle import holding
from ledger.models import Conversion, Event, Evidence
from ledger.models.conversion import Level
from ledger.reports import UNDER_WAY, Report, choose_recommendation, judge, report_conversion
from ledger.sets import record_all
from merchants.models import Merchant, Offer
from rako.core.errors import RakoError
from rako.core.ids import is_id
from rako.core.postgres import send
from sessions_app.models import Agent, Recommendation, Session

LARGEST = 1000
# In larger transactions, finding out which entries are the transaction's own takes longer than anything else.
CHUNK = 100

Outcome = Recorded | RakoError


def report_batch(
    merchant: Merchant, reports: Sequence[Report], *, level: Level = Level.MERCHANT_REPORTED
) -> list[Outcome]:
    """What became of each report, in order: as if they had been made one after the other.

    Each few are committed together; a fault of ours in between leaves these, and repeating the batch finds them known.
    """
    outcomes: list[Outcome] = []
    for start in range(0, len(reports), CHUNK):
        outcomes += report_chunk(merchant, reports[start : start + CHUNK], level)
    return outcomes


def report_chunk(merchant: Merchant, reports: Sequence[Report], level: Level) -> list[Outcome]:
    """The same for a few reports, in one transaction but for the unusual among them."""
    try:
        with transaction.atomic():
            outcomes = _record_usual(merchant, reports, level)
    except IntegrityError:  # what nobody foresees is found out row by row
        outcomes = {}
    return [outcomes.get(place) or _report(merchant, report, level) for place, report in enumerate(reports)]


def _report(merchant: Merchant, report: Report, level: Level) -> Outcome:
    try:
        return report_conversion(merchant, report, level=level)
    except RakoError as error:
        return error


def _record_usual(merchant: Merchant, reports: Sequence[Report], level: Level) -> dict[int, Outcome]:
    """Record the reports that meet nothing but their recommendation; what became of these, by their place."""
    candidates = _unrepeated(reports)
    send(holding(merchant.pk, *(report.order_reference for report in candidates.values())))
    found = _recommendations(merchant, {report.session_id for report in candidates.values()})
    told, sold = _met_before(merchant, [report.order_reference for report in candidates.values()], list(found))
    outcomes: dict[int, Outcome] = {}
    proven: dict[int, tuple[Recommendation, SaleEvidence]] = {}
    for place, report in candidates.items():
        if report.order_reference in told or report.session_id in sold:
            continue
        try:
            recommendation = choose_recommendation(found.get(report.session_id, ()), report)
            proven[place] = recommendation, judge(report, recommendation, level=level)
        except RakoError as error:
            outcomes[place] = error
    return outcomes | dict(zip(proven, record_all(list(proven.values())), strict=True))


def _unrepeated(reports: Sequence[Report]) -> dict[int, Report]:
    """By their place, the first reports of each order and session: what follows depends on what becomes of these."""
    seen: set[tuple[str, str]] = set()
    found = {}
    for place, report in enumerate(reports):
        names = {("order", report.order_reference), ("session", report.session_id)}
        if seen.isdisjoint(names):
            found[place] = report
        seen |= names
    return found


def _recommendations(merchant: Merchant, sessions: set[str]) -> dict[str, list[Recommendation]]:
    """The merchant's recommendations by session, latest first, each with what it takes to record a sale.

    Their sessions are locked, so that nobody else records a sale there.
    """
    rows = Recommendation.objects.filter(session__in=list(filter(is_id, sessions)), offer__merchant=merchant.pk)
    found = list(rows.order_by("-created_at", "-id"))
    locked = Session.objects.filter(pk__in={row.session_id for row in found}).order_by("pk")
    by_id = {row.pk: row for row in locked.select_for_update(no_key=True)}
    # Few of them, and the same again and again.
    agents = Agent.objects.in_bulk({row.agent_id for row in found})
    offers = Offer.objects.select_related("merchant").in_bulk({row.offer_id for row in found})
    by_session: dict[str, list[Recommendation]] = defaultdict(list)
    for row in found:
        row.session, row.agent, row.offer = by_id[row.session_id], agents[row.agent_id], offers[row.offer_id]
        by_session[row.session_id].append(row)
    return by_session


def _met_before(merchant: Merchant, references: list[str], sessions: list[str]) -> tuple[set[str], set[str]]:
    """The orders that something was told of, and the sessions that something was sold in or is being paid for."""
    same = {"merchant": merchant.pk, "reference__in": references}
    told = Evidence.objects.filter(source__in=OF_MERCHANT, **same).values_list("reference")
    sold = Conversion.objects.filter(merchant=merchant.pk, order_reference__in=references).values_list(
        "order_reference"
    )
    waiting = Event.objects.filter(merchant=merchant.pk, sale_reference__in=references, conversion=None)
    converted = Conversion.objects.filter(session__in=sessions).values_list("session")
    paying = Session.objects.filter(
        pk__in=sessions, checkouts__backend="orchestrated", checkouts__state__in=UNDER_WAY
    ).values_list("pk")
    return (
        {reference for (reference,) in told.union(sold, waiting.values_list("sale_reference"), all=True)},
        {session for (session,) in converted.union(paying, all=True)},
    )
