"""Missing sales: who may claim them, by which path and how long, and what a decision records."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from ledger.conversions import OrderAttributed
from ledger.dispute_claims import CannotDispute, MissingSale, about_missing_sale
from ledger.dispute_decisions import decide
from ledger.disputes import open_dispute
from ledger.models import Conversion, Dispute, Evidence, Side
from ledger.windows import OutsideWindow
from rako.core.errors import BadRequest
from sessions_app.models import Click
from sessions_app.recommend import RecommendationNotFound, SessionExpired, SessionNotFound
from tests.factories import AgentFactory, OfferFactory, RecommendationFactory
from tests.ledger.disputing import Decision, Kind, State, balances, disputed, findings, missing, reviewed, sold

WHOLE = {"merchant_accrued": 1000, "builder_pending": -800, "fee_pending": -200}


@pytest.fixture
def sale(db):
    return sold()


@pytest.mark.parametrize(
    ("decision", "value", "recorded"), [(Decision.UPHELD, None, 10000), (Decision.PARTLY, 5000, 5000)]
)
def test_a_missing_sale_is_recorded_like_any_other(db, decision, value, recorded):
    dispute = reviewed(missing(order_reference="ORD-9"))

    decide(dispute, decision, "the booking is in the merchant's system", value)

    sale = Conversion.objects.get()
    assert dispute.recommendation.session_id == sale.session_id
    assert (sale.transaction_value_minor, sale.verification_level, sale.order_reference) == (
        recorded,
        "reconciled",
        "ORD-9",
    )
    assert (sale.evidence.get().source, sale.status, findings()) == (Evidence.Source.DECISION, "matched", [])


def test_a_missing_sale_that_is_rejected_leaves_nothing(db):
    decide(reviewed(missing()), Decision.REJECTED, "no such booking")

    assert (Conversion.objects.count(), balances(), findings()) == (0, {}, [])


def test_a_missing_sale_that_is_reported_meanwhile_is_recorded_once(db, as_merchant):
    dispute = missing(order_reference="ORD-9")
    report = {"sessionId": dispute.recommendation.session_id, "orderReference": "ORD-9", "transactionValue": 100}
    told = as_merchant(dispute.merchant).post("/v1/conversions", report | {"occurredAt": dispute.sold_at.isoformat()})

    decide(reviewed(dispute), Decision.UPHELD, "reported by now")

    dispute.refresh_from_db()
    assert (told.status_code, dispute.conversion_id) == (200, told.json()["conversionId"])
    assert (Conversion.objects.count(), balances(), findings()) == (1, WHOLE, [])


def test_a_missing_sale_of_another_sessions_order_is_not_credited_twice(db, as_merchant):
    dispute = missing(order_reference="ORD-9")
    other = RecommendationFactory(offer=dispute.recommendation.offer)
    as_merchant(dispute.merchant).post(
        "/v1/conversions", {"sessionId": other.session_id, "orderReference": "ORD-9", "transactionValue": 100}
    )

    with pytest.raises(OrderAttributed):
        decide(reviewed(dispute), Decision.UPHELD, "it is theirs")
    assert (Dispute.objects.get().state, balances()) == (State.UNDER_REVIEW, WHOLE)


def test_a_claim_is_the_agents_own_and_in_time(db):
    mine = RecommendationFactory(session__created_at=timezone.now() - timedelta(hours=20))
    other = RecommendationFactory()
    now = timezone.now()

    for agent, session, recommendation, sold_at, refusal in (
        (AgentFactory(), mine.session_id, mine.pk, now, SessionNotFound),
        (mine.agent, mine.session_id, other.pk, now, RecommendationNotFound),
        (mine.agent, mine.session_id, mine.pk, now + timedelta(hours=1), BadRequest),
        (mine.agent, mine.session_id, mine.pk, now - timedelta(hours=1), BadRequest),
        (mine.agent, mine.session_id, mine.pk, now + timedelta(minutes=4), None),
    ):
        claim = MissingSale(session, recommendation, 10, sold_at)
        if refusal:
            with pytest.raises(refusal):
                about_missing_sale(agent, claim)
        else:
            about_missing_sale(agent, claim)


def test_a_sale_after_the_window_is_no_missing_one(db):
    created = timezone.now() - timedelta(hours=30)
    old = RecommendationFactory(session__created_at=created, created_at=created)

    with pytest.raises(SessionExpired):
        about_missing_sale(old.agent, MissingSale(old.session_id, old.pk, 10, timezone.now() - timedelta(hours=1)))


def linked(clicked, sold_ago, path="tracked_link"):
    """A claim of a sale by a link that was followed so long before now."""
    offer = OfferFactory(vertical="flights", price_minor=10000, terms={"type": "percentage", "rate": "10"})
    begun = timezone.now() - clicked - timedelta(minutes=1)
    row = RecommendationFactory(offer=offer, session__created_at=begun, created_at=begun)
    Click.objects.create(
        recommendation=row, visitor="v" * 32, is_bot=False, slot=0, clicked_at=begun + timedelta(minutes=1)
    )
    claim = MissingSale(row.session_id, row.pk, 100, timezone.now() - sold_ago, attribution_path=path)
    return open_dispute(about_missing_sale(row.agent, claim))


@pytest.mark.parametrize(
    ("path", "sold_after", "claimed_after", "refusal"),
    [
        # What counts is when it was sold, not when that is claimed.
        ("aap_flow", timedelta(hours=23), timedelta(0), None),
        ("aap_flow", timedelta(hours=23), timedelta(days=119), None),
        ("aap_flow", timedelta(hours=23), timedelta(days=121), CannotDispute),
        ("aap_flow", timedelta(hours=25), timedelta(0), SessionExpired),
        ("tracked_link", timedelta(hours=25), timedelta(0), None),
        ("tracked_link", timedelta(days=29), timedelta(days=119), None),
        ("tracked_link", timedelta(days=29), timedelta(days=121), CannotDispute),
        ("tracked_link", timedelta(days=31), timedelta(0), OutsideWindow),
    ],
)
def test_a_sale_is_claimed_by_the_window_of_its_path(db, path, sold_after, claimed_after, refusal):
    if refusal:
        with pytest.raises(refusal):
            linked(sold_after + claimed_after, claimed_after, path)
    else:
        assert linked(sold_after + claimed_after, claimed_after, path).attribution_path == path
    assert findings() == []


def test_a_link_that_nobody_followed_led_to_no_sale(db):
    dispute = missing()
    claim = MissingSale(
        dispute.recommendation.session_id, dispute.recommendation_id, 5, timezone.now(), attribution_path="tracked_link"
    )

    with pytest.raises(OutsideWindow):
        about_missing_sale(dispute.agent, claim)


def test_a_missing_sale_by_a_link_earns_what_links_earn(db):
    dispute = reviewed(linked(timedelta(days=20), timedelta(days=5)))

    decide(dispute, Decision.UPHELD, "the booking is in the merchant's system")

    sale = Conversion.objects.get()
    assert (sale.attribution_path, sale.evidence.get().path) == ("tracked_link", "tracked_link")
    assert balances() == {"merchant_accrued": 750, "builder_pending": -600, "fee_pending": -150}
    assert findings() == []


def test_by_which_path_a_sale_was_claimed_is_a_fact(sale):
    dispute = linked(timedelta(days=2), timedelta(days=1))
    other = disputed(sale, Side.BUILDER, Kind.WRONG_AMOUNT, 150)

    for row, path in ((dispute, "aap_flow"), (other, "tracked_link")):
        with pytest.raises(IntegrityError), transaction.atomic():
            Dispute.objects.filter(pk=row.pk).update(attribution_path=path)
    dispute.pk, dispute.kind, dispute.conversion = "0" * 26, Kind.MERCHANT_DISPUTE, sale
    with pytest.raises(IntegrityError, match="dispute_claims_a_path"), transaction.atomic():
        dispute.save(force_insert=True)
