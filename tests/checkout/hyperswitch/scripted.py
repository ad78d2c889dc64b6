"""A server that answers with what a test gives it, for what a strict counterparty never says."""

import json
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Any, Self


class Scripted:
    """Answers `replies` one after the other (the last one for ever), and remembers method, path and body."""

    def __init__(self) -> None:
        self.replies: list[tuple[int, Any, dict[str, str]]] = []
        self.seen: list[tuple[str, str, Any]] = []
        self.clients: list[socket.socket] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.base_url = f"http://127.0.0.1:{self._server.server_port}"

    def says(self, body: Any, status: int = 200, **headers: str) -> None:
        self.replies.append((status, body, headers))

    def hang_up(self) -> None:
        """Cut the connections that are kept."""
        for client in self.clients:
            client.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(script: Scripted) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10
        disable_nagle_algorithm = True
        wbufsize = -1

        def setup(self) -> None:
            super().setup()
            script.clients.append(self.connection)

        def _answer(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            script.seen.append((self.command, self.path, json.loads(sent) if sent else None))
            status, body, headers = script.replies.pop(0) if len(script.replies) > 1 else script.replies[0]
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(raw))}).items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(raw)
            self.wfile.flush()

        do_GET = do_POST = _answer  # noqa: N815 (the names that http.server asks for)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
