import pytest

from ledger.conversions import record_conversion
from tests.conftest import Api
from tests.factories import (
    AgentKeyFactory,
    MerchantFactory,
    OfferFactory,
    RecommendationFactory,
    SessionFactory,
)
from tests.ledger.conftest import make_proof


@pytest.fixture
def conversion(recommendation):
    return record_conversion(recommendation, make_proof()).conversion


@pytest.fixture
def as_its_agent(recommendation):
    return Api(AgentKeyFactory(agent=recommendation.agent).secret)


def test_both_parties_see_the_same_conversion(conversion, as_its_agent, as_merchant):
    path = f"/v1/conversions/{conversion.pk}"

    seen_by_agent, seen_by_merchant = as_its_agent.get(path).json(), as_merchant(conversion.merchant).get(path).json()

    assert (seen_by_agent.pop("statementNumber"), seen_by_merchant.pop("invoiceNumber")) == (None, None)
    assert seen_by_agent == seen_by_merchant
    assert seen_by_agent["conversionPath"] == "verified_payment"
    assert seen_by_agent["commission"] == {"amount": 8, "networkFee": 1.6, "builderPayout": 6.4, "type": "cpa"}


@pytest.mark.parametrize("suffix", ["", "/evidence"])
def test_others_do_not_see_it(conversion, as_agent, as_merchant, suffix):
    path = f"/v1/conversions/{conversion.pk}{suffix}"

    stranger = as_merchant(MerchantFactory(connected=False))

    assert (as_agent.get(path).status_code, stranger.get(path).status_code) == (404, 404)


def test_the_evidence_names_its_hash(conversion, as_its_agent):
    [evidence] = as_its_agent.get(f"/v1/conversions/{conversion.pk}/evidence").json()["evidence"]

    assert (evidence["source"], evidence["reference"], evidence["sha256"]) == ("psp_event", "pi_1", "ab" * 32)


def test_a_party_lists_only_its_own(conversion, as_agent, as_its_agent):
    own, others = as_its_agent.get("/v1/conversions").json(), as_agent.get("/v1/conversions").json()

    assert ([row["conversionId"] for row in own["conversions"]], others["count"]) == ([conversion.pk], 0)


def test_paging_shows_every_conversion_once(as_merchant):
    offer = OfferFactory()
    made = [
        record_conversion(
            RecommendationFactory(offer=offer), make_proof(reference=f"pi_{n}", order_reference=f"o{n}")
        ).conversion.pk
        for n in range(5)
    ]
    client, seen, cursor = as_merchant(offer.merchant), [], None
    for _ in range(3):
        page = client.get("/v1/conversions", limit=2, **({"cursor": cursor} if cursor else {})).json()
        seen += [row["conversionId"] for row in page["conversions"]]
        cursor = page.get("nextCursor")

    assert (sorted(seen), cursor) == (sorted(made), None)


@pytest.mark.parametrize("params", [{"limit": 0}, {"limit": 101}, {"limit": "ten"}, {"cursor": "x"}])
def test_a_bad_page_is_a_bad_request(as_agent, params):
    assert as_agent.get("/v1/conversions", **params).status_code == 400


def test_an_agent_sees_its_session_whole(conversion, as_its_agent):
    reply = as_its_agent.get(f"/v1/sessions/{conversion.session_id}").json()

    assert reply["session"]["status"] == "converted"
    assert [row["conversionId"] for row in reply["conversions"]] == [conversion.pk]
    assert reply["recommendations"][0]["context"] == ""


def test_a_merchant_sees_what_concerns_its_own_offers(as_merchant):
    session = SessionFactory()
    mine, theirs = (RecommendationFactory(session=session, context="the buyer is ill") for _ in range(2))
    record_conversion(theirs, make_proof())

    reply = as_merchant(mine.offer.merchant).get(f"/v1/sessions/{session.pk}").json()

    assert [row["id"] for row in reply["recommendations"]] == [mine.pk]
    assert ("context" in reply["recommendations"][0], reply["conversions"]) == (False, [])


@pytest.mark.parametrize("session_id", ["01JZZZZZZZZZZZZZZZZZZZZZZZ", "nonsense", "x" * 65])
def test_an_unknown_session_is_not_found(as_agent, session_id):
    assert as_agent.get(f"/v1/sessions/{session_id}").status_code == 404


def test_a_session_nobody_used_in_time_is_expired(as_agent, agent):
    from datetime import timedelta

    from django.utils import timezone

    session = SessionFactory(agent=agent, created_at=timezone.now() - timedelta(hours=25))

    assert as_agent.get(f"/v1/sessions/{session.pk}").json()["session"]["status"] == "expired"
