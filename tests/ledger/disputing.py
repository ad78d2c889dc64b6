"""Sales to dispute, and both sides of them, for tests."""

from datetime import timedelta
from typing import Any

from django.db.models import Sum
from django.utils import timezone

from ledger.dispute_claims import MissingSale, about_conversion, about_missing_sale
from ledger.disputes import open_dispute
from ledger.lifecycle import Told, tell
from ledger.models import Conversion, Dispute, Event, Posting, Side
from ledger.reports import Report, report_conversion
from ledger.verification.run import Scope, verify
from sessions_app.recommend import record_recommendation
from tests.factories import OfferFactory, RecommendationFactory, SessionFactory

Kind, State, Decision = Dispute.Kind, Dispute.State, Dispute.Decision
PERCENT = {"type": "percentage", "rate": "10"}


def sold(value: int = 10000, reference: str = "order-1", **offer: Any) -> Conversion:
    """A flight for 100.00 GBP at 10 %, as its merchant reports it: commission 10.00, fee 2.00, payout 8.00."""
    offer = {"vertical": "flights", "price_minor": value, "terms": PERCENT} | offer
    session = SessionFactory()
    recommendation, *_ = record_recommendation(session.agent, session_id=session.pk, offer_id=OfferFactory(**offer).pk)
    departure = (timezone.now() + timedelta(days=10)).date()
    report_conversion(
        recommendation.offer.merchant,
        Report(recommendation.session_id, reference, value / 100, recommendation.pk, service_on=departure),
    )
    return recommendation.conversions.get()


def sell(agent, offer, count, **report):
    """So many sales of an agent, a minute apart, reported now."""
    begun = timezone.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    for number in range(count):
        at = begun + timedelta(minutes=number)
        session = SessionFactory(agent=agent, created_at=begun - timedelta(hours=1))
        recommendation = RecommendationFactory(session=session, offer=offer, created_at=begun)
        said = Report(session.pk, f"o-{session.pk}", 10, recommendation.pk, occurred_at=at, **report)
        report_conversion(offer.merchant, said)


def happen(conversion: Conversion, kind: Event.Kind, reference: str = "r1", amount: int | None = None) -> Conversion:
    """Something that a processor or a merchant tells of the sale."""
    proof = conversion.evidence.get().reference
    tell(conversion.merchant_id, Told(kind, proof, reference, timezone.now(), amount))
    conversion.refresh_from_db()
    return conversion


def disputed(conversion: Conversion, side: Side, kind: str, value: float | None = None) -> Dispute:
    """An open dispute about a sale."""
    return open_dispute(about_conversion(conversion, side, kind, value))


def missing(value: float = 100, order_reference: str = "") -> Dispute:
    """A sale that was never recorded, claimed by its agent."""
    offer = OfferFactory(vertical="flights", price_minor=10000, terms=PERCENT)
    recommendation = RecommendationFactory(
        offer=offer,
        session__created_at=timezone.now() - timedelta(hours=3),
        created_at=timezone.now() - timedelta(hours=2),
    )
    sold_at = timezone.now() - timedelta(hours=1)
    claim = MissingSale(recommendation.session_id, recommendation.pk, value, sold_at, order_reference)
    return open_dispute(about_missing_sale(recommendation.agent, claim))


def reviewed(dispute: Dispute) -> Dispute:
    """The dispute when nobody has answered in time."""
    from ledger.disputes import review_overdue

    review_overdue(timezone.now() + timedelta(days=8))
    dispute.refresh_from_db()
    return dispute


def balances() -> dict[str, int]:
    """What is in the accounts, all owners together."""
    rows = Posting.objects.values("account").annotate(total=Sum("amount_minor"))
    return {row["account"]: row["total"] for row in rows if row["total"]}


def findings() -> list[str]:
    """What a full verification has to say but for the log, which tests do not publish, and the tests' own liberty."""
    report = verify(Scope())
    return [f"{each.check} {each.subject} {each.detail}" for each in report.kept if each.check not in {"V11", "V7"}]
