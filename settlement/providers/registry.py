"""Which payout providers there are. The sandbox is there only in sandbox mode."""

from collections.abc import Mapping

from django.conf import settings

from settlement.providers.bank_file import BankFile
from settlement.providers.base import NotConfigured, PayoutProvider
from settlement.providers.sandbox import Sandbox


def providers() -> Mapping[str, PayoutProvider]:
    """Those there are here, by name."""
    real: dict[str, PayoutProvider] = {BankFile.name: BankFile()}
    return {Sandbox.name: Sandbox(), **real} if settings.RAKO_MODE == "sandbox" else real


def provider_here() -> PayoutProvider:
    """The one that new payouts go through (RAKO_PAYOUT_PROVIDER). Raises NotConfigured."""
    found = providers().get(settings.RAKO_PAYOUT_PROVIDER)
    if found is None:
        raise NotConfigured(f"There is no payout provider {settings.RAKO_PAYOUT_PROVIDER} here")
    return found
