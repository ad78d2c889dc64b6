"""Keys that may not, or not now: what the model reads of it, through the SDK's own client by every way."""

import re

import pytest
from mcp.shared.exceptions import MCPError

from mcp_server.refusals import CODE_KEY
from rako.core.rate_limits import RateWindow
from sessions_app.models import AgentKey
from tests.factories import MerchantKeyFactory
from tests.mcp_server.clients import over_http, talker

WAYS = [("http", "auto"), ("http", "legacy"), ("http", "2026-07-28"), ("remote", "auto")]
WAIT = r"Rate limit exceeded\. Wait \d+ seconds\. Call again with the same arguments: that is safe\."


async def search(client):
    return await client.call_tool("search_offers", {"vertical": "none"})


async def search_until_refused(client):
    for _ in range(10):
        if (result := await search(client)).is_error:
            return result
    return None


@pytest.fixture
def limited_key(key):
    AgentKey.objects.update(tier="enterprise", rate_limit=5)
    return key


@pytest.mark.parametrize(("way", "mode"), WAYS)
def test_beyond_the_limit_the_model_is_told_how_long_to_wait(live_server, limited_key, way, mode):
    result = talker(way, live_server.url, limited_key)(search_until_refused, mode=mode)

    assert result.meta[CODE_KEY] == "rate_limited"
    assert re.fullmatch(WAIT, result.content[0].text)


def test_the_reply_has_the_headers_of_a_refusal(live_server, limited_key):
    heard = []

    async def hear(response):
        heard.append((response.status_code, response.headers))

    result = over_http(live_server.url, limited_key, search_until_refused, hear=hear)

    status, headers = heard[-1]
    assert (status, headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]) == (200, "5", "0")
    assert f"Wait {headers['Retry-After']} seconds." in result.content[0].text


@pytest.mark.parametrize(("way", "mode"), [("http", "2026-07-28"), ("remote", "auto")])
def test_a_merchants_key_is_for_the_user_to_mend(live_server, offer, way, mode):
    result = talker(way, live_server.url, MerchantKeyFactory().secret)(search, mode=mode)

    assert result.meta[CODE_KEY] == "wrong_key_kind"
    assert result.content[0].text == (
        "This endpoint needs an agent key. "
        "No other arguments can mend this: tell the user that the API key is not accepted."
    )


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
def test_an_unknown_key_is_the_clients_to_mend(live_server, offer, mode):
    heard = []

    async def hear(response):
        heard.append((response.status_code, response.headers.get("WWW-Authenticate")))

    with pytest.raises((MCPError, BaseExceptionGroup)):
        over_http(live_server.url, "aap_nobody", search, mode=mode, hear=hear)

    assert heard == [(401, "Bearer")]


def test_stdio_on_the_database_has_no_limit(live_server, limited_key):
    assert talker("stdio", live_server.url, limited_key)(search_until_refused) is None
    assert not RateWindow.objects.exists()
