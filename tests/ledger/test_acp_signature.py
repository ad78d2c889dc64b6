"""Only the merchant's own signature brings an order event in, and nothing that it brings is a fault of ours."""

import json

import pytest
from django.db import connection

from ledger.models import Conversion, Event
from merchants.models import Merchant
from merchants.order_feeds import drop_old, issue_secret
from rako.core.ids import new_id
from tests.factories import MerchantFactory, RecommendationFactory
from tests.ledger.ordering import Shop, token_of

BODY = b'{"type": "order_update", "data": {"id": "ord_9", "status": "shipped"}}'


@pytest.fixture
def recommendation(db):
    return RecommendationFactory()


@pytest.fixture
def shop(recommendation):
    return Shop(recommendation.offer.merchant)


def event(shop, recommendation, **changes):
    return json.dumps({"type": "order_create", "data": shop.order(token_of(recommendation)) | changes}).encode()


def test_a_signed_event_is_received(shop):
    reply = shop.send(BODY, **{"Request-Id": "req-1"})

    assert (reply.status_code, reply.json()["status"], reply.json()["request_id"]) == (200, "ignored", "req-1")


def test_a_request_id_comes_back_whole(shop):
    request_id = "req-" + "1" * 500

    assert shop.send(BODY, **{"Request-Id": request_id}).json()["request_id"] == request_id


@pytest.mark.parametrize("age", [-299, 299])
def test_clocks_may_differ_by_five_minutes(shop, age):
    assert shop.send(BODY, signature=shop.sign(BODY, age=age)).status_code == 200


@pytest.mark.parametrize(
    "spoil",
    [
        lambda shop, good: "",
        lambda shop, good: good.replace("v1=", "v0="),
        lambda shop, good: good.replace("t=", "t=-"),
        lambda shop, good: good.replace(",", ", "),
        lambda shop, good: f"{good},{good}",
        lambda shop, good: good[:-1],
        lambda shop, good: good[:-64] + "0" * 64,
        lambda shop, good: good[:-64] + "é" * 64,
        lambda shop, good: "t=" + "9" * 5000 + good[12:],
        lambda shop, good: shop.sign(BODY, age=301),
        lambda shop, good: shop.sign(BODY, age=-302),
        lambda shop, good: shop.sign(BODY + b" "),
        lambda shop, good: shop.sign(BODY, secret="acpsec_of_nobody"),
        lambda shop, good: shop.sign(BODY, secret=Shop(MerchantFactory()).secret),
    ],
    ids=[
        *("missing", "scheme", "negative", "spaced", "twice", "short", "zeros", "not ascii", "long time"),
        *("old", "ahead", "other body", "other secret", "another merchant's"),
    ],
)
def test_what_is_not_signed_is_refused(shop, spoil):
    reply = shop.send(BODY, signature=spoil(shop, shop.sign(BODY)))

    assert (reply.status_code, reply.json()) == (401, {"error": "Invalid signature"})
    assert reply.headers["X-Error-Code"] == "invalid_signature"


def test_upper_case_hex_is_accepted(shop):
    timestamp, digest = shop.sign(BODY).split(",v1=")

    assert shop.send(BODY, signature=f"{timestamp},v1={digest.upper()}").status_code == 200


def test_a_replay_changes_nothing(shop, recommendation):
    body = event(shop, recommendation)
    signature = shop.sign(body)

    statuses = [shop.send(body, signature=signature).json()["status"] for _ in range(3)]

    assert statuses == ["conversion_recorded", "duplicate", "duplicate"]
    assert Conversion.objects.count() == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff",
        b'{"type": "order_create"}',
        b'{"type": "order_create", "data": []}',
        b'{"type": "order_create", "data": "\\u0000"}',
        b'{"type": "order_create", "data": "\\ud800"}',
        b'{"type": "order_create", "data": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
    ids=["empty", "null", "list", "cut", "no utf-8", "no order", "list for order", "nul", "surrogate", "deep"],
)
def test_what_is_no_event_is_a_bad_request(shop, body):
    assert shop.send(body).status_code == 400


@pytest.mark.parametrize(
    "changes",
    [
        {"id": None},
        {"id": ""},
        {"id": 5},
        {"id": "x" * 201},
        {"status": 7},
        {"totals": {}},
        {"totals": ["total"]},
        *({"totals": [{"type": "total", "amount": amount}]} for amount in (-1, 1.5, True, "10", None, 2**63, 10**13)),
        {"totals": [{"type": "total", "amount": 1}] * 2},
        {"adjustments": [{"type": "refund"}]},
        {"adjustments": [{"type": "refund", "id": {}, "status": "completed"}]},
        {"adjustments": [{"type": "refund", "id": "a", "status": "completed", "amount": -5}]},
        {"adjustments": [{"type": "refund", "id": "a", "status": "completed", "amount": 5, "currency": 9}]},
        {"adjustments": [{}] * 501},
        {"refunds": [{"type": "original_payment", "amount": "1.00"}]},
        {"refunds": [{"type": "original_payment", "amount": 10**12}] * 2},
    ],
    ids=lambda changes: str(changes)[:50],
)
def test_an_order_that_makes_no_sense_is_a_bad_request(shop, recommendation, changes):
    reply = shop.send(event(shop, recommendation, **changes))

    assert (reply.status_code, reply.headers["X-Error-Code"]) == (400, "malformed_event")
    assert (Conversion.objects.count(), Event.objects.count()) == (0, 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "aap:1"},
        {"client_reference_id": ["x"]},
        {"affiliate_attribution": {"provider": "rako.sh", "token": "x" * 9000}},
        {"affiliate_attribution": {"provider": ["rako.sh"], "token": {}}, "client_reference_id": None},
        {"adjustments": [{"type": ["refund"]}, {}]},
        {"status": "teleported"},
    ],
    ids=lambda changes: str(changes)[:50],
)
def test_nothing_odd_is_a_fault_of_ours(shop, recommendation, changes):
    assert shop.send(event(shop, recommendation, **changes)).status_code == 200


@pytest.mark.parametrize("kind", ["order_delete", None, 5, []])
def test_an_event_of_another_type_is_ignored(shop, kind):
    assert shop.send(json.dumps({"type": kind}).encode()).json()["status"] == "ignored"


def test_of_two_secrets_both_are_good_until_the_old_one_is_dropped(shop):
    old = shop.secret
    _, new = issue_secret(shop.merchant)

    both = [shop.send(BODY, signature=shop.sign(BODY, secret=secret)).status_code for secret in (old, new)]
    drop_old(shop.merchant)
    one = [shop.send(BODY, signature=shop.sign(BODY, secret=secret)).status_code for secret in (old, new)]

    assert (both, one) == ([200, 200], [401, 200])


def test_of_three_secrets_the_first_is_forgotten(shop):
    for _ in range(2):
        issue_secret(shop.merchant)

    assert shop.send(BODY).status_code == 401


def test_a_merchant_gets_its_secret_over_the_api(as_merchant, recommendation):
    merchant = recommendation.offer.merchant
    shop = Shop(merchant)

    reply = as_merchant(merchant).post("/v1/acp/secret", {"dropOld": True})

    assert reply.json() | {"secret": ""} == {
        "secret": "",
        "address": f"http://127.0.0.1:3456/v1/acp/orders/{merchant.pk}",
        "secrets": 1,
    }
    assert shop.send(BODY).status_code == 401
    assert shop.send(BODY, signature=shop.sign(BODY, secret=reply.json()["secret"])).status_code == 200


def test_secrets_are_stored_encrypted(shop):
    with connection.cursor() as cursor:
        cursor.execute("SELECT secrets FROM merchants_orderfeed")
        [[stored]] = cursor.fetchall()

    assert stored.startswith("gAAAA")


def test_who_has_no_secret_has_no_address(shop):
    closed = Shop(MerchantFactory())
    Merchant.objects.filter(pk=closed.merchant.pk).update(status="closed")

    for merchant in (MerchantFactory(), closed.merchant, Merchant(pk=new_id()), Merchant(pk="x")):
        shop.merchant = merchant
        assert shop.send(BODY).status_code == 404
