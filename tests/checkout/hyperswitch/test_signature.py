"""Who may deliver: only who has the key, checked against an independent implementation, and never failing open."""

import json
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkout.connectors.base import BadSignature, ConnectorError, MalformedEvent
from checkout.connectors.hyperswitch import signature
from tests.checkout.hyperswitch import factories
from tests.checkout.hyperswitch.deliveries import NOW, connector, openssl, verify


@pytest.mark.parametrize("body", [factories.event_body(), factories.event_body(extra="ü€😀\n")])
def test_openssls_signature_holds(body):
    event = verify(body, openssl("hash_new", body))

    assert (event.event_id, event.event_type, event.is_live) == ("evt_1", "payment_succeeded", False)
    assert (event.occurred_at.isoformat(), event.payload) == ("2026-03-01T12:00:01+00:00", json.loads(body))


def test_either_secret_of_a_rotation_and_either_spelling_holds():
    body = factories.event_body()

    for key in ("hash_new", "hash_old"):
        assert verify(body, openssl(key, body)).event_id == "evt_1"
        assert verify(body, f" {openssl(key, body).upper()} ").event_id == "evt_1"


def test_one_changed_byte_breaks_it():
    body = factories.event_body()
    header = openssl("hash_new", body)

    for changed, given_header in (
        (body + b" ", header),
        (body.replace(b"4990", b"4991"), header),
        (body, header[:-1] + ("0" if header[-1] != "0" else "1")),
        (body, openssl("hash_other", body)),
        (
            body,
            subprocess.run(["openssl", "dgst", "-sha256"], input=body, capture_output=True, check=True).stdout[-65:-1],
        ),
    ):
        with pytest.raises(BadSignature):
            verify(changed, given_header)


@pytest.mark.parametrize(
    "header", [None, "", "0" * 127, "0" * 128, "g" * 128, "é" * 128, "0" * 10**6, "\x00", 5, b"0" * 128]
)
def test_a_header_that_is_none_is_refused(header):
    with pytest.raises(BadSignature):
        verify(factories.event_body(), header)


@pytest.mark.parametrize("secrets", [[], [""]])
def test_without_a_secret_nothing_is_authentic(secrets):
    body = factories.event_body()

    with pytest.raises(BadSignature):
        connector(webhook_secrets=secrets).verify_webhook(body, {signature.HEADER: openssl("", body)}, now=NOW)


def test_what_the_counterparty_sends_is_read(psp, shop, monkeypatch):
    sent = []
    monkeypatch.setattr(psp, "_sender", lambda url, body, headers: sent.append((body, headers)) or 200)
    merchant, other = factories.connector_of(shop), factories.connector_of(shop, account_id="merchant_2")
    link = merchant.create_checkout(factories.checkout_request())
    psp.pay(link.psp_id)
    psp.deliver()
    psp.set_webhook(shop, shop.webhook_url, hash_key="")
    psp.refund(link.psp_id)
    psp.deliver()
    (signed, headers), (unsigned, bare) = sent

    received = {name.lower(): value for name, value in headers.items()}
    assert merchant.verify_webhook(signed, received, now=NOW).event_type == "payment_succeeded"
    with pytest.raises(BadSignature):
        merchant.verify_webhook(unsigned, bare, now=NOW)
    with pytest.raises(MalformedEvent):
        other.verify_webhook(signed, received, now=NOW)


def test_the_mode_is_the_connections():
    body = factories.event_body()

    assert connector(is_live=True).verify_webhook(body, {signature.HEADER: openssl("hash_new", body)}, now=NOW).is_live


HOSTILE = [
    b"",
    b"\xff\xfe",
    b"null",
    b"[]",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"1" * 5000,
    b"NaN",
    b'"text"',
    factories.event_body(event_id=None),
    factories.event_body(event_id=""),
    factories.event_body(event_id="x" * 256),
    factories.event_body(event_id=["evt_1"]),
    factories.event_body(event_id="a\x00b"),
    factories.event_body(extra={"deep": ["\x00"]}),
    factories.event_body(event_type=5),
    factories.event_body(timestamp=1772366401),
    factories.event_body(timestamp="1e400"),
    factories.event_body(timestamp="0001-01-01T00:00:00+14:00"),
    factories.event_body(timestamp="2101-01-01T00:00:00Z"),
    factories.event_body(content=None),
    factories.event_body(content=[]),
    factories.event_body(content={"object": []}),
    factories.event_body(merchant_id="merchant_2"),
    factories.event_body(merchant_id=None),
    factories.event_body(extra="\ud800"),
]


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
def test_an_authentic_body_that_makes_no_sense_is_malformed(body):
    with pytest.raises(MalformedEvent):
        verify(body, openssl("hash_new", body))


def test_an_escaped_backslash_is_no_nul():
    body = factories.event_body(extra="\\u0000")

    assert verify(body, openssl("hash_new", body)).payload["extra"] == "\\u0000"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@given(st.binary(max_size=300), st.text(max_size=200) | st.binary(max_size=200) | st.none())
def test_strangers_meet_nothing_but_bad_signatures(body, header):
    with pytest.raises(BadSignature):
        verify(body, header)


@given(
    st.sampled_from(["payment_succeeded", "payment_captured", "refund_succeeded", "dispute_opened", "payment_failed"]),
    st.sampled_from([factories.PAYMENT, factories.REFUND, factories.DISPUTE]),
    st.dictionaries(
        st.sampled_from(sorted({*factories.PAYMENT, *factories.REFUND, *factories.DISPUTE, "off_session"})),
        JSON,
        min_size=1,
        max_size=4,
    ),
)
def test_the_keys_owner_meets_nothing_but_contract_errors(event_type, subject, changes):
    body = factories.event_body(event_type, subject | changes)

    try:
        event = connector().read_event(body)
        assert len(connector().normalize(event)) <= 1
    except ConnectorError as error:
        assert isinstance(error, MalformedEvent)  # noqa: PT017 (either is fine, nothing else is)
