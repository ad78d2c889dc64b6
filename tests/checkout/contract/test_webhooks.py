"""Webhooks at each PSP: authentic or refused, an event or malformed, and nothing else whatever is in them."""

from datetime import timedelta

import orjson
import pytest
from django.utils import timezone

from checkout.connectors.base import BadSignature, MalformedEvent, PaymentConnector
from tests.checkout.contract import stories
from tests.checkout.contract.psp import Psp


def test_deliveries_are_authentic_and_read_the_same_later(psp: Psp, connector: PaymentConnector) -> None:
    stories.paid(psp, connector)

    for body, headers in psp.deliveries():
        assert connector.verify_webhook(body, headers, now=timezone.now()) == connector.read_event(body)


def test_while_a_secret_is_changed_both_hold(psp: Psp, connector: PaymentConnector) -> None:
    stories.paid(psp, connector)
    [(body, headers), *_] = psp.deliveries()
    older = psp.signed(body, secret="secret_before")

    changed = psp.connector(webhook_secrets=["secret_new", "secret_before"])

    assert changed.verify_webhook(body, older, now=timezone.now())
    with pytest.raises(BadSignature):
        changed.verify_webhook(body, headers, now=timezone.now())


@pytest.mark.parametrize("secrets", [[], [""]], ids=str)
def test_without_a_secret_nothing_is_authentic(psp: Psp, connector: PaymentConnector, secrets: list[str]) -> None:
    stories.paid(psp, connector)
    [(body, headers), *_] = psp.deliveries()

    with pytest.raises(BadSignature):
        psp.connector(webhook_secrets=secrets).verify_webhook(body, headers, now=timezone.now())


def test_an_altered_delivery_is_refused(psp: Psp, connector: PaymentConnector) -> None:
    stories.paid(psp, connector)
    [(body, headers), *_] = psp.deliveries()
    header, value = next((name, value) for name, value in headers.items() if "signature" in name)
    flipped = value[:-1] + ("0" if value[-1] != "0" else "1")

    altered = [(body + b" ", headers), (body.replace(b":", b": ", 1), headers), (b"", headers), (body, {})]
    altered += [(body, headers | {header: odd}) for odd in (flipped, "", "é", "t=1", "\x00", value * 100)]
    for odd_body, odd_headers in altered:
        with pytest.raises(BadSignature):
            connector.verify_webhook(odd_body, odd_headers, now=timezone.now())


@pytest.mark.parametrize("minutes", [6, -6])
def test_an_old_or_future_delivery_is_refused(psp: Psp, connector: PaymentConnector, minutes: int) -> None:
    if not psp.signs_time:
        pytest.skip("this PSP signs no time")
    stories.paid(psp, connector)
    [(body, headers), *_] = psp.deliveries()

    with pytest.raises(BadSignature):
        connector.verify_webhook(body, headers, now=timezone.now() + timedelta(minutes=minutes))


BODIES = [b"", b"[]", b"null", b"{}", b"{", b"\xff", b'{"a":NaN}', b'{"a":"\\ud800"}', b"[" * 5000, b'"' + b"x" * 99]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:12]))
def test_an_authentic_body_that_is_no_event_is_malformed(psp: Psp, connector: PaymentConnector, body: bytes) -> None:
    with pytest.raises(MalformedEvent):
        connector.verify_webhook(body, psp.signed(body), now=timezone.now())
    with pytest.raises(MalformedEvent):
        connector.read_event(body)


def test_a_delivery_with_anything_odd_in_it_is_read_or_malformed(psp: Psp, connector: PaymentConnector) -> None:
    _, payment = stories.paid(psp, connector)
    psp.fail_refund(psp.refund(payment, 300))
    psp.lose(psp.dispute(payment))

    tried = 0
    for body, _ in psp.deliveries():
        for odd in stories.mutations(orjson.loads(body)):
            tried += 1
            try:
                outcomes = connector.normalize(connector.read_event(orjson.dumps(odd)))
            except MalformedEvent:
                continue
            assert all(outcome.money is None or outcome.money.amount_minor >= 0 for outcome in outcomes)
    assert tried > 500
