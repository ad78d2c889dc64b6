"""Section 1: `GET /v1/sessions/{id}`, and who may see one."""

from conformance.rules import expect, must
from conformance.world import World, only

_STATUSES = {"created", "active", "checkout", "converted", "validated", "settled", "cancelled", "clawed_back"}
_STATUSES |= {"disputed", "resolved", "expired"}


@must("1")
def a_session_has_its_form(world: World) -> None:
    """It answers `{session:{id,agentId,status,createdAt,expiresAt}, recommendations, conversions}`."""
    deal, sale = world.sold
    found = world.session(deal.session_id)
    expect(set(found) >= {"session", "recommendations", "conversions"}, f"it has {sorted(found)}")
    missing = {"id", "agentId", "status", "createdAt", "expiresAt"} - set(found["session"])
    expect(not missing, f"the session lacks {sorted(missing)}")
    expect(found["session"]["status"] in _STATUSES, f"its status is {found['session']['status']}")
    expect(only(found["conversions"], "conversions")["conversionId"] == sale["conversionId"], "another conversion")
    expect(found["session"]["status"] == "converted", f"it is {found['session']['status']}, not converted")


@must("1", "other_agent_key")
def nobody_reads_anothers_session(world: World) -> None:
    """Another agent's session is 404, never 403, and the answer does not tell that it exists."""
    deal, _ = world.sold
    foreign = world.other_agent.get(f"/v1/sessions/{deal.session_id}")
    foreign.refused(404)
    unknown = world.other_agent.get("/v1/sessions/x")
    expect(foreign.json == unknown.json, "the answer differs from the one about an unknown session")


@must("1")
def a_merchant_reads_sessions_with_its_offers(world: World) -> None:
    """A merchant sees a session that holds a recommendation of its offer; one that holds none is 404."""
    deal, _ = world.sold
    found = world.merchant.get(f"/v1/sessions/{deal.session_id}").accepted()
    expect(found["session"]["id"] == deal.session_id, "another session")
    world.merchant.get(f"/v1/sessions/{world.search()['sessionId']}").refused(404)


@must("1", "other_merchants")
def a_merchant_reads_no_others_session(world: World) -> None:
    """A session with another merchant's offers alone is 404."""
    deal, _ = world.sold
    world.other_merchant.get(f"/v1/sessions/{deal.session_id}").refused(404)


@must("1", "other_merchants")
def a_merchant_sees_its_own_part_of_a_session(world: World) -> None:
    """Of a session with offers of several merchants, each sees what concerns its own offers."""
    other_offer = world.offer_of(world.subject.other_merchants[0])
    session_id = world.search()["sessionId"]
    for offer in (world.offer, other_offer):
        world.recommend(session_id, offer)
    for merchant, own, foreign in (
        (world.merchant, world.offer, other_offer),
        (world.other_merchant, other_offer, world.offer),
    ):
        reply = merchant.get(f"/v1/sessions/{session_id}")
        shown = only(reply.accepted()["recommendations"], "recommendations")
        expect(shown["offerId"] == own["id"], "it sees another offer")
        expect(foreign["id"] not in reply.text, "it sees the other's offer")
