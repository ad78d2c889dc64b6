import base64
from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from checkout.connectors.sandbox import accounts
from checkout.connectors.sandbox.models import PaymentPage
from checkout.models import Checkout
from ledger.models import Entry
from merchants.models import Connection, Merchant
from rako.core.ids import new_id
from rako.core.receipts import receipt_signer
from rako.core.tlog.notes import open_note, parse_vkey
from sessions_app.models import Session
from tests.checkout.entries import body
from tests.checkout.psp import checkout_of, pay
from tests.factories import MerchantFactory, OfferFactory, RecommendationFactory, SessionFactory
from tests.threads import race


def test_a_checkout_hands_over_to_the_merchants_own_page(post_checkout, recommendation):
    reply = post_checkout(recommendation).json()

    page = PaymentPage.objects.get()
    assert reply.pop("receipt").startswith(f"{settings.RAKO_LEDGER_ORIGIN}/receipt\n")
    assert reply == {
        "transactionId": Checkout.objects.get().pk,
        "paymentId": page.pk,
        "checkoutUrl": f"http://127.0.0.1:3456/sandbox/pay/{page.pk}",
        "status": "awaiting_payment",
        "backend": "orchestrated",
        "mode": "checkout",
        "amount": 10,
        "currency": "GBP",
        "merchant": {"id": recommendation.offer.merchant_id, "name": recommendation.offer.merchant.name},
        "offer": {"id": recommendation.offer_id, "name": recommendation.offer.name, "provider": "SMARTY"},
        "session": {"id": recommendation.session_id, "status": "checkout"},
    }


def test_the_payment_carries_the_protocols_metadata(checkout):
    page = PaymentPage.objects.get()

    assert {name: page.metadata[name] for name in sorted(page.metadata) if name != "aap_created_at"} == {
        "aap_attribution_path": "aap_flow",
        "aap_checkout_id": checkout.pk,
        "aap_code": checkout.recommendation.aap_code,
        "aap_merchant_id": checkout.merchant_id,
        "aap_offer_id": checkout.recommendation.offer_id,
        "aap_protocol_version": "v1",
        "aap_recommendation_id": checkout.recommendation_id,
        "aap_session_id": checkout.session_id,
    }


def test_the_session_moves_to_checkout(checkout):
    assert Session.objects.get(pk=checkout.session_id).status == "checkout"


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"sessionId": None}, 400, "sessionId and recommendationId are required"),
        ({"recommendationId": ""}, 400, "sessionId and recommendationId are required"),
        ({"sessionId": new_id()}, 404, "Session not found"),
        ({"sessionId": "nonsense"}, 404, "Session not found"),
        ({"recommendationId": new_id()}, 404, "Recommendation not found"),
    ],
)
def test_what_is_missing_or_unknown_is_said_in_the_protocols_words(as_agent, recommendation, change, status, error):
    body = {"sessionId": recommendation.session_id, "recommendationId": recommendation.pk}

    response = as_agent.post("/v1/checkout", body | change)

    assert (response.status_code, response.json()) == (status, {"error": error})


def test_expired_session_is_gone(post_checkout, agent):
    session = SessionFactory(agent=agent, created_at=timezone.now() - timedelta(hours=24))
    recommendation = RecommendationFactory(session=session)

    response = post_checkout(recommendation)

    assert (response.status_code, response.json()) == (410, {"error": "Session expired"})


def test_another_agents_session_does_not_exist(post_checkout):
    response = post_checkout(RecommendationFactory())

    assert (response.status_code, response.json()) == (404, {"error": "Session not found"})


def test_a_recommendation_of_another_session_is_not_found(as_agent, agent, recommendation):
    other = SessionFactory(agent=agent)

    response = as_agent.post("/v1/checkout", {"sessionId": other.pk, "recommendationId": recommendation.pk})

    assert (response.status_code, response.json()) == (404, {"error": "Recommendation not found"})


@pytest.mark.parametrize("status", ["suspended", "closed"])
def test_a_merchant_that_is_gone_takes_its_offers_along(post_checkout, recommendation, status):
    Merchant.objects.update(status=status)

    response = post_checkout(recommendation)

    assert (response.status_code, response.json()) == (410, {"error": "Offer no longer available"})


def test_without_a_live_connection_there_is_no_checkout(post_checkout, agent):
    offer = OfferFactory(merchant=MerchantFactory(connected=False))
    recommendation = RecommendationFactory(session=SessionFactory(agent=agent), offer=offer)

    response = post_checkout(recommendation)

    assert (response.status_code, response.json()) == (503, {"error": "Merchant has no connected payment processor"})


def test_a_psp_that_refuses_leaves_nothing_half_made(post_checkout, recommendation):
    accounts.close_account(Connection.objects.get().account_id)

    response = post_checkout(recommendation)

    assert (response.status_code, response.json()) == (502, {"error": "Could not create checkout"})
    assert Checkout.objects.get().state == "failed"


def test_revoked_credentials_degrade_the_connection(post_checkout, recommendation):
    accounts.close_account(Connection.objects.get().account_id)

    post_checkout(recommendation)

    assert post_checkout(recommendation).status_code == 503


def test_asking_again_gives_the_same_page(post_checkout, recommendation):
    first, second = post_checkout(recommendation).json(), post_checkout(recommendation).json()

    assert (first, Checkout.objects.count()) == (second, 1)


def test_the_receipt_is_our_signed_word_that_the_start_is_in_the_ledger(post_checkout, recommendation):
    reply = post_checkout(recommendation).json()

    entry = Entry.objects.get(stream_id=reply["transactionId"], kind="checkout.started")
    leaf = base64.b64encode(bytes(entry.leaf_hash)).decode()
    signed = open_note(reply["receipt"], [parse_vkey(receipt_signer().vkey)])
    assert signed.text.splitlines()[1:] == [entry.entry_id, leaf, body(entry)["recorded_at"]]


def test_a_checkout_older_than_the_ledger_has_no_receipt(post_checkout, recommendation):
    money = {"amount_minor": 1000, "currency": "GBP"}
    Checkout.objects.create(
        session=recommendation.session,
        recommendation=recommendation,
        merchant=recommendation.offer.merchant,
        connection=Connection.objects.get(),
        state="open",
        expires_at=recommendation.session.expires_at,
        **money,
    )

    assert "receipt" not in post_checkout(recommendation).json()


def test_the_signed_price_is_charged_whatever_the_offer_costs_now(post_checkout, recommendation):
    offer = recommendation.offer
    offer.price_minor = 99_900
    offer.save()

    assert post_checkout(recommendation).json()["amount"] == 10


def test_another_recommendation_closes_the_old_page(post_checkout, checkout, agent):
    other = RecommendationFactory(session=checkout.session)

    reply = post_checkout(other).json()

    assert reply["transactionId"] != checkout.pk
    assert PaymentPage.objects.get(pk=checkout.psp_id).status == "expired"
    assert Checkout.objects.get(pk=checkout.pk).state == "expired"


def test_a_page_that_was_just_paid_is_not_replaced(post_checkout, checkout):
    pay(checkout)
    other = RecommendationFactory(session=checkout.session)

    response = post_checkout(other)

    assert (response.status_code, response.json()) == (409, {"error": "Session already converted"})


def test_the_old_page_stays_if_the_psp_does_not_close_it(post_checkout, checkout):
    accounts.close_account(checkout.connection.account_id)

    response = post_checkout(RecommendationFactory(session=checkout.session))

    assert response.status_code == 502
    assert Checkout.objects.get(pk=checkout.pk).state == "open"


def test_with_the_direct_backend_the_merchants_own_page_is_the_checkout(post_checkout, recommendation, settings):
    settings.RAKO_CHECKOUT_BACKEND = "direct"

    reply = post_checkout(recommendation).json()

    assert (reply["backend"], reply["status"]) == ("direct", "initiated")
    assert f"aap_ref={recommendation.pk}" in reply["checkoutUrl"]


def test_user_details_are_accepted_and_not_stored(post_checkout, recommendation):
    response = post_checkout(recommendation, userDetails={"email": "ada@example.com"})

    assert response.status_code == 200
    assert "ada@example.com" not in str(list(Checkout.objects.values()) + list(PaymentPage.objects.values()))


@pytest.mark.parametrize("details", [{"email": 5}, {"fullName": ""}, {"full_name": ["Ada"]}, {"email": "x" * 501}])
def test_user_details_that_the_offer_requires_must_be_texts(post_checkout, recommendation, details):
    response = post_checkout(recommendation, userDetails=details)

    assert (response.status_code, Checkout.objects.count()) == (400, 0)


def test_a_checkout_costs_a_fixed_number_of_queries(post_checkout, recommendation, django_assert_max_num_queries):
    with django_assert_max_num_queries(19):
        post_checkout(recommendation)


@pytest.mark.django_db(transaction=True)
def test_eight_requests_at_once_make_one_page():
    recommendation = RecommendationFactory()

    made = race(lambda _: checkout_of(recommendation))

    assert {checkout.psp_id for checkout in made} == {PaymentPage.objects.get().pk}


@pytest.mark.django_db(transaction=True)
def test_eight_recommendations_at_once_leave_one_live_page():
    session = SessionFactory()
    recommendations = [RecommendationFactory(session=session) for _ in range(8)]

    race(lambda number: checkout_of(recommendations[number]))

    assert Checkout.objects.filter(state__in=Checkout.LIVE).count() == 1
    assert PaymentPage.objects.filter(status="open").count() == 1
