"""What the months must come to: reckoned from the orders in plain Python, with nothing of the product's."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal

from benchmarks.replay.orders import Order

_MINIMUM_PAYOUT = 2500


@dataclass(slots=True)
class Month:
    """One month in minor units: the merchant's net charge, and each builder's earnings and payout."""

    count: int = 0
    value: int = 0
    charged: int = 0
    fees: int = 0
    earned: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    paid: dict[str, int] = field(default_factory=dict)


def months(orders: Iterable[Order], builder_of: Callable[[Order], str]) -> dict[str, Month]:
    """The months in order: 5 % commission, 20 % fee, each rounded half up; payouts from 25.00 on, the rest carried."""
    found: dict[str, Month] = defaultdict(Month)
    for order in orders:
        month = found[order.period]
        commission = _share(order.value_minor, "0.05")
        fee = _share(commission, "0.2")
        month.count += 1
        month.value += order.value_minor
        month.charged += commission
        month.fees += fee
        month.earned[builder_of(order)] += commission - fee
    carried: dict[str, int] = defaultdict(int)
    for _, month in sorted(found.items()):
        for builder, earned in month.earned.items():
            carried[builder] += earned
            if carried[builder] >= _MINIMUM_PAYOUT:
                month.paid[builder] = carried.pop(builder)
    return dict(sorted(found.items()))


def _share(amount: int, rate: str) -> int:
    return int((Decimal(amount) * Decimal(rate)).quantize(Decimal(1), ROUND_HALF_UP))
