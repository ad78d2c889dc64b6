from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from ledger.evidence import SaleEvidence
from ledger.models import Evidence
from ledger.models.conversion import Level, Path
from rako.core.money import Money
from sessions_app.models import Recommendation
from tests.factories import RecommendationFactory


@pytest.fixture
def recommendation(db: None) -> Recommendation:
    """A recommendation of a SIM for 10.00 GBP with a CPA of 8.00."""
    return RecommendationFactory()


@pytest.fixture
def proof() -> Callable[..., SaleEvidence]:
    """A payment's proof, with changes."""
    return make_proof


def make_proof(**changes: Any) -> SaleEvidence:
    fields: dict[str, Any] = {
        "source": Evidence.Source.PSP_EVENT,
        "level": Level.ORCHESTRATED,
        "path": Path.AAP_FLOW,
        "reference": "pi_1",
        "order_reference": "order-1",
        "money": Money(1000, "GBP"),
        "occurred_at": timezone.now() - timedelta(seconds=1),
        "received_at": timezone.now(),
        "sha256": "ab" * 32,
    }
    return SaleEvidence(**fields | changes)
