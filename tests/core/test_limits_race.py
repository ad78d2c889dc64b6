"""Over real HTTP, with eight server processes and 32 threads: limits hold, equal requests do the work once."""

import time
from collections import Counter

import pytest

from checkout.models import Checkout
from ledger.models import Conversion
from rako.core.idempotency import IdempotentReply
from rako.core.rate_limits import RateWindow
from sessions_app.models import AgentKey, Recommendation
from tests.factories import AgentKeyFactory, MerchantKeyFactory, RecommendationFactory, SessionFactory
from tests.http_processes import at_once, web_processes
from tests.threads import race

pytestmark = pytest.mark.django_db(transaction=True)
IDEMPOTENT = {"Idempotency-Key": "once"}


@pytest.fixture(scope="module", params=[8, 1], ids=["8 processes", "1 process"])
def processes(request):
    return request.param


def outcome(replies):
    """Statuses of equal requests; the bodies of all that were answered; which of them were replays."""
    answered = [reply for reply in replies if reply.status_code == 200]
    replays = sum(reply.headers.get("Idempotent-Replayed") == "true" for reply in answered)
    return {reply.status_code for reply in replies}, {reply.content for reply in answered}, len(answered) - replays


def test_a_limit_holds_exactly_across_processes():
    key = AgentKeyFactory(rate_limit=100)

    with web_processes(8) as addresses:
        replies = at_once(addresses, "GET", "/v1/conversions", key=key.secret, times=320)

    assert Counter(reply.status_code for reply in replies) == {200: 100, 429: 220}
    left = [int(reply.headers["X-RateLimit-Remaining"]) for reply in replies if reply.status_code == 200]
    assert sorted(left) == list(range(100))


def test_at_its_end_a_window_is_renewed_once():
    key = AgentKeyFactory(rate_limit=20)
    RateWindow.objects.create(key_id=key.pk, ends_at=int(time.time()), used=20)

    rates = race(lambda _: AgentKey.admit(key.secret).rate, 32)

    assert sorted(rate.used for rate in rates) == list(range(1, 33))
    assert len({rate.ends_at for rate in rates}) == 1


def test_32_equal_recommendations_are_one(processes):
    recommendation = RecommendationFactory()
    key = AgentKeyFactory(agent=recommendation.agent)
    session = SessionFactory(agent=key.agent)
    body = {"sessionId": session.pk, "offerId": recommendation.offer_id}

    with web_processes(processes) as addresses:
        asked = {"key": key.secret, "body": body, "headers": IDEMPOTENT}
        replies = at_once(addresses, "POST", "/v1/recommend", times=32, **asked)

    statuses, bodies, first = outcome(replies)
    assert (statuses <= {200, 409}, len(bodies), first) == (True, 1, 1)
    assert Recommendation.objects.filter(session=session).count() == 1


def test_32_equal_reports_are_one(processes):
    recommendation = RecommendationFactory()
    key = MerchantKeyFactory(merchant=recommendation.offer.merchant)
    body = {"sessionId": recommendation.session_id, "orderReference": "order-1", "transactionValue": 10}

    with web_processes(processes) as addresses:
        asked = {"key": key.secret, "body": body, "headers": IDEMPOTENT}
        replies = at_once(addresses, "POST", "/v1/conversions", times=32, **asked)

    statuses, bodies, first = outcome(replies)
    assert (statuses <= {200, 409}, len(bodies), first) == (True, 1, 1)
    assert Conversion.objects.count() == 1


def test_32_equal_checkouts_are_one(processes):
    recommendation = RecommendationFactory()
    key = AgentKeyFactory(agent=recommendation.agent)
    body = {"sessionId": recommendation.session_id, "recommendationId": recommendation.pk}

    with web_processes(processes) as addresses:
        asked = {"key": key.secret, "body": body, "headers": IDEMPOTENT}
        replies = at_once(addresses, "POST", "/v1/checkout", times=32, **asked)

    statuses, bodies, first = outcome(replies)
    assert (statuses <= {200, 409}, len(bodies), first) == (True, 1, 1)
    assert (Checkout.objects.count(), IdempotentReply.objects.get().claimed_until) == (1, None)
    in_flight = [reply for reply in replies if reply.status_code == 409]
    assert {reply.headers["Retry-After"] for reply in in_flight} <= {"1"}
