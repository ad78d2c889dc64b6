"""The fixtures of the suite."""

from tests.checkout.contract.fixtures import connector, psp, shop, stripe_psp

__all__ = ["connector", "psp", "shop", "stripe_psp"]
