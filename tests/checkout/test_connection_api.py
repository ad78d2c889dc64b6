"""/v1/connections: merchants connect themselves."""

import pytest

from merchants.models import Connection
from tests.checkout.onboarding import NEWER, SECRET, at_stripe, hyperswitch, key_of
from tests.factories import MerchantFactory
from tests.journeys.endpoints import UNKNOWN_ID, faults

__all__ = ["at_stripe", "hyperswitch"]


@pytest.fixture
def merchant(db):
    return MerchantFactory(connected=False)


@pytest.fixture
def api(as_merchant, merchant):
    return as_merchant(merchant)


def body(shop, **changes):
    return {"kind": "stripe", "credentials": {"apiKey": key_of(shop)}} | changes


def test_a_merchant_connects_itself_step_by_step(api, at_stripe):
    made = api.post("/v1/connections", body(at_stripe))
    address = f"/v1/connections/{made.json()['id']}"
    ready = api.post(f"{address}/webhook-secret", {"webhookSecret": SECRET})

    assert (made.status_code, made.json()["status"]) == (200, "pending")
    assert made.json()["webhookAddress"].endswith(f"/v1/webhooks/stripe/{made.json()['id']}")
    assert f"POST {address}/webhook-secret" in made.json()["nextStep"]
    assert (ready.status_code, ready.json()["status"], ready.json()["webhookSecrets"]) == (200, "active", 1)
    assert api.get(address).json() == ready.json()


def test_the_reply_holds_what_the_contract_says(api, at_stripe):
    reply = api.post("/v1/connections", body(at_stripe, webhookSecret=SECRET)).json()

    names = {"id", "kind", "mode", "accountId", "isLive", "status", "webhookAddress", "webhookSecrets", "connectedAt"}
    assert set(reply) == names
    assert (reply["accountId"], reply["mode"], reply["isLive"]) == (at_stripe.account, "key", False)


def test_hyperswitch_is_connected_in_either_spelling(api, hyperswitch):
    shop = hyperswitch.add_merchant()
    credentials = {"api_key": shop.api_key, "profileId": shop.profile_id}

    reply = api.post(
        "/v1/connections", {"kind": "hyperswitch", "credentials": credentials, "account_id": shop.merchant_id}
    )

    assert (reply.status_code, reply.json()["accountId"]) == (200, shop.merchant_id)


def test_the_sandbox_needs_nothing(api):
    reply = api.post("/v1/connections", {"kind": "sandbox"})

    assert (reply.status_code, reply.json()["status"], reply.json()["webhookSecrets"]) == (200, "active", 0)


def test_connecting_twice_is_a_conflict(api):
    api.post("/v1/connections", {"kind": "sandbox"})

    reply = api.post("/v1/connections", {"kind": "sandbox"})

    assert (faults(reply, 409), reply.headers["X-Error-Code"]) == ([], "already_connected")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": None}, "kind is required"),
        ({"kind": "paypal"}, "kind must be one of: sandbox, stripe, hyperswitch"),
        ({"credentials": None}, "API key is missing"),
        ({"credentials": []}, "credentials must be an object"),
        ({"credentials": {"apiKey": 1}}, "API key is missing"),
        ({"credentials": {"apiKey": "sk_test_1"}}, "secret key"),
        ({"credentials": {"apiKey": "rk_test_1", "merchantSecret": "x"}}, "Stripe takes no merchant secret"),
        ({"credentials": {"x" * 3000: "x"}}, "credentials must have at most 2048 bytes"),
        ({"webhookSecret": "x" * 40}, "Webhook secret must begin with whsec_"),
        ({"webhookSecret": 1}, "webhookSecret must be a string"),
        ({"accountId": "a" * 65}, "accountId must have at most 64 characters"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(api, at_stripe, changes, said):
    reply = api.post("/v1/connections", body(at_stripe) | changes)

    assert faults(reply, 400) == []
    assert said in reply.json()["error"]
    assert not Connection.objects.exists()


@pytest.mark.parametrize("missing", [["rak_event_read"]])
def test_missing_rights_have_a_code_of_their_own(api, at_stripe, missing):
    reply = api.post("/v1/connections", body(at_stripe, credentials={"apiKey": key_of(at_stripe, missing=missing)}))

    assert (reply.status_code, reply.headers["X-Error-Code"]) == (400, "missing_rights")
    assert "Events: Read" in reply.json()["error"]


def test_a_secret_is_rotated_and_the_old_one_dropped(api, at_stripe):
    address = f"/v1/connections/{api.post('/v1/connections', body(at_stripe, webhookSecret=SECRET)).json()['id']}"

    both = api.post(f"{address}/webhook-secret", {"webhookSecret": NEWER}).json()
    one = api.post(f"{address}/webhook-secret", {"webhookSecret": NEWER, "dropOld": True}).json()

    assert (both["webhookSecrets"], one["webhookSecrets"]) == (2, 1)
    assert Connection.objects.get().webhook_secrets == [NEWER]


def test_disconnecting_is_safe_to_repeat(api):
    address = f"/v1/connections/{api.post('/v1/connections', {'kind': 'sandbox'}).json()['id']}"

    replies = [api.post(f"{address}/disconnect") for _ in range(2)]

    assert [(reply.status_code, reply.json()["status"]) for reply in replies] == [(200, "disconnected")] * 2
    assert replies[0].json() == replies[1].json()


def test_the_list_holds_ones_own_newest_first(api, as_merchant):
    MerchantFactory()
    first = api.post("/v1/connections", {"kind": "sandbox"}).json()["id"]
    api.post(f"/v1/connections/{first}/disconnect")
    second = api.post("/v1/connections", {"kind": "sandbox"}).json()["id"]

    reply = api.get("/v1/connections").json()

    assert ([one["id"] for one in reply["connections"]], reply["count"]) == ([second, first], 2)


@pytest.mark.parametrize(("method", "rest"), [("get", ""), ("post", "/webhook-secret"), ("post", "/disconnect")])
def test_another_merchants_connection_does_not_exist(api, method, rest):
    foreign = MerchantFactory().connections.get()
    given = {"webhookSecret": SECRET} if rest == "/webhook-secret" else {}

    replies = [
        getattr(api, method)(f"/v1/connections/{pk}{rest}", **({"body": given} if method == "post" else {}))
        for pk in (foreign.pk, UNKNOWN_ID, "x")
    ]

    assert [faults(reply, 404) for reply in replies] == [[], [], []]
    assert len({reply.content for reply in replies}) == 1
    assert Connection.objects.get(pk=foreign.pk).status == "active"


def test_agents_have_no_connections(as_agent):
    assert faults(as_agent.get("/v1/connections"), 403) == []
    assert faults(as_agent.post("/v1/connections", {"kind": "sandbox"}), 403) == []
