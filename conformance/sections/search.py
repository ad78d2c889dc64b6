"""Section 1: `GET /health` and `GET /v1/offers`."""

from decimal import Decimal
from itertools import pairwise
from typing import Any

from conformance import codes
from conformance.rules import NotTested, expect, must, should
from conformance.world import World, unknown_id

_VERTICALS = {"sim", "broadband", "energy", "flights", "hotels", "insurance"}
_FIELDS = {"id", "merchantId", "vertical", "provider", "name", "price", "currency", "criteria", "aapCode", "status"}


@must("1")
def health_is_public(world: World) -> None:
    """`GET /health` needs no key and says `{"status":"ok","version":…,"protocol":"AAP"}`."""
    found = world.stranger.get("/health").accepted()
    expect(found.get("status") == "ok" and found.get("protocol") == "AAP", f"it says {found}")
    expect(isinstance(found.get("version"), str), "it has no version")


@must("1")
def a_search_has_its_form(world: World) -> None:
    """A search answers `{sessionId, offers, count, expiresAt}`, each offer with its ten fields."""
    found = world.listed
    expect({"sessionId", "offers", "count", "expiresAt"} <= set(found), f"it has {sorted(found)}")
    expect(found["count"] == len(found["offers"]), f"count is {found['count']} of {len(found['offers'])} offers")
    for offer in found["offers"]:
        expect(set(offer) >= _FIELDS, f"offer {offer.get('id')} lacks {sorted(_FIELDS - set(offer))}")
        expect(offer["vertical"] in _VERTICALS, f"offer {offer['id']} is of the vertical {offer['vertical']}")
        expect(isinstance(offer["criteria"], dict), f"the criteria of offer {offer['id']} are no object")


@must("1")
def only_active_offers_are_found(world: World) -> None:
    """Only active offers are found."""
    expect({offer["status"] for offer in world.listed["offers"]} == {"active"}, "some are not active")


@must("1", "withdrawn")
def a_withdrawn_offer_is_not_found(world: World) -> None:
    """An offer that was withdrawn is found by no search."""
    page = world.listed
    while True:
        expect(world.withdrawn.offer_id not in {offer["id"] for offer in page["offers"]}, "it is found")
        if not page.get("nextCursor"):
            return
        page = world.search(limit=100, cursor=page["nextCursor"])


@must("1")
def every_search_opens_a_session(world: World) -> None:
    """Each search opens a session in the status `created`, even without a hit."""
    first, second = world.search(vertical="sim"), world.search(vertical="sim", max_price=0)
    expect(second["offers"] == [] and second["count"] == 0, "something costs nothing")
    expect(first["sessionId"] != second["sessionId"], "two searches share a session")
    for found in (first, second):
        status = world.session(found["sessionId"])["session"]["status"]
        expect(status == "created", f"the session is {status}")


@must("1")
def an_unknown_vertical_finds_nothing(world: World) -> None:
    """An unknown vertical finds an empty list, and is no error."""
    expect(world.search(vertical="spaceships")["offers"] == [], "it found something")


@must("1")
def a_number_that_is_none_is_refused(world: World) -> None:
    """A number in the query that is none is 400."""
    for name in ("min_price", "max_price", "data_gb_min", "contract_months"):
        world.agent.get(f"/v1/offers?{name}=ten").refused(400)


@must("1")
def offers_come_by_price(world: World) -> None:
    """Offers are sorted by price, then by id."""
    order = [(offer["price"], offer["id"]) for offer in world.listed["offers"]]
    if len(order) < 2:
        raise NotTested("fewer than two offers to compare")
    expect(order == sorted(order), "they are not")


@must("1")
def commission_never_orders_offers(world: World) -> None:
    """Commission never influences the order: equal prices come by id, whatever they pay."""
    offers = world.listed["offers"]
    for first, second in pairwise(offers):
        if first["price"] == second["price"]:
            expect(first["id"] < second["id"], f"at {first['price']}, {first['id']} comes before {second['id']}")
    pays = [_worth(offer) for offer in offers]
    if len(set(pays)) < 2:
        raise NotTested("all offers pay the same commission")
    order = [(offer["price"], offer["id"]) for offer in offers]
    by_commission = pays in (sorted(pays), sorted(pays, reverse=True))
    if by_commission and order == sorted(order):  # as where all offers pay one percentage
        raise NotTested("the order by price is that by commission, too")
    expect(not by_commission, "they come by commission")


def _worth(offer: dict[str, Any]) -> Decimal:
    terms = codes.read(offer["aapCode"]).payload["com"]
    if terms["type"] == "cpa":
        return Decimal(terms["value"])
    return Decimal(terms.get("min", 0)) + Decimal(offer["price"]) * Decimal(terms["value"]) / 100


@must("1")
def filters_narrow_the_search(world: World) -> None:
    """`vertical`, `min_price`, `max_price` and `provider` (a part, in any case) hold of everything that is found."""
    offer = world.offer
    part = offer["provider"][1:4].swapcase()
    price = offer["price"]
    found = world.search(vertical=offer["vertical"], provider=part, min_price=price, max_price=price)["offers"]
    expect(offer["id"] in {other["id"] for other in found}, "the offer that fits all of them is not found")
    for other in found:
        expect(other["vertical"] == offer["vertical"], f"{other['id']} is of another vertical")
        expect(part.lower() in other["provider"].lower(), f"{other['id']} is of another provider")
        expect(other["price"] == price, f"{other['id']} has another price")


@must("1")
def sim_filters_narrow_the_search(world: World) -> None:
    """`data_gb_min` and its alias `min_data_gb` ask for at least so much data, `contract_months=0` for rolling SIMs."""
    by_name = world.search(vertical="sim", data_gb_min=20, limit=100)["offers"]
    by_alias = world.search(vertical="sim", min_data_gb=20, limit=100)["offers"]
    expect([offer["id"] for offer in by_name] == [offer["id"] for offer in by_alias], "the alias finds something else")
    for offer in by_name:
        data = offer["criteria"]["data_gb"]
        expect(not isinstance(data, int | Decimal) or data >= 20, f"{offer['id']} has {data} GB")
    for offer in world.search(vertical="sim", contract_months=0)["offers"]:
        expect(offer["criteria"]["contract_months"] == 0, f"{offer['id']} is not rolling")


@should("1", "paging")
def pages_hold_each_offer_once(world: World) -> None:
    """`limit` and `cursor` page through the offers, each one once and in the same order."""
    first = world.search(limit=3)
    expect(len(first["offers"]) <= 3, "more than asked for")
    if not first.get("nextCursor"):
        raise NotTested("no more than three offers")
    second = world.search(limit=3, cursor=first["nextCursor"])
    both = [offer["id"] for offer in first["offers"] + second["offers"]]
    expect(both == [offer["id"] for offer in world.listed["offers"][: len(both)]], "the pages differ from the list")


@should("1", "requirements")
def requirements_are_told(world: World) -> None:
    """`GET /v1/offers/{id}/requirements` tells what a checkout needs and the next step; an unknown offer is 404."""
    found = world.agent.get(f"/v1/offers/{world.offer['id']}/requirements").accepted()
    expect("nextStep" in found, f"it has {sorted(found)}")
    world.agent.get(f"/v1/offers/{unknown_id(world.offer['id'])}/requirements").refused(404)
