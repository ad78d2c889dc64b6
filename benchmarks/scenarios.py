"""What is measured: each scenario prepares its rows in-process and yields the requests to send over HTTP."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from checkout.connectors.sandbox import cards, pages, signature
from checkout.connectors.sandbox.models import Event
from checkout.start import start_checkout
from rako.demo_keys import DEMO_AGENT_KEY
from sessions_app.models import Agent, AgentKey, Session
from sessions_app.recommend import record_recommendation
from sessions_app.search import create_session, parse_query, search_offers

Request = dict[str, Any]
KEYED = {"Authorization": f"Bearer {DEMO_AGENT_KEY}"}


@dataclass(frozen=True, slots=True)
class Scenario:
    """`make(n)` prepares n requests; with `repeat` one is sent over and over. `goal` is a share of the ceiling."""

    name: str
    make: Callable[[int], list[Request]]
    repeat: bool
    goal: float | None


@dataclass(frozen=True, slots=True)
class Cost:
    """The statements of one request, as the ceiling must run them."""

    selects: int
    writes: int
    commits: int


def _agent() -> Agent:
    return AgentKey.objects.select_related("agent").get(name="Published demo key").agent


def _session(agent: Agent) -> Session:
    return create_session(agent, parse_query({}))[0]


def _search(_: int) -> list[Request]:
    return [{"method": "GET", "path": "/v1/offers?vertical=sim&max_price=25", "headers": KEYED}]


def _offer() -> str:
    [offer] = search_offers(parse_query({"vertical": "sim", "provider": "SMARTY", "limit": "1"})).offers
    return offer.id


def _recommend(count: int) -> list[Request]:
    agent, offer_id = _agent(), _offer()
    sessions = [_session(agent) for _ in range(count)]
    bodies = [json.dumps({"sessionId": session.pk, "offerId": offer_id}) for session in sessions]
    return [{"method": "POST", "path": "/v1/recommend", "headers": KEYED, "body": body} for body in bodies]


def _checkout(count: int) -> list[Request]:
    agent, offer_id = _agent(), _offer()
    requests = []
    for _ in range(count):
        session = _session(agent)
        made, _offer_row, _entry = record_recommendation(agent, session_id=session.pk, offer_id=offer_id)
        body = json.dumps({"sessionId": session.pk, "recommendationId": made.pk})
        requests.append({"method": "POST", "path": "/v1/checkout", "headers": KEYED, "body": body})
    return requests


def _webhook(count: int) -> list[Request]:
    agent, offer_id = _agent(), _offer()
    requests = []
    for _ in range(count):
        session = _session(agent)
        made, _offer_row, _entry = record_recommendation(agent, session_id=session.pk, offer_id=offer_id)
        checkout = start_checkout(agent, session_id=session.pk, recommendation_id=made.pk)
        pages.pay_page(checkout.psp_id, cards.by_name("succeeds"))
        event = Event.objects.filter(type="checkout.session.completed").latest("created_at")
        body = json.dumps(event.payload)
        signed = signature.sign(body.encode(), checkout.connection.webhook_secrets[0], timezone.now())
        path = f"/v1/webhooks/sandbox/{checkout.connection_id}"
        requests.append({"method": "POST", "path": path, "headers": {"Sandbox-Signature": signed}, "body": body})
    return requests


SCENARIOS = [
    Scenario("offers", _search, True, 0.5),
    Scenario("recommend", _recommend, False, 0.5),
    Scenario("checkout (sandbox)", _checkout, False, 0.35),
    Scenario("webhook -> conversion", _webhook, False, None),
]


def cost_of(request: Request) -> Cost:
    """Count the statements of a request by sending it in-process; the second one, when caches are warm."""
    client = Client(SERVER_NAME="127.0.0.1")
    connection.ensure_connection()
    connection.connection.prepare_threshold = None  # a prepared statement leaves no text behind
    with CaptureQueriesContext(connection) as captured:
        response = client.generic(
            request["method"],
            request["path"],
            request.get("body", ""),
            content_type="application/json",
            headers=request.get("headers", {}),
        )
    assert response.status_code == 200, response.content  # noqa: S101
    texts = [query["sql"] for query in captured.captured_queries]
    words = [_word(text) for text in texts]
    writes = sum(word in {"INSERT", "UPDATE", "DELETE"} for word in words)
    # A statement that appends an entry may write the row that the entry tells of along with it.
    writes += sum(text.count(" AS (INSERT ") + text.count(" AS (UPDATE ") for text in texts)
    in_transactions, commits = False, 0
    for word in words:
        if word == "BEGIN":
            in_transactions, commits = True, commits + 1
        elif word in {"COMMIT", "ROLLBACK"} and in_transactions:
            in_transactions = False
        elif word in {"INSERT", "UPDATE", "DELETE"} and not in_transactions:
            commits += 1
    return Cost(words.count("SELECT"), writes, min(commits, writes))


def _word(sql: str) -> str:
    """What a statement does; appending a ledger entry is an INSERT, whatever it looks like."""
    return "INSERT" if "ledger_append" in sql else re.match(r"\W*(\w+)", sql)[1].upper()  # type: ignore[index]
