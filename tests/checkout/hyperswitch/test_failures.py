"""What becomes of a call whose answer fails: the documented error, and never a second payment."""

import socket
import threading
import time

import pytest
from django.utils import timezone

from checkout.connectors.base import (
    Attempt,
    KeyReuseMismatch,
    PaymentState,
    PspBusy,
    PspFault,
    PspRateLimited,
    PspTimeout,
    PspUnavailable,
)
from checkout.connectors.hyperswitch import client
from tests.checkout.hyperswitch import factories
from tests.checkout.hyperswitch.factories import pay
from tests.counterparties.hyperswitch import faults

# Failure, whether the work was done all the same, how often it happens, and what the caller is told.
ALWAYS = 9
FAILURES = [
    ("rate_limited", False, 1, PspRateLimited),
    ("object_locked", False, ALWAYS, PspBusy),
    ("server_error", False, ALWAYS, PspFault),
    ("server_error", True, ALWAYS, PspFault),
    ("garbage", False, ALWAYS, PspFault),
    ("garbage", True, ALWAYS, PspFault),
    ("dropped", False, ALWAYS, PspTimeout),
    ("dropped", True, ALWAYS, PspTimeout),
    ("silent", True, 1, PspTimeout),
]
PASSING = [failure for failure in FAILURES if failure[0] not in ("rate_limited", "silent")]


@pytest.fixture(autouse=True)
def short_silence(monkeypatch, settings):
    monkeypatch.setattr(faults, "SILENCE", 1.0)
    settings.RAKO_PSP_READ_MS = 500


@pytest.mark.parametrize("kind", ["link", "charge"])
@pytest.mark.parametrize(("failure", "processed", "times", "expected"), FAILURES)
def test_a_failure_is_named_and_a_repeat_pays_once(psp, connector, kind, failure, processed, times, expected):
    request = factories.checkout_request()
    psp.fail_next(failure, times=times, method="POST", path="/payments", processed=processed)

    with pytest.raises(expected) as caught:
        pay(connector, kind, request.attempt_id)
    assert caught.value.outcome_unknown == (expected != PspRateLimited)
    psp._faults.clear()
    assert (connector.find_attempt(Attempt(request.attempt_id, "", timezone.now())) is not None) == processed
    assert pay(connector, kind, request.attempt_id).psp_id == f"pay_{request.attempt_id}"
    assert len(psp.world.payments) == 1


@pytest.mark.parametrize("kind", ["link", "charge"])
@pytest.mark.parametrize(("failure", "processed"), [failure[:2] for failure in PASSING])
def test_one_failure_is_not_noticed(psp, connector, kind, failure, processed):
    psp.fail_next(failure, method="POST", path="/payments", processed=processed)

    assert pay(connector, kind, None).psp_id in [key for _, key in psp.world.payments]
    assert len(psp.world.payments) == 1


@pytest.mark.parametrize("failure", ["rate_limited", "object_locked", "server_error", "dropped"])
def test_a_payment_that_exists_but_cannot_be_looked_at_is_unknown(psp, connector, failure):
    request = factories.checkout_request()
    connector.create_checkout(request)
    psp.fail_next(failure, times=2, method="GET", path="/payments")

    with pytest.raises((PspFault, PspBusy, PspTimeout)):
        connector.create_checkout(request)


def test_that_the_retry_did_nothing_says_nothing_of_the_first_try(psp, connector):
    psp.fail_next("server_error", processed=True, method="POST")
    psp.fail_next("rate_limited", method="POST")

    with pytest.raises(PspFault):
        connector.charge_stored_method(factories.stored_charge())
    assert len(psp.world.payments) == 1


@pytest.mark.parametrize("processed", [True, False])
def test_a_cancellation_may_lose_its_answer(psp, connector, processed):
    link = connector.create_checkout(factories.checkout_request())
    psp.fail_next("dropped", method="POST", path="/payments", processed=processed)

    assert connector.expire_checkout(link.psp_id) == PaymentState.EXPIRED


def test_nobody_there_is_unavailable(psp, connector, settings):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        settings.RAKO_HYPERSWITCH_API_BASE = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(PspUnavailable):
            connector.create_checkout(factories.checkout_request())
    settings.RAKO_HYPERSWITCH_API_BASE = "http://nobody.invalid"
    with pytest.raises(PspUnavailable):
        connector.get_payment("pay_1")


def test_connections_are_kept(scripted, stranger):
    scripted.says(factories.PAYMENT)

    for _ in range(3):
        stranger.get_payment("pay_1")

    assert (len(scripted.seen), len(scripted.clients)) == (3, 1)


def test_a_connection_that_went_stale_is_not_noticed(scripted, stranger):
    scripted.says(factories.PAYMENT)
    stranger.get_payment("pay_1")
    scripted.hang_up()

    assert stranger.get_payment("pay_1").psp_id == factories.PAYMENT["payment_id"]
    assert len(scripted.clients) == 2


def test_a_reused_id_is_compared_with_what_is_there(scripted, stranger):
    scripted.replies = [(400, {"error": {"code": "HE_01"}}, {}), (200, factories.PAYMENT, {})]

    with pytest.raises(KeyReuseMismatch):
        stranger.create_checkout(factories.checkout_request())


def test_an_id_that_exists_and_is_not_there_is_a_fault(scripted, stranger):
    scripted.replies = [(400, {"error": {"code": "HE_01"}}, {}), (404, {"error": {"code": "HE_02"}}, {})]

    with pytest.raises(PspFault):
        stranger.charge_stored_method(factories.stored_charge())


def test_a_huge_reply_is_not_read_to_its_end(scripted, stranger, monkeypatch):
    monkeypatch.setattr(client, "MAX_REPLY", 1000)
    scripted.says(factories.PAYMENT | {"description": "x" * 2000})

    with pytest.raises(PspFault):
        stranger.get_payment("pay_1")


def test_a_reply_that_drips_ends_with_the_deadline(monkeypatch, settings):
    monkeypatch.setattr(client, "TOTAL_SECONDS", 1.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings.RAKO_HYPERSWITCH_API_BASE = f"http://127.0.0.1:{server.getsockname()[1]}"
        threading.Thread(target=drip, args=(server,), daemon=True).start()
        began = time.monotonic()

        with pytest.raises(PspTimeout):
            client.Client("snd_0123456789", is_live=False).get("/payments/pay_1")
        assert time.monotonic() - began < 1.5


def drip(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(65536)
        try:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            for _ in range(50):
                connection.sendall(b" ")
                time.sleep(0.1)
        except OSError:
            return


def test_no_time_left_is_no_request(scripted, monkeypatch):
    monkeypatch.setattr(client, "TOTAL_SECONDS", 0)
    scripted.says({})

    with pytest.raises(PspTimeout):
        client.Client("snd_0123456789", is_live=False).get("/payments/pay_1")
    assert scripted.seen == []


def test_cookies_and_redirects_are_left_alone(scripted, stranger):
    scripted.says(factories.PAYMENT, Set_Cookie="merchant=1; Path=/")

    stranger.get_payment("pay_1")

    assert len(client._session().cookies) == 0


def test_eight_threads_make_one_payment_of_one_attempt(psp, connector):
    request, links = factories.checkout_request(), []
    threads = [threading.Thread(target=lambda: links.append(connector.create_checkout(request))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(links), len(set(links)), len(psp.world.payments)) == (8, 1, 1)
