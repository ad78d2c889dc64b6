"""The official Python client, unmodified, against a server that listens."""

import httpx
import pytest
from agent_attribution_protocol import AAP

from tests.factories import AgentKeyFactory, OfferFactory


@pytest.fixture
def offer(transactional_db):
    return OfferFactory()


@pytest.fixture
def client(live_server, settings, offer):
    settings.RAKO_BASE_URL = settings.RAKO_LINK_BASE = live_server.url
    with AAP(api_key=AgentKeyFactory().secret, base_url=live_server.url) as client:
        yield client


def test_it_makes_all_of_its_five_calls(client, offer, live_server):
    found = client.search(vertical="sim", provider="smarty", max_price=10.0, min_data_gb=1, contract_months=0)
    recommended = client.recommend(found.session_id, found.offers[0].id)
    checkout = client.checkout(found.session_id, recommended.recommendation_id)
    session = client.get_session(found.session_id)
    verified = client.verify_code(found.offers[0].aap_code)

    assert [shown.id for shown in found.offers] == [offer.pk]
    assert recommended.attribution_recorded is True
    assert recommended.fallback_url.startswith(f"{live_server.url}/r/")
    assert checkout.status == "awaiting_payment"
    assert checkout.checkout_url.startswith(f"{live_server.url}/sandbox/pay/")
    assert session.recommendations[0]["id"] == recommended.recommendation_id
    assert verified["valid"] is True


def test_it_sends_what_it_is_given(client, offer):
    found = client.search()
    recommended = client.recommend(found.session_id, offer.pk, context="cheapest")

    checkout = client.checkout(found.session_id, recommended.recommendation_id, user_details={"email": "a@b.example"})

    assert checkout.transaction_id
    assert client.get_session(found.session_id).recommendations[0]["context"] == "cheapest"


def test_it_reads_our_refusals(client):
    with pytest.raises(httpx.HTTPStatusError) as caught:
        client.get_session("x")

    assert caught.value.response.status_code == 404
    assert caught.value.response.json() == {"error": "Session not found"}


def test_it_gets_an_answer_about_a_bad_code(client):
    answer = client.verify_code("aap://rako.sh/v1/x.y")

    assert answer == {"valid": False, "error": "Invalid or expired AAP Code."}
