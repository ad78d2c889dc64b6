"""The counterparties' own tests use their fixtures."""

from tests.counterparties.fixtures import shop, stripe_faults, stripe_psp

__all__ = ["shop", "stripe_faults", "stripe_psp"]
