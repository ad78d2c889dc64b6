"""Each test runs at each PSP. A module that imports `psp` imports `shop` and `stripe_psp` as well."""

from collections.abc import Iterator
from typing import Any

import pytest

from checkout.connectors.base import PaymentConnector
from tests.checkout.contract.hyperswitch import HyperswitchPsp
from tests.checkout.contract.psp import Psp
from tests.checkout.contract.sandbox import SandboxPsp
from tests.checkout.contract.stripe import StripePsp

__all__ = ["connector", "psp"]


@pytest.fixture(params=["sandbox", "stripe", "hyperswitch"])
def psp(request: pytest.FixtureRequest, db: None, settings: Any) -> Iterator[Psp]:
    if request.param == "sandbox":
        yield SandboxPsp()
    elif request.param == "stripe":
        yield StripePsp(request.getfixturevalue("shop"), settings)
    else:
        merchant = HyperswitchPsp(settings)
        yield merchant
        merchant.close()


@pytest.fixture
def connector(psp: Psp) -> PaymentConnector:
    return psp.connector()
