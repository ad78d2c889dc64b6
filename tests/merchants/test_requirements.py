import pytest

from merchants.requirements import requirements_of
from merchants.verticals import VERTICALS
from tests.factories import SIM, MerchantFactory, OfferFactory
from tests.merchants.test_models import CRITERIA

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("vertical", VERTICALS)
def test_every_vertical_says_what_a_checkout_needs(vertical):
    offer = OfferFactory(vertical=vertical, criteria=CRITERIA[vertical], terms={})

    needs = requirements_of(offer)

    assert (needs["offerId"], needs["vertical"]) == (offer.pk, vertical)
    assert needs["requiredFields"]
    assert needs["confirmations"]
    assert needs["eligibility"]


@pytest.mark.parametrize(("is_required", "is_listed"), [(True, True), (False, False)])
def test_a_credit_check_is_told(is_required, is_listed):
    offer = OfferFactory(criteria=SIM | {"requires_credit_check": is_required})

    assert ("Credit check" in requirements_of(offer)["eligibility"]) is is_listed


def test_over_http(as_agent):
    offer = OfferFactory(price_minor=600)

    reply = as_agent.get(f"/v1/offers/{offer.pk}/requirements")

    constraints = {"price": 6, "currency": "GBP", "available": True, "contractMonths": 0, "sessionHours": 24}
    assert (reply.status_code, reply.json()["constraints"]) == (200, constraints)


@pytest.mark.parametrize("merchant_status", ["suspended", "closed"])
def test_an_unavailable_offer_says_so(as_agent, merchant_status):
    offer = OfferFactory(merchant=MerchantFactory(status=merchant_status))

    shown = as_agent.get(f"/v1/offers/{offer.pk}/requirements").json()

    assert shown["constraints"]["available"] is False
    assert "search again" in shown["nextStep"]


@pytest.mark.parametrize("offer_id", ["nonsense", "01JZZZZZZZZZZZZZZZZZZZZZZZ", "x" * 500])
def test_an_unknown_offer_is_not_found(as_agent, offer_id):
    reply = as_agent.get(f"/v1/offers/{offer_id}/requirements")

    assert (reply.status_code, reply.json()) == (404, {"error": "Offer not found"})
