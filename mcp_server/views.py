"""Streamable HTTP: POST /mcp with an agent's key. Each request is answered with JSON; there are no streams."""

from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import UnreadablePostError, validate_host
from drf_spectacular.utils import extend_schema
from mcp_types import CallToolResult
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.request import Request
from rest_framework.response import Response

from mcp_server.backends import LocalBackend
from mcp_server.exchange import calls_a_tool, exchange
from mcp_server.refusals import refusal
from mcp_server.server import Context, tool_server
from mcp_server.tools import AapTool
from rako.core.api_views import AgentView, KeyedRequest
from rako.core.errors import Forbidden, RakoError
from rako.core.rate_limits import RateLimited

_ACCEPTED = {"application/json", "application/*", "*/*"}


class NotAcceptable(RakoError):
    status, code, message = 406, "not_acceptable", "Accept must name application/json and text/event-stream"


class ForbiddenOrigin(Forbidden):
    code, message = "forbidden_origin", "Calls from pages of this origin are not allowed"


async def _run(context: Context, tool: AapTool, arguments: dict[str, Any]) -> CallToolResult:
    caller: Any = context.request  # of `exchange`: the agent's key, or why it is refused
    if isinstance(caller, RakoError):
        return refusal(caller)
    return tool.call(LocalBackend(caller.agent), arguments)


_server = tool_server(_run)


class McpView(AgentView):
    """POST /mcp. GET and DELETE, which are about streams and sessions, are 405."""

    http_method_names = ["post"]
    # Tools ask processors, and one that says "call again" must not say so for a day.
    takes_idempotency_key = False

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        check_origin(request.headers.get("Origin"))
        super().initial(request, *args, **kwargs)

    @extend_schema(exclude=True)
    def post(self, request: KeyedRequest) -> Response:
        if (request.content_type or "").partition(";")[0].strip().lower() != "application/json":
            raise UnsupportedMediaType(request.content_type or "none")
        accepted = {part.partition(";")[0].strip().lower() for part in request.headers.get("Accept", "*/*").split(",")}
        if not accepted & _ACCEPTED:
            raise NotAcceptable()
        status, reply = exchange(_server, request.body, request.headers, request.user)
        return Response(reply, status=status)

    def handle_exception(self, exc: Exception) -> Response:
        """Where a good key is refused, a call of a tool has a result for the model, with the refusal's headers.

        Clients show no model why a request failed in HTTP. 401 remains what it is: it is the client that has to act.
        """
        response: Response = super().handle_exception(exc)
        body = b""
        if _is_for_the_model(exc):
            with suppress(UnreadablePostError):  # whoever broke off reads no reply
                body = self.request.body
        if calls_a_tool(body):
            status, reply = exchange(_server, body, self.request.headers, exc)
            if reply is not None and "result" in reply:
                response.status_code, response.data = status, reply
        return response


def _is_for_the_model(exc: Exception) -> bool:
    return isinstance(exc, RateLimited | Forbidden) and not isinstance(exc, ForbiddenOrigin)


def check_origin(origin: str | None) -> None:
    """Pages of other hosts may not call, whatever name they have brought a browser to find us by (DNS rebinding).

    The host itself is checked for every request (`rako.core.requests`). Raises ForbiddenOrigin.
    """
    if origin is None:
        return
    try:
        host = urlsplit(origin).hostname or ""
    except ValueError:
        host = ""
    allowed = [name for name in settings.ALLOWED_HOSTS if name]
    if not validate_host(f"[{host}]" if ":" in host else host, allowed):
        raise ForbiddenOrigin()
