"""Section 0: rate limits, where the server has them. The last rule uses up a key."""

import time

from conformance.client import Reply
from conformance.rules import NotTested, expect, should
from conformance.world import World

_NAMES = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
_MOST = 400


def _limited(reply: Reply) -> list[int]:
    """Limit, remaining and reset of a reply. Raises NotTested where there are no limits."""
    if _NAMES[0] not in reply.headers:
        raise NotTested(f"the server sends no {_NAMES[0]}")
    found = [reply.headers.get(name, "") for name in _NAMES]
    expect(all(value.isdigit() for value in found), f"the headers say {found}")
    return [int(value) for value in found]


@should("0", "rate_limits")
def limits_are_told(world: World) -> None:
    """Every reply to a keyed request tells limit, what remains of it, and when it begins anew (unix seconds)."""
    for path in ("/v1/offers", "/v1/sessions/x"):
        limit, remaining, reset = _limited(world.agent.get(path))
        expect(0 <= remaining < limit, f"{remaining} of {limit} remain after a request")
        expect(reset > time.time() - 5, "it begins anew in the past")


@should("0", "rate_limits", "limited_key")
def a_used_up_key_waits(world: World) -> None:
    """Beyond the limit: 429 `Rate limit exceeded` with `Retry-After`, for this key alone, and none too early."""
    party = world.as_party(world.subject.limited_key)
    reply = party.get("/v1/sessions/x")
    limit, remaining, reset = _limited(reply)
    if reply.status == 429:
        raise NotTested("the key is used up already")
    if limit > _MOST:
        raise NotTested(f"the key's limit is {limit}")
    for _ in range(remaining):
        reply = party.get("/v1/sessions/x")
        if reply.status == 429:
            break
    refused = party.get("/v1/sessions/x")
    if time.time() >= reset:
        raise NotTested("the window was over before the limit was reached")
    expect(reply.status != 429, f"it was refused before {limit} requests")
    refused.refused(429, "Rate limit exceeded")
    expect(refused.headers.get("Retry-After", "").isdigit(), "it does not say when to come again")
    expect(world.agent.get("/v1/sessions/x").status == 404, "another key is refused, too")
