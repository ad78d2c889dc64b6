"""POST /v1/webhooks/stripe: one address for the accounts of all merchants who let the platform in."""

import json

import pytest
from django.test import Client
from django.utils import timezone

from checkout.connections import disconnect
from checkout.models import WebhookReceipt
from ledger.models import Conversion
from merchants.models import Connection
from tests.checkout.onboarding import NEWER, PLATFORM_SECRET, at_stripe, connect_shop, connected, platform
from tests.checkout.psp import checkout_of
from tests.counterparties.stripe_webhooks import sign
from tests.factories import MerchantFactory, OfferFactory, RecommendationFactory
from tests.journeys.endpoints import faults

__all__ = ["at_stripe", "platform"]
HOSTILE = [
    b"",
    b"null",
    b"[]",
    b'"x"',
    b"{",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"account": null}',
    b'{"account": {"$ne": 1}}',
    b'{"account": "acct_\\u0000"}',
    b'{"account": "' + b"x" * 10_000 + b'"}',
    b'{"object": "event", "account": "acct_1"}',
    b'{"object": "v2.core.event", "account": "acct_1"}',
]


@pytest.fixture
def merchant(db):
    return MerchantFactory(connected=False)


@pytest.fixture
def link(merchant, platform):
    return connected(merchant, platform)


def post(body, header=None, path="/v1/webhooks/stripe"):
    headers = {} if header is None else {"Stripe-Signature": header}
    client = Client(raise_request_exception=False)
    return client.post(path, body, content_type="application/json", headers=headers)


def signed(body, secret=PLATFORM_SECRET, ago=0):
    return sign(body, [secret], int(timezone.now().timestamp()) - ago)


def send(event, **how):
    body = json.dumps(event).encode()
    return post(body, signed(body, **how))


def event_of(account, **changes):
    customer = {"id": "cus_1", "object": "customer"}
    told = {"object": "event", "id": "evt_1", "type": "customer.created", "livemode": False}
    return told | {"created": 1_800_000_000, "account": account, "data": {"object": customer}} | changes


@pytest.mark.parametrize("order", ["oldest", "newest", "shuffled"])
def test_a_payment_on_a_connected_account_is_a_conversion(link, platform, order):
    page = checkout_of(RecommendationFactory(offer=OfferFactory(merchant=link.merchant)))
    platform.psp.pay(platform.account, page.psp_id)

    replies = [
        post(delivery.body, delivery.headers["Stripe-Signature"])
        for delivery in platform.psp.deliveries(platform.account, PLATFORM_SECRET, order=order)
    ]

    assert {reply.status_code for reply in replies} == {200}
    assert Conversion.objects.get().session_id == page.session_id
    assert "conversion_recorded" in {reply.json()["status"] for reply in replies}


def test_a_delivery_is_taken_once(link):
    first, again = (send(event_of(link.account_id)).json() for _ in range(2))

    assert (first["status"], again["status"]) == ("ignored", "duplicate")
    assert WebhookReceipt.objects.get().connection == link


def test_both_secrets_count_while_one_is_rotated(link, settings):
    settings.RAKO_STRIPE_PLATFORM_WEBHOOK_SECRETS = [NEWER, PLATFORM_SECRET]

    replies = [send(event_of(link.account_id), secret=secret) for secret in (NEWER, PLATFORM_SECRET, "whsec_another")]

    assert [reply.status_code for reply in replies] == [200, 200, 400]


def test_an_account_that_nobody_is_connected_through_is_ignored_once_it_is_signed(link):
    reply = send(event_of("acct_of_nobody"))

    assert (reply.status_code, reply.json()["status"]) == (200, "ignored")
    assert not WebhookReceipt.objects.exists()


@pytest.mark.parametrize("how", [{"secret": "whsec_of_a_stranger"}, {"ago": 301}, {"ago": -301}])
def test_without_a_good_signature_known_and_unknown_accounts_are_the_same(link, how):
    known, unknown = send(event_of(link.account_id), **how), send(event_of("acct_of_nobody"), **how)

    assert (known.status_code, known.json()) == (400, {"error": "Invalid signature"})
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
    assert known.headers["X-Error-Code"] == unknown.headers["X-Error-Code"]


def test_nothing_is_looked_up_before_the_signature_holds(link, django_assert_num_queries):
    with django_assert_num_queries(0):
        send(event_of(link.account_id), secret="whsec_of_a_stranger")


@pytest.mark.parametrize("is_signed", [True, False])
@pytest.mark.parametrize("body", HOSTILE, ids=lambda body: body[:20].decode("ascii", "replace"))
def test_hostile_bodies_are_refused_and_leave_nothing(link, body, is_signed):
    reply = post(body, signed(body) if is_signed else "t=1,v1=é")

    assert faults(reply, 400) == []
    assert not WebhookReceipt.objects.exists()


@pytest.mark.parametrize("header", [None, "", "t=,v1=", "t=9" * 5000, "v1=" + "0" * 64])
def test_hostile_signatures_are_refused(link, header):
    reply = post(json.dumps(event_of(link.account_id)).encode(), header)

    assert faults(reply, 400) == []


def test_test_events_at_a_live_deployment_are_ignored_not_refused(link, settings):
    settings.RAKO_MODE = "live"
    Connection.objects.update(is_live=True)

    reply = send(event_of(link.account_id))

    assert (reply.status_code, reply.json()["status"]) == (200, "ignored")
    assert not WebhookReceipt.objects.exists()


def test_a_connection_by_key_does_not_hear_of_the_platform(merchant, platform):
    connect_shop(merchant, platform)

    assert send(event_of(platform.account)).json()["status"] == "ignored"
    assert not WebhookReceipt.objects.exists()


def test_a_merchant_who_leaves_at_stripe_is_disconnected(link, platform):
    platform.psp.disconnect(platform.account)

    for delivery in platform.psp.deliveries(platform.account, PLATFORM_SECRET):
        assert post(delivery.body, delivery.headers["Stripe-Signature"]).status_code == 200

    link.refresh_from_db()
    assert link.status == "disconnected"


def test_a_disconnected_account_is_still_heard_of(link):
    disconnect(link)

    send(event_of(link.account_id))

    assert WebhookReceipt.objects.get().connection == link


def test_the_connection_that_stands_hears_before_one_that_ended(link, platform):
    disconnect(link)
    stands = connected(MerchantFactory(connected=False), platform)
    connected(MerchantFactory(connected=False), platform, status="disconnected")

    send(event_of(platform.account))

    assert WebhookReceipt.objects.get().connection == stands


@pytest.mark.parametrize("kind", ["sandbox", "hyperswitch", "nobody"])
def test_only_stripe_has_such_an_address(db, kind):
    assert faults(post(b"{}", path=f"/v1/webhooks/{kind}"), 404) == []
