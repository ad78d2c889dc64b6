"""Endpoints over the API: one's own, and their secrets only when they are made."""

import json

import pytest
from django.db import connection

from notifications.delivering import deliver_due
from notifications.endpoints import MOST
from notifications.models import Endpoint, Message
from tests.conftest import Api
from tests.factories import AgentFactory, AgentKeyFactory, MerchantFactory
from tests.notifications.conftest import endpoint_of
from tests.threads import race

PATH = "/v1/webhook-endpoints"
URL = "https://hooks.example/rako"


def patch(api, endpoint_id, body):
    return api.send("PATCH", f"{PATH}/{endpoint_id}", json.dumps(body).encode())


@pytest.fixture
def merchant(db):
    return MerchantFactory(connected=False)


@pytest.fixture
def api(merchant, as_merchant):
    return as_merchant(merchant)


@pytest.fixture
def made(api):
    """The reply to having made one."""
    return api.post(PATH, {"url": URL, "description": "billing", "eventTypes": ["invoice.issued"]}).json()


def test_an_endpoint_is_made_with_a_secret_that_is_not_shown_again(api, made):
    shown = api.get(f"{PATH}/{made['id']}")

    assert made["secret"].startswith("whsec_")
    assert (made["url"], made["eventTypes"], made["status"]) == (URL, ["invoice.issued"], "enabled")
    assert shown.json() == {name: value for name, value in made.items() if name != "secret"}
    assert made["secret"] not in api.get(PATH).content.decode()


def test_a_secret_is_encrypted_at_rest(made):
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM notifications_endpoint")
        [[stored]] = cursor.fetchall()

    assert made["secret"] not in stored
    assert Endpoint.objects.get().secret == made["secret"]


def test_an_agents_key_makes_endpoints_of_its_builder(agent_key, as_agent):
    made = as_agent.post(PATH, {"url": URL}).json()
    colleague = Api(AgentKeyFactory(agent=AgentFactory(builder=agent_key.agent.builder)).secret)

    assert Endpoint.objects.get(pk=made["id"]).builder == agent_key.agent.builder
    assert colleague.get(f"{PATH}/{made['id']}").status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/rotate-secret"),
        ("POST", "/test"),
        ("GET", "/deliveries"),
        ("POST", "/deliveries/msg_{message}/resend"),
    ],
)
@pytest.mark.parametrize("who", ["merchant", "agent"])
def test_another_partys_endpoint_does_not_exist(made, as_merchant, as_agent, api, method, path, who):
    message = api.post(f"{PATH}/{made['id']}/test").json()["messageId"].removeprefix("msg_")
    stranger = as_agent if who == "agent" else as_merchant(MerchantFactory(connected=False))

    reply = stranger.send(method, f"{PATH}/{made['id']}{path.format(message=message)}", b"{}")

    assert (reply.status_code, reply.json()) == (404, {"error": "Webhook endpoint not found"})
    assert stranger.get(PATH).json() == {"webhookEndpoints": [], "count": 0}


def test_another_endpoints_message_cannot_be_sent_through_ones_own(made, api, merchant):
    other = endpoint_of(MerchantFactory(connected=False), URL)
    foreign = Message.objects.create(endpoint=other, event_type="test.ping", payload="{}")

    reply = api.post(f"{PATH}/{made['id']}/deliveries/{foreign.wire_id}/resend")

    assert (reply.status_code, reply.json()) == (404, {"error": "Delivery not found"})


@pytest.mark.parametrize("url", ["http://hooks.example/", "https://10.0.0.1/", "https://a:b@hooks.example/", "x"])
def test_a_url_that_nothing_is_sent_to_is_refused(api, made, url):
    replies = [api.post(PATH, {"url": url}), patch(api, made["id"], {"url": url})]

    assert [reply.status_code for reply in replies] == [400, 400]
    assert [reply.headers["X-Error-Code"] for reply in replies] == ["invalid_url"] * 2
    assert replies[0].json()["error"].startswith("url must ") or "not public" in replies[0].json()["error"]


@pytest.mark.parametrize("types", [["no.such"], [1], "conversion.recorded", {}, [["x"]], ["test.ping"]])
def test_event_types_that_there_are_not_are_refused(api, types):
    reply = api.post(PATH, {"url": URL, "eventTypes": types})

    assert reply.status_code == 400
    assert reply.json()["error"].startswith("eventTypes ")


def test_an_owner_has_ten_at_most(api):
    statuses = [api.post(PATH, {"url": URL}).status_code for _ in range(MOST + 1)]

    assert statuses == [200] * MOST + [409]


@pytest.mark.django_db(transaction=True)
def test_an_owner_has_ten_at_most_however_fast_they_are_made():
    merchant = MerchantFactory(connected=False)

    race(lambda number: [endpoint_of(merchant, URL) for _ in range(2)])

    assert Endpoint.objects.count() == MOST


def test_it_is_changed_disabled_and_enabled(api, made):
    new = {"url": URL + "/2", "description": "", "eventTypes": [], "status": "disabled"}

    changed = patch(api, made["id"], new).json()
    refused = api.post(f"{PATH}/{made['id']}/test")
    enabled = patch(api, made["id"], {"status": "enabled"}).json()

    assert {name: changed[name] for name in new} == new
    assert (changed["disabledReason"], refused.status_code) == ("owner", 409)
    assert (enabled["status"], enabled["disabledReason"], enabled["url"]) == ("enabled", None, URL + "/2")


def test_a_deleted_endpoint_is_gone(api, made):
    api.post(f"{PATH}/{made['id']}/test")

    reply = api.send("DELETE", f"{PATH}/{made['id']}")

    assert reply.json() == {"id": made["id"], "deleted": True}
    assert api.get(f"{PATH}/{made['id']}").status_code == 404
    assert Message.objects.count() == 0


def test_a_rotated_secret_is_shown_once_and_the_old_one_ends_in_a_day(api, made):
    rotated = api.post(f"{PATH}/{made['id']}/rotate-secret")

    assert rotated.json()["secret"] not in (made["secret"], None)
    assert rotated.json()["oldSecretUntil"] is not None
    assert rotated.headers["Cache-Control"] == "no-store"


def test_a_test_is_sent_and_its_delivery_shown_with_each_attempt(api, receiver):
    made = api.post(PATH, {"url": receiver.url}).json()
    receiver.answers = [500]
    sent = api.post(f"{PATH}/{made['id']}/test").json()
    deliver_due()

    [shown] = api.get(f"{PATH}/{made['id']}/deliveries").json()["deliveries"]

    assert (shown["messageId"], shown["eventType"], shown["status"]) == (sent["messageId"], "test.ping", "pending")
    assert shown["payload"]["data"] == {"endpointId": made["id"]}
    assert [(attempt["statusCode"], attempt["error"]) for attempt in shown["attempts"]] == [(500, None)]
    assert shown["nextAttemptAt"] > shown["createdAt"]


def test_deliveries_come_page_by_page_newest_first(api, made):
    sent = [api.post(f"{PATH}/{made['id']}/test").json()["messageId"] for _ in range(3)]

    first = api.get(f"{PATH}/{made['id']}/deliveries", limit=2).json()
    second = api.get(f"{PATH}/{made['id']}/deliveries", limit=2, cursor=first["nextCursor"]).json()

    listed = [row["messageId"] for row in (*first["deliveries"], *second["deliveries"])]
    assert listed == sent[::-1]


def test_a_delivery_is_sent_again_when_asked(api, receiver):
    made = api.post(PATH, {"url": receiver.url}).json()
    sent = api.post(f"{PATH}/{made['id']}/test").json()
    deliver_due()

    again = api.post(f"{PATH}/{made['id']}/deliveries/{sent['messageId']}/resend").json()
    deliver_due()

    assert (again["status"], len(again["attempts"])) == ("pending", 1)
    assert [got.id for got in receiver.got] == [sent["messageId"]] * 2


def test_a_disabled_endpoint_is_sent_nothing_again(api, made):
    sent = api.post(f"{PATH}/{made['id']}/test").json()
    patch(api, made["id"], {"status": "disabled"})

    reply = api.post(f"{PATH}/{made['id']}/deliveries/{sent['messageId']}/resend")

    assert (reply.status_code, reply.headers["X-Error-Code"]) == (409, "webhook_endpoint_disabled")
