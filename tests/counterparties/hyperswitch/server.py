"""HTTP on 127.0.0.1: keys, addresses, failures on demand, the control API. One thread per connection."""

import contextlib
import json
import re
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.counterparties.hyperswitch import errors, faults, payments, refunds
from tests.counterparties.hyperswitch import requests_read as read
from tests.counterparties.hyperswitch.world import Merchant, World

if TYPE_CHECKING:
    from tests.counterparties.hyperswitch.counterparty import HyperswitchCounterparty

Body = Callable[[Mapping[str, type]], dict[str, Any]]
Answer = Callable[[World, Merchant, str, str, Body], Any]
CANCEL_FIELDS = {"cancellation_reason": str}
ROUTES: list[tuple[str, str, Answer]] = [
    ("POST", r"/payments", lambda w, m, _, q, body: payments.create(w, m, body(read.PAYMENT_FIELDS))),
    ("GET", r"/payments/list", lambda w, m, _, q, body: payments.listed(w, m, q)),
    ("GET", r"/payments/([^/]+)", lambda w, m, key, q, body: payments.retrieve(w, m, key, q)),
    ("POST", r"/payments/([^/]+)/cancel", lambda w, m, key, q, body: payments.cancel(w, m, key, body(CANCEL_FIELDS))),
    ("POST", r"/refunds", lambda w, m, _, q, body: refunds.create(w, m, body(read.REFUND_FIELDS))),
    ("POST", r"/refunds/list", lambda w, m, _, q, body: refunds.listed(w, m, body(read.REFUND_LIST_FIELDS))),
    ("GET", r"/refunds/([^/]+)", lambda w, m, key, q, body: refunds.retrieve(w, m, key, q)),
    ("GET", r"/disputes/list", lambda w, m, _, q, body: refunds.listed_disputes(w, m, q)),
    ("GET", r"/disputes/([^/]+)", lambda w, m, key, q, body: refunds.retrieve_dispute(w, m, key, q)),
]


def api_answer(psp: "HyperswitchCounterparty", method: str, target: str, headers: Any, raw: bytes) -> tuple[int, Any]:
    """Status and body of one API call."""
    path, query = urlsplit(target).path, urlsplit(target).query
    with psp.world.lock:
        try:
            merchant = psp.merchant_of(headers.get("api-key"))
            payments.expire_lapsed(psp.world)
            key, answer = _route(method, path)
            body: Body = lambda fields: read.read_body(raw, headers.get("Content-Type", ""), fields)  # noqa: E731
            return 200, answer(psp.world, merchant, key, query, body)
        except errors.ApiError as error:
            return error.status, error.body


def _route(method: str, path: str) -> tuple[str, Answer]:
    matches = [(verb, match, answer) for verb, form, answer in ROUTES if (match := re.fullmatch(form, path))]
    for verb, match, answer in matches:
        if verb == method:
            return match.group(1) if match.re.groups else "", answer
    raise errors.wrong_method() if matches else errors.unknown_address()


class Handler(BaseHTTPRequestHandler):
    """Reads a request whole, answers in one write."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 60
    server: "Server"

    def _answer(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path).path
        if path.startswith("/_control/"):
            self._send(*self.server.psp.control(path.removeprefix("/_control/"), raw))
        elif path.startswith("/payment_link/"):
            self._send(*self.server.psp.link_page(path))
        else:
            self._answer_api(self.command, path, raw)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - the base class names them so

    def _answer_api(self, method: str, path: str, raw: bytes) -> None:
        psp = self.server.psp
        fault = psp.next_fault(method, path)
        if fault is None or fault.processed:
            status, body = api_answer(psp, method, self.path, self.headers, raw)
        psp.note_call(method, self.path)
        if fault is None:
            self._send(status, body)
        elif fault.kind in {"dropped", "silent"}:
            time.sleep(faults.SILENCE if fault.kind == "silent" else 0)
            self.close_connection = True
        else:
            self._send(*faults.answer(fault.kind))

    def _send(self, status: int, body: object) -> None:
        is_text = isinstance(body, str)
        raw = str(body).encode() if is_text else json.dumps(body).encode()
        with contextlib.suppress(ConnectionError):  # the client may have gone
            self.send_response(status)
            self.send_header("Content-Type", "text/html; charset=utf-8" if is_text else "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)
            self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Nothing is logged: requests carry keys."""


class Server(ThreadingHTTPServer):
    """A free port of 127.0.0.1."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, psp: "HyperswitchCounterparty", port: int) -> None:
        self.psp = psp
        super().__init__(("127.0.0.1", port), Handler)
