"""Stripe's API over HTTP: what the counterparty answers itself, and what it carries to the replica."""

import json
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import Any
from urllib.parse import quote

from tests.counterparties import openapi
from tests.counterparties import stripe_errors as errors
from tests.counterparties.stripe_access import Access, Caller
from tests.counterparties.stripe_bridge import Replica, Reply, World
from tests.counterparties.stripe_errors import Refusal
from tests.counterparties.stripe_lists import page
from tests.counterparties.stripe_rules import check_amount, check_metadata
from tests.counterparties.stripe_sessions import Sessions
from tests.counterparties.stripe_webhooks import Endpoints, Relay

Params = dict[str, Any]
Handler = Callable[..., Params]
CARRIED = ("content-type", "idempotency-key", "stripe-version")
DEAUTHORIZED = "account.application.deauthorized"


class Api:
    """Answers requests. `bugs` lists what went wrong in the counterparty itself, so that a test run can tell."""

    def __init__(
        self, replica: Replica, access: Access, sessions: Sessions, endpoints: Endpoints, relay: Relay
    ) -> None:
        self.bugs: list[str] = []
        self._replica, self._access, self._sessions, self._relay = replica, access, sessions, relay
        self._lock = Lock()
        self._busy: set[tuple[World, str]] = set()
        self._replies: dict[tuple[World, str], tuple[str, Reply]] = {}
        self._carried: dict[tuple[World, str], str] = {}
        self._test_cards: dict[tuple[World, str], str] = {}
        self._own = self._routes(endpoints)

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """One request, its header names in lower case. Never raises: a bug of ours is a 500 and noted."""
        path, _, query = target.partition("?")
        try:
            reply = self._answer(method, path, query, headers, body)
        except Refusal as refusal:
            reply = _json(refusal.status, refusal.body)
        except Exception as bug:
            self.bugs.append(f"{method} {target}: {bug!r}")
            reply = _json(500, {"error": {"type": "api_error", "message": f"A bug of the counterparty: {bug}"}})
        reply.headers.setdefault("request-id", f"req_{secrets.token_hex(7)}")
        return reply

    def tell_deauthorized(self, world: World) -> None:
        """Record that an account has left the platform."""
        application = {"id": self._access.client_id, "object": "application", "name": "A platform"}
        self._replica.do(world, "emit", kind=DEAUTHORIZED, thing=application)

    def _answer(self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> Reply:
        authorization = headers.get("authorization", "")
        if path.startswith("/oauth/"):
            return _json(200, self._oauth(path, authorization, openapi.unfold(body.decode())))
        caller = self._access.caller(authorization, headers.get("stripe-account"), method, path)
        key = headers.get("idempotency-key") if method == "POST" else None
        with self._holding(caller.world, key):
            return self._routed(caller, key, method, path, query, headers, body)

    def _routed(
        self,
        caller: Caller,
        key: str | None,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes,
    ) -> Reply:
        for verb, pattern, handler in self._own:
            found = pattern.fullmatch(path)
            if verb == method and found and (path != "/v1/events" or "delivery_success" in query):
                answer = self._prepared(caller, handler, found.groups(), method, path, query, body.decode())
                return self._once(caller.world, key, path, body, answer)
        return self._carry(caller, key, method, path, query, headers, body)

    @contextmanager
    def _holding(self, world: World, key: str | None) -> Iterator[None]:
        """Whoever sends a key that is still at work is told so."""
        if key is None:
            yield
            return
        with self._lock:
            if (world, key) in self._busy:
                raise errors.key_in_use()
            self._busy.add((world, key))
        try:
            yield
        finally:
            self._busy.discard((world, key))

    def _routes(self, endpoints: Endpoints) -> list[tuple[str, re.Pattern[str], Handler]]:
        access, sessions = self._access, self._sessions
        table: list[tuple[str, str, Handler]] = [
            ("POST", "/v1/checkout/sessions", lambda caller, params: sessions.create(caller.world, params)),
            ("GET", "/v1/checkout/sessions", lambda caller, params: sessions.listed(caller.world, params)),
            ("GET", "/v1/checkout/sessions/([^/]+)", self._session),
            ("GET", "/v1/checkout/sessions/([^/]+)/line_items", lambda c, p, key: sessions.lines(c.world, key, p)),
            ("POST", "/v1/checkout/sessions/([^/]+)/expire", lambda c, p, key: sessions.expire(c.world, key, p)),
            ("GET", "/v1/account", lambda caller, params: access.show_account(caller, caller.world.account)),
            ("GET", "/v1/accounts/([^/]+)", lambda caller, params, key: access.show_account(caller, key)),
            ("GET", "/v1/events", self._events),
            ("POST", "/v1/webhook_endpoints", lambda caller, params: endpoints.create(caller.world, params)),
            ("GET", "/v1/webhook_endpoints", lambda caller, params: endpoints.listed(caller.world, params)),
            ("GET", "/v1/webhook_endpoints/([^/]+)", lambda c, p, key: endpoints.find(c.world, key)),
            ("POST", "/v1/webhook_endpoints/([^/]+)", lambda c, p, key: endpoints.update(c.world, key, p)),
            ("DELETE", "/v1/webhook_endpoints/([^/]+)", lambda c, p, key: endpoints.delete(c.world, key)),
        ]
        return [(method, re.compile(path), handler) for method, path, handler in table]

    def _session(self, caller: Caller, params: Params, key: str) -> Params:
        return self._sessions.show(self._sessions.find(caller.world, key), params.get("expand"))

    def _events(self, caller: Caller, params: Params) -> Params:
        """Events by the success of their delivery, of which the replica knows nothing."""
        failed = self._relay.undelivered(caller.world)
        known = {event["id"] for event in failed}
        everything = self._relay.events(caller.world)
        found = [one for one in everything if one["id"] not in known] if params["delivery_success"] else failed
        wanted = params.get("types") or ([params["type"]] if "type" in params else None)
        chosen = [event for event in found if wanted is None or event["type"] in wanted]
        return page(chosen, "/v1/events", params, "event")

    def _oauth(self, path: str, authorization: str, form: Params) -> Params:
        if path == "/oauth/token":
            return self._access.token(authorization, form)
        if path == "/oauth/deauthorize":
            world, left = self._access.deauthorize(authorization, form)
            self.tell_deauthorized(world)
            return left
        raise Refusal(404, f"Unrecognized request URL (POST: {path}).")

    def _prepared(
        self, caller: Caller, handler: Handler, keys: tuple[str, ...], method: str, path: str, query: str, body: str
    ) -> Callable[[], Params]:
        """The handler, bound to a request that was held to Stripe's description, as its answer will be."""
        reading = openapi.read_request(method, path, query, body)
        if reading.problems:
            raise errors.of_problem(reading.problems[0])

        def answer() -> Params:
            content = handler(caller, reading.params, *keys)
            problems = openapi.problems_of_response(method, path, content)
            assert not problems, f"an answer that Stripe would not give: {[str(problem) for problem in problems]}"
            return content

        return answer

    def _once(self, world: World, key: str | None, path: str, body: bytes, answer: Callable[[], Params]) -> Reply:
        """Answer, or answer again what a key was answered before. Raises Refusal if the request was another one."""
        if key is None:
            return _json(200, answer())
        digest = json.dumps([path, openapi.unfold(body.decode())], sort_keys=True)
        known, reply = self._replies.get((world, key), (None, None))
        if known not in (None, digest) or (world, key) in self._carried:
            raise errors.key_reused(key)
        if reply is not None:
            return Reply(reply.status, reply.body, reply.headers | {"idempotent-replayed": "true"})
        reply = _json(200, answer())
        self._replies[world, key] = digest, reply
        return reply

    def _carry(
        self,
        caller: Caller,
        key: str | None,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes,
    ) -> Reply:
        held = (caller.world, key or "")
        if key is not None and (held in self._replies or self._carried.get(held, path) != path):
            raise errors.key_reused(key)
        if method == "POST":
            body = self._with_test_card(caller.world, self._guarded(caller.world, path, body))
        sent = {name: headers[name] for name in CARRIED if name in headers}
        reply = self._replica.call(caller.world, method, f"{quote(path)}?{query}", body, **sent)
        if key is not None and reply.status in (200, 402):
            self._carried[held] = path
        return reply

    def _guarded(self, world: World, path: str, body: bytes) -> bytes:
        """What Stripe refuses and the replica lets pass. Raises Refusal."""
        params = openapi.unfold(body.decode())
        check_metadata(params)
        if path == "/v1/payment_intents" and str(params.get("amount")).isdigit() and params.get("currency"):
            check_amount(int(params["amount"]), params["currency"], param="amount")
        cancelled = re.fullmatch("/v1/payment_intents/([^/]+)/cancel", path)
        if cancelled and self._sessions.owns(world, cancelled[1]):
            raise Refusal(400, "You cannot perform this action on PaymentIntents created by Checkout.")
        return body

    def _with_test_card(self, world: World, body: bytes) -> bytes:
        """Stripe knows `pm_card_visa` and its like as they stand; the replica makes methods of them first."""
        found = re.search(rb"(?<=payment_method=)pm_card_\w+", body)
        if found is None:
            return body
        name = found[0].decode()
        if (world, name) not in self._test_cards:
            made = self._replica.post(world, "/v1/payment_methods", type="card", card={"token": name})
            if made.status != 200:
                raise errors.missing("PaymentMethod", name, "payment_method")
            self._test_cards[world, name] = made.json["id"]
        return body.replace(found[0], self._test_cards[world, name].encode())


def _json(status: int, content: Params) -> Reply:
    return Reply(status, json.dumps(content).encode(), {"content-type": "application/json"})
