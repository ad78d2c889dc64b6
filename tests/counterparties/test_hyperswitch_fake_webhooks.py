"""The fake of Hyperswitch delivers, fails and is steered as its docstrings say."""

import json
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import requests

from tests.counterparties.hyperswitch import ControlError, HyperswitchCounterparty, Merchant
from tests.counterparties.hyperswitch import faults as faults_module
from tests.counterparties.hyperswitch.client import LINK, Client, refusal

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SINK = "http://127.0.0.1:9/hook"
ID = "pay_01JEXAMPLE0000000000000000"
SIGNATURE = "X-Webhook-Signature-512"


class Receiver:
    """Takes webhooks in-process; answers `answer`."""

    def __init__(self) -> None:
        self.answer = 200
        self.requests: list[tuple[bytes, dict[str, str]]] = []

    def __call__(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        self.requests.append((body, headers))
        return self.answer

    @property
    def types(self) -> list[str]:
        return [json.loads(body)["event_type"] for body, _ in self.requests]


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def psp(receiver: Receiver) -> Iterator[HyperswitchCounterparty]:
    with HyperswitchCounterparty(clock=lambda: NOON, sender=receiver) as running:
        yield running


@pytest.fixture
def shop(psp: HyperswitchCounterparty) -> Merchant:
    return psp.add_merchant(SINK)


@pytest.fixture
def api(psp: HyperswitchCounterparty, shop: Merchant) -> Client:
    return Client(psp, shop.api_key)


def story(psp: HyperswitchCounterparty, api: Client) -> str:
    """Declined, paid, refunded, disputed: four events."""
    payment = api.link(metadata={"aap": "1"})
    psp.pay(payment, "declined")
    psp.pay(payment)
    psp.refund(payment, 100)
    psp.dispute(payment, 200)
    return payment


def openssl(key: str, body: bytes) -> str:
    command = ["openssl", "dgst", "-sha512", "-hmac", key]
    return subprocess.run(command, input=body, capture_output=True, check=True).stdout.decode().split()[-1]


def test_a_webhook_is_the_documented_envelope_under_an_independent_signature(psp, shop, api, receiver):
    payment = story(psp, api)
    psp.deliver()

    for body, headers in receiver.requests:
        told = json.loads(body)
        assert set(told) == {"merchant_id", "event_id", "event_type", "content", "timestamp"}
        assert told["content"]["object"]["payment_id"] == payment
        assert headers[SIGNATURE] == openssl(shop.payment_response_hash_key, body)
    contents = [json.loads(body)["content"] for body, _ in receiver.requests]
    assert [content["type"] for content in contents[1:]] == ["payment_details", "refund_details", "dispute_details"]
    assert [content["object"].get("metadata") for content in contents] == [{"aap": "1"}, {"aap": "1"}, None, None]
    assert contents[3]["object"]["amount"] == "200"


def test_delivery_can_be_in_order_backwards_shuffled_and_doubled(psp, api, receiver):
    story(psp, api)
    forward = ["payment_failed", "payment_succeeded", "refund_succeeded", "dispute_opened"]
    orders = []
    for arguments in ({}, {"order": "newest_first"}, {"copies": 2}, {"order": "shuffled", "seed": 3}):
        receiver.requests.clear()
        psp.deliver(again=True, **arguments)
        orders.append(receiver.types)

    assert orders[:3] == [forward, forward[::-1], forward * 2]
    assert sorted(orders[3]) == sorted(forward)
    receiver.requests.clear()
    psp.deliver(order="shuffled", seed=3, again=True)
    assert receiver.types == orders[3] != forward


def test_an_event_is_delivered_until_it_is_accepted(psp, api, receiver):
    psp.pay(api.link())
    receiver.answer = 503

    assert [sent.answer for sent in psp.deliver() + psp.deliver()] == [503, 503]
    receiver.answer = 200
    assert [sent.answer for sent in psp.deliver() + psp.deliver()] == [200]
    assert len({body for body, _ in receiver.requests}) == 1


def test_a_resend_is_the_same_bytes_after_state_and_key_have_changed(psp, shop, api, receiver):
    payment = api.link()
    psp.pay(payment)
    psp.refund(payment)
    psp.deliver()
    psp.set_webhook(shop, SINK, hash_key="new")

    psp.resend(psp.event_list()[0]["event_id"])

    assert receiver.requests[-1] == receiver.requests[0]


def test_a_refund_that_succeeded_may_fail_later(psp, api, receiver):
    payment = api.link()
    psp.pay(payment)
    refund = psp.refund(payment, status="pending")["refund_id"]
    psp.finish_refund(refund, "succeeded")
    psp.finish_refund(refund, "failed")
    psp.deliver()

    assert receiver.types == ["payment_succeeded", "refund_succeeded", "refund_failed"]
    with pytest.raises(ControlError):
        psp.finish_refund(refund, "succeeded")


def test_nothing_is_recorded_without_an_address_and_nothing_signed_without_a_key(psp, api, shop, receiver):
    psp.set_webhook(shop, None)
    psp.pay(api.link())
    psp.set_webhook(shop, SINK, hash_key="")
    psp.pay(api.link())
    psp.deliver()

    assert [headers for _, headers in receiver.requests] == [{"Content-Type": "application/json"}]
    psp.set_webhook(shop, None)
    assert psp.deliver(again=True) == []


def test_webhooks_stay_on_this_machine(psp):
    with pytest.raises(ControlError):
        psp.add_merchant("https://example.com/hook")


def test_a_real_receiver_gets_the_bytes():
    got: list[Any] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.rfile.read(int(self.headers["Content-Length"])), self.headers[SIGNATURE]))
            self.send_response(202)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            pass

    with HTTPServer(("127.0.0.1", 0), Hook) as hook, HyperswitchCounterparty() as psp:
        threading.Thread(target=hook.handle_request, daemon=True).start()
        shop = psp.add_merchant(f"http://127.0.0.1:{hook.server_port}/")
        psp.pay(Client(psp, shop.api_key).link())
        sent = psp.deliver()

    assert [one.answer for one in sent] == [202]
    assert got[0][1] == openssl(shop.payment_response_hash_key, got[0][0])


def test_failures_come_on_demand_for_the_requests_they_are_meant_for(psp, api):
    psp.fail_next("object_locked", method="POST", path="/refunds")
    psp.fail_next("server_error", times=2)
    psp.fail_next("rate_limited")
    psp.fail_next("garbage")

    assert refusal(api.post("/refunds")) == (429, "HE_00")
    assert [refusal(api.get("/payments/list")) for _ in range(2)] == [(500, "HE_00")] * 2
    answers = [api.get("/payments/list") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 502, 200]
    assert answers[0].headers["Content-Type"].startswith("text/")


@pytest.mark.parametrize("kind", ["dropped", "silent", "server_error", "garbage"])
@pytest.mark.parametrize("processed", [True, False])
def test_an_answer_can_be_lost_before_or_after_the_work(psp, api, monkeypatch, kind, processed):
    monkeypatch.setattr(faults_module, "SILENCE", 0.2)
    psp.fail_next(kind, processed=processed)
    if kind in {"dropped", "silent"}:
        with pytest.raises(requests.ConnectionError):
            api.post("/payments", LINK | {"payment_id": ID})
    else:
        assert api.post("/payments", LINK | {"payment_id": ID}).status_code >= 500

    assert api.get(f"/payments/{ID}").status_code == (200 if processed else 404)


def test_eight_clients_make_one_payment_of_one_id(psp, api):
    answers: list[int] = []
    body = LINK | {"payment_id": ID}
    threads = [
        threading.Thread(target=lambda: answers.append(api.post("/payments", body).status_code)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == [200] + [400] * 7


def test_everything_can_be_steered_over_http(psp, receiver):
    def control(name: str, **arguments: Any) -> Any:
        return requests.post(f"{psp.base_url}/_control/{name}", json=arguments, timeout=10)

    shop = control("add_merchant", webhook_url=SINK).json()
    payment = Client(psp, shop["api_key"]).link()
    assert control("pay", payment_id=payment).json()["status"] == "succeeded"
    assert control("refund", payment_id=payment, amount=1).json()["status"] == "succeeded"
    assert [sent["answer"] for sent in control("deliver", order="newest_first").json()] == [200, 200]
    assert receiver.types == ["refund_succeeded", "payment_succeeded"]
    assert control("calls").json() == [["POST", "/payments"]]
    refusals = [control("pay", payment_id=payment), control("pay", x=1), control("close")]
    assert [answer.status_code for answer in refusals] == [409, 400, 404]


def test_the_same_calls_give_the_same_ids():
    made = []
    for _ in range(2):
        with HyperswitchCounterparty(seed=7) as psp:
            shop = psp.add_merchant()
            made.append((shop.api_key, shop.merchant_id, Client(psp, shop.api_key).link()))

    assert made[0] == made[1]
    assert len(made[0][2]) == 30
