"""Section 1: `POST /v1/purchase`."""

from conformance.rules import expect, must
from conformance.world import World, unknown_id

_PATH = "/v1/purchase"


@must("1")
def a_purchase_without_a_method_is_a_checkout(world: World) -> None:
    """Without `paymentMethod` it is exactly a checkout: the same transaction and the same URL."""
    deal = world.deal()
    bought = world.agent.post(_PATH, {"recommendationId": deal.recommendation_id}).accepted()
    checkout = world.checkout(deal)
    for name in ("transactionId", "checkoutUrl", "mode", "status"):
        expect(bought[name] == checkout[name], f"{name} is {bought[name]}, a checkout says {checkout[name]}")


@must("1")
def purchase_needs_a_recommendation(world: World) -> None:
    """400 `recommendationId is required`; 404 `Recommendation not found` for an unknown one."""
    world.agent.post(_PATH, {}).refused(400, "recommendationId is required")
    for recommendation_id in ("x", unknown_id(world.deal().recommendation_id)):
        body = {"recommendationId": recommendation_id}
        world.agent.post(_PATH, body).refused(404, "Recommendation not found")


@must("1", "other_agent_key")
def nobody_buys_anothers_recommendation(world: World) -> None:
    """Another agent's recommendation is 404."""
    body = {"recommendationId": world.deal().recommendation_id}
    world.other_agent.post(_PATH, body).refused(404, "Recommendation not found")


@must("1", "payment_method")
def a_charge_is_confirmed_and_no_conversion(world: World) -> None:
    """With `paymentMethod` it is one charge: `mode` is `autonomous`, and its confirmation is no conversion."""
    body = {"recommendationId": world.deal().recommendation_id, "paymentMethod": world.subject.payment_method}
    first = world.agent.post(_PATH, body).accepted()
    expect(first["mode"] == "autonomous", f"mode is {first['mode']}")
    statuses = {"succeeded", "processing", "requires_action"}
    expect(first["status"] in statuses and first.get("confirmation"), f"it answers {first['status']}")
    expect("conversionId" not in first, "it tells of a conversion")
    again = world.agent.post(_PATH, body)
    if again.status == 200:
        same = (first["transactionId"], first["confirmation"])
        expect((again.json["transactionId"], again.json["confirmation"]) == same, "it is charged twice")
    else:
        again.refused(409)


@must("1", "declined_method")
def a_decline_is_told(world: World) -> None:
    """A declined charge is 402 `Payment declined`."""
    body = {"recommendationId": world.deal().recommendation_id, "paymentMethod": world.subject.declined_method}
    world.agent.post(_PATH, body).refused(402, "Payment declined")
