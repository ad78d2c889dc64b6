"""/openapi.json tells the whole API in OpenAPI 3.1; /docs shows it without asking any other host."""

import json
import re
from contextlib import closing

import pytest
from drf_spectacular.validation import validate_schema

from tests.journeys.endpoints import ENDPOINTS, KEYED_ENDPOINTS, call

VERBS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}


@pytest.fixture
def schema(db):
    return json.loads(call("GET", "/openapi.json").content)


def operation_of(schema, endpoint):
    return schema["paths"][str(endpoint).split()[1]][endpoint.method.lower()]


def test_it_is_served_as_json(db):
    reply = call("GET", "/openapi.json")

    assert reply.status_code == 200
    assert reply.headers["Content-Type"].split(";")[0] in {"application/json", "application/vnd.oai.openapi+json"}


def test_it_is_valid_openapi_3_1(schema):
    validate_schema(schema)

    assert re.fullmatch(r"3\.1\.\d+", schema["openapi"])


def test_every_route_is_there_with_exactly_its_methods(schema):
    shown = {
        f"{verb.upper()} {path}"
        for path, item in schema["paths"].items()
        for verb in item.keys() & VERBS
        if path.startswith("/v1/")
    }

    assert shown == {str(endpoint) for endpoint in ENDPOINTS}


def test_operations_have_names_of_their_own(schema):
    names = [item[verb]["operationId"] for item in schema["paths"].values() for verb in item.keys() & VERBS]

    assert len(set(names)) == len(names)


def test_references_lead_somewhere(schema):
    references = set(re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', json.dumps(schema)))

    assert references <= set(schema["components"]["schemas"])


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=str)
def test_it_says_which_endpoints_take_a_key(schema, endpoint):
    security = operation_of(schema, endpoint).get("security", schema.get("security", []))

    wants_key = any(scheme for scheme in security)

    assert wants_key == (endpoint in KEYED_ENDPOINTS)


@pytest.mark.parametrize("endpoint", [endpoint for endpoint in ENDPOINTS if endpoint.body], ids=str)
def test_it_names_the_fields_of_a_body_as_the_wire_does(schema, endpoint):
    reference = operation_of(schema, endpoint)["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    described = schema["components"]["schemas"][reference.rsplit("/", 1)[1]]
    if "oneOf" in described:  # the single form, then that of a batch
        described = schema["components"]["schemas"][described["oneOf"][0]["$ref"].rsplit("/", 1)[1]]
    fields = {name: field for name, field in endpoint.body.items() if "." not in name}

    assert set(described["properties"]) == set(fields)
    assert set(described.get("required", [])) == {name for name, field in fields.items() if field.required}


@pytest.mark.parametrize("endpoint", [endpoint for endpoint in ENDPOINTS if endpoint.query], ids=str)
def test_it_names_the_query_parameters(schema, endpoint):
    shown = {given["name"] for given in operation_of(schema, endpoint)["parameters"] if given["in"] == "query"}

    assert shown - {"api_key"} == set(endpoint.query) - {"min_data_gb"}


@pytest.mark.parametrize("endpoint", KEYED_ENDPOINTS, ids=str)
def test_it_tells_of_limits_and_idempotency_keys(schema, endpoint):
    operation = operation_of(schema, endpoint)
    takes_key = "Idempotency-Key" in {parameter["name"] for parameter in operation.get("parameters", [])}

    is_post = endpoint.method == "POST"

    assert set(operation["responses"]["200"]["headers"]) >= {"X-RateLimit-Limit", "X-RateLimit-Remaining"}
    assert takes_key == is_post
    assert {"429"} | ({"409", "422"} if is_post else set()) <= set(operation["responses"])


@pytest.mark.parametrize("query", ["", "format=yaml", "format=x", "lang=x", "version=x", "version=%22", "lang=%00x"])
def test_no_parameter_changes_its_form(db, query):
    reply = call("GET", f"/openapi.json?{query}")

    assert reply.status_code in {200, 400, 404, 406}
    json.loads(reply.content)


def test_the_docs_load_nothing_from_another_host(db):
    page = call("GET", "/docs").content.decode()

    assert "/openapi.json" in page
    assert re.findall(r"""(?:https?:)?//[a-z0-9-]+(?:\.[a-z0-9-]+)+""", page) == []
    assert "@import" not in page


def test_the_assets_of_the_docs_are_served(db):
    page = call("GET", "/docs").content.decode()
    assets = re.findall(r"""(?:src|href)="([^"]+)\"""", page)

    statuses = {}
    for asset in assets:
        with closing(call("GET", asset)) as reply:
            statuses[asset] = reply.status_code

    assert len(assets) >= 3
    assert statuses == dict.fromkeys(assets, 200)


@pytest.mark.parametrize("query", ["lang=%22%3E%3Cscript%3Ealert(1)", "version=%3C/script%3E%3Cscript%3Ealert(1)"])
def test_the_docs_cannot_be_made_to_run_a_strangers_script(db, query):
    page = call("GET", f"/docs?{query}").content.decode()

    assert "alert(1)" not in page or "<script>alert(1)" not in page
