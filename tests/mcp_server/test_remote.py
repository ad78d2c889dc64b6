"""The way to another server: through the proxies of where it runs, with no key but its own, and twice if need be."""

from urllib.parse import urlsplit

import pytest

from mcp_server.refusals import CODE_KEY
from mcp_server.remote import RemoteBackend
from mcp_server.tools import LINK, SEARCH
from rako.serving import free_port
from tests.counterparties.faults import Answer, FaultProxy

IN_FLIGHT = Answer(
    status=409,
    body=b'{"error": "The first request with this Idempotency-Key is still in flight"}',
    headers=(
        ("Content-Type", "application/json"),
        ("X-Error-Code", "idempotency_in_flight"),
        ("Retry-After", "1"),
    ),
)


class ForwardProxy(FaultProxy):
    """A company's proxy: asked for whole addresses, all of which lead to the one server behind it."""

    def _forward(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        asked = urlsplit(target)
        return super()._forward(method, asked.path, headers | {"Host": self._upstream.netloc}, body)


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch):
    for name in ("HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def test_it_goes_through_the_proxy_of_its_environment(live_server, key, monkeypatch):
    with ForwardProxy(live_server.url) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)

        found = SEARCH.call(RemoteBackend("http://rako.invalid", key), {})

    assert not found.is_error
    assert [seen.target for seen in proxy.seen] == ["http://rako.invalid/v1/offers"]


@pytest.mark.parametrize(("exempt", "is_error"), [("localhost", False), ("rako.invalid", True)])
def test_it_leaves_out_the_proxy_where_the_environment_says_so(live_server, key, monkeypatch, exempt, is_error):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("NO_PROXY", exempt)

    assert bool(SEARCH.call(RemoteBackend(live_server.url, key), {}).is_error) is is_error


def test_no_netrc_replaces_its_key(live_server, key, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login somebody password other\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))

    assert not SEARCH.call(RemoteBackend(live_server.url, key), {}).is_error


@pytest.mark.parametrize(("times", "code"), [(1, None), (2, "idempotency_in_flight")])
def test_an_equal_call_in_flight_is_waited_for_once(live_server, settings, key, offer, times, code):
    settings.RAKO_LINK_BASE = live_server.url
    with FaultProxy(live_server.url) as proxy:
        backend = RemoteBackend(proxy.url, key)
        session_id = SEARCH.call(backend, {}).structured_content["sessionId"]
        proxy.fail(IN_FLIGHT, times=times, path="/v1/recommend")

        result = LINK.call(backend, {"session_id": session_id, "offer_id": offer.pk})

    assert (result.meta or {}).get(CODE_KEY) == code
    assert code is None or "Wait 1 seconds. Call again with the same arguments" in result.content[0].text
