"""Every endpoint of /v1 with what it takes, a small world to call it in, and what a refusal must look like."""

import hashlib
import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.apps import apps
from django.db import connection
from django.test import Client
from django.urls import get_resolver
from django.utils import timezone

from ledger.models import Conversion, Entry
from notifications.endpoints import create_endpoint, send_test
from rako.core.ids import is_id
from sessions_app import attribution_token
from sessions_app.recommend import record_recommendation
from settlement.models import Payout
from tests.factories import (
    AgentKeyFactory,
    MerchantKeyFactory,
    OfferFactory,
    RecommendationFactory,
    SessionFactory,
)
from tests.ledger.log import publish_log
from tests.settlement.by_hand import documents

# One for all calls: making one sets up the whole stack of middleware.
CLIENT = Client(raise_request_exception=False, enforce_csrf_checks=True)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
UNKNOWN_ID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
PARAMETER = re.compile("<(?:str|path):([a-z_]+)>")
ODD_IDS = (
    UNKNOWN_ID,
    UNKNOWN_ID.lower(),
    UNKNOWN_ID[:-1],
    UNKNOWN_ID + "\n",
    "8" + UNKNOWN_ID[1:],
    "x",
    " ",
    "null",
    "é" * 26,
    "𝟘" * 26,
    "'; DROP TABLE sessions_app_session; --",
    "A" * 65,
    "A" * 10_000,
)
NOT_TEXT = (0, -1, 1.5, True, False, [], ["x"], {}, {"id": "x"})
NOT_FLAG = (0, 1, "true", "", [], {})
NOT_LIST = ("acp", 0, True, {}, ["x"], ["acp", 1], ["acp"] * 3, [["acp"]], [["x"]], [None], [{}], [1])
NOT_NUMBER = ("10", "", True, False, [], [10], {}, {"amount": 10})


@dataclass(frozen=True)
class Field:
    """A field of a JSON body. `longest` is in characters; an `id` that is none of ours is unknown, not wrong. What the
    body says elsewhere may make it `needed`; one that is `replaceable` is named among the required ones, but another
    field may stand in for it."""

    kind: str
    required: bool = False
    longest: int | None = None
    may_be_empty: bool = False
    needed: bool = False
    replaceable: bool = False

    def wrong_values(self) -> Iterator[Any]:
        """JSON values that this field refuses with 400."""
        by_kind = {"number": NOT_NUMBER, "object": ("x", 0, True, [], [{}]), "flag": NOT_FLAG, "list": NOT_LIST}
        yield from by_kind.get(self.kind, NOT_TEXT)
        yield from _WRONG.get(self.kind, ())
        if self.longest:
            yield from ("x" * (self.longest + 1), "x" * 10_000)
        if self.kind not in {"number", "object", "list"} and not self.may_be_empty:
            yield ""
        if self.required:
            yield None


_WRONG: dict[str, tuple[Any, ...]] = {
    "number": (-1, -0.01, 1.234, 0.001, 1e300, 1e16, 2**53, 2**63, 2**64 - 1, 10_000_000_000.01),
    "object": ({"x": "y" * 9000}, {"x": [[[[[]]]]] * 2000}),
    "currency": ("XXX", "gbp", "GBPX", "£", "G\nB", " GBP"),
    "instant": (
        "now", "2026-01-01", "2026-01-01T00:00:00", "2026-13-45T00:00:00Z", "2026-02-30T00:00:00Z",
        "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "1" * 10_000,
    ),
    "path": ("tracked_link", "AAP_FLOW", "aap_flow\n"),
    "claimed path": ("extension", "influence", "AAP_FLOW", "aap_flow\n"),
    "date": ("today", "2026-02-30", "2026-01-01T00:00:00Z", "10000-01-01", "1" * 10_000),
}  # fmt: skip

_ID = Field("id", required=True)
_INCLUDE = {"include": Field("list")}
_PAYMENT = {"paymentMethod": Field("text", longest=255), "authorization": Field("object")}
_MANDATE = {
    "authorization.reference": Field("text", required=True, longest=100),
    "authorization.maxAmount": Field("number", required=True),
    "authorization.currency": Field("currency", required=True, longest=3),
    "authorization.expiresAt": Field("instant", required=True),
    "authorization.merchantId": Field("text"),
}


@dataclass(frozen=True)
class Endpoint:
    """One method of one route. `party` says whose key it takes; `body` and `query` name what it reads, and `needs` is
    the part of the query that it cannot do without; `asks_psp` that the sandbox PSP is not enough for it."""

    method: str
    route: str
    party: str
    body: dict[str, Field] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    needs: str = ""
    asks_psp: bool = False

    @property
    def needed(self) -> list[str]:
        """The fields of a body that cannot be left out."""
        fields = self.body.items()
        return [name for name, field in fields if (field.required or field.replaceable) and "." not in name]

    def __str__(self) -> str:
        return f"{self.method} /" + PARAMETER.sub(r"{\1}", self.route)


ENDPOINTS = (
    Endpoint(
        "GET", "v1/offers", "agent",
        query={
            "vertical": "text", "provider": "text", "min_price": "price", "max_price": "price",
            "data_gb_min": "whole", "min_data_gb": "whole", "contract_months": "whole", "limit": "limit",
            "cursor": "cursor",
        },
    ),
    Endpoint("GET", "v1/offers/<str:offer_id>/requirements", "agent"),
    Endpoint(
        "POST", "v1/recommend", "agent",
        {"sessionId": _ID, "offerId": _ID, "context": Field("text", longest=2000, may_be_empty=True)} | _INCLUDE,
    ),
    Endpoint(
        "POST", "v1/checkout", "agent",
        {"sessionId": _ID, "recommendationId": _ID, "userDetails": Field("object")} | _PAYMENT | _INCLUDE,
    ),
    Endpoint("POST", "v1/purchase", "agent", {"recommendationId": _ID} | _PAYMENT | _MANDATE),
    Endpoint("GET", "v1/sessions/<str:session_id>", "both"),
    Endpoint(
        "GET", "v1/conversions", "both",
        query={
            "limit": "limit", "cursor": "cursor", "status": "word", "attributionPath": "word",
            "verificationLevel": "word", "sessionId": "id", "orderReference": "reference", "from": "moment",
            "to": "moment", "batchId": "id", "payoutId": "id",
        },
    ),
    Endpoint(
        "POST", "v1/conversions", "merchant",
        {
            "sessionId": Field("id", needed=True, replaceable=True),
            "orderReference": Field("text", required=True, longest=200),
            "transactionValue": Field("number", required=True),
            "recommendationId": Field("id"),
            "attributionToken": Field("id"),
            "currency": Field("currency", longest=3),
            "paymentReference": Field("text", longest=200),
            "occurredAt": Field("instant"),
            "serviceDate": Field("date"),
            "attributionPath": Field("path"),
            "evidence": Field("object"),
        },
    ),
    Endpoint("GET", "v1/conversions/<str:conversion_id>", "both"),
    Endpoint(
        "POST", "v1/conversions/<str:conversion_id>/milestones", "merchant",
        {
            "milestone": Field("text", required=True, longest=20),
            "occurredAt": Field("instant", required=True),
            "reference": Field("text", required=True, longest=200),
        },
    ),
    Endpoint(
        "POST", "v1/conversions/<str:conversion_id>/cancel", "merchant",
        {"reason": Field("text", required=True, longest=300)},
    ),
    Endpoint("GET", "v1/conversions/<str:conversion_id>/evidence", "both"),
    Endpoint("GET", "v1/conversions/<str:conversion_id>/proof", "both"),
    Endpoint(
        "POST", "v1/conversions/<str:conversion_id>/disputes", "both",
        {
            "kind": Field("text", required=True),
            "claimedValue": Field("number", needed=True),
            "message": Field("text", longest=4000),
        },
    ),
    Endpoint("GET", "v1/disputes", "both", query={"limit": "limit", "cursor": "cursor"}),
    Endpoint(
        "POST", "v1/disputes", "agent",
        {
            "sessionId": _ID,
            "recommendationId": _ID,
            "claimedValue": Field("number", required=True),
            "occurredAt": Field("instant", required=True),
            "orderReference": Field("text", longest=200),
            "attributionPath": Field("claimed path"),
            "message": Field("text", longest=4000),
        },
    ),
    Endpoint("GET", "v1/disputes/<str:dispute_id>", "both"),
    Endpoint(
        "POST", "v1/disputes/<str:dispute_id>/messages", "both", {"text": Field("text", required=True, longest=4000)}
    ),
    Endpoint(
        "POST", "v1/disputes/<str:dispute_id>/evidence", "both",
        {
            "description": Field("text", required=True, longest=1000),
            "sha256": Field("text", longest=64),
            "text": Field("text", longest=16_000, needed=True),
        },
    ),
    Endpoint("POST", "v1/disputes/<str:dispute_id>/withdraw", "both"),
    Endpoint("POST", "v1/disputes/<str:dispute_id>/accept", "merchant"),  # of the agent's dispute here
    Endpoint("GET", "v1/invoices", "merchant", query={"limit": "limit", "cursor": "cursor"}),
    Endpoint("GET", "v1/invoices/<str:invoice_id>", "merchant", query={"format": "word"}),
    Endpoint("GET", "v1/statements/<str:statement_id>", "agent", query={"format": "word"}),
    Endpoint("GET", "v1/settlements", "both", query={"limit": "limit", "cursor": "cursor"}),
    Endpoint("GET", "v1/settlements/<str:batch_id>/export", "both", query={"format": "word"}),
    Endpoint("GET", "v1/earnings", "both"),
    Endpoint("GET", "v1/payouts", "agent", query={"limit": "limit", "cursor": "cursor"}),
    Endpoint("GET", "v1/payouts/<str:payout_id>", "agent"),
    Endpoint("GET", "v1/ledger/checkpoint", "nobody", query={"size": "whole"}),
    Endpoint("GET", "v1/ledger/tile/<path:tile>", "nobody"),
    Endpoint("GET", "v1/ledger/consistency", "nobody", query={"from": "whole", "to": "whole"}, needs="from=1&to=1"),
    Endpoint("GET", "v1/ledger/keys", "nobody"),
    Endpoint("GET", "v1/ledger/entries/<str:entry_id>", "both"),
    Endpoint("GET", "v1/ledger/entries/<str:entry_id>/proof", "both"),
    Endpoint("POST", "v1/codes/issue", "both", {"offerId": _ID}),
    Endpoint("POST", "v1/codes/verify", "nobody", {"code": Field("text", required=True)}),
    Endpoint("GET", "v1/codes/public-key", "nobody"),
    Endpoint("GET", "v1/connections", "merchant", query={"limit": "limit"}),
    Endpoint(
        "POST", "v1/connections", "merchant",
        {
            "kind": Field("text", required=True, longest=20),
            "credentials": Field("object"),
            "accountId": Field("text", longest=64),
            "webhookSecret": Field("text", longest=300),
        },
        asks_psp=True,
    ),
    Endpoint("GET", "v1/connections/<str:connection_id>", "merchant"),
    Endpoint(
        "POST", "v1/connections/<str:connection_id>/webhook-secret", "merchant",
        {"webhookSecret": Field("text", required=True, longest=300), "dropOld": Field("flag")},
        asks_psp=True,
    ),
    Endpoint("POST", "v1/connections/<str:connection_id>/disconnect", "merchant"),
    Endpoint("GET", "v1/webhook-endpoints", "both"),
    Endpoint(
        "POST", "v1/webhook-endpoints", "both",
        {
            "url": Field("text", required=True, longest=500),
            "description": Field("text", longest=200, may_be_empty=True),
            "eventTypes": Field("list"),
        },
    ),
    Endpoint("GET", "v1/webhook-endpoints/<str:endpoint_id>", "both"),
    Endpoint(
        "PATCH", "v1/webhook-endpoints/<str:endpoint_id>", "both",
        {
            "url": Field("text", longest=500),
            "description": Field("text", longest=200, may_be_empty=True),
            "eventTypes": Field("list"),
            "status": Field("text"),
            "since": Field("text"),
        },
    ),
    Endpoint("DELETE", "v1/webhook-endpoints/<str:endpoint_id>", "both"),
    Endpoint("POST", "v1/webhook-endpoints/<str:endpoint_id>/rotate-secret", "both"),
    Endpoint("POST", "v1/webhook-endpoints/<str:endpoint_id>/test", "both"),
    Endpoint(
        "GET", "v1/webhook-endpoints/<str:endpoint_id>/deliveries", "both", query={"limit": "limit", "cursor": "cursor"}
    ),
    Endpoint("POST", "v1/webhook-endpoints/<str:endpoint_id>/deliveries/<str:message_id>/resend", "both"),
    Endpoint("POST", "v1/attribution/verify", "merchant", {"token": Field("text", required=True)}),
    Endpoint("GET", "v1/attribution/keys", "nobody"),
    Endpoint("POST", "v1/acp/secret", "merchant"),
    Endpoint("POST", "v1/acp/orders/<str:merchant_id>", "psp"),
    Endpoint("POST", "v1/webhooks/stripe", "psp"),
    Endpoint("POST", "v1/webhooks/<str:kind>/<str:connection_id>", "psp"),
)  # fmt: skip

ROUTES = tuple(dict.fromkeys(endpoint.route for endpoint in ENDPOINTS))
JSON_ENDPOINTS = tuple(endpoint for endpoint in ENDPOINTS if endpoint.body)
# With a body that is right they would do it; the others ask a processor that is not there.
ACCEPTING_ENDPOINTS = tuple(endpoint for endpoint in JSON_ENDPOINTS if not endpoint.asks_psp)
KEYED_ENDPOINTS = tuple(endpoint for endpoint in ENDPOINTS if endpoint.party in {"agent", "merchant", "both"})


def routes_served() -> set[str]:
    """The /v1 routes in rako.urls."""
    return {str(entry.pattern) for entry in get_resolver().url_patterns if str(entry.pattern).startswith("v1/")}


class World:
    """An agent and a merchant with an open session, a recommendation and a conversion, which is settled and in the
    published log; and strangers of both kinds."""

    def __init__(self) -> None:
        self.agent, self.other_agent = AgentKeyFactory(), AgentKeyFactory()
        self.offer, self.other_offer = OfferFactory(), OfferFactory()
        self.merchant = MerchantKeyFactory(merchant=self.offer.merchant)
        self.other_merchant = MerchantKeyFactory(merchant=self.other_offer.merchant)
        self.keys = {"agent": self.agent.secret, "merchant": self.merchant.secret, "both": self.agent.secret}
        self.recommendation = self.recommend(self.offer)
        self.session = self.recommendation.session
        self.token, _ = attribution_token.issue(self.recommendation, merchant_id=self.offer.merchant_id)
        self.connection = self.offer.merchant.connections.get()
        self.conversion_id = self._convert(self.offer, "order-0")
        broadband = OfferFactory(merchant=self.offer.merchant, vertical="broadband")
        self.broadband_id = self._convert(broadband, "order-00")
        type(broadband).objects.filter(pk=broadband.pk).update(status="withdrawn")  # searches find the others
        self.dispute_id = self._dispute()
        self.entry_id = Entry.objects.get(stream_id=self.conversion_id).entry_id
        self.batch = documents(Conversion.objects.get(pk=self.conversion_id))
        about = {"batch": self.batch, "currency": "GBP", "amount_minor": 2560}
        self.payout = Payout.objects.create(builder=self.agent.agent.builder, **about)
        self.message = send_test(
            create_endpoint({"builder_id": self.agent.agent.builder_id}, url="https://hooks.example/")
        )
        with tempfile.TemporaryDirectory() as folder:  # of a signer that has not signed before
            publish_log(Path(folder))

    def recommend(self, offer: Any) -> Any:
        """A recommendation in a session of its own."""
        return RecommendationFactory(session=SessionFactory(agent=self.agent.agent), offer=offer)

    def _convert(self, offer: Any, order: str) -> str:
        agent, session = self.agent.agent, SessionFactory(agent=self.agent.agent)
        recommendation, *_ = record_recommendation(agent, session_id=session.pk, offer_id=offer.pk)
        sale = {"sessionId": recommendation.session_id, "orderReference": order, "transactionValue": 10}
        reply = call("POST", "/v1/conversions", json.dumps(sale), key=self.merchant.secret)
        return str(reply.json()["conversionId"])

    def _dispute(self) -> str:
        """A missing sale, claimed by the agent."""
        asked = self.recommend(self.offer)
        claim = {"sessionId": asked.session_id, "recommendationId": asked.pk, "claimedValue": 10}
        claim["occurredAt"] = timezone.now().isoformat()
        return str(call("POST", "/v1/disputes", json.dumps(claim), key=self.agent.secret).json()["disputeId"])

    def path(self, endpoint: Endpoint, odd: str | None = None) -> str:
        """An endpoint's address with our own ids in it, or with `odd` (percent-encoded) instead of each."""
        ids = {
            "offer_id": self.offer.pk,
            "session_id": self.session.pk,
            # A SIM has no milestones.
            "conversion_id": self.broadband_id if "milestones" in endpoint.route else self.conversion_id,
            "payout_id": self.payout.pk,
            "entry_id": self.entry_id,
            "dispute_id": self.dispute_id,
            "batch_id": self.batch.pk,
            "invoice_id": self.batch.invoices.get().pk,
            "statement_id": self.batch.statements.get().pk,
            "tile": "0/000.p/1",
            "kind": "sandbox",
            "connection_id": self.connection.pk,
            "endpoint_id": self.message.endpoint_id,
            "message_id": self.message.pk,
            "merchant_id": self.offer.merchant_id,
        }
        return "/" + PARAMETER.sub(lambda match: odd or ids[match[1]], endpoint.route)

    def body(self, endpoint: Endpoint) -> dict[str, Any]:
        """A body with every field, which the endpoint accepts."""
        values: dict[str, Any] = {
            "sessionId": self.session.pk,
            "offerId": self.offer.pk,
            "recommendationId": self.recommendation.pk,
            "context": "cheapest that fits",
            "userDetails": {"email": "buyer@example.com"},
            "paymentMethod": "pm_card_visa",
            "authorization": {
                "reference": "mandate-1",
                "maxAmount": 12.5,
                "currency": "GBP",
                "expiresAt": (timezone.now() + timedelta(hours=1)).isoformat(),
                "merchantId": self.offer.merchant_id,
            },
            "orderReference": "order-1",
            "transactionValue": 10,
            "currency": "GBP",
            "paymentReference": "pi_1",
            "occurredAt": timezone.now().isoformat(),
            "serviceDate": (timezone.now() + timedelta(days=30)).date().isoformat(),
            "milestone": "service_activated",
            "reference": "visit-1",
            "reason": "changed their mind",
            "attributionPath": "aap_flow",
            "evidence": {"survey": "S-17"},
            "code": self.recommendation.aap_code,
            "kind": "stripe",
            "credentials": {"apiKey": "rk_test_of_nobody"},
            "accountId": "acct_1",
            "webhookSecret": "whsec_0123456789abcdef",
            "include": ["acp", "ucp"],
            "attributionToken": self.token,
            "token": self.token,
            "dropOld": False,
            "claimedValue": 12.5,
            "message": "two, not one",
            "url": "https://hooks.example/rako",
            "eventTypes": ["conversion.recorded"],
            "status": "enabled",
            "since": timezone.now().isoformat(),
            "text": "one booking, two seats",
            "description": "the confirmation page",
            "sha256": hashlib.sha256(b"one booking, two seats").hexdigest(),
        }
        if "disputes" in endpoint.route:
            values["kind"] = "wrong_amount"
        return {name: values[name] for name in endpoint.body if "." not in name}

    def call(self, endpoint: Endpoint, body: Any = None, *, query: str = "", **options: Any) -> Any:
        """Call an endpoint with its party's key. `body` is JSON text, or a value to make it from."""
        options = {"key": self.keys.get(endpoint.party), "path": self.path(endpoint)} | options
        query = "&".join(filter(None, (endpoint.needs, query)))
        path = options.pop("path") + (f"?{query}" if query else "")
        text = body if isinstance(body, str | bytes) else json.dumps(self.body(endpoint) if body is None else body)
        return call(
            options.pop("method", endpoint.method),
            path,
            text if endpoint.method in {"POST", "PATCH"} else b"",
            **options,
        )


def call(method: str, path: str, body: str | bytes = b"", *, key: str | None = None, **options: Any) -> Any:
    """One request through the whole stack; a fault of ours is an answer of 500, not an exception."""
    CLIENT.cookies.clear()
    headers = ({"Authorization": f"Bearer {key}"} if key else {}) | options.pop("headers", {})
    options = {"content_type": "application/json"} | options
    return CLIENT.generic(method, path, body, headers=headers, **options)


def with_value(body: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    """The body with one field set; `a.b` is the field b of the object a."""
    outer, _, inner = name.partition(".")
    return body | {outer: body[outer] | {inner: value} if inner else value}


def faults(reply: Any, *wanted: int) -> list[str]:
    """What is wrong with a refusal: its status is none of `wanted` (any 4xx), or its form is not the protocol's."""
    status, code = reply.status_code, reply.headers.get("X-Error-Code", "")
    found = []
    if status not in (wanted or range(400, 500)):
        found.append(f"status {status}")
    if not is_id(reply.headers.get("X-Request-Id")):
        found.append("no X-Request-Id")
    if not re.fullmatch("[a-z_]+", code):
        found.append(f"X-Error-Code {code!r}")
    if reply.headers.get("Content-Type") != "application/json":
        found.append(f"Content-Type {reply.headers.get('Content-Type')}")
    if reply.request["REQUEST_METHOD"] != "HEAD" and not _is_error_body(reply.content):
        found.append(f"body {reply.content[:80]!r}")
    return found


def _is_error_body(content: bytes) -> bool:
    try:
        body = json.loads(content)
    except ValueError:
        return False
    return isinstance(body, dict) and list(body) == ["error"] and isinstance(body["error"], str) and body["error"] != ""


def stored() -> dict[str, str]:
    """A fingerprint of the rows of each of our tables, and of the jobs that wait: any write changes it."""
    ours = ("rako", "merchants", "sessions_app", "ledger", "settlement", "checkout", "sandbox", "notifications")
    tables = [model._meta.db_table for label in ours for model in apps.get_app_config(label).get_models()]
    parts = [
        f"SELECT '{table}', md5(coalesce(string_agg(row::text, '|' ORDER BY row::text), '')) FROM {table} row"
        for table in [*tables, "procrastinate_jobs"]
    ]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts))
        return dict(cursor.fetchall())
