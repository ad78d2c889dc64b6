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


def compute(
    terms: dict[str, Any],
    *,
    value_minor: int,
    currency: str,
    path: str,
    fee_rate: Decimal,
    part_of_minor: int | None = None,
) -> Commission:
    """The commission of a sale under a code's `com` terms.

    `value_minor` is the transaction value in minor units, `fee_rate` the network's share (0.2 is 20 %). With
    `part_of_minor` only this part of so large a sale is kept, and of fixed amounts the same share (section 4).
    """
    gross = _gross(terms, value_minor, currency, part_of_minor or value_minor)
    amount = round_half_up(gross * MULTIPLIERS[path])
    fee = round_half_up(amount * fee_rate)
    return Commission(terms["type"], gross, MULTIPLIERS[path], amount, fee, amount - fee)


def _gross(terms: dict[str, Any], value_minor: int, currency: str, whole_minor: int) -> int:
    if terms["type"] == "cpa":
        return _share(from_wire(terms["value"], currency), value_minor, whole_minor)
    rate = round_half_up(value_minor * Decimal(str(terms["value"])) / 100)
    if terms["type"] != "hybrid":
        return rate
    return rate + _share(from_wire(terms["min"], currency), value_minor, whole_minor)


def _share(fixed: int, part: int, whole: int) -> int:
    return fixed if part == whole else round_half_up(Decimal(fixed * part) / whole)
