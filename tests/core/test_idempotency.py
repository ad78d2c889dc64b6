"""A POST that is sent again under its Idempotency-Key does nothing, and gets the first one's reply."""

import json
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from rako.core import idempotency
from rako.core.encryption import UndecipherableError
from rako.core.idempotency import IdempotentReply
from rako.tasks import forget_replies
from sessions_app.models import Recommendation
from tests.factories import (
    AgentFactory,
    AgentKeyFactory,
    MerchantKeyFactory,
    OfferFactory,
    RecommendationFactory,
    SessionFactory,
)
from tests.journeys.endpoints import KEYED_ENDPOINTS, World, call, faults

pytestmark = pytest.mark.django_db
POSTS = [endpoint for endpoint in KEYED_ENDPOINTS if endpoint.method == "POST"]
KEPT_FOR = timedelta(hours=24)


@pytest.fixture
def key():
    return AgentKeyFactory()


@pytest.fixture
def recommend(key):
    """POST /v1/recommend under an Idempotency-Key; keyword arguments change the request."""
    asked = {"sessionId": SessionFactory(agent=key.agent).pk, "offerId": OfferFactory().pk}

    def post(idempotency_key="k-1", *, by=key, body=None, path="/v1/recommend", **changes):
        body = json.dumps(asked | changes) if body is None else body
        return call("POST", path, body, key=by.secret, headers={"Idempotency-Key": idempotency_key})

    post.body = asked
    return post


def is_replay(reply):
    return reply.headers.get("Idempotent-Replayed") == "true"


def same(first, second):
    """Whether the second reply is the first one, replayed."""
    names = ("Content-Type", "X-Error-Code")
    return (
        is_replay(second)
        and not is_replay(first)
        and [first.status_code, first.content] + [first.headers.get(name) for name in names]
        == [second.status_code, second.content] + [second.headers.get(name) for name in names]
    )


def test_the_same_request_gets_the_stored_reply_and_does_nothing(recommend):
    first, second, third = recommend(), recommend(), recommend()

    assert (first.status_code, same(first, second), same(first, third)) == (200, True, True)
    assert Recommendation.objects.count() == 1


def test_a_replay_has_a_request_id_and_a_rate_of_its_own(recommend, key):
    type(key).objects.filter(pk=key.pk).update(rate_limit=5)

    first, second = recommend(), recommend()

    assert first["X-Request-Id"] != second["X-Request-Id"]
    assert [reply["X-RateLimit-Remaining"] for reply in (first, second)] == ["4", "3"]


def test_another_body_under_the_same_key_is_refused(recommend):
    recommend()

    reply = recommend(context="changed")

    assert (faults(reply, 422), reply["X-Error-Code"]) == ([], "idempotency_key_reused")
    assert Recommendation.objects.count() == 1


def test_equal_json_in_other_bytes_is_another_body(recommend):
    recommend(body=json.dumps(recommend.body))

    assert recommend(body=json.dumps(recommend.body, indent=1)).status_code == 422


@pytest.mark.parametrize("other", ["k-2", "K-1", "k-1x"])
def test_another_key_is_another_request(recommend, other):
    assert [is_replay(reply) for reply in (recommend(), recommend(other))] == [False, False]
    assert Recommendation.objects.count() == 2


def test_without_a_key_nothing_is_stored(recommend, key):
    for _ in range(2):
        call("POST", "/v1/recommend", json.dumps(recommend.body), key=key.secret)

    assert (Recommendation.objects.count(), IdempotentReply.objects.count()) == (2, 0)


def test_the_same_key_on_another_path_is_another_request(recommend):
    body = recommend.body
    first, second = recommend(), recommend(body=json.dumps(body), path="/v1/codes/issue")

    assert [first.status_code, second.status_code, is_replay(second)] == [200, 200, False]


def test_a_key_belongs_to_the_agent_and_outlives_a_rotation(recommend, key):
    first = recommend()
    successor = AgentKeyFactory(agent=key.agent)
    key.revoke()

    assert same(first, recommend(by=successor))
    assert recommend().status_code == 401


def test_another_agents_key_of_the_same_name_meets_nothing_of_the_first(recommend, key):
    recommend()
    sibling = AgentKeyFactory(agent=AgentFactory(builder=key.agent.builder))

    reply = recommend(by=sibling)

    assert (reply.status_code, is_replay(reply), reply.json()["error"]) == (404, False, "Session not found")


@pytest.mark.parametrize("wrong", ["", " ", "x" * 256, "a b", "a\tb", "é", "a\x7f"])
def test_a_key_that_is_none_is_refused(recommend, wrong):
    reply = recommend(wrong)

    assert (faults(reply, 400), reply["X-Error-Code"]) == ([], "invalid_idempotency_key")
    assert not Recommendation.objects.exists()


@pytest.mark.parametrize("good", ["x", "x" * 255, '!"~', "0f8fad5b-d9cb-469f-a165-70867728950e"])
def test_any_visible_ascii_is_a_key(recommend, good):
    assert same(recommend(good), recommend(good))


@pytest.mark.parametrize("change", [{"offerId": "unknown"}, {"sessionId": None}, {"context": 5}])
def test_a_refusal_of_the_request_is_replayed_as_well(recommend, change):
    first, second = recommend(**change), recommend(**change)

    assert first.status_code in {400, 404}
    assert same(first, second)


def test_a_body_that_cannot_be_read_is_refused_each_time(recommend):
    replies = [recommend(body="{") for _ in range(2)]

    assert [reply.status_code for reply in replies] == [400, 400]


def test_a_refusal_of_the_caller_is_not_kept(key):
    headers = {"Idempotency-Key": "k-1"}

    replies = [call("POST", "/v1/conversions", "{}", key=key.secret, headers=headers) for _ in range(2)]

    assert [(reply.status_code, is_replay(reply)) for reply in replies] == [(403, False)] * 2
    assert not IdempotentReply.objects.exists()


def test_a_media_type_that_is_not_taken_is_not_kept(recommend, key):
    headers = {"Idempotency-Key": "k-1"}
    reply = call("POST", "/v1/recommend", "{}", key=key.secret, headers=headers, content_type="text/plain")

    assert (reply.status_code, recommend().status_code) == (415, 200)


def test_beyond_the_limit_no_reply_is_stored_or_replayed(recommend, key):
    recommend()
    type(key).objects.filter(pk=key.pk).update(rate_limit=1)
    recommend()

    assert [recommend().status_code, recommend("k-2").status_code] == [429, 429]
    assert IdempotentReply.objects.count() == 1


def test_a_fault_of_ours_undoes_the_work_and_is_not_kept(recommend, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr("sessions_app.wire.offer_summary", lambda _: 1 / 0)  # after the recommendation was stored
        failed = recommend()
    undone = not Recommendation.objects.exists()

    again = recommend()

    assert (failed.status_code, undone, again.status_code, is_replay(again)) == (500, True, 200, False)
    assert Recommendation.objects.count() == 1


def test_an_expired_reply_is_forgotten(recommend):
    first = recommend()
    IdempotentReply.objects.update(created_at=timezone.now() - KEPT_FOR)

    second = recommend(context="changed")

    assert (first.status_code, second.status_code, is_replay(second)) == (200, 200, False)
    assert same(second, recommend(context="changed"))


def test_just_before_it_expires_it_is_replayed(recommend):
    first = recommend()
    IdempotentReply.objects.update(created_at=timezone.now() - KEPT_FOR + timedelta(seconds=30))

    assert same(first, recommend())


def test_the_worker_deletes_what_has_expired_and_nothing_else(recommend):
    for number in range(5):
        recommend(f"k-{number}")
    old = IdempotentReply.objects.values("pk")[:3]
    IdempotentReply.objects.filter(pk__in=list(old.values_list("pk", flat=True))).update(
        created_at=timezone.now() - KEPT_FOR
    )

    forget_replies(0)

    assert IdempotentReply.objects.count() == 2
    assert idempotency.forget_expired(most=1) == 0


def test_what_is_stored_shows_nothing_of_the_reply(recommend):
    reply = recommend().json()

    with connection.cursor() as cursor:
        cursor.execute("SELECT row::text FROM rako_idempotentreply row")
        [[row]] = cursor.fetchall()
    assert reply["recommendationId"] not in row
    assert b"k-1".hex() not in row


def test_without_its_key_of_encryption_a_reply_is_not_replayed_and_the_work_not_repeated(recommend, settings):
    recommend()
    settings.RAKO_CREDENTIAL_KEYS = ["MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="]

    with pytest.raises(UndecipherableError):
        IdempotentReply.objects.get()
    assert (recommend().status_code, Recommendation.objects.count()) == (500, 1)


@pytest.mark.parametrize("endpoint", POSTS, ids=str)
def test_every_keyed_post_takes_a_key(endpoint):
    world = World()
    body = world.body(endpoint)
    asked = {"headers": {"Idempotency-Key": "k-1"}, "path": world.path(endpoint)}

    first, second = world.call(endpoint, body, **asked), world.call(endpoint, body, **asked)

    assert first.status_code < 500
    assert same(first, second)
    assert world.call(endpoint, body | {"more": 1}, **asked).status_code == 422


def test_a_tracked_sale_is_reported_once():
    recommendation = RecommendationFactory()
    key = MerchantKeyFactory(merchant=recommendation.offer.merchant)
    asked = {"key": key.secret, "headers": {"Idempotency-Key": "k-1"}}
    body = json.dumps({"orderReference": "order-1", "transactionValue": 10})

    replies = [call("POST", f"/r/{recommendation.pk}/convert", body, **asked) for _ in range(2)]

    assert same(*replies)


def test_on_reading_and_on_public_endpoints_the_header_says_nothing(key):
    headers = {"Idempotency-Key": "x" * 300}

    assert call("GET", "/v1/offers", key=key.secret, headers=headers).status_code == 200
    assert call("POST", "/v1/codes/verify", '{"code": "x"}', headers=headers).status_code == 200
    assert not IdempotentReply.objects.exists()
