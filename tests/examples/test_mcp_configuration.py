"""An assistant that takes an entry of `examples/mcp.json` as the README tells to gets the tools, and they work."""

import asyncio
import json

import httpx2
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from tests.live import ROOT

EXAMPLES = ROOT / "examples"
TOOLS = ["search_offers", "get_checkout_requirements", "get_checkout_link"]


def entries(live_rako):
    """The servers of the file, with what the README tells to replace: the folder, and the server's address."""
    replaced = {"/path/to/rako": str(ROOT), "http://127.0.0.1:3456": live_rako.base_url}
    text, readme = (EXAMPLES / "mcp.json").read_text(), (EXAMPLES / "README.md").read_text()
    for placeholder, ours in replaced.items():
        assert f"`{placeholder}`" in readme
        text = text.replace(placeholder, ours)
    return json.loads(text)["mcpServers"]


async def look_and_search(client):
    listed = await client.list_tools()
    return [tool.name for tool in listed.tools], await client.call_tool("search_offers", {"vertical": "sim"})


async def over_http(entry):
    async with (
        httpx2.AsyncClient(headers=entry["headers"], timeout=20) as http,
        Client(streamable_http_client(entry["url"], http_client=http)) as client,
    ):
        return await look_and_search(client)


async def over_stdio(entry, folder):
    """Started as hosts do: from any folder, with little but the entry's own environment."""
    started = StdioServerParameters(command=entry["command"], args=entry["args"], env=entry["env"], cwd=folder)
    async with Client(started) as client:
        return await look_and_search(client)


@pytest.mark.parametrize("name", ["rako", "rako-stdio"])
def test_an_entry_gives_an_assistant_the_tools(live_rako, tmp_path, name):
    entry = entries(live_rako)[name]

    work = over_http(entry) if entry["type"] == "http" else over_stdio(entry, tmp_path)
    tools, found = asyncio.run(work)

    assert tools == TOOLS
    assert not found.is_error
    assert found.structured_content["count"] > 0


def test_there_are_no_other_entries(live_rako):
    kinds = {name: entry["type"] for name, entry in entries(live_rako).items()}

    assert kinds == {"rako": "http", "rako-stdio": "stdio"}
