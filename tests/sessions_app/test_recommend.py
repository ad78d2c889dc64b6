from datetime import timedelta

import pytest
from django.utils import timezone

from merchants.codes import verify
from merchants.models import CommissionTerms, Offer
from rako.core.ids import new_id
from sessions_app.models import Recommendation, Session
from sessions_app.wire import OfferSummary, RecommendReply
from tests.factories import MerchantFactory, OfferFactory, SessionFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def session(agent):
    return SessionFactory(agent=agent)


@pytest.fixture
def recommend(as_agent, session):
    """Recommends an offer in the session, over the API."""

    def post(offer, **more):
        return as_agent.post("/v1/recommend", {"sessionId": session.pk, "offerId": offer.pk} | more)

    return post


def test_the_exact_code_is_stored_and_verifies(as_agent, recommend):
    offer = OfferFactory()
    shown = as_agent.get("/v1/offers").json()["offers"][0]["aapCode"]

    recommend(offer)

    row = Recommendation.objects.get()
    assert row.aap_code == shown
    assert verify(row.aap_code, at=row.created_at).payload["off"] == offer.pk


def test_a_later_change_does_not_touch_the_stored_code(recommend):
    offer = OfferFactory(price_minor=1000)
    recommend(offer)

    Offer.objects.update(price_minor=2000)
    CommissionTerms.objects.create(offer=offer, type="cpa", amount_minor=5000)

    payload = verify(Recommendation.objects.get().aap_code, at=timezone.now()).payload
    assert (payload["prc"], payload["com"]["value"]) == (10, 8)


def test_session_agent_offer_context_and_link_are_stored(recommend, session, settings):
    offer = OfferFactory()

    reply = recommend(offer, context="cheapest – 30 GB").json()

    row = Recommendation.objects.get(pk=reply["recommendationId"])
    assert (row.session, row.agent, row.offer, row.context) == (session, session.agent, offer, "cheapest – 30 GB")
    assert row.fallback_url == reply["fallbackUrl"] == f"{settings.RAKO_LINK_BASE}/r/{row.pk}"


def test_the_reply_has_the_documented_shape(recommend):
    offer = OfferFactory(price_minor=600)

    reply = recommend(offer).json()

    summary = {"id": offer.pk, "provider": offer.provider, "name": offer.name, "price": 6, "currency": "GBP"}
    assert (set(reply), set(reply["offer"])) == (
        set(RecommendReply().get_fields()) - {"bridges"},  # only if asked for
        set(OfferSummary().get_fields()),
    )
    assert (reply["attributionRecorded"], reply["offer"]) == (True, summary)


@pytest.mark.parametrize(("before", "after"), [("created", "active"), ("active", "active"), ("checkout", "checkout"),
                                               ("converted", "converted")])  # fmt: skip
def test_a_session_only_moves_forward(recommend, session, before, after):
    Session.objects.update(status=before)

    recommend(OfferFactory())

    session.refresh_from_db()
    assert session.status == after


def test_a_session_holds_many_recommendations(recommend, session):
    offer = OfferFactory()

    ids = {recommend(each).json()["recommendationId"] for each in (offer, offer, OfferFactory())}

    assert len(ids) == session.recommendations.count() == 3


def test_a_recommendation_takes_few_queries(recommend, django_assert_num_queries):
    offer = OfferFactory()
    recommend(offer)

    with django_assert_num_queries(4):  # key, session, offer, insert
        recommend(offer)


@pytest.mark.parametrize("context", ["", "x" * 2000, None])
def test_the_context_is_optional(recommend, context):
    assert recommend(OfferFactory(), context=context).status_code == 200


@pytest.mark.parametrize(
    ("change", "status", "text"),
    [
        ({"sessionId": ""}, 400, "sessionId and offerId are required"),
        ({"offerId": None}, 400, "sessionId and offerId are required"),
        ({"context": "x" * 2001}, 400, "context must have at most 2000 characters"),
        ({"context": 5}, 400, "context must be a string"),
        ({"sessionId": "nonsense"}, 404, "Session not found"),
        ({"sessionId": new_id(), "offerId": "nonsense"}, 404, "Session not found"),
        ({"offerId": "nonsense"}, 404, "Offer not found"),
        ({"offerId": new_id()}, 404, "Offer not found"),
    ],
)
def test_what_is_wrong_is_named(recommend, change, status, text):
    reply = recommend(OfferFactory(), **change)

    assert (reply.status_code, reply.json()) == (status, {"error": text})
    assert not Recommendation.objects.exists()


def test_another_agents_session_is_not_found(recommend):
    reply = recommend(OfferFactory(), sessionId=SessionFactory().pk)

    assert (reply.status_code, reply.json()) == (404, {"error": "Session not found"})


def test_expired_session_is_gone(recommend, agent):
    expired = SessionFactory(agent=agent, created_at=timezone.now() - timedelta(hours=24, seconds=1))

    reply = recommend(OfferFactory(), sessionId=expired.pk, offerId="nonsense")

    assert (reply.status_code, reply.json()) == (410, {"error": "Session expired"})


@pytest.mark.parametrize(
    "make",
    [
        lambda: OfferFactory(status="withdrawn"),
        lambda: OfferFactory(terms={}),
        lambda: OfferFactory(merchant=MerchantFactory(status="suspended")),
    ],
    ids=["withdrawn", "termless", "suspended"],
)
def test_an_unavailable_offer_is_gone(recommend, make):
    reply = recommend(make())

    assert (reply.status_code, reply.json()) == (410, {"error": "Offer no longer available"})
