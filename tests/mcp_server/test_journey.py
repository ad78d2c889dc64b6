"""An agent's client from search to checkout link (protocol, section 5): the same by every way."""

import pytest
from mcp_types.version import LATEST_HANDSHAKE_VERSION, LATEST_MODERN_VERSION

from checkout.models import Checkout
from rako.serving import serving
from sessions_app.models import Recommendation
from tests.mcp_server.clients import buy, database_environment, over_http, talker

WAYS = [("http", "auto"), ("http", "legacy"), ("stdio", "auto"), ("stdio", "legacy"), ("remote", "auto")]
VERSIONS = {"auto": LATEST_MODERN_VERSION, "legacy": LATEST_HANDSHAKE_VERSION}


@pytest.mark.parametrize(("way", "mode"), WAYS)
def test_an_agent_gets_from_search_to_the_payment_page(way, mode, live_server, settings, key, offer):
    settings.RAKO_BASE_URL = settings.RAKO_LINK_BASE = live_server.url

    version, tools, results = talker(way, live_server.url, key)(look_and_buy, mode=mode)

    found, needed, link, again = (result.structured_content for result in results)
    assert version == VERSIONS[mode]
    assert tools == ["search_offers", "get_checkout_requirements", "get_checkout_link"]
    assert found["offers"][0]["id"] == needed["offerId"] == offer.pk
    assert link["checkoutUrl"].startswith(f"{live_server.url}/sandbox/pay/")
    assert (link["amount"], link["currency"]) == (10.0, "GBP")
    assert Checkout.objects.get().state == "open"  # and nobody has paid
    # Asked again, it is the same link of the same recommendation.
    assert link == again
    assert Recommendation.objects.get().context == "cheapest that fits"


async def look_and_buy(client):
    listed = await client.list_tools()
    return client.protocol_version, [tool.name for tool in listed.tools], await buy(client)


def test_the_web_servers_processes_serve_it(key):
    with serving(web_only="/health", **database_environment()) as server:
        replies = [over_http(server.base_url, key, buy, mode=mode) for mode in ("auto", "legacy")]

    assert [[result.is_error for result in reply] for reply in replies] == [[False] * 4, [False] * 4]
