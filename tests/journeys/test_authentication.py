"""Who may speak: keys of agents and merchants, and the signatures of payment processors."""

import json
import logging
from datetime import timedelta

import pytest
from django.db import connection as database
from django.utils import timezone

from checkout.connectors.sandbox.signature import sign
from ledger.models import Conversion, Entry, Evidence
from merchants.models import Connection, Merchant
from tests.checkout.psp import checkout_of, deliver, paid_event
from tests.factories import OfferFactory
from tests.journeys.endpoints import (
    ENDPOINTS,
    JSON_ENDPOINTS,
    KEYED_ENDPOINTS,
    UNKNOWN_ID,
    World,
    call,
    faults,
    stored,
)

PUBLIC_ENDPOINTS = [endpoint for endpoint in ENDPOINTS if endpoint.party == "nobody"]
LIST = next(endpoint for endpoint in ENDPOINTS if (endpoint.method, endpoint.route) == ("GET", "v1/conversions"))
# `{key}` is a key that would be good.
BAD_CREDENTIALS = {
    "none": "",
    "unknown": "Bearer aap_nobody",
    "no key": "Bearer",
    "blank key": "Bearer  ",
    "prefix alone": "Bearer aap_",
    "other prefix": "Bearer sk_live_1",
    "upper case": "Bearer AAP_X",
    "key alone": "{key}",
    "Basic": "Basic {key}",
    "Token": "Token {key}",
    "two schemes": "Basic eDp5, Bearer {key}",
    "two keys": "Bearer {key}, Bearer {key}",
    "two words": "Bearer Bearer {key}",
    "spaces within": "Bearer {key} {key}",
    "something after": "Bearer {key}x",
    "quoted": 'Bearer "{key}"',
    "tab for a space": "Bearer\t{key}",
    "10 kB": "Bearer aap_" + "x" * 10_240,
    "65 characters": "Bearer aap_" + "x" * 61,
    "non-ASCII": "Bearer aap_é",
    "non-ASCII scheme": "Bëarer {key}",
    "NUL": "Bearer {key}\x00",
    "percent": "Bearer aap_%00",
}


@pytest.fixture
def world(db):
    return World()


@pytest.fixture
def checkout(world):
    return checkout_of(world.recommendation)


@pytest.fixture
def paid(checkout):
    """The event of a payment that proves a sale, not yet delivered."""
    return paid_event(checkout)


@pytest.mark.parametrize("endpoint", KEYED_ENDPOINTS, ids=str)
def test_without_a_good_key_nothing_is_done(world, endpoint):
    before, wrong = stored(), {}

    for label, text in BAD_CREDENTIALS.items():
        header = {"Authorization": text.format(key=world.keys[endpoint.party])} if text else {}
        reply = world.call(endpoint, key=None, headers=header)
        if found := faults(reply, 401) + ([] if reply.headers.get("WWW-Authenticate") == "Bearer" else ["no scheme"]):
            wrong[label] = found

    assert wrong == {}
    assert stored() == before


@pytest.mark.parametrize("endpoint", KEYED_ENDPOINTS, ids=str)
def test_a_bad_key_in_the_query_is_refused(world, endpoint):
    good, wrong = world.keys[endpoint.party], {}

    for query in ("api_key=", "api_key=aap_nobody", "api_key=aap_%C3%A9", f"API_KEY={good}", f"api_key={good}%20x"):
        if found := faults(world.call(endpoint, key=None, query=query), 401):
            wrong[query] = found

    assert wrong == {}


@pytest.mark.parametrize("endpoint", [found for found in KEYED_ENDPOINTS if not found.asks_psp], ids=str)
def test_a_key_in_the_query_is_as_good_as_one_in_the_header(world, endpoint):
    reply = world.call(endpoint, key=None, query=f"api_key={world.keys[endpoint.party]}")

    assert reply.status_code == 200, reply.content


@pytest.mark.parametrize(
    ("header", "query", "status"), [("good", "bad", 200), ("bad", "good", 401), ("good", "good", 200)]
)
def test_of_two_keys_the_header_counts(world, header, query, status):
    keys = {"good": world.agent.secret, "bad": "aap_nobody"}

    reply = world.call(LIST, key=keys[header], query=f"api_key={keys[query]}")

    assert reply.status_code == status


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer "])
def test_scheme_and_spaces_are_read_generously(world, scheme):
    reply = world.call(LIST, key=None, headers={"Authorization": f"{scheme} {world.agent.secret} "})

    assert reply.status_code == 200


@pytest.mark.parametrize("endpoint", [found for found in KEYED_ENDPOINTS if found.party != "both"], ids=str)
def test_a_key_of_another_kind_is_forbidden(world, endpoint):
    other = {"agent": world.merchant, "merchant": world.agent}[endpoint.party]
    before = stored()

    reply = world.call(endpoint, key=other.secret)

    assert faults(reply, 403) == []
    assert reply.headers["X-Error-Code"] == "wrong_key_kind"
    assert stored() == before


@pytest.mark.parametrize("endpoint", KEYED_ENDPOINTS, ids=str)
@pytest.mark.parametrize(
    "change", [{"revoked_at": timedelta(0)}, {"expires_at": timedelta(0)}], ids=["revoked", "expired"]
)
def test_a_key_that_ended_opens_nothing(world, endpoint, change):
    row = world.merchant if endpoint.party == "merchant" else world.agent
    type(row).objects.filter(pk=row.pk).update(**{name: timezone.now() - ago for name, ago in change.items()})
    before = stored()

    reply = world.call(endpoint)

    assert faults(reply, 401) == []
    assert stored() == before


def test_a_key_that_will_end_still_opens(world):
    type(world.agent).objects.filter(pk=world.agent.pk).update(expires_at=timezone.now() + timedelta(minutes=1))

    reply = world.call(LIST)

    assert reply.status_code == 200


@pytest.mark.parametrize("owner", ["agent", "builder"])
def test_an_inactive_owner_has_no_access(world, owner):
    row = world.agent.agent if owner == "agent" else world.agent.agent.builder
    type(row).objects.filter(pk=row.pk).update(is_active=False)

    replies = [world.call(endpoint) for endpoint in KEYED_ENDPOINTS if endpoint.party == "agent"]

    assert [faults(reply, 401) for reply in replies] == [[]] * len(replies)


@pytest.mark.parametrize(("status", "expected"), [("active", 200), ("suspended", 200), ("closed", 401)])
def test_a_suspended_merchant_still_reports_and_a_closed_one_is_gone(world, status, expected):
    Merchant.objects.filter(pk=world.offer.merchant_id).update(status=status)
    report = next(endpoint for endpoint in KEYED_ENDPOINTS if endpoint.party == "merchant")

    reply = world.call(report)

    assert reply.status_code == expected, reply.content


@pytest.mark.parametrize("endpoint", PUBLIC_ENDPOINTS, ids=str)
def test_where_no_key_is_needed_any_key_is_ignored(world, endpoint):
    wrong = {}

    for label, text in BAD_CREDENTIALS.items():
        headers = {"Authorization": text.format(key=world.merchant.secret)} if text else {}
        reply = world.call(endpoint, headers=headers, query="api_key=aap_nobody")
        if reply.status_code != 200:
            wrong[label] = reply.content

    assert wrong == {}


@pytest.mark.parametrize(
    "code", ["x", "aap://rako.sh/v1/x.y", " ", "x" * 65, "x" * 10_000, "é", "aap://rako.sh/v1/" + "A" * 900]
)
def test_a_bad_code_is_an_answer_not_an_error(world, code):
    verify = next(endpoint for endpoint in JSON_ENDPOINTS if endpoint.route == "v1/codes/verify")

    reply = world.call(verify, {"code": code}, key="aap_nobody")

    assert (reply.status_code, reply.json()) == (200, {"valid": False, "error": "Invalid or expired AAP Code."})


def test_the_key_never_reaches_a_log(world, caplog):
    caplog.set_level(logging.DEBUG)
    verify = next(endpoint for endpoint in JSON_ENDPOINTS if endpoint.route == "v1/codes/verify")
    query = f"api_key={world.agent.secret}"

    for endpoint in (*ENDPOINTS, verify):
        world.call(endpoint, key=None, query=query)
        world.call(endpoint, b"[", key=None, query=f"{query}x")
        world.call(endpoint, b"[" * 2**20, key=None, query=query)
        world.call(endpoint, method="PATCH", key=None, query=f"{query}&limit=x")
    with database.cursor() as cursor:
        cursor.execute("ALTER TABLE ledger_conversion RENAME TO gone")
    fault = world.call(LIST, key=None, query=query)

    assert fault.status_code == 500
    assert "rako.access" in {record.name for record in caplog.records}
    assert world.agent.secret not in caplog.text
    assert "api_key" not in caplog.text


def test_an_address_cannot_forge_a_line_of_the_log(db, caplog):
    caplog.set_level(logging.INFO, "rako.access")

    call("GET", "/v1/x%0d%0a2026-01-01 INFO rako.access GET /v1/forged 200%1b[2J")

    (record,) = [record for record in caplog.records if record.name == "rako.access"]
    assert [sign for sign in record.getMessage() if not sign.isprintable()] == []


def test_an_authentic_payment_is_credited_once(world, checkout, paid):
    first = deliver(world.connection, paid)
    again = deliver(world.connection, paid)

    assert (first.json()["status"], again.json()["status"]) == ("conversion_recorded", "duplicate")
    assert Conversion.objects.filter(session=world.session).count() == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"header": None},
        {"header": ""},
        {"header": "é"},
        {"header": "t=1,v1=" + "é" * 64},
        {"header": "t=²,v1=" + "0" * 64},
        {"header": "t=" + "9" * 5000 + ",v1=" + "0" * 64},
        {"header": "v1=" + "0" * 64},
        {"header": "x" * 10_000},
        {"secret": "sandbox_whsec_other"},
        {"secret": "é"},
        {"ago": 301},
        {"ago": -302},
        {"ago": 10**9},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_a_delivery_that_is_not_authentic_is_refused_and_not_kept(world, paid, changes):
    before = stored()

    reply = deliver(world.connection, paid, **changes)

    assert faults(reply, 400) == []
    assert reply.headers["X-Error-Code"] == "invalid_signature"
    assert stored() == before


def test_an_altered_body_is_refused(world, paid):
    header = sign(json.dumps(paid).encode(), world.connection.webhook_secrets[0], timezone.now())
    paid["data"]["object"]["amount_total"] += 1
    before = stored()

    reply = deliver(world.connection, paid, header=header)

    assert faults(reply, 400) == []
    assert stored() == before


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\xff", b"[]", b"5", b"null", b"{}", b"[" * 10_000, b'{"id":"\\ud800"}', b'{"id":"\\u0000"}', b"\x00",
        b'{"id":"evt_1","type":"x","livemode":false,"created":1e400,"data":{"object":{}}}',
        b'{"id":"evt_1","type":"x","livemode":false,"created":-1,"account":"a","data":{"object":{}}}',
        b'{"id":"","type":"x","livemode":false,"created":1,"account":"a","data":{"object":{}}}',
    ],
)  # fmt: skip
def test_an_authentic_body_that_makes_no_sense_is_refused(world, body):
    before = stored()

    reply = deliver(world.connection, None, body=body)

    assert faults(reply, 400) == []
    assert stored() == before


def test_a_delivery_of_a_megabyte_is_refused(world, paid):
    before = stored()

    reply = deliver(world.connection, paid | {"padding": "x" * 2**20})

    assert faults(reply, 413) == []
    assert stored() == before


@pytest.mark.parametrize(
    "change", [{"livemode": True}, {"account": "acct_" + UNKNOWN_ID}, {"account": None}, {"livemode": 0}]
)
def test_an_event_of_another_account_or_mode_is_refused(world, paid, change):
    before = stored()

    reply = deliver(world.connection, paid | change)

    assert faults(reply, 400) == []
    assert stored() == before


def test_another_account_cannot_speak_for_this_one(world, paid):
    other = Connection.objects.get(merchant=world.other_offer.merchant_id)
    before = stored()

    through_own_address = deliver(other, paid)
    with_own_secret = deliver(world.connection, paid, secret=other.webhook_secrets[0])

    assert [faults(reply, 400) for reply in (through_own_address, with_own_secret)] == [[], []]
    assert stored() == before


def test_another_merchants_event_about_our_checkout_is_rejected(world, checkout):
    other = Connection.objects.get(merchant=world.other_offer.merchant_id)
    own_checkout = checkout_of(world.recommend(world.other_offer))
    pointers = {"aap_checkout_id": checkout.pk, "aap_recommendation_id": world.recommendation.pk}
    event = paid_event(own_checkout, id="cs_elsewhere", payment_intent="pi_elsewhere", metadata=pointers)

    reply = deliver(other, event)

    assert (reply.status_code, reply.json()["status"]) == (200, "unmatched")
    assert not Conversion.objects.filter(session__in=[world.session, own_checkout.session]).exists()


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"metadata": {"aap_merchant_id": UNKNOWN_ID}}, "code_agreement"),
        ({"metadata": {"aap_offer_id": "x" * 10_000}}, "code_agreement"),
        ({"metadata": {"aap_session_id": ""}}, "code_agreement"),
        ({"metadata": {"aap_code": "x"}}, "code_signature"),
        ({"metadata": {"aap_code": 5}}, "authentic"),
        ({"amount_total": 1001}, "amount"),
        ({"amount_total": 0}, "authentic"),
        ({"amount_total": -1000}, "authentic"),
        ({"amount_total": 10.5}, "authentic"),
        ({"amount_total": 2**63}, "authentic"),
        ({"amount_total": "1000"}, "authentic"),
        ({"currency": "EUR"}, "amount"),
        ({"currency": "gbp"}, "authentic"),
        ({"payment_status": "free"}, "authentic"),
        ({"payment_intent": None}, "authentic"),
        ({"id": "x" * 256}, "authentic"),
        ({"status": None}, "authentic"),
    ],
    ids=str,
)
def test_an_authentic_event_that_proves_nothing_is_rejected_by_name(world, checkout, change, check):
    event = paid_event(checkout, **change)
    counts = (Conversion.objects.count(), Evidence.objects.count())

    reply = deliver(world.connection, event)

    assert (reply.status_code, reply.json()["status"], reply.json()["failedCheck"]) == (200, "rejected", check)
    assert (Conversion.objects.count(), Evidence.objects.count()) == counts
    assert Entry.objects.filter(kind="payment.rejected").count() == 1


@pytest.mark.parametrize("length", [200, 201, 255])
def test_a_long_payment_id_is_credited_or_rejected_but_no_fault(world, checkout, length):
    event = paid_event(checkout, payment_intent="p" * length)

    reply = deliver(world.connection, event)

    assert reply.status_code == 200, reply.content


def test_metadata_of_another_merchant_credits_nobody(world, checkout):
    event = paid_event(checkout, metadata={"aap_merchant_id": world.other_offer.merchant_id})

    reply = deliver(world.connection, event)

    assert (reply.json()["status"], reply.json()["failedCheck"]) == ("rejected", "code_agreement")
    assert not Conversion.objects.filter(session=world.session).exists()


@pytest.mark.parametrize(
    ("kind", "connection_id"),
    [
        ("sandbox", UNKNOWN_ID),
        ("stripe", None),
        ("SANDBOX", None),
        ("x" * 10_000, None),
        ("%ff", None),
        ("sandbox", "x"),
        ("sandbox", "A" * 10_000),
    ],
    ids=lambda value: str(value)[:20],
)
def test_an_unknown_webhook_address_is_not_found(world, paid, kind, connection_id):
    body = json.dumps(paid).encode()
    header = sign(body, world.connection.webhook_secrets[0], timezone.now())
    before = stored()

    path = f"/v1/webhooks/{kind}/{connection_id or world.connection.pk}"
    reply = call("POST", path, body, headers={"Sandbox-Signature": header})

    assert faults(reply, 404) == []
    assert stored() == before


def test_a_lower_case_connection_id_is_another_id(world, paid):
    body = json.dumps(paid).encode()
    header = sign(body, world.connection.webhook_secrets[0], timezone.now())

    path = f"/v1/webhooks/sandbox/{world.connection.pk.lower()}"
    reply = call("POST", path, body, headers={"Sandbox-Signature": header})

    assert faults(reply, 404) == []


def test_a_merchant_on_another_connector_is_not_reached_through_the_sandbox(world, paid):
    offer = OfferFactory(merchant__connected=False)
    row = Connection.objects.create(
        merchant=offer.merchant, kind="stripe", account_id="acct_1", credentials={}, webhook_secrets=[""]
    )

    replies = [call("POST", f"/v1/webhooks/{kind}/{row.pk}", json.dumps(paid)) for kind in ("sandbox", "stripe")]

    assert [faults(reply, status) for reply, status in zip(replies, (404, 400), strict=True)] == [[], []]
    assert replies[1].json() == {"error": "Invalid signature"}
