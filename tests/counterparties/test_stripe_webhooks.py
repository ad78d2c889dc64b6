"""The relay of Stripe's counterparty: endpoints, signatures that the real library accepts, and every order."""

import http.client
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlsplit

import pytest
import stripe

from tests.counterparties.sales import charge, open_session

SECRET = "whsec_test"


class Receiver:
    """Takes deliveries, and answers them with `status`."""

    def __init__(self) -> None:
        self.status = 200
        self.got: list[tuple[bytes, str]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((body, self.headers["Stripe-Signature"]))
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Silent."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


def names(deliveries):
    return [delivery.event_type for delivery in deliveries]


def test_deliveries_are_signed_as_the_library_wants_and_name_their_account(shop, receiver):
    charge(shop)

    done = shop.psp.deliver(shop.account, receiver.url, SECRET)

    events = [stripe.Webhook.construct_event(body, header, SECRET) for body, header in receiver.got]
    assert [event.type for event in events] == names(done)
    assert {event.account for event in events} == {shop.account}
    assert [delivery.status for delivery in done] == [200] * 3


def test_a_signature_of_another_secret_or_of_long_ago_is_refused(shop):
    charge(shop)
    fresh = shop.psp.deliveries(shop.account, "whsec_other")[0]
    old = shop.psp.deliveries(shop.account, SECRET, again=True, ago=301)[0]

    for delivery in (fresh, old):
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.WebhookSignature.verify_header(
                delivery.body.decode(), delivery.headers["Stripe-Signature"], SECRET, 300
            )


def test_while_a_secret_is_rolled_both_sign(shop):
    charge(shop)

    delivery = shop.psp.deliveries(shop.account, ["whsec_new", "whsec_old"])[0]

    for secret in ("whsec_new", "whsec_old"):
        assert stripe.WebhookSignature.verify_header(
            delivery.body.decode(), delivery.headers["Stripe-Signature"], secret, 300
        )


def test_an_address_gets_each_event_once_unless_asked_again(shop):
    charge(shop)

    first, second = (shop.psp.deliveries(shop.account, SECRET) for _ in range(2))

    assert (len(first), len(second)) == (3, 0)
    assert len(shop.psp.deliveries(shop.account, SECRET, target="another")) == 3
    assert len(shop.psp.deliveries(shop.account, SECRET, again=True)) == 3


def test_order_and_number_of_deliveries_are_the_tests_to_choose(shop):
    charge(shop)
    oldest = names(shop.psp.deliveries(shop.account, SECRET))

    newest = names(shop.psp.deliveries(shop.account, SECRET, again=True, order="newest"))
    shuffled = [
        names(shop.psp.deliveries(shop.account, SECRET, again=True, order="shuffled", seed=7, times=2)) for _ in "ab"
    ]

    assert newest == oldest[::-1]
    assert shuffled[0] == shuffled[1] != oldest * 2
    assert sorted(shuffled[0]) == sorted(oldest * 2)


def test_an_endpoint_tells_its_secret_once_and_gets_what_it_asked_for(shop, receiver):
    endpoints = shop.client().v1.webhook_endpoints
    made = endpoints.create(
        params={"url": receiver.url, "enabled_events": ["checkout.session.completed", "charge.succeeded"]}
    )
    shop.psp.pay(shop.account, open_session(shop).id)

    done = shop.psp.deliver_to_endpoints(shop.account)

    assert "secret" not in endpoints.retrieve(made.id).to_dict()
    assert names(done) == ["charge.succeeded", "checkout.session.completed"]
    event = stripe.Webhook.construct_event(*receiver.got[0], made.secret)
    assert "account" not in event.to_dict()


def test_an_endpoint_can_be_changed_and_removed(shop, receiver):
    endpoints = shop.client().v1.webhook_endpoints
    made = endpoints.create(params={"url": receiver.url, "enabled_events": ["*"]})
    charge(shop)

    changed = endpoints.update(made.id, params={"disabled": True, "metadata": {"a": "b"}})

    assert (changed.status, changed.metadata.to_dict()) == ("disabled", {"a": "b"})
    assert shop.psp.deliver_to_endpoints(shop.account) == []
    assert endpoints.delete(made.id).deleted is True
    assert endpoints.list().data == []


def test_a_connect_endpoint_hears_of_connected_accounts(shop, receiver):
    platform = shop.client(shop.psp.issue_key()).v1.webhook_endpoints
    made = platform.create(params={"url": receiver.url, "enabled_events": ["*"], "connect": True})
    charge(shop)

    shop.psp.deliver_to_endpoints(shop.account)

    platform.delete(made.id)
    assert {json.loads(body)["account"] for body, _ in receiver.got} == {shop.account}


def test_failed_deliveries_are_listed_until_they_succeed(shop, receiver):
    charge(shop)
    receiver.status = 503
    events = shop.client().v1.events

    shop.psp.deliver(shop.account, receiver.url, SECRET)
    failed = list(events.list(params={"delivery_success": False, "limit": 2}).auto_paging_iter())
    receiver.status = 200
    shop.psp.deliver(shop.account, receiver.url, SECRET, again=True)

    assert len(failed) == 3
    assert events.list(params={"delivery_success": False}).data == []
    assert len(events.list(params={"delivery_success": True}).data) == 3


def test_controls_are_reached_from_other_processes(shop):
    session = open_session(shop)
    connection = http.client.HTTPConnection(urlsplit(shop.psp.url).netloc, timeout=10)

    def control(name, **arguments):
        connection.request("POST", f"/_control/{name}", json.dumps(arguments))
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())

    paid = control("pay", account=shop.account, session=session.id)
    again = control("pay", account=shop.account, session=session.id)
    unknown = control("close")
    signed = control("deliveries", account=shop.account, secret=SECRET)
    connection.close()
    assert (paid[0], paid[1]["status"]) == (200, "succeeded")
    assert (again[0], unknown[0]) == (409, 404)
    assert stripe.Webhook.construct_event(signed[1][0]["body"], signed[1][0]["headers"]["Stripe-Signature"], SECRET)
