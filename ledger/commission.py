"""Commission arithmetic of the protocol's section 4: pure, exact, no database, no clock.

Every step rounds half up to the minor unit – gross, after the path's multiplier, fee – and the builder gets the rest,
so that the parts always add up to the whole.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rako.core.money import from_wire, round_half_up

MULTIPLIERS = {
    "aap_flow": Decimal("1.00"),
    "tracked_link": Decimal("0.75"),
    "extension": Decimal("0.75"),
    "influence": Decimal("0.50"),
}


@dataclass(frozen=True, slots=True)
class Commission:
    """What one sale earns, in minor units: `gross` before the multiplier, `amount` after it = `fee` + `payout`."""

    type: str
    gross: int
    multiplier: Decimal
    amount: int
    fee: int
    payout: int


def compute(terms: dict[str, Any], *, value_minor: int, currency: str, path: str, fee_rate: Decimal) -> Commission:
    """The commission of a sale under a code's `com` terms.

    `value_minor` is the transaction value in minor units, `fee_rate` the network's share (0.2 is 20 %).
    """
    gross = _gross(terms, value_minor, currency)
    amount = round_half_up(gross * MULTIPLIERS[path])
    fee = round_half_up(amount * fee_rate)
    return Commission(terms["type"], gross, MULTIPLIERS[path], amount, fee, amount - fee)


def _gross(terms: dict[str, Any], value_minor: int, currency: str) -> int:
    if terms["type"] == "cpa":
        return from_wire(terms["value"], currency)
    share = round_half_up(value_minor * Decimal(str(terms["value"])) / 100)
    return share + (from_wire(terms["min"], currency) if terms["type"] == "hybrid" else 0)
