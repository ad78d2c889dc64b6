"""Idempotency where the work is not one transaction, and where whoever does it is killed half-way."""

import json
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from checkout.models import Checkout
from ledger.models import Conversion
from rako.core import idempotency
from rako.core.idempotency import IdempotentReply
from rako.core.postgres_programs import until
from sessions_app.models import Recommendation
from tests.core.test_idempotency import is_replay, same
from tests.factories import AgentKeyFactory, MerchantKeyFactory, OfferFactory, RecommendationFactory, SessionFactory
from tests.journeys.endpoints import call
from tests.ledger import children

pytestmark = pytest.mark.django_db(transaction=True)


def post(key, path, body):
    text = body if isinstance(body, str) else json.dumps(body)
    return call("POST", path, text, key=key.secret, headers={"Idempotency-Key": "k-1"})


@pytest.fixture
def recommendation():
    return RecommendationFactory()


@pytest.fixture
def checkout(recommendation):
    """POST /v1/checkout of the recommendation: its arguments, for `post` here and in other processes."""
    key = AgentKeyFactory(agent=recommendation.agent)
    body = {"sessionId": recommendation.session_id, "recommendationId": recommendation.pk}
    return key, "/v1/checkout", body


def batch(recommendation, padding=""):
    unknown = {"sessionId": "x", "orderReference": "y", "transactionValue": 1}
    sale = {"sessionId": recommendation.session_id, "orderReference": "order-1", "transactionValue": 10}
    return json.dumps({"conversions": [unknown] * 999 + [sale]}) + padding


def test_a_batch_of_a_thousand_is_replayed_from_a_small_row(recommendation):
    key = MerchantKeyFactory(merchant=recommendation.offer.merchant)
    body = batch(recommendation, padding=" " * 400_000)  # larger than other endpoints take

    replies = [post(key, "/v1/conversions", body) for _ in range(2)]

    assert (replies[0].json()["recorded"], replies[0].json()["refused"]) == (1, 999)
    assert same(*replies)
    with connection.cursor() as cursor:
        cursor.execute("SELECT octet_length(reply) FROM rako_idempotentreply")
        assert cursor.fetchone()[0] < len(replies[0].content) / 5


def test_a_batch_under_the_key_of_a_single_report_is_refused(recommendation):
    key = MerchantKeyFactory(merchant=recommendation.offer.merchant)
    sale = {"sessionId": recommendation.session_id, "orderReference": "order-1", "transactionValue": 10}

    replies = [post(key, "/v1/conversions", body) for body in (sale, batch(recommendation))]

    assert [reply.status_code for reply in replies] == [200, 422]


def test_a_refused_checkout_is_replayed(checkout):
    key, path, body = checkout

    assert same(*[post(key, path, body | {"recommendationId": "unknown"}) for _ in range(2)])


def test_a_503_gives_up_the_claim():
    recommendation = RecommendationFactory(offer__merchant__connected=False)
    key = AgentKeyFactory(agent=recommendation.agent)
    body = {"sessionId": recommendation.session_id, "recommendationId": recommendation.pk}

    replies = [post(key, "/v1/checkout", body) for _ in range(2)]

    assert [(reply.status_code, is_replay(reply)) for reply in replies] == [(503, False)] * 2
    assert not IdempotentReply.objects.exists()


def test_a_bug_gives_up_the_claim_and_the_retry_finds_the_work_done(checkout, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr("checkout.wire.checkout_wire", lambda *_, **__: 1 / 0)
        failed = post(*checkout)

    again = post(*checkout)

    assert (failed.status_code, again.status_code, is_replay(again)) == (500, 200, False)
    assert again.json()["transactionId"] == Checkout.objects.get().pk


def test_who_lost_a_claim_stores_nothing(checkout, monkeypatch):
    def overtaken(*args, **names):
        IdempotentReply.objects.update(claimed_until=F("claimed_until") + timedelta(seconds=1))
        return sealed(*args, **names)

    sealed = idempotency._sealed
    monkeypatch.setattr(idempotency, "_sealed", overtaken)

    assert post(*checkout).status_code == 200
    assert IdempotentReply.objects.get().reply is None


# A process that is killed.


def post_and_die(secret, path, body, moment):
    """Send a request, and be killed once the work is done: before its reply is stored, or before it is sent."""
    if moment == "before it is stored":
        idempotency._sealed = children.die
    else:
        idempotency._in_one_transaction = children.dying(idempotency._in_one_transaction, "after")
        idempotency._claimed = children.dying(idempotency._claimed, "after")
    # The host of the test client is allowed in the tests' own process only.
    headers = {"Idempotency-Key": "k-1", "Host": "localhost"}
    return call("POST", path, json.dumps(body), key=secret, headers=headers).content


def killed(key, path, body, *, moment):
    assert children.outcome(post_and_die, key.secret, path, body, moment) == -9


def test_killed_before_the_reply_is_stored_leaves_nothing_of_one_transaction():
    key, offer = AgentKeyFactory(), OfferFactory()
    asked = key, "/v1/recommend", {"sessionId": SessionFactory(agent=key.agent).pk, "offerId": offer.pk}
    killed(*asked, moment="before it is stored")
    left = Recommendation.objects.count(), IdempotentReply.objects.count()

    replies = []
    assert until(lambda: replies.append(post(*asked)) or replies[-1].status_code == 200)  # once PostgreSQL has noticed

    assert (left, is_replay(replies[-1]), Recommendation.objects.count()) == ((0, 0), False, 1)
    assert {reply.status_code for reply in replies[:-1]} <= {409}


def test_killed_after_the_commit_is_replayed():
    key, offer = AgentKeyFactory(), OfferFactory()
    asked = key, "/v1/recommend", {"sessionId": SessionFactory(agent=key.agent).pk, "offerId": offer.pk}
    killed(*asked, moment="before it is sent")

    reply = post(*asked)

    assert (reply.status_code, is_replay(reply)) == (200, True)
    assert reply.json()["recommendationId"] == Recommendation.objects.get().pk


def test_killed_between_a_checkout_and_its_reply_the_same_checkout_is_found_when_the_claim_is_over(checkout):
    killed(*checkout, moment="before it is stored")
    made = Checkout.objects.get()

    meanwhile = post(*checkout)
    IdempotentReply.objects.update(claimed_until=timezone.now())
    replies = [post(*checkout) for _ in range(2)]

    assert (meanwhile.status_code, meanwhile["Retry-After"]) == (409, "1")
    assert meanwhile["X-Error-Code"] == "idempotency_in_flight"
    assert (replies[0].status_code, replies[0].json()["transactionId"], same(*replies)) == (200, made.pk, True)
    assert Checkout.objects.count() == 1


def test_killed_within_a_batch_the_rows_are_known_when_the_claim_is_over(recommendation):
    key = MerchantKeyFactory(merchant=recommendation.offer.merchant)
    asked = key, "/v1/conversions", json.loads(batch(recommendation))
    killed(*asked, moment="before it is stored")
    IdempotentReply.objects.update(claimed_until=timezone.now())

    rows = post(*asked).json()["results"]

    assert (rows[-1]["status"], Conversion.objects.count()) == ("known", 1)
