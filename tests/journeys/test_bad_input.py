"""Whatever a stranger sends: the documented refusal, nothing stored, never a 5xx."""

import json
from urllib.parse import quote, urlencode

import httpx
import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rako.wsgi import application
from tests.factories import OfferFactory, RecommendationFactory, SessionFactory
from tests.journeys.endpoints import (
    ACCEPTING_ENDPOINTS,
    ENDPOINTS,
    JSON_ENDPOINTS,
    METHODS,
    ODD_IDS,
    ROUTES,
    UNKNOWN_ID,
    World,
    call,
    faults,
    routes_served,
    stored,
    with_value,
)

FIELDS = [(endpoint, name) for endpoint in JSON_ENDPOINTS for name in endpoint.body]
FIELD_NAMES = [f"{endpoint} {name}" for endpoint, name in FIELDS]
IDS = [(endpoint, name) for endpoint, name in FIELDS if endpoint.body[name].kind == "id"]
QUERIES = [(endpoint, name) for endpoint in ENDPOINTS for name in endpoint.query]
ROUTES_WITH_ID = [endpoint for endpoint in ENDPOINTS if "<" in endpoint.route]

# What JSON does not have, what PostgreSQL text cannot hold, and what no number type holds.
RAW_VALUES = {
    "NaN": b"NaN",
    "Infinity": b"Infinity",
    "minus Infinity": b"-Infinity",
    "1e400": b"1e400",
    "10**400": b"1" + b"0" * 400,
    "-10**400": b"-1" + b"0" * 400,
    "lone surrogate": b'"\\ud800"',
    "reversed surrogates": b'"\\udc00\\ud800"',
    "escaped NUL": b'"\\u0000"',
    "escaped NUL after a backslash": b'"\\\\\\u0000"',
    "raw NUL": b'"a\x00b"',
    "invalid UTF-8": b'"\xff"',
    "UTF-8 surrogate": b'"\xed\xa0\x80"',
    "raw newline": b'"a\nb"',
    "nothing": b"",
    "deep list": b"[" * 10_000 + b"]" * 10_000,
    "deep object": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
}
BODIES = {
    "blank": b" ",
    "array": b"[]",
    "array of objects": b"[{}]",
    "string": b'"x"',
    "number": b"5",
    "null": b"null",
    "true": b"true",
    "open": b"{",
    "deep arrays": b"[" * 10_000,
    "two objects": b"{}{}",
    "trailing comma": b'{"a":1,}',
    "comment": b"{} // x",
    "single quotes": b"{'a':1}",
    "byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "NUL": b"\x00",
    "NUL in a key": b'{"\\u0000":1}',
    "surrogate in a key": b'{"\\ud800":1}',
    "form": b"sessionId=x&code=y",
}
CONTENT_TYPES = (
    "text/plain", "text/json", "application/x-www-form-urlencoded", "multipart/form-data",
    "multipart/form-data; boundary=x", "application/jsonx", "application/xml", "é", "x", "", "*/*",
)  # fmt: skip
WRONG_QUERIES = {
    "text": ("x" * 101, "x" * 10_000),
    "price": (
        "x", "-1", "-0.01", "1.234", "1e1000000", "1e-1000000", "1e999999999", "NaN", "sNaN", "Infinity", "-Infinity",
        "1,50", "0x10", "1_000", "١٢", "1" * 10_000, "10000000001", "true", "1.00000000000000000000000000000000001",
    ),
    "whole": ("x", "-1", "1.5", "1e3", "1_0", "١٢", "²", "9" * 30, "9" * 10_000, " 1", "true", "NaN", "+1"),
    "word": ("x", "PENDING", "aap flow", "x" * 10_000),
    "limit": ("0", "101", "-1", "x", "1.5", "²", "9" * 10_000),
    "id": (),  # one that is none of ours has no conversions
    "reference": ("x" * 201, "x" * 10_000),
    "moment": (
        "x", "today", "2026-02-30", "2026-13-01", "2026-01-01T00:00:00", "9999-12-31T23:59:59-23:59", "1" * 10_000,
        "٢٠٢٦",
    ),
    "cursor": ("x", "é", "====", "MTAuMDFBUlo", UNKNOWN_ID.lower(), "A" * 65, "A" * 10_000, "MTAwLg", "Lg=="),
}  # fmt: skip


@pytest.fixture
def world(db):
    return World()


def test_the_table_covers_every_route():
    assert set(ROUTES) == routes_served()


@pytest.mark.parametrize("endpoint", ACCEPTING_ENDPOINTS, ids=str)
def test_the_table_knows_a_body_that_is_accepted(world, endpoint):
    reply = world.call(endpoint)

    assert reply.status_code == 200, reply.content


@pytest.mark.parametrize(("endpoint", "name"), FIELDS, ids=FIELD_NAMES)
def test_a_wrong_value_is_refused_and_nothing_is_stored(world, endpoint, name):
    body, before, wrong = world.body(endpoint), stored(), {}

    for value in endpoint.body[name].wrong_values():
        if found := faults(world.call(endpoint, with_value(body, name, value)), 400):
            wrong[repr(value)[:60]] = found

    assert wrong == {}
    assert stored() == before


@pytest.mark.parametrize(("endpoint", "name"), FIELDS, ids=FIELD_NAMES)
def test_a_value_that_json_or_text_cannot_hold_is_refused(world, endpoint, name):
    template = json.dumps(with_value(world.body(endpoint), name, "@here@")).encode()
    before, wrong = stored(), {}

    for label, value in RAW_VALUES.items():
        if found := faults(world.call(endpoint, template.replace(b'"@here@"', value)), 400):
            wrong[label] = found

    assert wrong == {}
    assert stored() == before


@pytest.mark.parametrize(("endpoint", "name"), IDS, ids=[f"{endpoint} {name}" for endpoint, name in IDS])
def test_an_id_of_any_other_shape_is_not_found(world, endpoint, name):
    body, before, wrong = world.body(endpoint), stored(), {}

    for value in (*ODD_IDS, getattr(world, "offer" if name != "offerId" else "session").pk):
        if found := faults(world.call(endpoint, with_value(body, name, value)), 404):
            wrong[value[:60]] = found

    assert wrong == {}
    assert stored() == before


@pytest.mark.parametrize("endpoint", JSON_ENDPOINTS, ids=str)
@pytest.mark.parametrize("absent", ["left out", None, ""])
def test_required_fields_are_named_in_one_sentence(world, endpoint, absent):
    fields = endpoint.body.items()
    names = [name for name, field in fields if (field.required or field.replaceable) and "." not in name]
    body = {} if absent == "left out" else dict.fromkeys(names, absent)
    sentence = f"{', '.join(names[:-1])} and {names[-1]} are required" if names[1:] else f"{names[0]} is required"

    reply = world.call(endpoint, body)

    assert faults(reply, 400) == []
    assert reply.json() == {"error": sentence}


@pytest.mark.parametrize("endpoint", ACCEPTING_ENDPOINTS, ids=str)
def test_null_stands_for_an_optional_field_that_is_left_out(world, endpoint):
    fields = endpoint.body.items()
    optional = [name for name, field in fields if not (field.required or field.needed) and "." not in name]

    reply = world.call(endpoint, world.body(endpoint) | dict.fromkeys(optional))

    assert reply.status_code == 200, reply.content


@pytest.mark.parametrize("endpoint", ACCEPTING_ENDPOINTS, ids=str)
def test_snake_case_is_accepted(world, endpoint):
    snake = {"".join(f"_{sign.lower()}" if sign.isupper() else sign for sign in name): name for name in endpoint.body}
    body = world.body(endpoint)

    reply = world.call(endpoint, {name: body[own] for name, own in snake.items() if own in body})

    assert reply.status_code == 200, reply.content


@pytest.mark.parametrize("endpoint", JSON_ENDPOINTS, ids=str)
def test_a_body_that_is_no_json_object_is_refused(world, endpoint):
    before, wrong = stored(), {}

    for label, body in BODIES.items():
        if found := faults(world.call(endpoint, body), 400):
            wrong[label] = found

    assert wrong == {}
    assert stored() == before


@pytest.mark.parametrize("endpoint", JSON_ENDPOINTS, ids=str)
def test_of_duplicate_keys_the_last_counts(world, endpoint):
    good = json.dumps(world.body(endpoint))[:-1]
    name = next(iter(endpoint.body))
    before = stored()

    reply = world.call(endpoint, f'{good}, "{name}": 5}}')

    assert faults(reply, 400) == []
    assert reply.json()["error"] == f"{name} must be a string"
    assert stored() == before


@pytest.mark.parametrize("endpoint", JSON_ENDPOINTS, ids=str)
def test_another_content_type_is_refused(world, endpoint):
    before, wrong = stored(), {}

    for content_type in CONTENT_TYPES:
        if found := faults(world.call(endpoint, content_type=content_type), 415):
            wrong[content_type] = found

    assert wrong == {}
    assert stored() == before


@pytest.mark.parametrize("endpoint", [endpoint for endpoint in ENDPOINTS if endpoint.method == "POST"], ids=str)
def test_a_body_of_a_megabyte_is_refused(world, endpoint):
    before = stored()

    reply = world.call(endpoint, json.dumps({"context": "x" * 2**20}))

    assert faults(reply, 413) == []
    assert stored() == before


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "²", "9" * 5000])
def test_a_content_length_that_is_none_is_refused(db, length):
    reply = call("POST", "/v1/codes/verify", b"{}", CONTENT_LENGTH=length)

    assert faults(reply, 400, 413) == []


def test_a_chunked_body_is_not_taken_for_an_empty_one(db):
    reply = call("POST", "/v1/codes/verify", b"", headers={"Transfer-Encoding": "chunked"})

    assert faults(reply, 411) == []


@pytest.mark.parametrize("route", ROUTES)
def test_another_method_is_refused(world, route):
    endpoints = {endpoint.method: endpoint for endpoint in ENDPOINTS if endpoint.route == route}
    any_of_them = next(iter(endpoints.values()))
    allowed = {*endpoints, *(["HEAD"] if "GET" in endpoints else [])}
    before, wrong = stored(), {}

    for method in (*METHODS, "TRACE", "PROPFIND", "X"):
        if method not in allowed:
            reply = world.call(any_of_them, method=method)
            allows = {name.strip() for name in reply.headers.get("Allow", "").split(",")}
            if found := faults(reply, 405) + ([] if allows == allowed else [f"Allow {allows}"]):
                wrong[method] = found

    assert wrong == {}
    assert stored() == before


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/r/{link}", "/checkout/{link}/done", "/health"])
def test_another_method_is_refused_on_the_other_pages_too(world, path):
    before, wrong = stored(), {}

    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        if found := faults(call(method, path.format(link=world.recommendation.pk), b"{}"), 405):
            wrong[method] = found

    assert wrong == {}
    assert stored() == before


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=str)
def test_a_trailing_slash_is_not_found_and_never_a_redirect(world, endpoint):
    before = stored()

    reply = world.call(endpoint, path=world.path(endpoint) + "/")

    assert faults(reply, 404) == []
    assert stored() == before


@pytest.mark.parametrize(
    "path",
    [
        "/v1", "/v1/", "/v2/offers", "/V1/offers", "/v1/Offers", "//v1/offers", "/v1//offers", "/v1/./offers",
        "/v1/x/../offers", "/v1/%2e%2e/v1/offers", "/%2e%2e/%2e%2e/etc/passwd", "/v1/offers%2f", "/v1/offers;x=1",
        "/v1/offers.json", "/v1/sessions", "/v1/sessions/", "/v1/offers//requirements", "/v1/offers/x/y",
        "/v1/webhooks", "/v1/webhooks/sandbox", "/docs/", "/health/", "/openapi.json/", "/r", "/r/", "/static/x",
        "/static/%2e%2e/%2e%2e/rako/settings.py", "/favicon.ico", "/.env", "/admin", "/" + "x" * 10_000,
        "/v1/offers%0d%0aX-Evil:%201",
    ],
)  # fmt: skip
def test_an_unknown_address_is_not_found(agent_key, path):
    reply = call("GET", path, key=agent_key.secret)

    assert faults(reply, 404) == []


@pytest.mark.parametrize("endpoint", ROUTES_WITH_ID, ids=str)
def test_an_address_with_an_id_of_any_other_shape_is_not_found(world, endpoint):
    before, wrong = stored(), {}

    for odd in (*map(quote, ODD_IDS), "%ff", "%ED%A0%80", "%2e%2e", "a%2fb", "%2500", "..", "%", "%zz"):
        if found := faults(world.call(endpoint, path=world.path(endpoint, odd)), 404):
            wrong[odd[:60]] = found

    assert wrong == {}
    assert stored() == before


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=str)
def test_nul_in_the_address_is_refused(world, endpoint):
    before = stored()

    in_query = world.call(endpoint, query="provider=a%00b")
    in_path = world.call(endpoint, path=world.path(endpoint) + "%00")

    assert [faults(reply, 400) for reply in (in_query, in_path)] == [[], []]
    assert stored() == before


def test_a_raw_nul_in_a_query_is_refused(world):
    before = stored()

    reply = world.call(ENDPOINTS[0], QUERY_STRING="provider=a\x00b")

    assert faults(reply, 400) == []
    assert stored() == before


@pytest.mark.parametrize(("endpoint", "name"), QUERIES, ids=[f"{endpoint} {name}" for endpoint, name in QUERIES])
def test_a_wrong_query_value_is_refused(world, endpoint, name):
    before, wrong = stored(), {}

    for value in WRONG_QUERIES[endpoint.query[name]]:
        if found := faults(world.call(endpoint, query=urlencode({name: value})), 400):
            wrong[value[:60]] = found

    assert wrong == {}
    assert stored() == before


def test_an_unknown_vertical_finds_nothing(world):
    queries = ["vertical=cars", "vertical=SIM", "vertical=%ff", "vertical=%27--", "vertical=a%25"]

    replies = [world.call(ENDPOINTS[0], query=query) for query in queries]

    assert [(reply.status_code, reply.json()["offers"]) for reply in replies] == [(200, [])] * len(queries)


def test_empty_and_unknown_parameters_count_as_absent(world):
    queries = ["min_price=&limit=&cursor=&vertical=", "limit", "&&&", "=x", "x" * 10_000, "%"]

    replies = [world.call(ENDPOINTS[0], query=query) for query in queries]

    assert [(reply.status_code, reply.json()["count"]) for reply in replies] == [(200, 2)] * len(queries)


def test_a_provider_is_no_pattern(world):
    signs = ["%25", "_", "%5C", "%25%25", "'"]

    replies = [world.call(ENDPOINTS[0], query=f"provider={sign}") for sign in signs]

    assert [reply.json()["offers"] for reply in replies] == [[]] * len(signs)


def test_thousands_of_parameters_are_refused(world):
    before = stored()

    reply = world.call(ENDPOINTS[0], query="&".join(f"a{n}=1" for n in range(1500)))

    assert faults(reply, 400) == []
    assert stored() == before


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=str)
def test_errors_are_json_whatever_the_client_accepts(world, endpoint):
    strange = {"Accept": "text/plain", "Accept-Language": "é;q=x", "User-Agent": "é\u00ff", "X-Odd": "\u00ff" * 500}

    reply = world.call(endpoint, b"[", headers=strange, path=world.path(endpoint, UNKNOWN_ID), query="limit=x")

    takes_nothing = endpoint.party == "nobody" or not endpoint.query
    if takes_nothing and endpoint.method == "GET" and endpoint not in ROUTES_WITH_ID:  # nothing is wrong
        assert reply.status_code == 200
    else:
        assert faults(reply) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("provider=a", 200),
        ("provider=%2BAAA-", 200),
        ("provider=+AAA-", 200),
        ("provider=+2AA-", 200),
        ("x&" * 1500, 400),
    ],
    ids=["plain", "escaped", "NUL in UTF-7", "surrogate in UTF-7", "too many"],
)
def test_the_charset_of_a_content_type_changes_nothing(agent_key, query, status):
    answers = {}

    with httpx.Client(transport=httpx.WSGITransport(app=application), base_url="http://localhost") as client:
        client.headers["Authorization"] = f"Bearer {agent_key.secret}"
        for charset in ("utf-8", "x", "utf-7", "utf-16", "unicode_escape", "rot13", "hex", "idna", "undefined"):
            content_type = {"Content-Type": f"application/json; charset={charset}"}
            answers[charset] = client.get(f"/v1/offers?{query}", headers=content_type).status_code

    assert set(answers.values()) == {status}, answers


def test_a_fault_of_ours_tells_nothing_and_keeps_the_form(world):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE ledger_conversion RENAME TO gone")

    reply = call("GET", "/v1/conversions", key=world.agent.secret)

    assert faults(reply, 500) == []
    assert reply.json() == {"error": "Internal server error"}


@pytest.mark.parametrize("service_date", ["9999-12-31", "9999-12-30", "0001-01-01"])
def test_a_service_date_beyond_the_calendar_is_refused(world, service_date):
    offer = OfferFactory(vertical="flights", merchant=world.offer.merchant, terms={"type": "percentage", "rate": 2})
    recommendation = RecommendationFactory(session=SessionFactory(agent=world.agent.agent), offer=offer)
    sale = {"sessionId": recommendation.session_id, "orderReference": "order-9", "transactionValue": 10}
    before = stored()

    reply = call("POST", "/v1/conversions", json.dumps(sale | {"serviceDate": service_date}), key=world.merchant.secret)

    assert faults(reply, 400) == []
    assert stored() == before


def test_an_unknown_payment_method_is_the_processors_refusal(world):
    purchase = next(endpoint for endpoint in ENDPOINTS if endpoint.route == "v1/purchase")

    reply = world.call(purchase, world.body(purchase) | {"paymentMethod": "pm_nobody"})

    assert faults(reply, 502) == []
    assert reply.json() == {"error": "Could not create checkout"}


FUZZ = settings(
    max_examples=30,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TEXTS = st.text(max_size=30) | st.sampled_from(ODD_IDS)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("endpoint", JSON_ENDPOINTS, ids=str)
def test_no_json_at_all_makes_us_fail(world, endpoint):
    good, names = world.body(endpoint), list(endpoint.body)

    @FUZZ
    @given(st.dictionaries(st.sampled_from(names), JSON_VALUES, max_size=3), st.dictionaries(TEXTS, JSON_VALUES))
    def attack(changes, extra):
        body = extra | good
        for name, value in changes.items():
            if "." not in name or isinstance(body["authorization"], dict):
                body = with_value(body, name, value)
        reply = world.call(endpoint, json.dumps(body))
        refused_by_processor = reply.status_code == 502 and faults(reply, 502) == []
        assert reply.status_code < 500 or refused_by_processor
        assert reply.status_code == 200 or refused_by_processor or faults(reply) == []

    attack()


@pytest.mark.parametrize("endpoint", [endpoint for endpoint in ENDPOINTS if endpoint.query], ids=str)
def test_no_query_at_all_makes_us_fail(world, endpoint):
    names = st.sampled_from([*endpoint.query, "format", "api_key", "lang"])
    numbers = st.decimals().map(str) | st.integers().map(str) | st.floats().map(repr)

    @FUZZ
    @given(st.dictionaries(names, st.text() | numbers | st.sampled_from(ODD_IDS), max_size=4), st.binary(max_size=20))
    def attack(values, raw):
        text = "".join(f"%{byte:02x}" for byte in raw)
        query = urlencode(values, errors="surrogatepass") + f"&provider={text}"
        reply = world.call(endpoint, query=query)
        assert reply.status_code == 200 or faults(reply) == []

    attack()
