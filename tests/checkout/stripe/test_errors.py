"""Each way in which a call may fail: the documented error, and afterwards exactly one page or charge all the same."""

import json
import logging
import time
from typing import Any

import pytest
import stripe
from pytest_django import Settings

from checkout.connectors.base import (
    ChargeStatus,
    ConnectionRevoked,
    ConnectorError,
    KeyReuseMismatch,
    NotPayable,
    PspBusy,
    PspFault,
    PspRateLimited,
    PspRejected,
    PspTimeout,
    PspUnavailable,
)
from checkout.connectors.stripe import client
from checkout.connectors.stripe.connector import StripeConnector
from checkout.connectors.stripe.errors import translated
from tests.checkout.stripe.conftest import SECRET, Connect, secrets_of
from tests.checkout.stripe.factories import attempt, checkout_request, stored_charge
from tests.checkout.stripe.test_charges import intents, stored
from tests.counterparties import faults
from tests.counterparties.faults import FaultProxy
from tests.counterparties.fixtures import Shop

NEVER = faults.Answer(status=200, body=b"[1]")
WRONG_JSON = faults.Answer(status=400, body=b'{"error":["x"]}')
NO_ID = faults.Answer(status=200, body=b'{"object":"checkout.session"}')
FAULTS = [
    (faults.Silence(), PspTimeout),
    (faults.Silence(acts=False), PspTimeout),
    (faults.Drop(), PspTimeout),
    (faults.Drop(acts=False), PspTimeout),
    (faults.SERVER_ERROR, PspFault),
    (faults.SERVER_ERROR_AFTER, PspFault),
    (faults.RATE_LIMITED, PspRateLimited),
    (faults.LOCK_TIMEOUT, PspBusy),
    (faults.LOCK_CONFLICT, PspBusy),
    (faults.KEY_IN_USE, PspBusy),
    (faults.UNAUTHORIZED, ConnectionRevoked),
    (faults.FORBIDDEN, ConnectionRevoked),
    (faults.GARBAGE, PspFault),
    (NEVER, PspFault),
    (WRONG_JSON, PspFault),
    (NO_ID, PspFault),
]
IDS = [
    f"{type(fault).__name__}-{getattr(fault, 'status', '')}-{fault.acts}-{error.__name__}" for fault, error in FAULTS
]
PASSING = [faults.Silence(), faults.Drop(), faults.SERVER_ERROR, faults.SERVER_ERROR_AFTER, faults.LOCK_CONFLICT]


@pytest.fixture
def connector(
    connect: Connect, stripe_faults: FaultProxy, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> StripeConnector:
    settings.RAKO_PSP_READ_MS = 300
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.01)
    return connect(url=stripe_faults.url)


def sessions(shop: Shop) -> list[Any]:
    return shop.client().v1.checkout.sessions.list().data


@pytest.mark.parametrize(("fault", "error"), FAULTS, ids=IDS)
def test_a_fault_is_told_as_documented_and_leaves_one_page(
    connector: StripeConnector, shop: Shop, stripe_faults: FaultProxy, fault: Any, error: type[ConnectorError]
) -> None:
    request = checkout_request()
    stripe_faults.fail(fault, times=None)

    with pytest.raises(error) as met:
        connector.create_checkout(request)

    assert type(met.value).outcome_unknown == error.outcome_unknown
    assert (met.value.__cause__, met.value.__suppress_context__) == (None, True) or error is PspFault
    assert met.value.outcome_unknown or not sessions(shop)
    stripe_faults.heal()
    link = connector.create_checkout(request)
    assert [session.id for session in sessions(shop)] == [link.psp_id]


@pytest.mark.parametrize(("fault", "error"), FAULTS, ids=IDS)
def test_a_fault_is_told_as_documented_and_leaves_one_charge(
    connector: StripeConnector, shop: Shop, stripe_faults: FaultProxy, fault: Any, error: type[ConnectorError]
) -> None:
    request = stored_charge(stored(shop))
    stripe_faults.fail(fault, times=None)

    with pytest.raises(error) as met:
        connector.charge_stored_method(request)

    assert met.value.outcome_unknown or not intents(shop)
    stripe_faults.heal()
    found = connector.find_attempt(attempt(request.attempt_id))
    result = connector.charge_stored_method(request)
    assert result.status == ChargeStatus.SUCCEEDED
    assert [intent.id for intent in intents(shop)] == [result.psp_id]
    assert found is None or found.psp_id == result.psp_id


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: f"{type(fault).__name__}-{getattr(fault, 'status', '')}")
def test_what_passes_is_not_noticed(
    connector: StripeConnector, shop: Shop, stripe_faults: FaultProxy, fault: Any
) -> None:
    stripe_faults.fail(fault)

    result = connector.charge_stored_method(stored_charge(stored(shop)))

    assert [intent.id for intent in intents(shop)] == [result.psp_id]


def test_nobody_there_is_known_to_have_done_nothing(
    connector: StripeConnector, shop: Shop, stripe_faults: FaultProxy
) -> None:
    request = checkout_request()

    with stripe_faults.refusing(), pytest.raises(PspUnavailable):
        connector.create_checkout(request)

    assert sessions(shop) == []
    assert connector.create_checkout(request).psp_id == sessions(shop)[0].id


@pytest.mark.parametrize("second", [faults.RATE_LIMITED, faults.UNAUTHORIZED, faults.FORBIDDEN])
def test_a_refusal_of_the_second_try_says_nothing_of_the_first(
    connector: StripeConnector, shop: Shop, stripe_faults: FaultProxy, second: Any
) -> None:
    stripe_faults.fail(faults.Drop())
    stripe_faults.fail(second)

    with pytest.raises(PspTimeout):
        connector.charge_stored_method(stored_charge(stored(shop)))

    assert len(intents(shop)) == 1


def test_a_reply_that_comes_slowly_is_taken(connector: StripeConnector, shop: Shop, stripe_faults: FaultProxy) -> None:
    stripe_faults.fail(faults.Drip(size=500, pause=0.1))

    assert connector.create_checkout(checkout_request()).psp_id == sessions(shop)[0].id


def test_a_page_that_closed_although_nobody_said_so_is_closed(
    connector: StripeConnector, stripe_faults: FaultProxy
) -> None:
    link = connector.create_checkout(checkout_request())
    stripe_faults.fail(faults.SERVER_ERROR_AFTER, path="/expire$")

    assert connector.expire_checkout(link.psp_id) == "expired"


def test_one_operation_ends_within_its_time(
    connect: Connect, shop: Shop, stripe_faults: FaultProxy, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RAKO_PSP_CONNECT_MS, settings.RAKO_PSP_READ_MS = 100, 400
    monkeypatch.setattr(client, "LONGEST", 1.6)
    monkeypatch.setattr(client, "_SHORTEST", 0.2)
    stripe_faults.fail(faults.Silence(acts=False), times=None)
    started = time.monotonic()

    with pytest.raises(PspUnavailable):
        connect(url=stripe_faults.url).charge_stored_method(stored_charge("pm_unknown"))

    assert time.monotonic() - started < 1.6


@pytest.mark.parametrize(
    ("error", "meant"),
    [
        (stripe.InvalidRequestError("no", "amount", "amount_too_small", http_status=400), NotPayable),
        (stripe.InvalidRequestError("no", "payment_method", "resource_missing", http_status=400), NotPayable),
        (stripe.InvalidRequestError("no", "line_items[0][price_data][currency]", None, http_status=400), NotPayable),
        (stripe.InvalidRequestError("no", "success_url", "url_invalid", http_status=400), PspRejected),
        (stripe.IdempotencyError("no", http_status=400), KeyReuseMismatch),
        (stripe.APIError("no", http_status=503), PspFault),
        (stripe.APIConnectionError("no"), PspTimeout),
        (stripe.StripeError("no"), PspFault),
    ],
    ids=lambda value: getattr(value, "__name__", None) or f"{type(value).__name__}-{value.code}",
)
def test_an_error_of_the_library_is_one_of_the_contract(error: stripe.StripeError, meant: type) -> None:
    assert type(translated(error)) is meant


@pytest.mark.parametrize("is_live", [True, False])
def test_a_key_of_the_other_mode_or_none_never_leaves(is_live: bool, settings: Settings) -> None:
    wrong = {"api_key": "rk_test_a" if is_live else "rk_live_a"}
    settings.RAKO_STRIPE_PLATFORM_KEY = "sk_test_a" if is_live else ""

    for credentials in (wrong, {}, {"api_key": "rk_test_é"}, {"mode": "connect"}):
        with pytest.raises(ConnectionRevoked):
            StripeConnector(secrets_of("acct_1", credentials, is_live=is_live)).create_checkout(checkout_request())


def test_no_secret_and_no_body_is_logged(
    connector: StripeConnector, shop: Shop, stripe_faults: FaultProxy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    key = connector._connection.credentials["api_key"]
    for fault in (faults.SERVER_ERROR, faults.UNAUTHORIZED, faults.FORBIDDEN, faults.GARBAGE, WRONG_JSON):
        stripe_faults.fail(fault, times=2 if fault.status == 500 else 1)
        with pytest.raises(ConnectorError):
            connector.create_checkout(checkout_request())
    with pytest.raises(PspRejected):
        connector.create_checkout(checkout_request(success_url="no-address"))
    connector.charge_stored_method(stored_charge(stored(shop)))

    logged = json.dumps([record.getMessage() for record in caplog.records])
    assert "request req_" in logged
    for secret in (key, SECRET, "client_secret", "Not now", "aap_code", "no-address", "It works", "success_url"):
        assert secret not in logged
    assert not any(record.name == "stripe" for record in caplog.records)
