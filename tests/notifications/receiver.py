"""Receivers of webhooks: real HTTP servers on the loopback address that keep what they get and answer as told."""

import contextlib
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Got:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: str

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


class Receiver:
    """Answers each request with the next of `answers`, or 200: a status, or a status with headers."""

    def __init__(self, *answers: Any) -> None:
        self.answers: list[Any] = list(answers)
        self.got: list[Got] = []
        self.seconds_before_answer = 0.0
        self.drips = False  # a byte at a time, for ever
        self.reply_bytes = 2
        self.port = 0
        self.on_request: Any = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"])).decode()
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self.got.append(Got(handler.path, headers, body))
        if self.on_request:
            self.on_request()
        time.sleep(self.seconds_before_answer)
        if self.drips:
            self._drip(handler)
            return
        told = self.answers.pop(0) if self.answers else 200
        status, more = told if isinstance(told, tuple) else (told, {})
        handler.send_response(status)
        for name, value in ({"Content-Length": str(self.reply_bytes)} | more).items():
            handler.send_header(name, value)
        handler.end_headers()
        with contextlib.suppress(OSError):  # nobody has to read all of it
            handler.wfile.write(b"x" * self.reply_bytes)

    def _drip(self, handler: BaseHTTPRequestHandler) -> None:
        with contextlib.suppress(OSError):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while True:
                handler.wfile.write(b"x")
                time.sleep(0.05)


@contextlib.contextmanager
def receiving(*answers: Any, certificate: Path | None = None) -> Iterator[Receiver]:
    """A receiver on a free port; with a certificate (and its key) in one file, by TLS."""
    receiver = Receiver(*answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            receiver.answer(self)

        def log_message(self, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *args: Any) -> None:  # clients that hang up are part of the tests
            pass

    server = Server(("127.0.0.1", 0), Handler)
    receiver.port = server.server_address[1]
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
