"""Section 1: conversions, as merchants report them and both sides see them."""

from datetime import UTC, datetime, timedelta

from conformance.rules import expect, must, should
from conformance.world import World, fresh

_FIELDS = {"conversionId", "sessionId", "orderReference", "transactionValue", "commission", "status"}
_FIELDS |= {"validationPeriodDays"}


@must("1")
def a_report_has_its_form(world: World) -> None:
    """A report is answered with the conversion, its commission in three parts, and `status:"pending"`."""
    deal, sale = world.sold
    expect(set(sale) >= _FIELDS, f"it lacks {sorted(_FIELDS - set(sale))}")
    parts = {"amount", "networkFee", "builderPayout", "type"}
    expect(set(sale["commission"]) == parts, f"the commission has {sorted(sale['commission'])}")
    expect(sale["sessionId"] == deal.session_id, "it is of another session")
    expect(sale["transactionValue"] == deal.offer["price"], f"its value is {sale['transactionValue']}")
    expect(sale["status"] == "pending", f"it is {sale['status']}")


@must("1")
def the_same_report_again_is_the_same(world: World) -> None:
    """The same report again gives the same reply, and the session still has one conversion."""
    deal, order = world.deal(), fresh("order")
    first, second = (world.sell(deal, orderReference=order) for _ in range(2))
    expect({name: first[name] for name in _FIELDS} == {name: second[name] for name in _FIELDS}, "the replies differ")
    expect(len(world.session(deal.session_id)["conversions"]) == 1, "it counts twice")


@must("1")
def another_report_of_an_order_is_a_conflict(world: World) -> None:
    """One conversion per merchant and `orderReference`: a different report of the same order is 409."""
    deal, sale = world.sold
    order, value = sale["orderReference"], sale["transactionValue"]
    world.report(deal, orderReference=order, transactionValue=value + 1).refused(409)
    world.report(world.deal(), orderReference=order).refused(409)


@must("3")
def a_session_converts_once(world: World) -> None:
    """A second order of a session is refused: one session, one conversion, one commission."""
    deal, sale = world.sold
    world.report(deal).refused(409)
    found = [shown["conversionId"] for shown in world.session(deal.session_id)["conversions"]]
    expect(found == [sale["conversionId"]], f"the session has {len(found)} conversions")


@must("1")
def a_report_needs_its_fields(world: World) -> None:
    """Without `sessionId`, `orderReference` or `transactionValue` a report is 400."""
    body = {"sessionId": world.deal().session_id, "orderReference": fresh("order"), "transactionValue": 10}
    for name in body:
        world.merchant.post("/v1/conversions", {key: body[key] for key in body if key != name}).refused(400)


@must("1")
def a_value_is_a_plausible_number(world: World) -> None:
    """A negative value, a text, and one with parts of a penny are 400, and so is another currency than the code's."""
    deal = world.deal()
    for value in (-1, "10.00", 10.001, True, None):
        world.report(deal, transactionValue=value).refused(400)
    foreign = "EUR" if deal.offer["currency"] != "EUR" else "GBP"
    world.report(deal, currency=foreign).refused(400)


@must("1")
def a_report_finds_its_session(world: World) -> None:
    """An unknown session, and one without a recommendation of this merchant's, is 404."""
    body = {"orderReference": fresh("order"), "transactionValue": 10}
    for session_id in ("x", world.search()["sessionId"]):
        world.merchant.post("/v1/conversions", body | {"sessionId": session_id}).refused(404)


@must("1", "other_merchants")
def nobody_reports_for_another_merchant(world: World) -> None:
    """A report about a session with another merchant's offers alone is 404, and changes nothing."""
    deal = world.deal()
    world.report(deal, by=world.other_merchant).refused(404)
    expect(world.session(deal.session_id)["conversions"] == [], "it made a conversion")


@must("1", "expired")
def a_late_sale_is_refused(world: World) -> None:
    """A sale outside the session's window is 410; it is judged by when it happened, not by when it is told."""
    body = {"sessionId": world.expired.session_id, "orderReference": fresh("order"), "transactionValue": 10}
    world.merchant.post("/v1/conversions", body).refused(410)


@must("1")
def a_sale_does_not_lie_in_the_future(world: World) -> None:
    """A sale that is said to happen tomorrow, or to have happened before its recommendation, is 400."""
    deal = world.deal()
    for days in (1, -1):
        at = (datetime.now(UTC) + timedelta(days=days)).isoformat()
        world.report(deal, occurredAt=at).refused(400)


@must("1")
def both_sides_read_a_conversion(world: World) -> None:
    """Both sides of a sale find it by its id and in their lists, with the same commission."""
    _, sale = world.sold
    for party in (world.agent, world.merchant):
        shown = party.get(f"/v1/conversions/{sale['conversionId']}").accepted()
        expect(shown["commission"] == sale["commission"], "the commission differs")
        listed = party.get("/v1/conversions", limit=100).accepted()["conversions"]
        expect(sale["conversionId"] in {found["conversionId"] for found in listed}, "the list lacks it")


@must("0", "other_agent_key", "other_merchants")
def nobody_reads_anothers_conversion(world: World) -> None:
    """For everybody else a conversion, its evidence and its place in lists do not exist: 404."""
    _, sale = world.sold
    for party in (world.other_agent, world.other_merchant):
        party.get(f"/v1/conversions/{sale['conversionId']}").refused(404)
        party.get(f"/v1/conversions/{sale['conversionId']}/evidence").refused(404)
        expect(sale["conversionId"] not in party.get("/v1/conversions").text, "a foreign list has it")


@should("1", "evidence")
def a_conversion_has_evidence(world: World) -> None:
    """`GET /v1/conversions/{id}/evidence` names what proves a sale, with a hash."""
    _, sale = world.sold
    found = world.agent.get(f"/v1/conversions/{sale['conversionId']}/evidence").accepted()["evidence"]
    expect(found and all(item.get("sha256") for item in found), "there is none")


@should("1", "batches")
def a_batch_judges_each_row(world: World) -> None:
    """A batch of reports is answered with a result per row; a bad row spoils no other."""
    deal = world.deal()
    good = {"sessionId": deal.session_id, "orderReference": fresh("order"), "transactionValue": deal.offer["price"]}
    bad = good | {"sessionId": "x", "orderReference": fresh("order")}
    found = world.merchant.post("/v1/conversions", {"conversions": [bad, good]}).accepted()
    expect(len(found["results"]) == 2, f"it has {len(found['results'])} results")
    expect(len(world.session(deal.session_id)["conversions"]) == 1, "the good row made no conversion")


@should("1", "cancellations")
def a_merchant_cancels_during_validation(world: World) -> None:
    """`POST /v1/conversions/{id}/cancel` takes the commission back while it is validated; an agent may not."""
    sale = world.sell(world.deal())
    path = f"/v1/conversions/{sale['conversionId']}"
    world.agent.post(f"{path}/cancel", {"reason": "mine"}).refused(403)
    world.merchant.post(f"{path}/cancel", {"reason": "the customer withdrew"}).accepted()
    shown = world.agent.get(path).accepted()
    expect(shown["status"] == "clawed_back", f"it is {shown['status']}")
    expect(shown["commission"]["amount"] == 0, f"{shown['commission']['amount']} is left of the commission")


@should("1", "disputes")
def either_side_disputes(world: World) -> None:
    """`POST /v1/conversions/{id}/disputes` puts a sale into dispute, once."""
    sale = world.sell(world.deal())
    path = f"/v1/conversions/{sale['conversionId']}"
    body = {"kind": "wrong_amount", "claimedValue": sale["transactionValue"] + 10}
    world.agent.post(f"{path}/disputes", body).accepted()
    expect(world.merchant.get(path).accepted()["status"] == "disputed", "the merchant sees no dispute")
    world.agent.post(f"{path}/disputes", body).refused(409)
