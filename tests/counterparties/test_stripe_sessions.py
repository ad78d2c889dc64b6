"""Checkout Sessions of Stripe's counterparty behave as Stripe's do, seen through the real library."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import stripe

from tests.counterparties.sales import METADATA, open_session, session_params, told
from tests.counterparties.stripe_errors import ControlError


def test_a_new_session_is_open_and_has_no_payment_intent(shop):
    session = open_session(shop)

    assert (session.status, session.payment_status, session.payment_intent) == ("open", "unpaid", None)
    assert (session.amount_total, session.currency, session.livemode) == (4990, "eur", False)


def test_a_paid_session_is_complete_and_its_intent_bears_the_metadata_meant_for_it(shop):
    session = open_session(shop)

    attempt = shop.psp.pay(shop.account, session.id)

    paid = shop.client().v1.checkout.sessions.retrieve(
        session.id, params={"expand": ["payment_intent.latest_charge", "line_items"]}
    )
    assert (paid.status, paid.payment_status, paid.url) == ("complete", "paid", None)
    assert paid.payment_intent.id == attempt.payment_intent
    assert paid.payment_intent.metadata.to_dict() == METADATA
    assert paid.payment_intent.latest_charge.metadata.to_dict() == METADATA
    assert told(shop) == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "checkout.session.completed",
    ]


def test_attempts_in_one_session_use_one_payment_intent(shop):
    session = open_session(shop)

    declined = shop.psp.pay(shop.account, session.id, "tok_visa_chargeDeclinedInsufficientFunds")
    still_open = shop.client().v1.checkout.sessions.retrieve(session.id)
    paid = shop.psp.pay(shop.account, session.id)

    assert (declined.status, declined.decline_code) == ("requires_payment_method", "insufficient_funds")
    assert (still_open.status, still_open.payment_intent) == ("open", declined.payment_intent)
    assert (paid.status, paid.payment_intent) == ("succeeded", declined.payment_intent)


@pytest.mark.parametrize(
    ("succeeds", "status", "last"),
    [
        (True, "paid", "checkout.session.async_payment_succeeded"),
        (False, "unpaid", "checkout.session.async_payment_failed"),
    ],
)
def test_a_delayed_method_completes_a_session_before_it_is_paid(shop, succeeds, status, last):
    session = open_session(shop)

    pending = shop.psp.pay(shop.account, session.id, "sepa_debit")
    before = shop.client().v1.checkout.sessions.retrieve(session.id)
    shop.psp.settle(shop.account, session.id, succeeds=succeeds)

    after = shop.client().v1.checkout.sessions.retrieve(session.id)
    assert (pending.status, before.status, before.payment_status) == ("processing", "complete", "unpaid")
    assert (after.status, after.payment_status, told(shop)[-1]) == ("complete", status, last)


def test_authentication_leaves_a_session_open_until_it_succeeds(shop):
    session = open_session(shop)

    asked = shop.psp.pay(shop.account, session.id, "tok_threeDSecure2Required")
    failed = shop.psp.authenticate(shop.account, session.id, succeeds=False)
    shop.psp.pay(shop.account, session.id, "tok_threeDSecure2Required")
    paid = shop.psp.authenticate(shop.account, session.id)

    assert asked.status == "requires_action"
    assert (failed.status, failed.code) == ("requires_payment_method", "payment_intent_authentication_failure")
    assert (paid.status, paid.payment_intent) == ("succeeded", asked.payment_intent)


def test_an_expired_session_cannot_be_paid_nor_expired_again(shop):
    session = open_session(shop)
    shop.psp.pay(shop.account, session.id, "tok_visa_chargeDeclined")
    sessions = shop.client().v1.checkout.sessions

    expired = sessions.expire(session.id)

    assert (expired.status, expired.url, told(shop)[-1]) == ("expired", None, "checkout.session.expired")
    assert shop.client().v1.payment_intents.retrieve(expired.payment_intent).status == "canceled"
    with pytest.raises(ControlError, match="is expired"):
        shop.psp.pay(shop.account, session.id)
    with pytest.raises(stripe.InvalidRequestError, match="status of `expired`"):
        sessions.expire(session.id)


def test_a_paid_session_cannot_be_expired(shop):
    session = open_session(shop)
    shop.psp.pay(shop.account, session.id)

    with pytest.raises(stripe.InvalidRequestError, match="status of `complete`"):
        shop.client().v1.checkout.sessions.expire(session.id)


def test_a_session_whose_time_has_run_out_is_expired(shop):
    session = open_session(shop)

    shop.psp.lapse(shop.account, session.id)

    assert shop.client().v1.checkout.sessions.retrieve(session.id).status == "expired"
    assert told(shop) == ["checkout.session.expired"]


def test_the_intent_of_a_session_cannot_be_cancelled(shop):
    session = open_session(shop)
    attempt = shop.psp.pay(shop.account, session.id, "tok_visa_chargeDeclined")

    with pytest.raises(stripe.InvalidRequestError, match="created by Checkout"):
        shop.client().v1.payment_intents.cancel(attempt.payment_intent)


@pytest.mark.parametrize(
    ("changes", "param", "code"),
    [
        ({"expires_at": 1}, "expires_at", None),
        ({"expires_at": 4102444800}, "expires_at", None),
        ({"expires_at": "soon"}, "expires_at", "parameter_invalid_integer"),
        ({"wrong": 1}, "wrong", "parameter_unknown"),
        ({"payment_intent_data": {"wrong": 1}}, "payment_intent_data[wrong]", "parameter_unknown"),
        ({"mode": "pay"}, "mode", None),
        ({"success_url": "shop.example"}, "success_url", "url_invalid"),
        ({"client_reference_id": "x" * 201}, "client_reference_id", None),
        ({"metadata": {"a": "x" * 501}}, "metadata[a]", None),
        ({"metadata": {"x" * 41: "a"}}, "metadata", None),
        ({"metadata": {str(number): "a" for number in range(51)}}, "metadata", None),
    ],
)
def test_what_stripe_refuses_is_refused(shop, changes, param, code):
    # The recording client would stop what Stripe's description does not allow: a plain one sends it.
    client = stripe.StripeClient(shop.key, base_addresses={"api": shop.psp.url}, max_network_retries=0)

    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.checkout.sessions.create(params=session_params(**changes))

    assert (refused.value.http_status, refused.value.param, refused.value.code) == (400, param, code)


@pytest.mark.parametrize(
    ("amount", "currency", "code"),
    [(49, "eur", "amount_too_small"), (10**8, "eur", "amount_too_large"), (500, "zzz", None)],
)
def test_an_amount_that_cannot_be_charged_is_refused(shop, amount, currency, code):
    price = {"currency": currency, "unit_amount": amount, "product_data": {"name": "A thing"}}

    with pytest.raises(stripe.InvalidRequestError) as refused:
        open_session(shop, line_items=[{"price_data": price, "quantity": 1}])

    assert refused.value.code == code


def test_the_same_key_gives_the_same_session_and_another_body_is_refused(shop):
    sessions, params = shop.client().v1.checkout.sessions, session_params()
    options = {"idempotency_key": "attempt-1"}

    first = sessions.create(params=params, options=options)
    again = sessions.create(params=params, options=options)

    assert (again.id, again.last_response.headers["idempotent-replayed"]) == (first.id, "true")
    with pytest.raises(stripe.IdempotencyError):
        sessions.create(params={**params, "client_reference_id": "other"}, options=options)


def test_a_key_that_is_still_at_work_makes_one_session(shop):
    params = session_params()

    def create(_):
        try:
            options = {"idempotency_key": "attempt-1"}
            return shop.client().v1.checkout.sessions.create(params=params, options=options).id
        except stripe.StripeError as refused:
            return refused.http_status

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(create, range(8)))

    made = [one.id for one in shop.client().v1.checkout.sessions.list().data]
    assert len(made) == 1
    assert answers <= {made[0], 409}


def test_a_key_is_good_for_one_kind_of_request(shop):
    shop.client().v1.checkout.sessions.create(params=session_params(), options={"idempotency_key": "attempt-1"})

    with pytest.raises(stripe.IdempotencyError):
        shop.client().v1.customers.create(params={}, options={"idempotency_key": "attempt-1"})


def test_a_refused_request_does_not_use_up_its_key(shop):
    options = {"idempotency_key": "attempt-1"}
    sessions = shop.client().v1.checkout.sessions
    with pytest.raises(stripe.InvalidRequestError):
        sessions.create(params=session_params(expires_at=1), options=options)

    assert sessions.create(params=session_params(), options=options).status == "open"


def test_sessions_are_listed_in_pages_newest_first(shop):
    made = [open_session(shop).id for _ in range(5)]
    sessions = shop.client().v1.checkout.sessions
    shop.psp.lapse(shop.account, made[0])
    since = {"created": {"gte": int(time.time()) - 60}}

    every = [one.id for one in sessions.list(params={"limit": 2, **since}).auto_paging_iter()]
    open_ones = [one.id for one in sessions.list(params={"status": "open"}).auto_paging_iter()]

    assert every == made[::-1]
    assert open_ones == made[:0:-1]
    assert sessions.list(params={"created": {"lt": int(time.time()) - 60}}).data == []


def test_live_and_test_mode_are_worlds_apart(shop):
    live = shop.client(shop.psp.issue_key(shop.account, live=True))
    session = live.v1.checkout.sessions.create(params=session_params())

    shop.psp.pay(shop.account, session.id, live=True)

    assert session.livemode is True
    assert session.id.startswith("cs_live_")
    assert {event["livemode"] for event in shop.psp.events(shop.account, live=True)} == {True}
    assert shop.psp.events(shop.account) == []
