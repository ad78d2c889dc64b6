"""Section 0: `Idempotency-Key`, where the server has it."""

from conformance.rules import NotTested, expect, should
from conformance.world import World, fresh


def _required(world: World, *, key: str | None = None) -> dict[str, str]:
    """The header, if the server knows it: an unknown one is ignored, and two equal requests do the work twice."""
    probe = {"Idempotency-Key": fresh("probe")}
    body = {"offerId": world.offer["id"]}
    replies = [world.agent.post("/v1/codes/issue", body, headers=probe) for _ in range(2)]
    if replies[1].headers.get("Idempotent-Replayed") != "true":
        raise NotTested("the server replays nothing: it has no Idempotency-Key")
    return {"Idempotency-Key": key or fresh("key")}


@should("0", "idempotency")
def the_same_key_gets_the_same_reply(world: World) -> None:
    """The same key with the same body gets the stored reply, with `Idempotent-Replayed: true`, and does nothing."""
    headers, session_id = _required(world), world.search()["sessionId"]
    body = {"sessionId": session_id, "offerId": world.offer["id"]}
    first, second = (world.agent.post("/v1/recommend", body, headers=headers) for _ in range(2))
    expect(first.accepted() == second.accepted(), "the replies differ")
    expect("Idempotent-Replayed" not in first.headers, "the first reply says that it was replayed")
    expect(second.headers.get("Idempotent-Replayed") == "true", "the second reply does not say so")
    expect(len(world.session(session_id)["recommendations"]) == 1, "the work was done twice")


@should("0", "idempotency")
def another_body_under_a_key_is_refused(world: World) -> None:
    """The same key with another body is 422."""
    headers, session_id = _required(world), world.search()["sessionId"]
    body = {"sessionId": session_id, "offerId": world.offer["id"]}
    world.agent.post("/v1/recommend", body, headers=headers).accepted()
    world.agent.post("/v1/recommend", body | {"context": "other"}, headers=headers).refused(422)


@should("0", "idempotency", "other_agent_key")
def a_key_belongs_to_one_party(world: World) -> None:
    """Another party's request under the same key is its own: it never gets the stored reply."""
    headers, body = _required(world), {"offerId": world.offer["id"]}
    world.agent.post("/v1/codes/issue", body, headers=headers).accepted()
    other = world.other_agent.post("/v1/codes/issue", body, headers=headers)
    expect(other.headers.get("Idempotent-Replayed") != "true", "it was replayed to another party")


@should("0", "idempotency")
def refusals_are_replayed_too(world: World) -> None:
    """A refusal is a reply like any other: the same key gets it again."""
    headers, body = _required(world), {"sessionId": "x", "offerId": "x"}
    first, second = (world.agent.post("/v1/recommend", body, headers=headers) for _ in range(2))
    first.refused(404, "Session not found")
    second.refused(404, "Session not found")
