from datetime import timedelta

import pytest
from django.utils import timezone

from checkout.start import start_checkout
from ledger.conversions import record_conversion
from ledger.models import Conversion, Evidence
from merchants.models import Offer
from rako.core.ids import new_id
from rako.core.wire import instant
from tests.factories import MerchantFactory, OfferFactory, RecommendationFactory, SessionFactory
from tests.ledger.conftest import make_proof
from tests.threads import race


@pytest.fixture
def report(as_merchant, recommendation):
    """Reports a sale as the recommendation's merchant."""
    client = as_merchant(recommendation.offer.merchant)

    def post(**changes):
        body = {"sessionId": recommendation.session_id, "orderReference": "ORDER-1", "transactionValue": 10}
        return client.post("/v1/conversions", body | changes)

    return post


def test_a_report_makes_a_conversion(report, recommendation):
    reply = report().json()

    assert reply.pop("receipt").startswith("rako.sh/ledger/receipt\n")
    assert reply == {
        "conversionId": Conversion.objects.get().pk,
        "sessionId": recommendation.session_id,
        "orderReference": "ORDER-1",
        "transactionValue": 10,
        "commission": {"amount": 8, "networkFee": 1.6, "builderPayout": 6.4, "type": "cpa"},
        "status": "pending",
        "validationPeriodDays": 30,
    }


def test_the_same_report_again_gives_the_same_reply(report):
    assert report().json() == report().json()


@pytest.mark.parametrize(
    "change", [{"transactionValue": 11}, {"paymentReference": "pi_9"}, {"serviceDate": "2027-01-01"}]
)
def test_another_report_under_the_same_reference_is_refused(report, change):
    report()

    response = report(**change)

    assert (response.status_code, Evidence.objects.count()) == (409, 1)


def test_an_order_reported_for_another_session_is_refused(report, recommendation):
    other = RecommendationFactory(offer=recommendation.offer)
    report()

    response = report(sessionId=other.session_id)

    assert (response.status_code, Conversion.objects.count()) == (409, 1)


def test_a_second_order_of_a_session_is_refused(report):
    report()

    response = report(orderReference="ORDER-2")

    assert (response.status_code, response.json()) == (409, {"error": "Session already converted"})


@pytest.mark.parametrize("missing", ["sessionId", "orderReference", "transactionValue"])
def test_what_is_missing_is_said(report, missing):
    response = report(**{missing: None})

    expected = {"error": "sessionId, orderReference and transactionValue are required"}
    assert (response.status_code, response.json()) == (400, expected)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"transactionValue": -1}, "transactionValue must not be negative"),
        ({"transactionValue": 1.001}, "transactionValue has more than 2 decimal places"),
        ({"transactionValue": "10"}, "transactionValue must be a number"),
        ({"transactionValue": 1e300}, "transactionValue is too large"),
        ({"currency": "EUR"}, "currency must be GBP, the offer's"),
        ({"occurredAt": "yesterday"}, "occurredAt must be an ISO 8601 time with an offset"),
        ({"occurredAt": "2099-01-01T00:00:00Z"}, "occurredAt lies in the future"),
        ({"occurredAt": "2020-01-01T00:00:00Z"}, "occurredAt lies before the recommendation"),
        ({"serviceDate": "2027-02-30"}, "serviceDate must be an ISO 8601 date"),
        ({"orderReference": "x" * 201}, "orderReference must have at most 200 characters"),
    ],
)
def test_a_bad_value_gets_a_clear_error_and_stores_nothing(report, change, error):
    response = report(**change)

    assert (response.status_code, response.json()) == (400, {"error": error})
    assert Conversion.objects.count() == 0


def test_another_merchants_session_does_not_exist(as_merchant, recommendation):
    body = {"sessionId": recommendation.session_id, "orderReference": "ORDER-1", "transactionValue": 10}

    response = as_merchant(MerchantFactory(connected=False)).post("/v1/conversions", body)

    assert (response.status_code, response.json()) == (404, {"error": "Session not found"})


def test_an_agent_cannot_report(as_agent, recommendation):
    body = {"sessionId": recommendation.session_id, "orderReference": "ORDER-1", "transactionValue": 10}

    assert as_agent.post("/v1/conversions", body).status_code == 403


def yesterdays_recommendation(offer):
    """One in a session whose window closed an hour ago."""
    created_at = timezone.now() - timedelta(hours=25)
    session = SessionFactory(created_at=created_at)
    return RecommendationFactory(session=session, offer=offer, created_at=created_at)


def test_a_sale_inside_the_window_may_be_reported_after_it(report, recommendation):
    old = yesterdays_recommendation(recommendation.offer)
    sold_at = instant(timezone.now() - timedelta(hours=2))

    assert report(sessionId=old.session_id, occurredAt=sold_at).status_code == 200


def test_a_sale_after_the_window_is_not_the_sessions(report, recommendation):
    old = yesterdays_recommendation(recommendation.offer)

    response = report(sessionId=old.session_id)

    assert (response.status_code, response.json()) == (410, {"error": "Session expired"})


def test_a_confirming_report_may_come_long_after_the_payment(report, recommendation):
    old = yesterdays_recommendation(recommendation.offer)
    record_conversion(old, make_proof(occurred_at=timezone.now() - timedelta(hours=20)))

    assert report(sessionId=old.session_id).status_code == 200


def test_a_report_cannot_take_the_sale_from_a_payment_under_way(report, recommendation):
    offer = OfferFactory(merchant=recommendation.offer.merchant)
    paying = RecommendationFactory(session=recommendation.session, offer=offer)
    start_checkout(paying.agent, session_id=paying.session_id, recommendation_id=paying.pk)

    response = report(recommendationId=recommendation.pk)

    assert (response.status_code, Conversion.objects.count()) == (409, 0)


def test_a_report_cannot_use_a_payments_order_reference(report):
    assert report(orderReference="aap:01ARZ3NDEKTSV4RRFFQ69G5FAV").status_code == 400


def test_a_report_is_in_the_currency_of_the_signed_code(report, recommendation):
    Offer.objects.update(currency="EUR")

    report()

    assert Conversion.objects.get().currency == "GBP"


def test_the_named_recommendation_is_credited(report, recommendation):
    RecommendationFactory(session=recommendation.session, offer=OfferFactory(merchant=recommendation.offer.merchant))

    report(recommendationId=recommendation.pk)

    assert Conversion.objects.get().recommendation == recommendation


def test_without_a_name_the_latest_recommendation_is_credited(report, recommendation):
    offer = OfferFactory(merchant=recommendation.offer.merchant)
    latest = RecommendationFactory(session=recommendation.session, offer=offer)

    report()

    assert Conversion.objects.get().recommendation == latest


def test_a_recommendation_that_is_not_the_merchants_is_not_found(report):
    assert report(recommendationId=new_id()).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_eight_equal_reports_at_once_get_one_conversion_and_one_reply():
    from tests.conftest import Api
    from tests.factories import MerchantKeyFactory

    recommendation = RecommendationFactory()
    client = Api(MerchantKeyFactory(merchant=recommendation.offer.merchant).secret)
    body = {"sessionId": recommendation.session_id, "orderReference": "ORDER-1", "transactionValue": 10}

    replies = race(lambda _: client.post("/v1/conversions", body).json())

    assert len({str(reply) for reply in replies}) == Conversion.objects.count() == 1
