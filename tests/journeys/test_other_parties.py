"""What belongs to another party does not exist: 404, no data, and nothing changes."""

import json

import pytest

from merchants.models import Merchant, Offer
from tests.factories import MerchantFactory, OfferFactory, RecommendationFactory
from tests.journeys.endpoints import ENDPOINTS, UNKNOWN_ID, World, call, faults, stored, with_value

BY_NAME = {str(endpoint): endpoint for endpoint in ENDPOINTS}
OWN_TO_AN_AGENT = ["POST /v1/recommend", "POST /v1/checkout", "POST /v1/purchase", "POST /v1/disputes"]
SHARED_BY_ID = [
    "GET /v1/sessions/{session_id}",
    "GET /v1/conversions/{conversion_id}",
    "GET /v1/conversions/{conversion_id}/evidence",
    "GET /v1/conversions/{conversion_id}/proof",
    "GET /v1/disputes/{dispute_id}",
    "POST /v1/disputes/{dispute_id}/messages",
    "POST /v1/disputes/{dispute_id}/evidence",
    "POST /v1/conversions/{conversion_id}/disputes",
    "GET /v1/ledger/entries/{entry_id}",
    "GET /v1/ledger/entries/{entry_id}/proof",
    "GET /v1/settlements/{batch_id}/export",
]
OF_A_MERCHANT = "GET /v1/invoices/{invoice_id}"
OWN_TO_A_BUILDER = [
    "GET /v1/statements/{statement_id}",
    "GET /v1/payouts/{payout_id}",
    "GET /v1/webhook-endpoints/{endpoint_id}",
    "PATCH /v1/webhook-endpoints/{endpoint_id}",
    "DELETE /v1/webhook-endpoints/{endpoint_id}",
    "POST /v1/webhook-endpoints/{endpoint_id}/rotate-secret",
    "POST /v1/webhook-endpoints/{endpoint_id}/test",
    "GET /v1/webhook-endpoints/{endpoint_id}/deliveries",
    "POST /v1/webhook-endpoints/{endpoint_id}/deliveries/{message_id}/resend",
]
BUYING = ["POST /v1/checkout", "POST /v1/purchase"]


@pytest.fixture
def world(db):
    return World()


@pytest.mark.parametrize("name", [*SHARED_BY_ID, *OWN_TO_AN_AGENT, *OWN_TO_A_BUILDER])
def test_another_agents_rows_do_not_exist(world, name):
    before = stored()

    reply = world.call(BY_NAME[name], key=world.other_agent.secret)

    assert faults(reply, 404) == []
    assert stored() == before


@pytest.mark.parametrize(
    "name",
    [
        *SHARED_BY_ID,
        OF_A_MERCHANT,
        *("POST /v1/conversions", "POST /v1/codes/issue"),
        *("POST /v1/conversions/{conversion_id}/milestones", "POST /v1/conversions/{conversion_id}/cancel"),
    ],
)
def test_another_merchants_rows_do_not_exist(world, name):
    before = stored()

    reply = world.call(BY_NAME[name], key=world.other_merchant.secret)

    assert faults(reply, 404) == []
    assert stored() == before


@pytest.mark.parametrize("name", [*SHARED_BY_ID, *OWN_TO_AN_AGENT, *OWN_TO_A_BUILDER])
def test_a_strangers_answer_does_not_tell_whether_a_row_exists(world, name):
    endpoint, key = BY_NAME[name], world.other_agent.secret
    body = world.body(endpoint)
    unknown = {field: UNKNOWN_ID for field in body if field.endswith("Id")}

    of_another = world.call(endpoint, key=key)
    of_nobody = world.call(endpoint, body | unknown, key=key, path=world.path(endpoint, UNKNOWN_ID))

    assert of_another.content == of_nobody.content
    assert of_another.status_code == of_nobody.status_code == 404


@pytest.mark.parametrize("name", ["withdraw", "accept"])
@pytest.mark.parametrize("key", ["other_agent", "other_merchant"])
def test_nobody_else_ends_a_dispute(world, name, key):
    before = stored()

    reply = world.call(BY_NAME[f"POST /v1/disputes/{{dispute_id}}/{name}"], key=getattr(world, key).secret)

    assert faults(reply, 404) == []
    assert stored() == before


@pytest.mark.parametrize("key", ["other_agent", "other_merchant"])
def test_lists_hold_only_ones_own(world, key):
    reply = world.call(BY_NAME["GET /v1/conversions"], key=getattr(world, key).secret)

    assert reply.json() == {"conversions": [], "count": 0}


@pytest.mark.parametrize("key", ["other_agent", "other_merchant"])
def test_another_partys_id_as_a_cursor_shows_nothing(world, key):
    query = f"cursor={world.conversion_id}"

    reply = world.call(BY_NAME["GET /v1/conversions"], key=getattr(world, key).secret, query=query)

    assert reply.json() == {"conversions": [], "count": 0}


@pytest.mark.parametrize("name", SHARED_BY_ID)
@pytest.mark.parametrize("key", ["agent", "merchant"])
def test_both_parties_of_a_sale_see_it(world, name, key):
    reply = world.call(BY_NAME[name], key=getattr(world, key).secret)

    assert reply.status_code == 200


def test_a_merchant_sees_of_a_session_only_what_concerns_its_offers(world):
    RecommendationFactory(session=world.session, offer=world.other_offer, context="a secret of the agent")

    reply = world.call(BY_NAME["GET /v1/sessions/{session_id}"], key=world.other_merchant.secret)

    assert [found["offerId"] for found in reply.json()["recommendations"]] == [world.other_offer.pk]
    for foreign in (world.offer.pk, world.offer.merchant_id, world.recommendation.pk, "secret"):
        assert foreign not in reply.content.decode()


@pytest.mark.parametrize("name", BUYING)
def test_another_agents_recommendation_cannot_be_bought(world, name):
    foreign = RecommendationFactory(offer=world.offer)
    before = stored()

    reply = world.call(BY_NAME[name], world.body(BY_NAME[name]) | {"recommendationId": foreign.pk})

    assert (faults(reply, 404), reply.json()) == ([], {"error": "Recommendation not found"})
    assert stored() == before


def test_a_recommendation_of_another_session_cannot_be_bought(world):
    checkout, elsewhere = BY_NAME["POST /v1/checkout"], world.recommend(world.offer)
    before = stored()

    reply = world.call(checkout, world.body(checkout) | {"recommendationId": elsewhere.pk})

    assert (faults(reply, 404), reply.json()) == ([], {"error": "Recommendation not found"})
    assert stored() == before


def test_a_mandate_for_another_merchant_buys_nothing(world):
    purchase = BY_NAME["POST /v1/purchase"]
    body = with_value(world.body(purchase), "authorization.merchantId", world.other_offer.merchant_id)
    before = stored()

    reply = world.call(purchase, body)

    assert faults(reply, 403) == []
    assert stored() == before


@pytest.mark.parametrize("field", ["sessionId", "recommendationId"])
def test_a_merchant_cannot_report_on_another_merchants_recommendation(world, field):
    report, foreign = BY_NAME["POST /v1/conversions"], world.recommend(world.other_offer)
    value = foreign.session_id if field == "sessionId" else foreign.pk
    before = stored()

    reply = world.call(report, world.body(report) | {field: value})

    assert faults(reply, 404) == []
    assert stored() == before


def test_an_order_is_credited_to_one_session_alone(world):
    report = BY_NAME["POST /v1/conversions"]
    before = stored()

    reply = world.call(report, world.body(report) | {"orderReference": "order-0"})

    assert faults(reply, 409) == []
    assert stored() == before


@pytest.mark.parametrize("status", ["suspended", "closed"])
@pytest.mark.parametrize("name", ["POST /v1/recommend", *BUYING, "POST /v1/codes/issue"])
def test_nothing_of_a_merchant_that_is_not_active_is_sold(world, status, name):
    Merchant.objects.filter(pk=world.offer.merchant_id).update(status=status)
    before = stored()

    reply = world.call(BY_NAME[name], key=world.agent.secret)

    assert (faults(reply, 410), reply.json()) == ([], {"error": "Offer no longer available"})
    assert stored() == before


@pytest.mark.parametrize("status", ["suspended", "closed"])
def test_a_merchant_that_is_not_active_is_not_found_in_searches(world, status):
    Merchant.objects.filter(pk=world.offer.merchant_id).update(status=status)

    found = world.call(BY_NAME["GET /v1/offers"]).json()["offers"]

    assert [offer["id"] for offer in found] == [world.other_offer.pk]


def test_a_withdrawn_offer_is_neither_found_nor_sold(world):
    Offer.objects.filter(pk=world.offer.pk).update(status="withdrawn")

    found = world.call(BY_NAME["GET /v1/offers"]).json()["offers"]
    recommended = world.call(BY_NAME["POST /v1/recommend"])
    bought = world.call(BY_NAME["POST /v1/checkout"])

    assert [offer["id"] for offer in found] == [world.other_offer.pk]
    assert [faults(reply, 410) for reply in (recommended, bought)] == [[], []]


def test_a_merchant_without_a_processor_sells_nothing(world):
    offer = OfferFactory(merchant=MerchantFactory(connected=False))
    recommendation = world.recommend(offer)
    body = {"sessionId": recommendation.session_id, "recommendationId": recommendation.pk}
    before = stored()

    reply = call("POST", "/v1/checkout", json.dumps(body), key=world.agent.secret)

    assert (faults(reply, 503), reply.json()) == ([], {"error": "Merchant has no connected payment processor"})
    assert stored() == before
