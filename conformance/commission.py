"""What a sale must earn by the terms of its code (protocol, section 4): half up at each step."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

_PENNY = Decimal("0.01")
MULTIPLIERS = {"aap_flow": Decimal("1.00"), "tracked_link": Decimal("0.75")}
VALIDATION_DAYS = {"sim": 30, "broadband": 31, "energy": 42, "insurance": 14, "flights": 7, "hotels": 0}


def split(terms: dict[str, Any], value: Decimal, path: str, fee_percent: int) -> dict[str, Decimal]:
    """Commission, network fee and builder's payout of a sale, in major units."""
    gross = Decimal(0)
    if terms["type"] == "cpa":
        gross = Decimal(terms["value"])
    else:
        gross = Decimal(terms.get("min", 0)) + value * Decimal(terms["value"]) / 100
    amount = _round(_round(gross) * MULTIPLIERS[path])
    fee = _round(amount * fee_percent / 100)
    return {"amount": amount, "networkFee": fee, "builderPayout": amount - fee}


def _round(amount: Decimal) -> Decimal:
    return amount.quantize(_PENNY, ROUND_HALF_UP)
