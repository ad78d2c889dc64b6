"""Section 1: tracked links."""

from urllib.parse import parse_qs, urlsplit

from conformance.client import Reply
from conformance.rules import expect, must
from conformance.world import Deal, World, fresh

# Clicks of programs open no window for a sale.
BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36"
}
_THIRTY_DAYS = 30 * 24 * 3600


def click(world: World, deal: Deal, **params: str) -> Reply:
    """A visit of the link by a person."""
    return world.stranger.get(f"/r/{deal.recommendation_id}", headers=BROWSER, **params)


def convert(world: World, deal: Deal, order: str = "") -> Reply:
    """The merchant's report of a sale that the link brought."""
    body = {"orderReference": order or fresh("order"), "transactionValue": deal.offer["price"]}
    return world.merchant.post(f"/r/{deal.recommendation_id}/convert", body)


@must("1", "tracked_links")
def a_link_leads_to_the_merchant(world: World) -> None:
    """It is a 302 with `utm_source=aap`, `utm_medium=agent_referral` and `aap_ref={id}`."""
    deal = world.deal()
    reply = click(world, deal)
    expect(reply.status == 302, f"it answers {reply.status}")
    query = parse_qs(urlsplit(reply.headers["Location"]).query)
    wanted = {"utm_source": ["aap"], "utm_medium": ["agent_referral"], "aap_ref": [deal.recommendation_id]}
    expect({name: query.get(name) for name in wanted} == wanted, f"it leads to {reply.headers['Location']}")


@must("1", "tracked_links")
def a_link_leads_nowhere_else(world: World) -> None:
    """Whatever is added to a link, it leads to the merchant's registered page."""
    deal = world.deal()
    plain = click(world, deal).headers.get("Location", "")
    expect(urlsplit(plain).scheme in {"https", "http"}, f"it leads to {plain!r}")
    if world.subject.link_host:
        expect(urlsplit(plain).hostname == world.subject.link_host, f"it leads to {urlsplit(plain).hostname}")
    for name in ("url", "next", "redirect", "to", "aap_ref", "utm_source"):
        steered = click(world, deal, **{name: "https://elsewhere.example/"}).headers.get("Location", "")
        expect(steered == plain, f"with {name} it leads to {steered}")


@must("1", "tracked_links")
def a_link_sets_its_cookie(world: World) -> None:
    """A visit sets a cookie of 30 days."""
    cookie = click(world, world.deal()).headers.get("Set-Cookie", "").lower()
    expect(f"max-age={_THIRTY_DAYS}" in cookie, f"the cookie is {cookie!r}")


@must("1", "tracked_links")
def only_the_merchant_converts_a_link(world: World) -> None:
    """`POST /r/{id}/convert` takes a merchant's key alone: agents cannot report sales for themselves."""
    deal = world.deal()
    click(world, deal)
    path, body = f"/r/{deal.recommendation_id}/convert", {"orderReference": fresh("order"), "transactionValue": 10}
    world.stranger.post(path, body).refused(401)
    world.agent.post(path, body).refused(403)
    expect(world.session(deal.session_id)["conversions"] == [], "it made a conversion")


@must("1", "tracked_links", "other_merchants")
def no_other_merchant_converts_a_link(world: World) -> None:
    """A link to another merchant is 404."""
    deal = world.deal()
    click(world, deal)
    body = {"orderReference": fresh("order"), "transactionValue": 10}
    world.other_merchant.post(f"/r/{deal.recommendation_id}/convert", body).refused(404)


@must("1", "tracked_links")
def a_clicked_link_converts_once(world: World) -> None:
    """A sale by a link is a conversion of the path `tracked_link`; the same report again is the same."""
    deal, order = world.deal(), fresh("order")
    click(world, deal)
    first, second = (convert(world, deal, order).accepted() for _ in range(2))
    expect(first["conversionId"] == second["conversionId"], "it counts twice")
    shown = world.agent.get(f"/v1/conversions/{first['conversionId']}").accepted()
    expect(shown["attributionPath"] == "tracked_link", f"its path is {shown['attributionPath']}")


@must("4", "tracked_links")
def a_link_without_a_click_earns_nothing(world: World) -> None:
    """The window of a link is 30 days from a click: without one a sale is refused."""
    convert(world, world.deal()).refused(409)


@must("1", "tracked_links")
def a_link_counts_its_clicks(world: World) -> None:
    """`GET /r/{id}/stats` tells clicks, unique clicks, conversions and times; repeated clicks count once."""
    deal = world.deal()
    for _ in range(3):
        click(world, deal)
    found = world.agent.get(f"/r/{deal.recommendation_id}/stats").accepted()
    names = {"recommendationId", "clicks", "uniqueClicks", "conversions", "firstClickAt", "lastClickAt"}
    expect(set(found) >= names, f"it lacks {sorted(names - set(found))}")
    expect((found["clicks"], found["uniqueClicks"]) == (1, 1), f"it counts {found['clicks']} clicks")
    world.stranger.get(f"/r/{deal.recommendation_id}/stats").refused(401)


@must("1", "tracked_links", "other_agent_key")
def nobody_reads_anothers_clicks(world: World) -> None:
    """The statistics of another builder's link are 404."""
    world.other_agent.get(f"/r/{world.deal().recommendation_id}/stats").refused(404)
