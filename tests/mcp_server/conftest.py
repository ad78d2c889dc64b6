"""An agent who has a key, and an offer to be found."""

from typing import Any

import pytest

from tests.factories import AgentKeyFactory, OfferFactory


@pytest.fixture
def offer(transactional_db: None) -> Any:
    return OfferFactory()


@pytest.fixture
def key(offer: Any) -> str:
    """An agent's key, with an offer to be found."""
    return str(AgentKeyFactory().secret)
