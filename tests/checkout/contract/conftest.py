"""The fixtures of the suite."""

from tests.checkout.contract.fixtures import connector, psp

__all__ = ["connector", "psp"]
