"""Each operation of the schema tells all: examples that hold, refusals, a tag, where its ids come from."""

import pytest
from django.core.management import call_command
from drf_spectacular.generators import SchemaGenerator
from jsonschema import Draft202012Validator

from rako.reference import examples
from rako.reference.schema import TAGS
from rako.reference.told import by_id, schema

OPERATIONS = sorted(by_id())


def contents(operation):
    """Each request and reply of an operation, with where it is."""
    for kind, content in operation.told.get("requestBody", {}).get("content", {}).items():
        yield f"request {kind}", content
    for status, reply in operation.told["responses"].items():
        for kind, content in reply.get("content", {}).items():
            yield f"{status} {kind}", content


def shown(content):
    return [content["example"]] if "example" in content else [each["value"] for each in content["examples"].values()]


def test_the_generator_has_nothing_to_warn_of(tmp_path):
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yml"))


@pytest.mark.parametrize("operation_id", OPERATIONS)
def test_every_request_and_reply_has_an_example(operation_id):
    """What is missing is put into rako/reference/examples.json, by the name that this test tells."""
    for place, made in examples.wanting(by_id()[operation_id].told, schema()["components"]["schemas"]):
        if "examples" not in place and "example" not in place:
            made()  # raises NoExample with the field's name

    assert all("example" in part or "examples" in part for _, part in contents(by_id()[operation_id]))


@pytest.mark.parametrize("operation_id", OPERATIONS)
def test_examples_are_what_the_schema_allows(operation_id):
    operation = by_id()[operation_id]
    parts = [*contents(operation), *((each["name"], each) for each in operation.told.get("parameters", ()))]

    wrong = [
        f"{where}: {error.message}"
        for where, part in parts
        for value in ([part["example"]] if "example" in part else shown(part))
        for error in Draft202012Validator(part["schema"] | {"components": schema()["components"]}).iter_errors(value)
    ]

    assert wrong == []


@pytest.mark.parametrize("operation_id", OPERATIONS)
def test_every_operation_tells_its_refusals(operation_id):
    operation = by_id()[operation_id]
    expected = {"400", "405", "500", "503"}
    expected |= {"401", "403"} if operation.keys else set()
    expected |= {"404"} if operation.parameters("path") else set()
    expected |= {"411", "413"} if operation.method == "POST" else set()
    expected |= {"415"} if operation.body is not None else set()

    assert expected <= set(operation.told["responses"])


@pytest.mark.parametrize("operation_id", OPERATIONS)
def test_every_refusal_has_the_form_of_the_protocol(operation_id):
    refusals = {code: told for code, told in by_id()[operation_id].told["responses"].items() if code >= "400"}

    for told in refusals.values():
        assert told["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Error"}
        assert {"X-Error-Code", "X-Request-Id"} <= set(told["headers"])
        assert set(told["content"]["application/json"]["examples"]) == set(
            told["headers"]["X-Error-Code"]["schema"]["enum"]
        )


@pytest.mark.parametrize("operation_id", OPERATIONS)
def test_every_operation_belongs_to_a_tag(operation_id):
    """A path that is none's gets its prefix into rako.reference.schema.TAGS."""
    assert by_id()[operation_id].tag in TAGS


def test_an_optional_field_of_a_body_may_be_null():
    body = schema()["components"]["schemas"]["ReportBody"]["properties"]

    assert body["occurredAt"]["type"] == ["string", "null"]
    assert body["orderReference"]["type"] == "string"


def test_a_key_of_either_kind_has_a_scheme_of_its_own():
    assert by_id()["recommend"].keys == ["agentKey"]
    assert by_id()["reportConversion"].keys == ["merchantKey"]
    assert by_id()["getSession"].keys == ["agentKey", "merchantKey"]
    assert by_id()["verifyCode"].told["security"] == []


def test_a_key_may_be_in_the_query_instead():
    schemes = schema()["components"]["securitySchemes"]

    for name, scheme in schemes.items():
        in_query = name.endswith("InQuery")
        assert (scheme["type"], scheme.get("in"), scheme.get("name")) == (
            ("apiKey", "query", "api_key") if in_query else ("http", None, None)
        )
    assert by_id()["recommend"].told["security"] == [{"agentKey": []}, {"agentKeyInQuery": []}]
    assert len(schemes) == 4


def test_a_schema_that_is_made_again_is_the_same():
    again = SchemaGenerator().get_schema(request=None, public=True)

    assert again == schema()
