"""The tools as such: what they promise about themselves, and what arguments they take."""

import jsonschema
import pytest

from mcp_server.backends import LocalBackend
from mcp_server.refusals import CODE_KEY
from mcp_server.tools import LINK, REQUIREMENTS, SEARCH, TOOLS
from sessions_app.models import Session
from tests.factories import OfferFactory


@pytest.fixture
def backend(agent):
    return LocalBackend(agent)


@pytest.mark.parametrize("tool", TOOLS.values(), ids=list(TOOLS))
def test_schemas_are_schemas_of_objects(tool):
    for schema in (tool.definition.input_schema, tool.definition.output_schema):
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["type"] == "object"


def test_they_take_what_the_protocol_names():
    wanted = {"vertical", "provider", "max_price", "min_data_gb", "contract_months"}

    assert wanted <= set(SEARCH.definition.input_schema["properties"])
    assert list(REQUIREMENTS.definition.input_schema["properties"]) == ["offer_id"]
    assert list(LINK.definition.input_schema["properties"]) == ["session_id", "offer_id", "context"]


def test_hints_tell_what_calls_change():
    hints = {name: tool.definition.annotations for name, tool in TOOLS.items()}

    assert [name for name, hint in hints.items() if hint.read_only_hint] == ["get_checkout_requirements"]
    assert [name for name, hint in hints.items() if not hint.idempotent_hint] == ["search_offers"]
    assert [name for name, hint in hints.items() if hint.open_world_hint] == ["get_checkout_link"]
    assert not any(hint.destructive_hint for hint in hints.values())


@pytest.mark.parametrize("intro", [{}, {"intro_price_minor": 500, "intro_months": 3}], ids=["plain", "intro"])
def test_replies_are_what_their_schemas_say(backend, intro):
    offer = OfferFactory(**intro)

    found = SEARCH.call(backend, {}).structured_content
    link = LINK.call(backend, {"session_id": found["sessionId"], "offer_id": offer.pk}).structured_content
    needed = REQUIREMENTS.call(backend, {"offer_id": offer.pk}).structured_content

    for tool, reply in ((SEARCH, found), (LINK, link), (REQUIREMENTS, needed)):
        assert_exact(reply, tool.definition.output_schema)


def assert_exact(reply, schema):
    """The reply fits, and has nothing that the schema does not tell of."""
    jsonschema.validate(reply, schema)
    assert set(reply) <= set(schema["properties"])
    for name, part in schema["properties"].items():
        if part.get("properties") and name in reply:
            assert_exact(reply[name], part)


@pytest.mark.parametrize(
    "arguments",
    [
        {"vertical": 5}, {"vertical": ["sim"]}, {"vertical": "x" * 101}, {"vertical": "s\x00m"}, {"max_price": "12"},
        {"max_price": -1}, {"max_price": 1e300}, {"max_price": 1.234}, {"max_price": True}, {"min_data_gb": 1.5},
        {"min_data_gb": 10**12}, {"contract_months": "0"}, {"limit": 0}, {"limit": 101}, {"cursor": "nonsense"},
        {"price": 1},
    ],
    ids=str,
)  # fmt: skip
def test_wrong_arguments_are_refused_before_anything_happens(backend, arguments):
    result = SEARCH.call(backend, arguments)

    assert result.is_error
    assert result.meta[CODE_KEY] in {"invalid_arguments", "invalid_field"}
    assert "Correct the arguments" in result.content[0].text
    assert not Session.objects.exists()


def test_what_is_wrong_is_told_without_the_value(backend):
    nested = []
    for _ in range(2000):
        nested = [nested]

    told = [SEARCH.call(backend, {"vertical": value}).content[0].text for value in ("x" * 9000, 5, [nested])]

    assert told == [
        "vertical must have at most 100 characters. Correct the arguments and call again.",
        "vertical must be of type string. Correct the arguments and call again.",
        "nested too deeply. Correct the arguments and call again.",
    ]


@pytest.mark.parametrize(
    "arguments", [{"max_price": 10}, {"max_price": 10.0}, {"min_data_gb": 30.0}, {"provider": None}, {}], ids=str
)
def test_json_numbers_are_numbers_however_they_are_written(backend, arguments):
    offer = OfferFactory()

    result = SEARCH.call(backend, arguments)

    assert [found["id"] for found in result.structured_content["offers"]] == [offer.pk]


def test_the_text_alone_is_enough_to_go_on(backend):
    offer = OfferFactory()

    found = SEARCH.call(backend, {})
    session_id = found.structured_content["sessionId"]
    link = LINK.call(backend, {"session_id": session_id, "offer_id": offer.pk})
    needed = REQUIREMENTS.call(backend, {"offer_id": offer.pk})

    assert f"session_id {session_id}" in found.content[0].text
    assert f"offer_id {offer.pk}" in found.content[0].text
    assert "10.00 GBP" in needed.content[0].text
    assert link.structured_content["checkoutUrl"] in link.content[0].text


@pytest.mark.parametrize("vertical", ["boats", "energy"])
def test_an_empty_search_names_the_verticals(backend, vertical):
    result = SEARCH.call(backend, {"vertical": vertical})

    assert not result.is_error
    assert ("no vertical 'boats'" in result.content[0].text) is (vertical == "boats")
    assert "sim, broadband" in result.content[0].text


def test_the_next_page_is_to_be_had(backend):
    OfferFactory.create_batch(2)

    first = SEARCH.call(backend, {"limit": 1}).structured_content
    second = SEARCH.call(backend, {"limit": 1, "cursor": first["nextCursor"]}).structured_content

    assert first["offers"][0]["id"] < second["offers"][0]["id"]
    assert "nextCursor" not in second
