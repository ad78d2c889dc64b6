"""Deliveries: authentic, of this account and mode, and an error of the contract for whatever else a stranger sends."""

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe
from hypothesis import given, settings
from hypothesis import strategies as st

from checkout.connectors.base import BadSignature, MalformedEvent, OutcomeEvent
from checkout.connectors.stripe.connector import StripeConnector, account_of
from tests.checkout.stripe.conftest import PLATFORM_SECRET, SECRET, Connect, secrets_of
from tests.counterparties.fixtures import Shop
from tests.counterparties.sales import charge
from tests.counterparties.stripe_webhooks import Delivery, sign

ACCOUNT = "acct_of_the_shop"
EVENT: dict[str, Any] = {
    "id": "evt_1",
    "object": "event",
    "type": "payment_intent.succeeded",
    "livemode": False,
    "created": 1_790_000_000,
    "data": {"object": {"object": "payment_intent", "id": "pi_1"}},
}


def outcomes_of(connector: StripeConnector, shop: Shop) -> list[OutcomeEvent]:
    """What the deliveries since the last time mean, oldest first, each through the whole of the connector."""
    deliveries = shop.psp.deliveries(shop.account, SECRET)
    return [outcome for one in deliveries for outcome in connector.normalize(verify(connector, one))]


def verify(connector: StripeConnector, delivery: Delivery) -> Any:
    return connector.verify_webhook(delivery.body, lowered(delivery.headers), now=datetime.now(UTC))


def lowered(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def stranger(**changes: Any) -> StripeConnector:
    """A connector that needs no counterparty."""
    return StripeConnector(secrets_of(ACCOUNT, changes.pop("credentials", {"api_key": "rk_test_x"}), **changes))


def receive(connector: StripeConnector, body: bytes, secret: str = SECRET, *, ago: int = 0) -> Any:
    header = sign(body, [secret], int(time.time()) - ago)
    return connector.verify_webhook(body, {"stripe-signature": header}, now=datetime.now(UTC))


def body_of(**changes: Any) -> bytes:
    return json.dumps({**EVENT, **changes}).encode()


def test_every_delivery_of_the_account_is_verified(connector: StripeConnector, shop: Shop) -> None:
    charge(shop)

    events = [verify(connector, one) for one in shop.psp.deliveries(shop.account, SECRET)]

    assert [event.event_type for event in events] == [
        "payment_intent.created", "charge.succeeded", "payment_intent.succeeded",
    ]  # fmt: skip
    assert not any(event.is_live for event in events)


def test_the_platforms_deliveries_are_verified_by_the_platforms_secret(connect: Connect, shop: Shop) -> None:
    connector = connect(mode="connect")
    charge(shop)
    good = shop.psp.deliveries(shop.account, PLATFORM_SECRET)[-1]
    merchants = shop.psp.deliveries(shop.account, SECRET, again=True)[-1]

    assert verify(connector, good).event_type == "payment_intent.succeeded"
    assert account_of(good.body) == shop.account
    with pytest.raises(BadSignature):
        verify(connector, merchants)


@pytest.mark.parametrize("secrets", [["whsec_new", SECRET], [SECRET, "whsec_old"]])
def test_while_a_secret_is_rotated_either_is_good(secrets: list[str]) -> None:
    assert receive(stranger(webhook_secrets=secrets), body_of()).event_id == "evt_1"


def test_the_librarys_own_signature_is_good() -> None:
    header = stripe.WebhookSignature.generate_signature_header(body_of().decode(), SECRET)

    event = stranger().verify_webhook(body_of(), {"stripe-signature": header}, now=datetime.now(UTC))

    assert event.payload == EVENT


@pytest.mark.parametrize("ago", [-301 - 5, 301])
def test_a_delivery_of_long_ago_or_of_the_future_is_refused(ago: int) -> None:
    with pytest.raises(BadSignature):
        receive(stranger(), body_of(), ago=ago)


GOOD = "a" * 64


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "t=1",
        f"t=,v1={GOOD}",
        f"t={10**30},v1={GOOD}",
        f"t=1e9,v1={GOOD}",
        f"t=-1,v1={GOOD}",
        f"t=١٢٣,v1={GOOD}",
        "t=NOW,v1=é",
        f"t=NOW,v1={GOOD}",
        f"t=NOW,v0={GOOD}",
        f"t=NOW,t=1,v1={GOOD}",
        f"v1={GOOD}",
        "=,=,=",
        ",",
        "t=1,v1=" + "a" * 5000,
        "\0",
    ],
)
@pytest.mark.parametrize("body", [b"{}", b"\xff\xfe"])
def test_a_bad_header_is_a_bad_signature(header: str | None, body: bytes) -> None:
    now = datetime.now(UTC)
    headers = {} if header is None else {"stripe-signature": header.replace("NOW", str(int(now.timestamp())))}

    with pytest.raises(BadSignature):
        stranger().verify_webhook(body, headers, now=now)


@pytest.mark.parametrize("secrets", [[], [""], ["  "]])
def test_nothing_is_signed_without_a_secret(secrets: list[str]) -> None:
    for secret in ("", "  "):
        with pytest.raises(BadSignature):
            receive(stranger(webhook_secrets=secrets), body_of(), secret)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b"{",
        b"\xff",
        b'"text"',
        b"NaN",
        b"[" * 100_000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        body_of(object="v2.core.event"),
        body_of(livemode=True),
        body_of(livemode="false"),
        body_of(livemode=None),
        body_of(account="acct_other"),
        body_of(account=7),
        body_of(account=""),
        body_of(created=10**30),
        body_of(created=-1),
        body_of(created=1.5),
        body_of(created=True),
        body_of(created=None),
        body_of(id=None),
        body_of(id="x" * 300),
        body_of(id="a\0b"),
        body_of(type=["a"]),
        body_of(data=None),
        body_of(data=[]),
        body_of(data={"object": []}),
        body_of(note="a\0b"),
        body_of() + b"x",
    ],
    ids=lambda body: repr(body[:60]),
)
def test_an_authentic_body_that_makes_no_sense_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedEvent):
        receive(stranger(), body)


@pytest.mark.parametrize("account", [None, "acct_other"])
def test_a_platforms_delivery_names_the_account(account: str | None) -> None:
    connector = stranger(credentials={"mode": "connect"})

    assert receive(connector, body_of(account=ACCOUNT), PLATFORM_SECRET).event_id == "evt_1"
    with pytest.raises(MalformedEvent):
        receive(connector, body_of(account=account), PLATFORM_SECRET)


@pytest.mark.parametrize(
    ("body", "account"),
    [
        (body_of(account=ACCOUNT), ACCOUNT),
        (body_of(), None),
        (body_of(account=["a"]), None),
        (b"\xff", None),
        (b"[]", None),
        (b"[" * 100_000, None),
    ],
    ids=["named", "none", "list", "not UTF-8", "no object", "deep"],
)
def test_the_account_of_an_unverified_delivery(body: bytes, account: str | None) -> None:
    assert account_of(body) == account


def test_a_stored_delivery_is_read_as_it_was_verified() -> None:
    connector = stranger()

    assert connector.read_event(body_of()) == receive(connector, body_of())
    with pytest.raises(MalformedEvent):
        connector.read_event(b"[]")


@settings(deadline=None)
@given(st.timedeltas(timedelta(seconds=-290), timedelta(seconds=290)))
def test_clocks_may_differ_by_five_minutes(apart: timedelta) -> None:
    body = body_of()
    header = sign(body, [SECRET], int(time.time()))

    assert stranger().verify_webhook(body, {"stripe-signature": header}, now=datetime.now(UTC) + apart)
