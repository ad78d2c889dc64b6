"""One JSON-RPC message in, one reply out: streamable HTTP without streams or sessions, in the thread that has it.

The SDK's own HTTP transport is ASGI and needs an event loop. Here its kernel (`ServerRunner`), its types and its checks
of headers do the work, and nothing of that waits: our handlers run to their end, so no loop is needed to drive them.
Both generations of the protocol are served: those that begin with `initialize`, of which nothing is remembered, and
2026-07-28, whose requests each say everything.
"""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import anyio
import orjson
from mcp.server.connection import Connection
from mcp.server.lowlevel import Server
from mcp.server.runner import ServerRunner, modern_error_data
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import NoBackChannelError
from mcp.shared.inbound import (
    ERROR_CODE_HTTP_STATUS,
    MCP_PROTOCOL_VERSION_HEADER,
    InboundLadderRejection,
    classify_inbound_request,
    unsupported_protocol_version_rejection,
)
from mcp.shared.message import ServerMessageMetadata
from mcp.shared.transport_context import TransportContext
from mcp_types import (
    DEFAULT_NEGOTIATED_VERSION,
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorData,
    JSONRPCNotification,
    JSONRPCRequest,
    RequestId,
)
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from pydantic import ValidationError

_TRANSPORT = TransportContext(kind="streamable-http", can_send_request=False)

Reply = tuple[int, dict[str, Any] | None]


@dataclass
class _Exchange:
    """The SDK's `DispatchContext` of one request: its answer is the only thing that goes back."""

    request_id: RequestId
    message_metadata: ServerMessageMetadata
    transport: TransportContext = _TRANSPORT
    can_send_request: bool = False
    cancel_requested: anyio.Event = field(default_factory=anyio.Event)

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        raise NoBackChannelError(method)

    async def notify(self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None) -> None:
        """There is no stream that it could go to."""

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """As `notify`."""


def exchange(server: "Server[dict[str, Any]]", body: bytes, headers: Mapping[str, str], caller: Any) -> Reply:
    """The status and JSON-RPC reply to a POST; none to a notification. `caller` is the handlers' `context.request`."""
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _failure(None, ErrorData(code=PARSE_ERROR, message="The body is not valid JSON"))
    try:
        if isinstance(message, dict) and "id" not in message:
            JSONRPCNotification.model_validate(message)
            return _accept(headers)
        request = JSONRPCRequest.model_validate(message)
    except ValidationError:
        told = "The body must be a single JSON-RPC request or notification"
        return _failure(None, ErrorData(code=INVALID_REQUEST, message=told))
    return _answer(server, request, message, headers, caller)


def calls_a_tool(body: bytes) -> bool:
    """Whether it is a request for a tool, whose result a model reads."""
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return isinstance(message, dict) and "id" in message and message.get("method") == "tools/call"


def _is_handshake(version: str | None) -> bool:
    return version is None or version in HANDSHAKE_PROTOCOL_VERSIONS


def _accept(headers: Mapping[str, str]) -> Reply:
    """Notifications are acknowledged and dropped: there is nothing that outlives a request to tell them to."""
    version = headers.get(MCP_PROTOCOL_VERSION_HEADER)
    if not _is_handshake(version) and (refused := unsupported_protocol_version_rejection(version or "")) is not None:
        return _rejection(None, refused)
    return HTTPStatus.ACCEPTED, None


def _answer(
    server: "Server[dict[str, Any]]",
    request: JSONRPCRequest,
    message: dict[str, Any],
    headers: Mapping[str, str],
    caller: Any,
) -> Reply:
    version = headers.get(MCP_PROTOCOL_VERSION_HEADER)
    if _is_handshake(version):
        connection = Connection.from_envelope(version or DEFAULT_NEGOTIATED_VERSION, None, None)
    else:
        route = classify_inbound_request(message, headers=headers)
        if isinstance(route, InboundLadderRejection):
            return _rejection(request.id, route)
        connection = Connection.from_envelope(route.protocol_version, route.client_info, route.client_capabilities)
    runner: ServerRunner[dict[str, Any]] = ServerRunner(server, connection, {})
    context = _Exchange(request.id, ServerMessageMetadata(request_context=caller))
    try:
        result = _finish(runner.on_request(context, request.method, request.params))
    except Exception as error:
        # The SDK's own mapping: what is no protocol error is logged, and nothing of it is told.
        return _failure(request.id, modern_error_data(error), is_handshake=_is_handshake(version))
    return HTTPStatus.OK, {"jsonrpc": "2.0", "id": request.id, "result": result}


def _finish(work: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    """The result of what waits for nothing, without an event loop (in whose thread Django's ORM would refuse)."""
    steps = work.__await__()
    try:
        next(steps)
    except StopIteration as done:
        result: dict[str, Any] = done.value
        return result
    raise RuntimeError("an MCP handler waited for an event loop that is not there")


def _rejection(request_id: RequestId | None, rejected: InboundLadderRejection) -> Reply:
    return _failure(request_id, ErrorData(code=rejected.code, message=rejected.message, data=rejected.data))


def _failure(request_id: RequestId | None, error: ErrorData, *, is_handshake: bool = False) -> Reply:
    """A JSON-RPC error with its status; clients of the older generation look for errors in replies of 200."""
    status = HTTPStatus.OK if is_handshake else ERROR_CODE_HTTP_STATUS.get(error.code, HTTPStatus.OK)
    told = error.model_dump(mode="json", by_alias=True, exclude_none=True)
    return status, {"jsonrpc": "2.0", "id": request_id, "error": told}
