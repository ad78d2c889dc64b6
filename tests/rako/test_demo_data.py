import csv

import pytest

from merchants.imports import read_offers
from merchants.models import Connection, Merchant, MerchantKey, Offer
from merchants.verticals import VERTICALS
from rako import demo_data
from rako.demo_keys import DEMO_AGENT_KEY, DEMO_MERCHANT_KEY
from sessions_app.models import AgentKey
from tests.conftest import Api

pytestmark = pytest.mark.django_db


def counts():
    return [model.objects.count() for model in (Merchant, Offer, Connection, AgentKey, MerchantKey)]


def test_the_registry_loads_without_a_refusal():
    results = demo_data.load()

    assert {result.outcome for result in results} == {"created"}
    assert set(Offer.objects.values_list("vertical", flat=True)) == set(VERTICALS)


def test_loading_again_changes_nothing():
    demo_data.load()
    before = counts(), list(Offer.objects.order_by("pk").values())

    again = demo_data.load()

    assert {result.outcome for result in again} == {"unchanged"}
    assert (counts(), list(Offer.objects.order_by("pk").values())) == before


def test_the_published_keys_work():
    demo_data.load()

    found = Api(DEMO_AGENT_KEY).get("/v1/offers", provider="smarty").json()
    assert found["count"] > 0
    assert Api(DEMO_MERCHANT_KEY).get("/v1/conversions").status_code == 200


@pytest.mark.parametrize("model", [AgentKey, MerchantKey])
def test_demo_keys_have_no_limit_those_of_older_demos_neither(model):
    demo_data.load()
    model.objects.update(tier="standard")

    demo_data.load()

    assert list(model.objects.values_list("tier", "rate_limit")) == [("enterprise", None)]


@pytest.mark.parametrize("key", [DEMO_AGENT_KEY, DEMO_MERCHANT_KEY])
def test_a_revoked_demo_key_stays_revoked(key):
    demo_data.load()
    model = AgentKey if key == DEMO_AGENT_KEY else MerchantKey
    model.find(key).revoke()

    demo_data.load()

    assert model.find(key) is None


def test_one_merchant_stays_unconnected_and_a_disconnected_one_too():
    demo_data.load()
    Connection.objects.filter(merchant__name="SMARTY").update(status="disconnected")

    demo_data.load()

    unconnected = Merchant.objects.exclude(connections__status="active")
    assert unconnected.filter(name="SMARTY").exists()
    assert unconnected.count() == 2


def test_the_demo_file_uses_reserved_hosts_only():
    with demo_data.OFFERS.open(newline="") as file:
        hosts = {row["merchant_url"] for row in csv.DictReader(file)}

    assert read_offers(demo_data.OFFERS)
    assert [host for host in hosts if not host.endswith(".example")] == []
