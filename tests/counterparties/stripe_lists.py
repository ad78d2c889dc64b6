"""Lists as Stripe gives them: newest first, in pages, filtered by time."""

from collections.abc import Sequence
from typing import Any

from tests.counterparties.stripe_errors import Refusal, missing

Thing = dict[str, Any]


def page(things: Sequence[Thing], url: str, params: dict[str, Any], kind: str) -> Thing:
    """One page of what was made, given oldest first. Raises Refusal for a limit or cursor that Stripe refuses."""
    limit = params.get("limit", 10)
    if not 1 <= limit <= 100:
        bound = "less than or equal to 100" if limit > 100 else "greater than or equal to 1"
        raise Refusal(400, f"This value must be {bound}.", code="parameter_invalid_integer", param="limit")
    newest = [thing for thing in reversed(things) if _is_within(thing["created"], params.get("created"))]
    if "ending_before" in params:
        earlier = newest[: _place(newest, params["ending_before"], kind, "ending_before")]
        shown, has_more = earlier[-limit:], len(earlier) > limit
    else:
        later = newest
        if "starting_after" in params:
            later = newest[_place(newest, params["starting_after"], kind, "starting_after") + 1 :]
        shown, has_more = later[:limit], len(later) > limit
    return {"object": "list", "data": shown, "has_more": has_more, "url": url}


def _place(things: Sequence[Thing], key: str, kind: str, param: str) -> int:
    for place, thing in enumerate(things):
        if thing["id"] == key:
            return place
    raise missing(kind, key, param)


def _is_within(created: int, bounds: int | dict[str, int] | None) -> bool:
    if bounds is None:
        return True
    if isinstance(bounds, int):
        return created == bounds
    return (
        created > bounds.get("gt", -1)
        and created >= bounds.get("gte", 0)
        and created < bounds.get("lt", created + 1)
        and created <= bounds.get("lte", created)
    )
