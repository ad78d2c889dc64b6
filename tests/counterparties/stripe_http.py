"""HTTP on 127.0.0.1 for Stripe's counterparty: its API, and its controls under `/_control/`."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.counterparties.stripe_bridge import Reply
from tests.counterparties.stripe_routes import Api

CONTROL = "/_control/"
_HOP_BY_HOP = ("connection", "content-length", "date", "keep-alive", "transfer-encoding")


def serve(api: Api, control: Callable[[str, bytes], Reply]) -> ThreadingHTTPServer:
    """A server at a free port, already running; `control` gets a name and a body."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path.startswith(CONTROL):
                reply = control(self.path.removeprefix(CONTROL), body)
            else:
                headers = {name.lower(): value for name, value in self.headers.items()}
                reply = api.answer(self.command, self.path, headers, body)
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                if name not in _HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)
            self.wfile.flush()

        do_GET = do_POST = do_DELETE = _handle  # noqa: N815 (the names that http.server asks for)

        def log_message(self, *_: Any) -> None:
            """Tests read outcomes, not access logs."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server
