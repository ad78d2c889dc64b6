"""The SDK's own client, over both transports, and what a test wants to say to it in one call."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
from django.conf import settings
from django.db import connection
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from rako.core.embedded_postgres import PORT

Script = Callable[[Client], Awaitable[Any]]
Hearer = Callable[[httpx2.Response], Awaitable[None]]


def over_http(base_url: str, key: str, script: Script, *, mode: str = "auto", hear: Hearer | None = None) -> Any:
    """What a script makes of the server at /mcp. `hear` is told of each reply as HTTP has it."""

    async def run() -> Any:
        async with (
            httpx2.AsyncClient(
                headers={"Authorization": f"Bearer {key}"}, timeout=20, event_hooks={"response": [hear] if hear else []}
            ) as http,
            Client(streamable_http_client(f"{base_url}/mcp", http_client=http), mode=mode) as client,
        ):
            return await script(client)

    return asyncio.run(run())


def over_stdio(script: Script, *, mode: str = "auto", **environment: str) -> Any:
    """What a script makes of `manage.py mcp` in this environment."""
    child = StdioServerParameters(
        command=sys.executable, args=["manage.py", "mcp"], cwd=settings.BASE_DIR, env=os.environ | environment
    )

    async def run() -> Any:
        async with Client(child, mode=mode) as client:
            return await script(client)

    return asyncio.run(run())


def database_environment() -> dict[str, str]:
    """The environment of a process that works on the tests' database."""
    place = connection.settings_dict
    address = f"postgres://{place['USER']}@/{place['NAME']}?host={place['HOST']}&port={place['PORT'] or PORT}"
    return {"DATABASE_URL": address, "DJANGO_SETTINGS_MODULE": "rako.settings"}


def talker(way: str, url: str, key: str) -> Any:
    """Runs a script over "http", over "stdio" on the database, or over stdio through another server ("remote")."""
    if way == "http":
        return lambda script, **options: over_http(url, key, script, **options)
    # Through the API there is no need of a database, and none is there.
    place = (
        database_environment() if way == "stdio" else {"AAP_API_URL": url, "DATABASE_URL": "postgres://127.0.0.1:1/x"}
    )
    environment = {"AAP_API_KEY": key, "RAKO_BASE_URL": url} | place
    return lambda script, **options: over_stdio(script, **options, **environment)


async def buy(client: Client) -> list[Any]:
    """Search, look at the requirements, get the link twice: all four results."""
    found = await client.call_tool("search_offers", {"vertical": "sim", "max_price": 10.0, "contract_months": 0})
    chosen = {"offer_id": found.structured_content["offers"][0]["id"]}
    asked = chosen | {"session_id": found.structured_content["sessionId"], "context": "cheapest that fits"}
    needed = await client.call_tool("get_checkout_requirements", chosen)
    return [found, needed, *[await client.call_tool("get_checkout_link", asked) for _ in range(2)]]
