from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from checkout import start
from checkout.connectors.registry import connector_for
from checkout.connectors.sandbox import payments
from checkout.connectors.sandbox.models import Event, Payment
from checkout.models import Authorization, Checkout
from checkout.purchase import _charge_request, purchase, record_charge
from checkout.start import claim
from ledger.models import Conversion, Entry
from merchants.models import Merchant
from rako.core.errors import RakoError
from rako.core.wire import instant
from sessions_app.models import Session
from tests.checkout.entries import kinds
from tests.checkout.psp import checkout_of, deliver
from tests.factories import RecommendationFactory, SessionFactory
from tests.threads import race


@pytest.fixture
def buy(as_agent):
    def post(recommendation, payment_method="pm_card_visa", **more):
        body = {"recommendationId": recommendation.pk, "paymentMethod": payment_method}
        return as_agent.post("/v1/purchase", body | more)

    return post


def mandate(**changes):
    expires_at = instant(timezone.now() + timedelta(hours=1))
    return {"reference": "m-1", "maxAmount": 10, "currency": "GBP", "expiresAt": expires_at} | changes


def test_without_a_payment_method_it_is_a_checkout(as_agent, recommendation):
    reply = as_agent.post("/v1/purchase", {"recommendationId": recommendation.pk}).json()

    assert (reply["mode"], reply["status"]) == ("checkout", "awaiting_payment")


def test_a_recommendation_is_required(as_agent):
    response = as_agent.post("/v1/purchase", {})

    assert (response.status_code, response.json()) == (400, {"error": "recommendationId is required"})


def test_a_stored_method_is_charged_off_session(buy, recommendation):
    reply = buy(recommendation).json()

    payment = Payment.objects.get()
    assert (reply["mode"], reply["status"], reply["confirmation"]) == ("autonomous", "succeeded", payment.pk)


def test_a_purchase_comes_with_the_receipt_of_its_start(buy, recommendation):
    reply = buy(recommendation).json()

    entry = Entry.objects.get(stream_id=reply["transactionId"], kind="checkout.started")
    assert reply["receipt"].splitlines()[1] == entry.entry_id


def test_a_charge_that_was_answered_before_its_event_succeeds_once(buy, recommendation):
    checkout_id = buy(recommendation).json()["transactionId"]

    deliver(Checkout.objects.get().connection, Event.objects.get().payload)

    assert kinds(checkout_id) == ["checkout.started", "checkout.succeeded"]


@pytest.mark.parametrize(
    ("method", "last"),
    [
        ("pm_card_declined", "checkout.failed"),
        ("pm_card_processing", "checkout.processing"),
        ("pm_card_authentication_required", "checkout.opened"),
    ],
)
def test_what_a_charge_came_to_is_told(buy, recommendation, method, last):
    buy(recommendation, method)

    assert kinds(Checkout.objects.get().pk) == ["checkout.started", last]


def test_a_confirmation_is_not_a_conversion_until_the_event_comes(buy, recommendation):
    buy(recommendation)
    before = Conversion.objects.count()

    deliver(Checkout.objects.get().connection, Event.objects.get().payload)

    assert (before, Conversion.objects.count()) == (0, 1)


def test_a_decline_is_402_and_may_be_tried_again(buy, recommendation):
    response = buy(recommendation, "pm_card_declined")

    assert (response.status_code, response.json()) == (402, {"error": "Payment declined"})
    assert buy(recommendation).json()["status"] == "succeeded"


def test_a_step_up_comes_with_a_page(buy, recommendation):
    reply = buy(recommendation, "pm_card_authentication_required").json()

    assert reply["status"] == "requires_action"
    assert "/sandbox/payments/" in reply["checkoutUrl"]


def test_a_slow_payment_is_processing_and_told_again_when_asked(buy, recommendation):
    first, second = buy(recommendation, "pm_card_processing").json(), buy(recommendation, "pm_card_processing").json()

    assert (first, first["status"], Payment.objects.count()) == (second, "processing", 1)


def test_an_unknown_payment_method_is_the_psps_refusal(buy, recommendation):
    response = buy(recommendation, "pm_nonsense")

    assert (response.status_code, response.headers["X-Error-Code"]) == (502, "psp_rejected")


def test_buying_again_after_a_lost_reply_tells_of_the_one_charge(buy, recommendation):
    first, second = buy(recommendation).json(), buy(recommendation).json()

    assert (first, Payment.objects.count()) == (second, 1)


def test_buying_again_after_the_conversion_is_refused(buy, recommendation):
    buy(recommendation)
    deliver(Checkout.objects.get().connection, Event.objects.get().payload)

    response = buy(recommendation)

    assert (response.status_code, response.json()) == (409, {"error": "Session already converted"})


def test_a_purchase_brings_the_session_to_its_checkout(buy, recommendation):
    buy(recommendation)

    assert Session.objects.get(pk=recommendation.session_id).status == "checkout"


def test_a_charge_that_fails_later_gives_the_mandate_back(buy, recommendation):
    buy(recommendation, "pm_card_authentication_required", authorization=mandate())
    payment = Payment.objects.get()
    payments.answer_step_up(payment.pk, approve=False)

    deliver(Checkout.objects.get().connection, Event.objects.latest("created_at").payload)

    assert (Checkout.objects.get().state, Authorization.objects.filter(released_at=None).count()) == ("failed", 0)


@pytest.mark.django_db(transaction=True)
def test_the_answer_to_a_charge_and_its_event_do_not_block_each_other():
    for _ in range(8):
        recommendation = RecommendationFactory()
        connection = recommendation.offer.merchant.connections.get()
        checkout, _is_new = claim(recommendation, connection, mode="autonomous", payment_method="pm_card_visa")
        result = connector_for(connection).charge_stored_method(_charge_request(checkout))
        event = Event.objects.latest("created_at").payload
        steps = [partial(record_charge, checkout, result), partial(deliver, connection, event)]

        outcomes = race(lambda number, steps=steps: steps[number](), times=2)

        assert [outcome for outcome in outcomes if isinstance(outcome, Exception)] == []
    assert Conversion.objects.count() == 8


def test_an_open_page_is_closed_before_the_charge(buy, recommendation):
    page = checkout_of(recommendation)

    buy(recommendation)

    assert Checkout.objects.get(pk=page.pk).state == "expired"


def test_checkout_with_a_payment_method_takes_the_same_path(post_checkout, recommendation):
    reply = post_checkout(recommendation, paymentMethod="pm_card_visa").json()

    assert (reply["mode"], reply["status"]) == ("autonomous", "succeeded")


def test_another_agents_recommendation_does_not_exist(buy):
    assert buy(RecommendationFactory()).status_code == 404


def test_an_expired_session_is_gone(buy, agent):
    session = SessionFactory(agent=agent, created_at=timezone.now() - timedelta(hours=25))

    assert buy(RecommendationFactory(session=session)).status_code == 410


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"maxAmount": 9.99}, "The authorization is for less than 10.00 GBP"),
        ({"currency": "EUR"}, "The authorization is in EUR, the purchase in GBP"),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, "The authorization has expired"),
        ({"merchantId": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}, "The authorization is for another merchant"),
    ],
)
def test_a_mandate_is_a_limit(buy, recommendation, change, why):
    response = buy(recommendation, authorization=mandate(**change))

    assert (response.status_code, response.json()) == (403, {"error": why})
    assert Payment.objects.count() == 0


@pytest.mark.parametrize(
    "change",
    [{"reference": None}, {"maxAmount": "10"}, {"maxAmount": -1}, {"maxAmount": 1.001}, {"expiresAt": "soon"}],
)
def test_a_malformed_mandate_is_a_bad_request(buy, recommendation, change):
    response = buy(recommendation, authorization=mandate(**change))

    assert (response.status_code, Payment.objects.count()) == (400, 0)


def test_a_mandate_is_good_for_one_purchase(buy, recommendation, agent):
    other = RecommendationFactory(session=SessionFactory(agent=agent))
    buy(recommendation, authorization=mandate())

    response = buy(other, authorization=mandate())

    assert (response.status_code, response.json()) == (409, {"error": "The authorization was already used"})


def test_a_declined_charge_gives_the_mandate_back(buy, recommendation):
    buy(recommendation, "pm_card_declined", authorization=mandate())

    reply = buy(recommendation, authorization=mandate()).json()

    assert (reply["status"], Authorization.objects.filter(released_at=None).count()) == ("succeeded", 1)


def test_a_merchant_may_insist_on_a_mandate(buy, recommendation):
    Merchant.objects.update(requires_authorization=True)

    assert buy(recommendation).status_code == 403
    assert buy(recommendation, authorization=mandate()).status_code == 200


def test_the_deployment_may_insist_on_a_mandate(buy, recommendation, settings):
    settings.RAKO_REQUIRE_AUTHORIZATION = True

    assert buy(recommendation).status_code == 403


def test_a_purchase_that_looked_before_another_succeeded_charges_nothing(recommendation, agent, monkeypatch):
    first = purchase(agent, recommendation_id=recommendation.pk, payment_method="pm_card_visa", authorization=None)
    # What a request sees that is overtaken between its look and its insert.
    seen = iter([None])
    real = start._live_checkout
    monkeypatch.setattr(start, "_live_checkout", lambda session_id: next(seen, False) or real(session_id))

    again = purchase(agent, recommendation_id=recommendation.pk, payment_method="pm_card_visa", authorization=None)

    assert (again.pk, Payment.objects.count(), Checkout.objects.count()) == (first.pk, 1, 1)


@pytest.mark.django_db(transaction=True)
def test_32_requests_at_once_charge_once():
    recommendation = RecommendationFactory()

    def buy_it(_):
        return purchase(
            recommendation.agent,
            recommendation_id=recommendation.pk,
            payment_method="pm_card_visa",
            authorization=None,
        )

    outcomes = race(buy_it, times=32)

    assert Payment.objects.count() == 1
    assert [outcome for outcome in outcomes if not isinstance(outcome, Checkout | RakoError)] == []


@pytest.mark.django_db(transaction=True)
def test_a_mandate_spent_by_eight_at_once_is_spent_once():
    session = SessionFactory()
    bought = [RecommendationFactory(session=SessionFactory(agent=session.agent)) for _ in range(8)]

    outcomes = race(
        lambda number: purchase(
            session.agent,
            recommendation_id=bought[number].pk,
            payment_method="pm_card_visa",
            authorization=mandate(),
        )
    )

    assert len([outcome for outcome in outcomes if isinstance(outcome, Checkout)]) == Payment.objects.count() == 1
