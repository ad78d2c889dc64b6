"""POST /mcp: who may speak, in what form, and what a reply looks like (streamable HTTP without streams)."""

import json
import time

import pytest
from mcp_types import CLIENT_CAPABILITIES_META_KEY, PROTOCOL_VERSION_META_KEY

from mcp_server.refusals import CODE_KEY
from rako.core.idempotency import IdempotentReply
from sessions_app.models import AgentKey, Session
from tests.factories import AgentKeyFactory, MerchantKeyFactory, OfferFactory
from tests.journeys.endpoints import call, faults

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
SEARCH = {"jsonrpc": "2.0", "id": "a", "method": "tools/call", "params": {"name": "search_offers", "arguments": {}}}
MODERN = {"MCP-Protocol-Version": "2026-07-28"}


@pytest.fixture
def post(agent_key):
    """Posts a message as the agent, with other headers than usual."""

    def send(message, **options):
        body = message if isinstance(message, bytes) else json.dumps(message)
        return call("POST", "/mcp", body, **{"key": agent_key.secret} | options)

    return send


def modern(method, **params):
    meta = {PROTOCOL_VERSION_META_KEY: "2026-07-28", CLIENT_CAPABILITIES_META_KEY: {}}
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": params | {"_meta": meta}}


@pytest.mark.parametrize("key", [None, "aap_nobody", "revoked"])
def test_without_a_good_key_it_is_401(post, key):
    if key == "revoked":
        row = AgentKeyFactory()
        AgentKey.objects.get(pk=row.pk).revoke()
        key = row.secret

    reply = post(PING, key=key)

    assert faults(reply, 401) == []
    assert reply.headers["WWW-Authenticate"] == "Bearer"


def test_a_merchants_key_is_403(post):
    assert faults(post(PING, key=MerchantKeyFactory().secret), 403) == []


def test_a_tool_tells_why_a_merchants_key_may_not_call_it(post):
    reply = post(SEARCH, key=MerchantKeyFactory().secret)

    result = reply.json()["result"]
    assert (reply.status_code, reply.json()["id"], result["isError"]) == (200, "a", True)
    assert result["_meta"][CODE_KEY] == reply.headers["X-Error-Code"] == "wrong_key_kind"
    assert "tell the user that the API key is not accepted" in result["content"][0]["text"]
    assert not Session.objects.exists()


@pytest.fixture
def used_up(agent_key):
    """The key may call once a minute, and has."""
    AgentKey.objects.filter(pk=agent_key.pk).update(tier="enterprise", rate_limit=1)
    call("GET", "/v1/offers", key=agent_key.secret)


def test_beyond_the_limit_a_tool_tells_how_long_to_wait(post, used_up):
    reply = post(SEARCH)

    told = reply.json()["result"]["content"][0]["text"]
    wait = int(reply.headers["Retry-After"])
    assert reply.status_code == 200
    assert f"Wait {wait} seconds. Call again with the same arguments" in told
    assert (reply.headers["X-RateLimit-Limit"], reply.headers["X-RateLimit-Remaining"]) == ("1", "0")
    assert 0 < int(reply.headers["X-RateLimit-Reset"]) - time.time() <= wait
    assert Session.objects.count() == 1  # the one before


@pytest.mark.parametrize(
    ("message", "headers"),
    [
        (PING, {}), (SEARCH | {"method": "tools/list"}, {}), (b"{", {}), (b"[]", {}), (b"[" * 5000, {}),
        (b'{"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "search_offers"}}', {}),
        (SEARCH | {"jsonrpc": "1.0"}, {}), (SEARCH | {"params": {"name": "pay"}}, {}), (SEARCH, MODERN),
        (SEARCH, {"Origin": "http://localhost:1"} | MODERN),
    ],
)  # fmt: skip
def test_beyond_the_limit_all_that_is_no_call_of_a_tool_is_429(post, used_up, message, headers):
    reply = post(message, headers=headers)

    assert faults(reply, 429) == []
    assert int(reply.headers["Retry-After"]) > 0


def test_a_page_of_another_host_is_refused_before_its_key_is_looked_at(post, used_up):
    reply = post(SEARCH, headers={"Origin": "https://evil.example"})

    assert faults(reply, 403) == []
    assert reply.headers["X-Error-Code"] == "forbidden_origin"


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "OPTIONS", "HEAD"])
def test_there_are_no_streams_and_no_sessions_to_ask_for(post, method, agent_key):
    reply = call(method, "/mcp", key=agent_key.secret)

    assert faults(reply, 405) == []
    assert reply.headers["Allow"] == "POST"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1.evil.example", "http://[", "x"])
def test_pages_of_other_hosts_may_not_call(post, origin):
    reply = post(SEARCH, headers={"Origin": origin})

    assert faults(reply, 403) == []
    assert reply.headers["X-Error-Code"] == "forbidden_origin"
    assert not Session.objects.exists()


@pytest.mark.parametrize("origin", ["http://127.0.0.1:3456", "http://localhost:6274", "http://[::1]:1"])
def test_pages_of_our_hosts_may(post, origin):
    assert post(PING, headers={"Origin": origin}).status_code == 200


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"content_type": "text/plain"}, 415),
        ({"content_type": ""}, 415),
        ({"headers": {"Accept": "text/event-stream"}}, 406),
        ({"headers": {"Accept": "text/html"}}, 406),
        ({"content_type": "application/json; charset=utf-8"}, 200),
        ({"headers": {"Accept": "application/json, text/event-stream"}}, 200),
        ({"headers": {"Accept": "application/*;q=0.1"}}, 200),
    ],
    ids=str,
)
def test_json_comes_and_goes(post, options, status):
    assert post(PING, **options).status_code == status


def test_large_bodies_are_not_read(post, settings):
    reply = post(b" " * (settings.RAKO_MAX_BODY_BYTES + 1))

    assert faults(reply, 413) == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b" ", -32700), (b"{", -32700), (b'{"id": NaN}', -32700), (b"\xff", -32700), (b"[" * 5000, -32700),
        (b"[]", -32600), (b"1", -32600), (b"null", -32600), (b"{}", -32600), (b'{"id": null}', -32600),
        (json.dumps([PING]).encode(), -32600), (b'{"jsonrpc": "1.0", "id": 1, "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "result": {}}', -32600),
    ],
)  # fmt: skip
def test_what_is_no_message_is_a_json_rpc_error(post, body, code):
    reply = post(body)

    assert reply.status_code == 400
    assert (reply.json()["id"], reply.json()["error"]["code"]) == (None, code)


def test_a_client_of_the_older_generation_begins_with_initialize(post):
    params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}

    began = post({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})
    acknowledged = post({"jsonrpc": "2.0", "method": "notifications/initialized"})

    assert began.json()["result"]["protocolVersion"] == "2025-06-18"
    assert "tools" in began.json()["result"]["capabilities"]
    assert "Mcp-Session-Id" not in began.headers
    assert (acknowledged.status_code, acknowledged.content) == (202, b"")


def test_nothing_is_remembered_between_requests(post):
    offer = OfferFactory()

    reply = post(SEARCH, headers={"MCP-Protocol-Version": "2025-11-25", "Mcp-Session-Id": "whatever"})

    result = reply.json()["result"]
    assert reply.json()["id"] == "a"
    assert result["structuredContent"]["offers"][0]["id"] == offer.pk


def test_requests_of_2026_say_everything(post):
    OfferFactory()
    headers = MODERN | {"Mcp-Method": "tools/call", "Mcp-Name": "search_offers"}

    reply = post(modern("tools/call", name="search_offers", arguments={}), headers=headers)

    assert reply.json()["result"]["resultType"] == "complete"
    assert reply.json()["result"]["structuredContent"]["count"] == 1


def test_meta_has_the_code_of_a_refusal_and_since_2026_who_answers(post):
    header = MODERN | {"Mcp-Method": "tools/call", "Mcp-Name": "search_offers"}
    asked = {"name": "search_offers", "arguments": {"limit": 0}}

    found, refused = (
        [post(modern("tools/call", **asked | more), headers=header), post(SEARCH | {"params": asked | more})]
        for more in ({"arguments": {}}, {})
    )

    server = "io.modelcontextprotocol/serverInfo"
    metas = [set(reply.json()["result"].get("_meta", {})) for reply in found + refused]
    assert metas == [{server}, set(), {server, CODE_KEY}, {CODE_KEY}]


def test_meta_of_a_request_may_hold_anything(post):
    meta = {"progressToken": 1, "io.modelcontextprotocol/logLevel": "debug", "traceparent": "00-x", "x": [1]}

    reply = post(SEARCH | {"params": SEARCH["params"] | {"_meta": meta}})

    assert reply.json()["result"]["isError"] is False


@pytest.mark.parametrize(
    ("message", "headers", "status", "code"),
    [
        (modern("tools/list"), MODERN, 400, -32020),
        (modern("tools/list"), MODERN | {"Mcp-Method": "tools/call"}, 400, -32020),
        (PING, {"MCP-Protocol-Version": "1999-01-01"}, 400, -32602),
        ({"jsonrpc": "2.0", "method": "notifications/x"}, {"MCP-Protocol-Version": "1999-01-01"}, 400, -32022),
        (modern("tools/fly"), MODERN | {"Mcp-Method": "tools/fly"}, 404, -32601),
        (PING | {"method": "resources/list"}, {}, 200, -32601),
        (SEARCH | {"params": {"name": "pay"}}, {}, 200, -32602),
        (SEARCH | {"params": {"name": "search_offers", "arguments": [1]}}, {}, 200, -32602),
        (SEARCH | {"params": {}}, {}, 200, -32602),
    ],
)
def test_what_cannot_be_served_is_a_protocol_error(post, message, headers, status, code):
    reply = post(message, headers=headers)

    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
    assert not Session.objects.exists()


def test_a_fault_of_ours_says_nothing_of_itself(post, monkeypatch):
    monkeypatch.setattr("mcp_server.backends.LocalBackend.search", lambda *_: 1 / 0)

    reply = post(SEARCH)

    assert reply.json()["error"] == {"code": -32603, "message": "Internal server error"}


def test_an_idempotency_key_is_none_of_ours_to_keep(post):
    """Each tool knows by itself what it did: a refusal that says "call again" must not be kept for a day."""
    first, again = (
        post({"jsonrpc": "2.0", "id": number, "method": "ping"}, headers={"Idempotency-Key": "k"}) for number in (1, 2)
    )

    assert [reply.json()["id"] for reply in (first, again)] == [1, 2]
    assert not IdempotentReply.objects.exists()
