from typing import Any

import pytest

from checkout.models import Checkout
from sessions_app.models import Recommendation
from tests.checkout.psp import checkout_of
from tests.factories import RecommendationFactory, SessionFactory


@pytest.fixture
def recommendation(agent: Any) -> Recommendation:
    """The agent's recommendation of a SIM for 10.00 GBP at a connected merchant."""
    return RecommendationFactory(session=SessionFactory(agent=agent))


@pytest.fixture
def checkout(recommendation: Recommendation) -> Checkout:
    """Its open payment page."""
    return checkout_of(recommendation)


@pytest.fixture
def post_checkout(as_agent: Any) -> Any:
    """Asks for a checkout of a recommendation, over the API."""

    def post(recommendation: Recommendation, **more: Any) -> Any:
        body = {"sessionId": recommendation.session_id, "recommendationId": recommendation.pk}
        return as_agent.post("/v1/checkout", body | more)

    return post
