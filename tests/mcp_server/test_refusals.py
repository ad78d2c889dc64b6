"""What the model can mend, or try again, is an `isError` result that says what to do next."""

from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from checkout.connections import disconnect
from mcp_server.backends import LocalBackend
from mcp_server.refusals import CODE_KEY
from mcp_server.remote import RemoteBackend
from mcp_server.tools import LINK, REQUIREMENTS, SEARCH
from merchants.models import Connection
from rako.serving import free_port
from sessions_app.models import Agent, Session
from tests.counterparties.faults import GARBAGE, RATE_LIMITED, SERVER_ERROR, FaultProxy
from tests.factories import MerchantKeyFactory, SessionFactory

UNKNOWN = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


@pytest.fixture(params=["local", "remote"])
def backend(request, live_server, settings, key):
    settings.RAKO_LINK_BASE = live_server.url
    return LocalBackend(Agent.objects.get()) if request.param == "local" else RemoteBackend(live_server.url, key)


def refused(tool, backend, **arguments):
    """The code and the text of a refusal."""
    result = tool.call(backend, arguments)
    assert result.is_error
    return result.meta[CODE_KEY], result.content[0].text


def test_an_unknown_session_leads_back_to_the_search(backend, offer):
    assert refused(LINK, backend, session_id=UNKNOWN, offer_id=offer.pk) == (
        "session_not_found",
        "Session not found. Call search_offers again and go on with the session_id and offer_id of its reply.",
    )


def test_an_expired_session_leads_back_to_the_search(backend, offer):
    past = timezone.now() - timedelta(hours=25)
    session = SessionFactory(agent=Agent.objects.get(), created_at=past)

    code, text = refused(LINK, backend, session_id=session.pk, offer_id=offer.pk)

    assert code == "session_expired"
    assert "search_offers" in text


@pytest.mark.parametrize("offer_id", [UNKNOWN, "x", "../../health"])
def test_an_unknown_offer_leads_back_to_the_search(backend, offer_id):
    code, text = refused(REQUIREMENTS, backend, offer_id=offer_id)

    assert code == "offer_not_found"
    assert "search_offers" in text


def test_without_a_checkout_the_merchants_own_page_is_left(backend, offer, live_server):
    session_id = SEARCH.call(backend, {}).structured_content["sessionId"]
    disconnect(Connection.objects.get())

    code, text = refused(LINK, backend, session_id=session_id, offer_id=offer.pk)

    assert code == "not_connected"
    assert f"the user can also buy on the merchant's page {live_server.url}/r/" in text


def test_an_offer_that_is_gone_has_no_page_left(backend, offer):
    session_id = SEARCH.call(backend, {}).structured_content["sessionId"]
    type(offer).objects.update(status="withdrawn")

    code, text = refused(LINK, backend, session_id=session_id, offer_id=offer.pk)

    assert code == "offer_unavailable"
    assert "/r/" not in text


def test_another_agents_session_does_not_exist(backend, offer):
    session = SessionFactory()

    code, _ = refused(LINK, backend, session_id=session.pk, offer_id=offer.pk)

    assert code == "session_not_found"
    assert session.recommendations.count() == 0


def test_no_session_is_opened_for_arguments_that_do_not_exist(backend):
    code, text = refused(SEARCH, backend, maxPrice=12)

    assert code == "invalid_arguments"
    assert "'maxPrice' was unexpected" in text
    assert "max_price" in text
    assert not Session.objects.exists()


def test_a_revoked_or_foreign_key_is_for_the_user_to_mend(live_server, key):
    for bad in ("aap_nobody", MerchantKeyFactory().secret):
        code, text = refused(SEARCH, RemoteBackend(live_server.url, bad))

        assert code in {"unauthorized", "wrong_key_kind"}
        assert "tell the user" in text


def test_a_server_that_is_away_can_be_asked_again():
    code, text = refused(SEARCH, RemoteBackend(f"http://127.0.0.1:{free_port()}", "aap_x"))

    assert code == "unavailable"
    assert "Call again with the same arguments" in text


@pytest.mark.parametrize("fault", [GARBAGE, SERVER_ERROR, RATE_LIMITED], ids=["garbage", "500", "429"])
def test_a_server_that_answers_oddly_can_be_asked_again(live_server, key, fault):
    with FaultProxy(live_server.url) as proxy:
        proxy.fail(fault)

        _, text = refused(SEARCH, RemoteBackend(proxy.url, key))

    assert "Call again" in text


def test_while_the_database_is_away_it_can_be_asked_again(caplog):
    class Away:
        def search(self, params):
            raise OperationalError("gone")

    assert refused(SEARCH, Away()) == (
        "unavailable",
        "Service temporarily unavailable. Wait 2 seconds. Call again with the same arguments: that is safe.",
    )
