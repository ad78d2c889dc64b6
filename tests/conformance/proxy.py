"""A small reverse proxy between suite and server, in which a mutant breaks one promise of the protocol."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from conformance.client import connect
from conformance.config import Subject

_HOP_BY_HOP = {"connection", "content-length", "transfer-encoding", "host", "accept-encoding", "content-encoding"}


@dataclass(frozen=True)
class Asked:
    """A request. Header names are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query)

    @property
    def json(self) -> Any:
        """The body as JSON; an empty object if it is none."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def saying(self, **changes: Any) -> "Asked":
        """The same request with other fields in its body."""
        return replace(self, body=json.dumps(self.json | changes).encode())

    def with_headers(self, **headers: str) -> "Asked":
        return replace(self, headers=self.headers | {name.replace("_", "-"): text for name, text in headers.items()})


@dataclass(frozen=True)
class Answer:
    """A reply."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def saying(self, content: Any, *, status: int | None = None) -> "Answer":
        """The same reply with another body, and another status if told."""
        return replace(self, body=json.dumps(content).encode(), status=status or self.status)


@dataclass
class Proxy:
    """What a mutant has at hand: the server behind it, what the suite was told, and a memory."""

    subject: Subject
    upstream: httpx.Client
    memory: dict[str, Any] = field(default_factory=dict)

    def forward(self, asked: Asked) -> Answer:
        """Hand a request on as it is."""
        reply = self.upstream.request(asked.method, asked.target, headers=asked.headers, content=asked.body)
        kept = [(name, text) for name, text in reply.headers.multi_items() if name.lower() not in _HOP_BY_HOP]
        return Answer(reply.status_code, kept, reply.content)


Mutation = Callable[[Asked, Proxy], Answer]


@contextmanager
def mutating(subject: Subject, mutation: Mutation) -> Iterator[Subject]:
    """The subject as it looks through a proxy."""
    with connect(subject.base_url) as upstream:
        proxy = Proxy(subject, upstream)
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(proxy, mutation))
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield replace(subject, base_url=f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def _handler(proxy: Proxy, mutation: Mutation) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body leave as one packet; otherwise each reply waits for an acknowledgement.
        wbufsize = -1

        def answer(self) -> None:
            headers = {name.lower(): text for name, text in self.headers.items() if name.lower() not in _HOP_BY_HOP}
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found = mutation(Asked(self.command, self.path, headers, body), proxy)
            self.send_response_only(found.status)
            for name, text in found.headers:
                self.send_header(name, text)
            self.send_header("Content-Length", str(len(found.body)))
            self.end_headers()
            self.wfile.write(found.body)

        do_GET = do_POST = do_PUT = answer  # noqa: N815 - the base class asks for these names

        def log_message(self, *_: Any) -> None:
            """Nothing: a mutant that logs does so by itself."""

    return Handler
