"""manage.py mcp"""

import contextlib
from functools import partial
from typing import Any

import anyio
from anyio import to_thread
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, close_old_connections
from mcp.server.stdio import stdio_server
from mcp_types import CallToolResult

from mcp_server.backends import Backend, LocalBackend, agent_of
from mcp_server.refusals import refusal
from mcp_server.remote import RemoteBackend
from mcp_server.server import Context, tool_server
from mcp_server.tools import AapTool
from rako.core.errors import RakoError, Unavailable

_AT_ONCE = 4


class Command(BaseCommand):
    help = (
        "Serve the MCP tools over stdin and stdout until stdin ends, as the agent of AAP_API_KEY: on this database or, "
        "if AAP_API_URL is set, through that server's REST API. Safe to repeat, and to run several of."
    )
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.AAP_API_KEY:
            raise CommandError("AAP_API_KEY is not set: it names the agent")
        if not settings.AAP_API_URL:
            _check_database()
        with contextlib.suppress(KeyboardInterrupt):
            anyio.run(_serve)


def _check_database() -> None:
    """Say at once, not with the first call, that there is nothing to serve."""
    try:
        agent_of(settings.AAP_API_KEY)
    except Unavailable:
        raise CommandError("the database cannot be reached") from None
    except RakoError as error:
        raise CommandError(f"AAP_API_KEY: {error}") from None
    except DatabaseError:
        raise CommandError("the database is not set up: run `manage.py serve` or `manage.py migrate` first") from None
    finally:
        close_old_connections()


async def _serve() -> None:
    limit = anyio.CapacityLimiter(_AT_ONCE)

    async def run(context: Context, tool: AapTool, arguments: dict[str, Any]) -> CallToolResult:
        return await to_thread.run_sync(partial(_call, tool, arguments), limiter=limit)

    server = tool_server(run)
    # While it serves, whatever else is printed goes to stderr.
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


def _call(tool: AapTool, arguments: dict[str, Any]) -> CallToolResult:
    try:
        return tool.call(_backend(), arguments)
    except RakoError as error:
        return refusal(error)
    finally:
        close_old_connections()


def _backend() -> Backend:
    """Who carries the call out. The key is looked up for each: it may have been revoked meanwhile."""
    if settings.AAP_API_URL:
        return RemoteBackend(settings.AAP_API_URL, settings.AAP_API_KEY)
    return LocalBackend(agent_of(settings.AAP_API_KEY))
