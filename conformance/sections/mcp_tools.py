"""Section 5: the MCP tools by streamable HTTP at `/mcp`, where the server has them."""

import json
from typing import Any

from conformance.client import Reply
from conformance.rules import Broken, NotTested, expect, should
from conformance.world import World

_PATH = "/mcp"
_ACCEPT = {"Accept": "application/json, text/event-stream"}
_TOOLS = {
    "search_offers": {"vertical", "provider", "max_price", "min_data_gb", "contract_months"},
    "get_checkout_requirements": {"offer_id"},
    "get_checkout_link": {"session_id", "offer_id", "context"},
}


def _ask(world: World, method: str, params: dict[str, Any], headers: dict[str, str]) -> Reply:
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return world.agent.post(_PATH, message, headers=_ACCEPT | headers)


def _result(reply: Reply) -> dict[str, Any]:
    """The result of a call, whether it came as JSON or as an event stream. Raises Broken."""
    lines = [line.removeprefix("data:").strip() for line in reply.text.splitlines() if line.startswith("data:")]
    for text in [*lines, reply.text]:
        try:
            message = json.loads(text)
        except ValueError:
            continue
        if isinstance(message, dict) and isinstance(message.get("result"), dict):
            return dict(message["result"])
    raise Broken(f"{reply.asked} answered {reply.status}: {reply.text[:120]}")


def _opened(world: World) -> dict[str, str]:
    """The headers of a session with the server. Raises NotTested where there is none."""
    client = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "conformance", "version": "1"},
    }
    reply = _ask(world, "initialize", client, {})
    if reply.status == 404:
        raise NotTested(f"there is nothing at {_PATH}")
    headers = {"MCP-Protocol-Version": _result(reply)["protocolVersion"]}
    if session_id := reply.headers.get("Mcp-Session-Id"):
        headers["Mcp-Session-Id"] = session_id
    world.agent.post(_PATH, {"jsonrpc": "2.0", "method": "notifications/initialized"}, headers=_ACCEPT | headers)
    return headers


@should("5", "mcp")
def mcp_has_three_tools(world: World) -> None:
    """`/mcp` has the tools search_offers, get_checkout_requirements and get_checkout_link with their arguments."""
    tools = {tool["name"]: tool for tool in _result(_ask(world, "tools/list", {}, _opened(world)))["tools"]}
    expect(set(tools) >= set(_TOOLS), f"it has {sorted(tools)}")
    for name, arguments in _TOOLS.items():
        known = set(tools[name]["inputSchema"].get("properties", {}))
        expect(known >= arguments, f"{name} lacks {sorted(arguments - known)}")


@should("5", "mcp")
def mcp_searches_as_rest_does(world: World) -> None:
    """`search_offers` finds what `GET /v1/offers` finds."""
    call = {"name": "search_offers", "arguments": {"vertical": "sim", "max_price": 12}}
    result = _result(_ask(world, "tools/call", call, _opened(world)))
    expect(not result.get("isError"), f"it answers {str(result)[:120]}")
    shown = json.dumps(result)
    for offer in world.search(vertical="sim", max_price=12)["offers"]:
        expect(offer["id"] in shown, f"it does not find {offer['id']}")


@should("5", "mcp")
def mcp_needs_a_key(world: World) -> None:
    """Without a bearer key `/mcp` answers 401."""
    _opened(world)
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    reply = world.stranger.post(_PATH, message, headers=_ACCEPT)
    expect(reply.status == 401, f"it answers {reply.status}")
