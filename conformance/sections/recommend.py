"""Section 1: `POST /v1/recommend`."""

from conformance.rules import expect, must
from conformance.world import World, unknown_id

_PATH = "/v1/recommend"


@must("1")
def a_recommendation_has_its_form(world: World) -> None:
    """It answers `{recommendationId, fallbackUrl, attributionRecorded:true, offer}`; the URL ends in `/r/{id}`."""
    session_id = world.search()["sessionId"]
    found = world.agent.post(_PATH, {"sessionId": session_id, "offerId": world.offer["id"], "context": "ok"}).accepted()
    expect(found["attributionRecorded"] is True, "attributionRecorded is not true")
    expect(found["fallbackUrl"].endswith(f"/r/{found['recommendationId']}"), f"the URL is {found['fallbackUrl']}")
    offer = {name: world.offer[name] for name in ("id", "provider", "name", "price", "currency")}
    expect(found["offer"] == offer, f"the offer is {found['offer']}")


@must("1")
def a_recommendation_makes_its_session_active(world: World) -> None:
    """A recommendation makes its session `active`, and a session takes many of them."""
    session_id = world.search()["sessionId"]
    ids = [world.recommend(session_id, world.offer)["recommendationId"] for _ in range(2)]
    found = world.session(session_id)
    expect(found["session"]["status"] == "active", f"the session is {found['session']['status']}")
    expect(len(set(ids)) == 2, "two recommendations share an id")
    shown = {shown.get("recommendationId", shown.get("id")) for shown in found["recommendations"]}
    expect(shown == set(ids), "the session does not show both")


@must("1")
def recommend_needs_both_ids(world: World) -> None:
    """400 `sessionId and offerId are required`, if either is missing or empty."""
    session_id, offer_id = world.listed["sessionId"], world.offer["id"]
    for body in ({}, {"sessionId": session_id}, {"offerId": offer_id}, {"sessionId": "", "offerId": offer_id}):
        world.agent.post(_PATH, body).refused(400, "sessionId and offerId are required")


@must("1")
def recommend_finds_its_session_first(world: World) -> None:
    """404 `Session not found`, before anything is said of the offer."""
    session_id = unknown_id(world.listed["sessionId"])
    for offer_id in (world.offer["id"], "x"):
        world.agent.post(_PATH, {"sessionId": session_id, "offerId": offer_id}).refused(404, "Session not found")


@must("1", "expired")
def recommend_refuses_an_expired_session(world: World) -> None:
    """410 `Session expired`, before anything is said of the offer."""
    for offer_id in (world.offer["id"], "x"):
        body = {"sessionId": world.expired.session_id, "offerId": offer_id}
        world.agent.post(_PATH, body).refused(410, "Session expired")


@must("1")
def recommend_finds_its_offer(world: World) -> None:
    """404 `Offer not found`, for an id of any shape."""
    session_id = world.search()["sessionId"]
    for offer_id in (unknown_id(world.offer["id"]), "x", "A" * 65):
        world.agent.post(_PATH, {"sessionId": session_id, "offerId": offer_id}).refused(404, "Offer not found")


@must("1", "withdrawn")
def recommend_refuses_a_withdrawn_offer(world: World) -> None:
    """410 `Offer no longer available`."""
    body = {"sessionId": world.search()["sessionId"], "offerId": world.withdrawn.offer_id}
    world.agent.post(_PATH, body).refused(410, "Offer no longer available")


@must("1", "other_agent_key")
def nobody_recommends_in_anothers_session(world: World) -> None:
    """Another agent's session is 404 `Session not found`."""
    body = {"sessionId": world.listed["sessionId"], "offerId": world.offer["id"]}
    world.other_agent.post(_PATH, body).refused(404, "Session not found")
