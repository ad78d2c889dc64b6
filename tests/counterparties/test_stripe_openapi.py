"""Stripe's description as a judge, and the client that has every request judged."""

import pytest
import stripe

from tests.counterparties import openapi
from tests.counterparties.recording import RecordingClient
from tests.counterparties.sales import open_session, session_params

pytestmark = pytest.mark.usefixtures("stripe_psp")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("payment_intent=pi_1&amount=5", []),
        ("payment_intent=pi_1&wrong=5", ["wrong: is not a parameter"]),
        ("payment_intent=pi_1&amount=five", ["amount: 'five' is not of type 'integer'"]),
        ("payment_intent=", ["payment_intent: '' should be non-empty"]),
        ("reason=bored", ["reason: must be one of duplicate, fraudulent, requested_by_customer"]),
        ("metadata[1]=a&expand[]=charge", []),
        ("metadata=", []),
    ],
)
def test_a_request_is_judged_by_name_type_and_choice(body, told):
    problems = openapi.problems_of_request("POST", "/v1/refunds", body=body)

    assert [str(problem) for problem in problems] == told


def test_required_parameters_are_missed():
    problems = openapi.problems_of_request("POST", "/v1/webhook_endpoints", body="url=http://127.0.0.1")

    assert [(problem.param, problem.kind) for problem in problems] == [("enabled_events", "missing")]


def test_query_parameters_are_read_with_their_types():
    reading = openapi.read_request("GET", "/v1/events", "types[0]=a&types[1]=b&created[gte]=12&delivery_success=false")

    assert reading.params == {"types": ["a", "b"], "created": {"gte": 12}, "delivery_success": False}
    assert reading.problems == []


def test_a_path_that_stripe_does_not_have_is_an_error():
    with pytest.raises(LookupError, match="no DELETE /v1/refunds"):
        openapi.problems_of_request("DELETE", "/v1/refunds")


def test_an_object_is_judged_too():
    problems = openapi.problems_of_object("refund", {"object": "refund", "amount": "5"})

    assert {problem.kind for problem in problems} >= {"missing", "integer"}


def test_a_request_that_stripe_does_not_know_never_leaves(shop):
    client = shop.client()

    with pytest.raises(AssertionError, match=r"POST /v1/checkout/sessions: wrong: is not a parameter"):
        client.v1.checkout.sessions.create(params=session_params(wrong=1))
    with pytest.raises(AssertionError, match="has no GET /v1/nothing"):
        client.raw_request("get", "/v1/nothing")


def test_requests_are_kept_with_their_types_and_headers(shop):
    http = RecordingClient(timeout=(2, 5), session=shop.session)
    client = stripe.StripeClient(shop.key, base_addresses={"api": shop.psp.url}, http_client=http)

    client.v1.checkout.sessions.create(params=session_params(), options={"idempotency_key": "attempt-1"})

    call = http.calls[0]
    assert (call.method, call.path) == ("POST", "/v1/checkout/sessions")
    assert call.params["line_items"][0]["price_data"]["unit_amount"] == 4990
    assert call.headers["idempotency-key"] == "attempt-1"


def test_a_session_is_made_of_what_was_asked(shop):
    session = open_session(shop, client_reference_id="ours")

    assert openapi.problems_of_response("GET", f"/v1/checkout/sessions/{session.id}", session.to_dict()) == []
