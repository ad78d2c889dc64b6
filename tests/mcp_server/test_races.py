"""Equal calls at once: however many there are, they get one link of one recommendation."""

import pytest

from checkout.models import Checkout
from mcp_server.backends import LocalBackend
from mcp_server.remote import RemoteBackend, idempotency_key
from mcp_server.tools import LINK, SEARCH
from sessions_app.models import Agent, AgentKey, Recommendation
from tests.counterparties.faults import FaultProxy
from tests.threads import race

AT_ONCE = 16


@pytest.fixture(params=["local", "remote"])
def backend(request, live_server, settings, key):
    settings.RAKO_BASE_URL = settings.RAKO_LINK_BASE = live_server.url
    AgentKey.objects.update(tier="enterprise")
    return LocalBackend(Agent.objects.get()) if request.param == "local" else RemoteBackend(live_server.url, key)


def asked_of(backend, offer):
    session_id = SEARCH.call(backend, {}).structured_content["sessionId"]
    return {"session_id": session_id, "offer_id": offer.pk, "context": "cheapest that fits"}


def test_equal_calls_at_once_have_one_link(backend, offer):
    asked = asked_of(backend, offer)

    results = race(lambda _: LINK.call(backend, asked), times=AT_ONCE)

    recommendation, checkout = Recommendation.objects.get(), Checkout.objects.get()
    assert checkout.state == "open"
    assert [result.is_error for result in results] == [False] * AT_ONCE, results
    replies = [result.structured_content for result in results]
    assert {reply["recommendationId"] for reply in replies} == {recommendation.pk}
    assert {reply["checkoutUrl"] for reply in replies} == {checkout.url}


def test_equal_calls_at_once_are_one_recommendation(backend, offer):
    """The part of it that would go wrong without a lock or a key, as close together as can be."""
    asked = asked_of(backend, offer)

    made = race(lambda _: backend.recommend(**asked), times=AT_ONCE)

    assert [one["recommendationId"] for one in made] == [Recommendation.objects.get().pk] * AT_ONCE


def test_calls_in_other_words_are_recommendations_of_their_own(backend, offer):
    asked = asked_of(backend, offer)

    race(lambda number: backend.recommend(**asked | {"context": f"reason {number % 2}"}), times=AT_ONCE)

    assert sorted(Recommendation.objects.values_list("context", flat=True)) == ["reason 0", "reason 1"]


def test_the_remote_key_is_that_of_the_arguments(live_server, offer, key):
    with FaultProxy(live_server.url) as proxy:
        backend = RemoteBackend(proxy.url, key)
        asked = asked_of(backend, offer)
        LINK.call(backend, asked)

        sent = {seen.target: seen.headers.get("Idempotency-Key") for seen in proxy.seen if seen.method == "POST"}

    # A checkout has none: asked for again after its page was closed, it needs another one.
    assert sent == {"/v1/recommend": idempotency_key(**asked), "/v1/checkout": None}
    assert idempotency_key("a", "b", "c") != idempotency_key("a", "bc", "")
