from tests.factories import OfferFactory


def test_search_lists_an_offer(as_agent):
    offer = OfferFactory()

    reply = as_agent.get("/v1/offers", vertical="sim").json()

    assert [found["id"] for found in reply["offers"]] == [offer.pk]
