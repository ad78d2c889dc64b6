"""Who has an endpoint that somebody else disabled is told so by every reply: there may be no other one to tell."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from notifications.endpoints import Because, delete_endpoint, disable, enable
from tests.conftest import Api
from tests.factories import AgentKeyFactory, MerchantFactory
from tests.notifications.conftest import endpoint_of

URL = "https://hooks.example/"
NOTICE = 'webhook-endpoint-disabled; see="/v1/webhook-endpoints"'


@pytest.fixture
def merchant(db):
    return MerchantFactory(connected=False)


@pytest.fixture
def endpoint(merchant):
    return endpoint_of(merchant, URL)


def notice(api, path="/v1/conversions"):
    return api.get(path).headers.get("Rako-Notice")


@pytest.mark.parametrize("because", [Because.GONE, Because.FAILING, Because.STAFF])
@pytest.mark.parametrize("path", ["/v1/conversions", "/v1/conversions?limit=x", "/v1/recommend", "/v1/nowhere"])
def test_every_reply_says_it_refusals_too(endpoint, merchant, as_merchant, because, path):
    disable(endpoint, because)

    assert notice(as_merchant(merchant), path) == (None if path == "/v1/nowhere" else NOTICE)


def test_what_the_owner_disabled_it_knows(endpoint, merchant, as_merchant):
    disable(endpoint, Because.OWNER)

    assert notice(as_merchant(merchant)) is None


@pytest.mark.parametrize("mend", [enable, delete_endpoint])
def test_it_ends_when_the_owner_has_seen_to_it(endpoint, merchant, as_merchant, mend):
    disable(endpoint, Because.FAILING)
    mend(endpoint)

    assert notice(as_merchant(merchant)) is None


@pytest.mark.parametrize("because", [Because.GONE, Because.FAILING, Because.STAFF])
def test_it_ends_when_the_owner_leaves_it_disabled(endpoint, merchant, as_merchant, because):
    disable(endpoint, because)
    api, path = as_merchant(merchant), f"/v1/webhook-endpoints/{endpoint.pk}"
    other = api.send("PATCH", path, b'{"description": "old"}')

    shown = api.send("PATCH", path, b'{"status": "disabled"}').json()

    assert other.json()["disabledReason"] == because
    assert (shown["status"], shown["disabledReason"], notice(api)) == ("disabled", "owner", None)


def test_nobody_else_is_told(endpoint, as_merchant, as_agent):
    disable(endpoint, Because.FAILING)

    assert notice(as_merchant(MerchantFactory(connected=False))) is None
    assert notice(as_agent) is None


def test_all_agents_of_a_builder_are_told(db):
    key = AgentKeyFactory()
    disable(endpoint_of(key.agent.builder, URL), Because.GONE)

    assert notice(Api(key.secret)) == NOTICE


def test_it_costs_no_statement(endpoint, merchant, as_merchant):
    api, counts = as_merchant(merchant), []
    for _ in range(2):
        with CaptureQueriesContext(connection) as captured:
            notice(api)
        counts.append(len(captured))
        disable(endpoint, Because.GONE)

    assert counts[0] == counts[1]
