"""Strangers at the webhook's address: refused, nothing stored, nothing credited; and no secret in any log."""

import json
import logging

import pytest

from checkout.models import WebhookReceipt
from ledger.models import Entry
from tests.counterparties import faults
from tests.journeys.stripe.market import (
    ACCRUED,
    SCA_CARD,
    Market,
    balances,
    conversions,
    open_shop,
    states,
)


@pytest.fixture
def delivery(market):
    """What Stripe tells of a paid page; nobody has heard it yet."""
    market.sold()
    told = market.shop.psp.deliveries(market.shop.account, market.secret, connect=False)
    return next(one for one in told if one.event_type == "checkout.session.completed")


def altered(delivery, **changes):
    return json.dumps(json.loads(delivery.body) | changes).encode()


def _unsigned(market, delivery):
    return delivery.body, None


def _empty(market, delivery):
    return delivery.body, ""


def _wrong_secret(market, delivery):
    return delivery.body, market.signed(delivery.body, secret="whsec_of_somebody_else")


def _altered(market, delivery):
    return delivery.body.replace(b"1000", b"9000"), delivery.headers["Stripe-Signature"]


def _truncated(market, delivery):
    return delivery.body[:-1], delivery.headers["Stripe-Signature"]


def _not_utf8(market, delivery):
    body = delivery.body[:-1] + b"\xff}"
    return body, market.signed(body)


def _header_not_ascii(market, delivery):
    return delivery.body, "t=१२३,v1=é" + "\u00ff" * 10


def _header_without_end(market, delivery):
    return delivery.body, "t=1," * 2_000 + "v1=0"


def _old(market, delivery):
    return delivery.body, market.signed(delivery.body, ago=310)


def _future(market, delivery):
    return delivery.body, market.signed(delivery.body, ago=-310)


def _thin(market, delivery):
    body = altered(delivery, object="v2.core.event", data=None)
    return body, market.signed(body)


def _other_account(market, delivery):
    body = altered(delivery, account="acct_of_somebody_else")
    return body, market.signed(body)


def _other_mode(market, delivery):
    body = altered(delivery, livemode=True)
    return body, market.signed(body)


def _no_json(market, delivery):
    return b"[", market.signed(b"[")


def _nul(market, delivery):
    body = altered(delivery, id="evt_\0")
    return body, market.signed(body)


def _number(market, delivery):
    body = altered(delivery, created=10**30)
    return body, market.signed(body)


SIGNATURE = [
    *(_unsigned, _empty, _wrong_secret, _altered, _truncated, _header_not_ascii, _header_without_end, _old, _future),
]
MALFORMED = [_not_utf8, _thin, _other_account, _other_mode, _no_json, _nul, _number]


@pytest.mark.parametrize("attack", SIGNATURE + MALFORMED, ids=lambda attack: attack.__name__[1:])
def test_a_stranger_is_refused_and_leaves_no_trace(market, delivery, attack):
    entries = Entry.objects.count()

    reply = market.send(*attack(market, delivery))

    code = "invalid_signature" if attack in SIGNATURE else "malformed_event"
    assert (reply.status_code, reply.headers["X-Error-Code"]) == (400, code)
    assert list(reply.json()) == ["error"]
    assert (WebhookReceipt.objects.count(), conversions(), Entry.objects.count()) == (0, [], entries)
    assert market.post(delivery).json()["status"] == "conversion_recorded"


def test_a_megabyte_is_not_read(market, delivery):
    body = delivery.body + b" " * 1_000_000

    reply = market.send(body, market.signed(body))

    assert (reply.status_code, list(reply.json())) == (413, ["error"])
    assert (WebhookReceipt.objects.count(), conversions()) == (0, [])


def test_a_replay_is_a_duplicate(market, delivery):
    first, again = market.post(delivery), market.post(delivery)

    assert (first.json()["status"], again.json()["status"]) == ("conversion_recorded", "duplicate")
    assert again.json()["conversionId"] == first.json()["conversionId"]
    assert (WebhookReceipt.objects.count(), balances()) == (1, ACCRUED)


def test_a_replay_at_another_merchants_address_is_refused(market, delivery, another_shop):
    other = another_shop()
    theirs = Market(other, market.api, open_shop(other))

    replies = [
        theirs.post(delivery),
        theirs.send(delivery.body, theirs.signed(delivery.body)),
    ]

    # The second is signed by the other merchant: authentic there, but the payment is not theirs.
    assert (replies[0].status_code, replies[1].json()["status"]) == (400, "unmatched")
    assert (states(), conversions()) == (["open"], [])


@pytest.mark.usefixtures("impatient")
def test_no_secret_and_no_body_reaches_a_log(market, stripe_faults, caplog, wire):
    caplog.set_level(logging.DEBUG)
    method, recommendation = market.stored(), market.recommend()
    for fault in (faults.UNAUTHORIZED, faults.FORBIDDEN, faults.GARBAGE, faults.Drop(), faults.SERVER_ERROR_AFTER):
        stripe_faults.fail(fault, times=None, method="POST")
        market.purchase(recommendation, method)
        market.connection.__class__.objects.update(status="active")
        stripe_faults.heal()
    market.purchase(market.recommend(), market.stored(SCA_CARD))
    market.sold()
    market.work()
    told = market.shop.psp.deliveries(market.shop.account, market.secret, connect=False)
    for one in told:
        market.send(one.body, "t=1,v1=wrong")
        market.post(one)

    secrets = [market.connection.credentials["api_key"], market.secret, method, market.shop.key]
    secrets += [one.headers["Stripe-Signature"] for one in told] + ["client_secret", "last4", recommendation.aap_code]
    assert [secret for secret in secrets if secret in caplog.text] == []
    assert len(wire.calls) > 6
