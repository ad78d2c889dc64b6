"""The three tools (protocol, section 5): how they are described, and what a call does.

Replies are the REST API's, with one word of advice on what comes next; both backends go through the same lines here.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django.db import InterfaceError, OperationalError
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from mcp_types import CallToolResult, TextContent, Tool, ToolAnnotations
from rest_framework import serializers

from checkout.wire import CheckoutReply
from mcp_server import texts
from mcp_server.backends import Backend, Reply
from mcp_server.refusals import refusal
from mcp_server.schemas import Schema, schema_of
from merchants.verticals import VERTICALS
from rako.core.errors import BadRequest, RakoError, Unavailable
from sessions_app.wire import RequirementsReply, SearchReply

log = logging.getLogger("rako.mcp")

Arguments = dict[str, Any]


# What the properties of the input schemas below ask for.
_MUST = {
    "type": "must be of type {}",
    "minimum": "must be at least {}",
    "maximum": "must be at most {}",
    "minLength": "must have {} characters or more",
    "maxLength": "must have at most {} characters",
}


class InvalidArguments(BadRequest):
    """Arguments that the input schema does not allow."""

    code = "invalid_arguments"


class HandoverFailed(Exception):
    """The recommendation stands, but there is no checkout: `error` says why."""

    def __init__(self, error: RakoError, fallback_url: str) -> None:
        super().__init__(str(error))
        self.error = error
        # Where the merchant can still sell: not in a session that is over, nor an offer that is gone.
        self.fallback_url = fallback_url if error.status >= 500 else ""


class LinkReply(CheckoutReply):
    recommendation_id = serializers.CharField()
    fallback_url = serializers.CharField(help_text="The tracked link to the merchant's own page.")
    next_step = serializers.CharField()


@dataclass(frozen=True)
class AapTool:
    """A tool: its definition, and the function that answers with a reply and its text."""

    definition: Tool
    answer: Callable[[Backend, Arguments], tuple[Reply, str]] = field(repr=False)

    def call(self, backend: Backend, arguments: Arguments) -> CallToolResult:
        """The tool's result. Whatever the model can mend, or may try again, is an `isError` result with advice."""
        try:
            reply, text = self.answer(backend, self._checked(arguments))
        except HandoverFailed as failed:
            return refusal(failed.error, fallback_url=failed.fallback_url)
        except RakoError as error:
            return refusal(error)
        except (OperationalError, InterfaceError) as error:
            log.error("database unavailable: %s", error.__class__.__name__, exc_info=error)
            return refusal(Unavailable(retry_after=2))
        return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=reply)

    def _checked(self, arguments: Arguments) -> Arguments:
        # Null is the same as leaving it out, as everywhere in the protocol.
        given = {name: value for name, value in arguments.items() if value is not None}
        try:
            wrong = best_match(self._validator.iter_errors(given))
        except RecursionError:
            raise InvalidArguments("nested too deeply") from None
        if wrong is not None:
            raise InvalidArguments(self._sentence(wrong))
        if any("\x00" in value for value in given.values() if isinstance(value, str)):
            raise InvalidArguments("NUL characters are not allowed")
        return given

    def _sentence(self, wrong: Any) -> str:
        """What is wrong, without the value, which may be long; and of names that do not exist, which do."""
        if wrong.absolute_path:
            return f"{wrong.absolute_path[0]} {_MUST[wrong.validator].format(wrong.validator_value)}"
        known = ", ".join(self.definition.input_schema["properties"])
        return f"{wrong.message[:300]} ({known} are known)"

    @cached_property
    def _validator(self) -> Any:
        return Draft202012Validator(self.definition.input_schema)


def _search(backend: Backend, asked: Arguments) -> tuple[Reply, str]:
    reply = backend.search({name: _plain(value) for name, value in asked.items()})
    return reply, texts.offers_text(reply, asked.get("vertical"))


def _plain(value: Any) -> str:
    """A value as a query string has it; JSON does not tell 12 from 12.0."""
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)


def _requirements(backend: Backend, asked: Arguments) -> tuple[Reply, str]:
    reply = backend.requirements(asked["offer_id"])
    if reply["constraints"]["available"]:
        step = "call get_checkout_link once the user has confirmed; the user pays on the merchant's own payment page."
    else:
        step = "this offer is not available any more: call search_offers again."
    reply["nextStep"] = step
    return reply, texts.requirements_text(reply)


def _link(backend: Backend, asked: Arguments) -> tuple[Reply, str]:
    made = backend.recommend(asked["session_id"], asked["offer_id"], asked.get("context", ""))
    try:
        checkout = backend.checkout(asked["session_id"], made["recommendationId"])
    except RakoError as error:
        raise HandoverFailed(error, made["fallbackUrl"]) from error
    reply = {"recommendationId": made["recommendationId"], "fallbackUrl": made["fallbackUrl"]} | checkout
    reply["nextStep"] = "give the user the link. It is no payment: the user pays there, and only that makes a sale."
    return reply, texts.link_text(reply)


def _object(required: list[str], properties: dict[str, Schema]) -> Schema:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


_ID: Schema = {"type": "string", "minLength": 1, "maxLength": 64}

SEARCH = AapTool(
    Tool(
        name="search_offers",
        title="Search offers",
        description=(
            "Find offers that a user can buy: mobile plans, broadband, energy, flights, hotels, insurance. Sorted by "
            "price; commission never influences the order. Opens a session of 24 hours, whose id get_checkout_link "
            "needs. Amounts are in major units of the offer's currency."
        ),
        input_schema=_object(
            [],
            {
                "vertical": {"type": "string", "maxLength": 100, "description": f"One of {', '.join(VERTICALS)}."},
                "provider": {"type": "string", "maxLength": 100, "description": "Part of the provider's name."},
                "max_price": {"type": "number", "minimum": 0, "description": "In major units, as 12.50."},
                "min_data_gb": {"type": "integer", "minimum": 0, "description": "At least so much data (sim)."},
                "contract_months": {"type": "integer", "minimum": 0, "description": "Exactly so long; 0 is rolling."},
                "limit": {"type": "integer", "minimum": 1, "maximum": 100, "description": "20 unless told."},
                "cursor": {"type": "string", "maxLength": 200, "description": "nextCursor of the reply before."},
            },
        ),
        output_schema=schema_of(SearchReply()),
        # Not read-only: it opens a session, and the ledger tells of it.
        annotations=ToolAnnotations(
            read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False
        ),
    ),
    _search,
)
REQUIREMENTS = AapTool(
    Tool(
        name="get_checkout_requirements",
        title="What a checkout needs",
        description=(
            "What the user must know and confirm before buying an offer, who may buy it, and what the merchant's "
            "payment page will ask for. Never collect payment details yourself."
        ),
        input_schema=_object(["offer_id"], {"offer_id": _ID | {"description": "The id of an offer of search_offers."}}),
        output_schema=schema_of(RequirementsReply()),
        annotations=ToolAnnotations(
            read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
        ),
    ),
    _requirements,
)
LINK = AapTool(
    Tool(
        name="get_checkout_link",
        title="Get a checkout link",
        description=(
            "Record that you recommend an offer, and get the link to the merchant's own payment page for it. It never "
            "pays: the user opens the link and pays there. Asked again, it gives the same link; another offer of the "
            "same session replaces the link that was not paid yet."
        ),
        input_schema=_object(
            ["session_id", "offer_id"],
            {
                "session_id": _ID | {"description": "sessionId of the search_offers reply."},
                "offer_id": _ID | {"description": "The id of an offer of search_offers."},
                "context": {
                    "type": "string",
                    "maxLength": 2000,
                    "description": "Why you recommend it, in a sentence. Nothing that identifies the user.",
                },
            },
        ),
        output_schema=schema_of(LinkReply()),
        # The merchant's payment processor is asked: an open world.
        annotations=ToolAnnotations(
            read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=True
        ),
    ),
    _link,
)
TOOLS = {tool.definition.name: tool for tool in (SEARCH, REQUIREMENTS, LINK)}
