"""A merchant redeems an attribution token in its report, once, in time, and its own alone."""

from datetime import timedelta

import pytest
from django.utils import timezone

from ledger.models import Conversion, Evidence
from ledger.verification.evidence import evidence_differences
from ledger.verification.told import told_by
from sessions_app import attribution_token
from sessions_app.models import Session
from tests.factories import MerchantFactory, OfferFactory, RecommendationFactory
from tests.threads import race


@pytest.fixture
def token(recommendation):
    return token_of(recommendation)


def token_of(recommendation):
    return attribution_token.issue(recommendation, merchant_id=recommendation.offer.merchant_id)[0]


@pytest.fixture
def merchant(as_merchant, recommendation):
    return as_merchant(recommendation.offer.merchant)


@pytest.fixture
def report(merchant, token):
    """Reports a sale by its token."""

    def post(**changes):
        body = {"attributionToken": token, "orderReference": "ORDER-1", "transactionValue": 10}
        return merchant.post("/v1/conversions", body | changes)

    return post


def let_pass(recommendation):
    """The session's window closes; the token's says the same."""
    now = timezone.now()
    times = {"created_at": now - timedelta(hours=25), "expires_at": now - timedelta(hours=1)}
    Session.objects.filter(pk=recommendation.session_id).update(**times)
    recommendation.session.refresh_from_db()


def test_a_token_stands_for_session_and_recommendation(report, recommendation):
    RecommendationFactory(session=recommendation.session, offer=OfferFactory(merchant=recommendation.offer.merchant))

    reply = report().json()

    assert reply["sessionId"] == recommendation.session_id
    assert Conversion.objects.get().recommendation == recommendation


def test_its_nonce_is_kept_with_the_evidence_and_it_is_not(report, token):
    conversion = Conversion.objects.get(pk=report().json()["conversionId"])

    details = Evidence.objects.get().details

    assert details["attribution_nonce"] == attribution_token.read(token).nonce
    assert token not in str(details)
    assert list(evidence_differences(conversion, told_by([conversion.pk])[conversion.pk])) == []


def test_the_same_report_again_gives_the_same_reply(report):
    assert report().json() == report().json()


def test_a_token_makes_no_second_sale(report):
    report()

    reply = report(orderReference="ORDER-2")

    assert (reply.status_code, reply.json()) == (409, {"error": "Session already converted"})
    assert Conversion.objects.count() == 1


def test_nor_does_another_token_of_the_recommendation(report, recommendation):
    sale = report().json()["conversionId"]

    another_order = report(attributionToken=token_of(recommendation), orderReference="ORDER-2")
    same_order = report(attributionToken=token_of(recommendation))

    assert another_order.headers["X-Error-Code"] == "session_converted"
    assert (same_order.json()["conversionId"], Conversion.objects.count()) == (sale, 1)


@pytest.mark.django_db(transaction=True)
def test_of_eight_orders_at_once_one_has_the_sale(as_merchant):
    recommendation = RecommendationFactory()
    token, merchant = token_of(recommendation), as_merchant(recommendation.offer.merchant)

    def redeem(number):
        body = {"attributionToken": token, "orderReference": f"ORDER-{number}", "transactionValue": 10}
        return merchant.post("/v1/conversions", body).status_code

    statuses = race(redeem)

    assert sorted(statuses) == [200] + [409] * 7
    assert Conversion.objects.count() == 1


@pytest.mark.parametrize("field", ["sessionId", "recommendationId"])
def test_what_it_is_not_of_is_not_found(report, recommendation, field):
    other = RecommendationFactory(offer=recommendation.offer)

    reply = report(**{field: {"sessionId": other.session_id, "recommendationId": other.pk}[field]})

    assert (reply.status_code, Conversion.objects.count()) == (404, 0)


def test_another_merchants_token_is_invalid(as_merchant, token):
    body = {"attributionToken": token, "orderReference": "ORDER-1", "transactionValue": 10}

    reply = as_merchant(MerchantFactory()).post("/v1/conversions", body)

    assert (reply.status_code, reply.json()) == (404, {"error": "Invalid attribution token"})


def test_an_expired_token_makes_no_sale(recommendation, merchant):
    let_pass(recommendation)
    body = {"attributionToken": token_of(recommendation), "orderReference": "ORDER-1", "transactionValue": 10}

    reply = merchant.post("/v1/conversions", body)

    assert (reply.status_code, reply.json()) == (410, {"error": "Session expired"})


def test_a_sale_in_time_may_be_reported_late(recommendation, merchant):
    sold_at = timezone.now().isoformat()
    Session.objects.filter(pk=recommendation.session_id).update(expires_at=timezone.now() + timedelta(seconds=1))
    recommendation.session.refresh_from_db()
    body = {"attributionToken": token_of(recommendation), "orderReference": "ORDER-1", "transactionValue": 10}

    reply = merchant.post("/v1/conversions", body | {"occurredAt": sold_at})

    assert reply.status_code == 200


def test_it_is_for_the_flow_alone(report):
    reply = report(attributionPath="influence", evidence={"survey": "S-1"})

    assert (reply.status_code, reply.json()) == (400, {"error": "attributionToken is for aap_flow alone"})


def test_the_rows_of_a_batch_may_come_with_tokens(merchant, token, recommendation):
    rows = [{"attributionToken": text, "orderReference": "ORDER-1", "transactionValue": 10} for text in (token, "x")]

    results = merchant.post("/v1/conversions", {"conversions": rows}).json()["results"]

    assert [row["status"] for row in results] == ["recorded", "refused"]
    assert (results[0]["sessionId"], results[1]["code"]) == (recommendation.session_id, "attribution_token_invalid")


def verify(client, token):
    return client.post("/v1/attribution/verify", {"token": token})


def test_a_merchant_learns_what_a_token_stands_for(merchant, token, recommendation):
    reply = verify(merchant, token).json()

    assert {name: reply[name] for name in ("valid", "recommendationId", "sessionId", "used")} == {
        "valid": True,
        "recommendationId": recommendation.pk,
        "sessionId": recommendation.session_id,
        "used": False,
    }
    assert (reply["offer"]["id"], reply["offer"]["price"]) == (recommendation.offer_id, 10)
    assert recommendation.agent_id not in str(reply)


def test_and_whether_it_was_used(merchant, token, report):
    conversion_id = report().json()["conversionId"]

    reply = verify(merchant, token).json()

    assert (reply["used"], reply["conversionId"], reply["orderReference"]) == (True, conversion_id, "ORDER-1")


def test_others_learn_nothing(as_merchant, token):
    reply = verify(as_merchant(MerchantFactory()), token)

    assert (reply.status_code, reply.json()) == (
        200,
        {"valid": False, "error": "Invalid or expired attribution token."},
    )


def test_an_expired_token_is_invalid(merchant, recommendation):
    let_pass(recommendation)

    assert verify(merchant, token_of(recommendation)).json()["valid"] is False
