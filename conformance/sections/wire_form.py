"""Section 0: names, numbers, times and ids as they travel."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from conformance.rules import expect, must
from conformance.world import World

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\Z")
# What is under these names is somebody else's words.
_OPAQUE = {"criteria", "payload", "metadata"}


def named_values(value: Any) -> Iterator[tuple[str, Any]]:
    """Every name in a reply with its value, criteria and the like left out."""
    for item in value if isinstance(value, list) else []:
        yield from named_values(item)
    for name, inner in value.items() if isinstance(value, dict) else []:
        yield name, inner
        if name not in _OPAQUE:
            yield from named_values(inner)


def _replies(world: World) -> list[Any]:
    deal, sale = world.sold
    return [
        world.listed,
        world.agent.post("/v1/recommend", {"sessionId": deal.session_id, "offerId": deal.offer["id"]}).accepted(),
        world.checkout(world.deal()),
        sale,
        world.session(deal.session_id),
        world.stranger.post("/v1/codes/verify", {"code": deal.offer["aapCode"]}).accepted(),
    ]


@must("0")
def names_are_camel_case(world: World) -> None:
    """Names in replies are camelCase."""
    snakes = {name for reply in _replies(world) for name, _ in named_values(reply) if "_" in name}
    expect(not snakes, f"not camelCase: {', '.join(sorted(snakes))}")


@must("0")
def snake_case_is_taken(world: World) -> None:
    """snake_case aliases are accepted in requests."""
    session_id = world.search()["sessionId"]
    body = {"session_id": session_id, "offer_id": world.offer["id"]}
    found = world.agent.post("/v1/recommend", body).accepted()
    asked = {"session_id": session_id, "recommendation_id": found["recommendationId"]}
    world.agent.post("/v1/checkout", asked).accepted()


@must("0")
def null_is_taken_for_absent(world: World) -> None:
    """Explicit `null` for an optional field is accepted: the official client sends it."""
    session_id = world.search()["sessionId"]
    body = {"sessionId": session_id, "offerId": world.offer["id"], "context": None}
    found = world.agent.post("/v1/recommend", body).accepted()
    asked = {"sessionId": session_id, "recommendationId": found["recommendationId"], "userDetails": None}
    world.agent.post("/v1/checkout", asked).accepted()


@must("0")
def money_is_a_number(world: World) -> None:
    """Money is a JSON number in major units, never a string."""
    names = {"price", "amount", "transactionValue", "networkFee", "builderPayout"}
    for reply in _replies(world):
        for name, value in named_values(reply):
            if name in names:
                is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
                expect(is_number, f"{name} is {value!r}, not a number")
                expect(value == round(Decimal(value), 2), f"{name} is {value}, not whole pence")


@must("0")
def times_are_utc_with_milliseconds(world: World) -> None:
    """Timestamps are ISO 8601 in UTC with milliseconds and `Z`."""
    for reply in _replies(world):
        for name, value in named_values(reply):
            if name.endswith("At") and value is not None:
                expect(isinstance(value, str) and _INSTANT.match(value), f"{name} is {value!r}")


@must("0")
def ids_are_short_texts(world: World) -> None:
    """Ids are strings of at most 64 characters."""
    for reply in _replies(world):
        for name, value in named_values(reply):
            if name == "id" or name.endswith("Id"):
                expect(isinstance(value, str) and 0 < len(value) <= 64, f"{name} is {value!r}")


@must("1")
def a_session_is_open_for_a_day(world: World) -> None:
    """A session expires 24 hours after the search."""
    found = world.search()
    session = world.session(found["sessionId"])["session"]
    opened, ends = (datetime.fromisoformat(session[name]) for name in ("createdAt", "expiresAt"))
    expect(abs(ends - opened - timedelta(hours=24)) < timedelta(minutes=1), f"it is open for {ends - opened}")
    expect(session["expiresAt"] == found["expiresAt"], "search and session tell of different ends")
