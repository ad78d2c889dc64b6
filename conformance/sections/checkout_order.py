"""Section 1: what `POST /v1/checkout` refuses, with which text, and in which order."""

from conformance.rules import expect, must
from conformance.world import World, unknown_id

_PATH = "/v1/checkout"


@must("1")
def checkout_needs_both_ids(world: World) -> None:
    """1. 400 `sessionId and recommendationId are required`, if either is missing or empty."""
    deal, _ = world.sold
    empty = {"sessionId": deal.session_id, "recommendationId": ""}
    for body in ({}, {"sessionId": "x"}, {"recommendationId": "x"}, {"sessionId": "", "recommendationId": "x"}, empty):
        world.agent.post(_PATH, body).refused(400, "sessionId and recommendationId are required")


@must("1")
def checkout_finds_its_session(world: World) -> None:
    """2. 404 `Session not found` for an unknown session, whatever the recommendation is."""
    deal, _ = world.sold
    for session_id in (unknown_id(deal.session_id), "x"):
        for recommendation_id in (deal.recommendation_id, unknown_id(deal.recommendation_id), "x"):
            body = {"sessionId": session_id, "recommendationId": recommendation_id}
            world.agent.post(_PATH, body).refused(404, "Session not found")


@must("1", "other_agent_key")
def nobody_checks_out_in_anothers_session(world: World) -> None:
    """2. 404 `Session not found` for another agent's session."""
    world.other_agent.post(_PATH, world.deal().chosen).refused(404, "Session not found")


@must("1", "expired")
def checkout_refuses_an_expired_session(world: World) -> None:
    """3. 410 `Session expired`."""
    chosen = world.expired
    body = {"sessionId": chosen.session_id, "recommendationId": chosen.recommendation_id}
    world.agent.post(_PATH, body).refused(410, "Session expired")


@must("1", "expired")
def expiry_comes_before_the_recommendation(world: World) -> None:
    """3 before 4: an expired session is 410 even if the recommendation is unknown."""
    for recommendation_id in ("x", unknown_id(world.expired.recommendation_id)):
        body = {"sessionId": world.expired.session_id, "recommendationId": recommendation_id}
        world.agent.post(_PATH, body).refused(410, "Session expired")


@must("1")
def checkout_finds_its_recommendation(world: World) -> None:
    """4. 404 `Recommendation not found` for an unknown one and for one of another session."""
    deal, other = world.deal(), world.deal()
    for recommendation_id in (other.recommendation_id, unknown_id(other.recommendation_id), "x"):
        body = {"sessionId": deal.session_id, "recommendationId": recommendation_id}
        world.agent.post(_PATH, body).refused(404, "Recommendation not found")


@must("1", "withdrawn")
def checkout_refuses_a_withdrawn_offer(world: World) -> None:
    """5. 410 `Offer no longer available`, if it was withdrawn after the recommendation."""
    chosen = world.withdrawn
    body = {"sessionId": chosen.session_id, "recommendationId": chosen.recommendation_id}
    world.agent.post(_PATH, body).refused(410, "Offer no longer available")


@must("1", "unconnected_provider")
def checkout_needs_a_payment_processor(world: World) -> None:
    """6. 503 `Merchant has no connected payment processor`."""
    offers = world.search(provider=world.subject.unconnected_provider)["offers"]
    expect(offers, f"nothing of {world.subject.unconnected_provider} is found")
    deal = world.deal(offers[0])
    world.agent.post(_PATH, deal.chosen).refused(503, "Merchant has no connected payment processor")


@must("1")
def a_converted_session_sells_nothing_more(world: World) -> None:
    """409 `Session already converted`, also for another recommendation of the session."""
    deal, _ = world.sold
    other = world.recommend(deal.session_id, deal.offer)["recommendationId"]
    for recommendation_id in (deal.recommendation_id, other):
        body = {"sessionId": deal.session_id, "recommendationId": recommendation_id}
        world.agent.post(_PATH, body).refused(409, "Session already converted")
