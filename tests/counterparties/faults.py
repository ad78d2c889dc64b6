"""A proxy on 127.0.0.1 between an HTTP client and its counterparty, which fails on demand.

`with FaultProxy(counterparty.url) as proxy: proxy.fail(Drop())` loses the reply to the next request, which its
counterparty carried out. Faults happen in the order they were asked for, each `times` times (None: until `heal()`),
and only to requests that `method` and the regular expression `path` match. `proxy.seen` logs every request.
"""

import contextlib
import http.client
import json
import re
import select
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

HELD = 60.0  # seconds after which a silent connection is given up even if its client stays
_HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length", "date", "server")


@dataclass(frozen=True, slots=True)
class Fault:
    """A way to fail. `acts`: whether the counterparty carries the request out before."""

    acts: bool = True


@dataclass(frozen=True, slots=True)
class Silence(Fault):
    """No reply ever: the client runs into its read timeout."""


@dataclass(frozen=True, slots=True)
class Drop(Fault):
    """The connection ends without a reply."""


@dataclass(frozen=True, slots=True)
class Answer(Fault):
    """Another reply than the counterparty's. `acts` is False: by default nothing was carried out."""

    acts: bool = False
    status: int = 500
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)


@dataclass(frozen=True, slots=True)
class Drip(Fault):
    """The counterparty's reply, a few bytes at a time."""

    size: int = 16
    pause: float = 0.2


def error(status: int, kind: str, code: str = "", message: str = "Not now", *, acts: bool = False) -> Answer:
    """Stripe's JSON of an error."""
    told = {"type": kind, "message": message} | ({"code": code} if code else {})
    return Answer(acts, status, json.dumps({"error": told}).encode())


SERVER_ERROR = error(500, "api_error")
SERVER_ERROR_AFTER = error(500, "api_error", acts=True)
RATE_LIMITED = error(429, "invalid_request_error", "rate_limit")
LOCK_TIMEOUT = error(429, "invalid_request_error", "lock_timeout")
LOCK_CONFLICT = error(409, "invalid_request_error", "lock_timeout")
KEY_IN_USE = error(409, "idempotency_error", "idempotency_key_in_use")
UNAUTHORIZED = error(401, "invalid_request_error", message="Invalid API Key provided")
FORBIDDEN = error(403, "invalid_request_error", message="The provided key does not have the required permissions")
GARBAGE = Answer(True, 200, b"<html>It works!</html>", (("Content-Type", "text/html"),))


@dataclass
class Planned:
    """A fault that is still to happen."""

    fault: Fault
    times: int | None
    method: str
    path: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Seen:
    """One request: what came, which fault it met, and the status of the counterparty if it got there."""

    method: str
    target: str
    headers: dict[str, str] = field(repr=False)
    body: bytes
    fault: Fault | None
    status: int | None


class FaultProxy:
    """See the module. Without a fault every request passes unchanged."""

    def __init__(self, upstream: str) -> None:
        self.seen: list[Seen] = []
        self._upstream = urlsplit(upstream)
        self._planned: list[Planned] = []
        self._lock = threading.Lock()
        self._clients: set[socket.socket] = set()
        self._is_open = True
        self._server = self._listen(0)
        self._port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> "FaultProxy":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fail(self, fault: Fault, *, times: int | None = 1, method: str = "", path: str = "") -> None:
        """Plan a fault for the next requests that match."""
        with self._lock:
            self._planned.append(Planned(fault, times, method, re.compile(path)))

    def heal(self) -> None:
        """Forget every fault that is planned."""
        with self._lock:
            self._planned.clear()

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """Meanwhile nobody listens: connections are refused, and those that were kept are cut."""
        self._stop()
        try:
            yield
        finally:
            self._server = self._listen(self._port)
            self._is_open = True

    def close(self) -> None:
        if self._is_open:
            self._stop()

    def _stop(self) -> None:
        self._is_open = False
        self._server.shutdown()
        self._server.server_close()
        with self._lock:
            for client in self._clients:
                _cut(client)

    def _keep(self, client: socket.socket) -> None:
        with self._lock:
            self._clients.add(client)

    def _forget(self, client: socket.socket) -> None:
        with self._lock:
            self._clients.discard(client)

    def _listen(self, port: int) -> ThreadingHTTPServer:
        server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return server

    def _next_fault(self, method: str, target: str) -> Fault | None:
        with self._lock:
            for planned in self._planned:
                if planned.method in ("", method) and planned.path.search(target):
                    if planned.times is not None:
                        planned.times -= 1
                        if planned.times == 0:
                            self._planned.remove(planned)
                    return planned.fault
        return None

    def _forward(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        connection = http.client.HTTPConnection(str(self._upstream.hostname), self._upstream.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, target, body, headers)
            reply = connection.getresponse()
            return Answer(True, reply.status, reply.read(), tuple(reply.getheaders()))


def _handler(proxy: FaultProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def setup(self) -> None:
            super().setup()
            proxy._keep(self.connection)

        def finish(self) -> None:
            proxy._forget(self.connection)
            with contextlib.suppress(OSError):
                super().finish()

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
            fault = proxy._next_fault(self.command, self.path)
            reply = proxy._forward(self.command, self.path, headers, body) if fault is None or fault.acts else None
            proxy.seen.append(Seen(self.command, self.path, headers, body, fault, reply.status if reply else None))
            self._give(fault, reply)

        def _give(self, fault: Fault | None, reply: Answer | None) -> None:
            if isinstance(fault, Silence):
                _wait_for_end(self.connection)
            if isinstance(fault, Silence | Drop):
                self.close_connection = True
                _cut(self.connection)
                return
            answer = fault if isinstance(fault, Answer) else reply
            assert answer is not None, f"{fault} has nothing to answer with"
            self._send(answer, fault if isinstance(fault, Drip) else Drip(size=0))

        def _send(self, answer: Answer, drip: Drip) -> None:
            self.send_response(answer.status)
            for name, value in answer.headers:
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            with contextlib.suppress(OSError):
                for start in range(0, len(answer.body), drip.size or len(answer.body) or 1):
                    self.wfile.write(answer.body[start : start + (drip.size or len(answer.body))])
                    self.wfile.flush()
                    time.sleep(drip.pause if drip.size else 0)
                self.wfile.flush()

        do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = _handle  # noqa: N815 (the names that http.server asks for)

        def log_message(self, *_: Any) -> None:
            """The log is `FaultProxy.seen`."""

    return Handler


def _wait_for_end(client: socket.socket) -> None:
    """Until the client gives up, or the proxy is closed."""
    until = time.monotonic() + HELD
    with contextlib.suppress(OSError, ValueError):
        while time.monotonic() < until:
            if select.select([client], [], [], 0.05)[0] and not client.recv(1, socket.MSG_PEEK):
                return


def _cut(client: socket.socket) -> None:
    with contextlib.suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)
