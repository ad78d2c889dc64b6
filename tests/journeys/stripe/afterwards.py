"""What happens at Stripe to a sale that was paid, and where it stands then: stories for tests to tell in any order."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.journeys.stripe.market import ACCRUED, Market


@dataclass(frozen=True)
class Story:
    """`happens` at Stripe to a payment; then the sale has this status, and these accounts are occupied."""

    name: str
    happens: Callable[[Market, str], Any]
    status: str
    accounts: dict[str, int]

    def __str__(self) -> str:
        return self.name


def _refund_in_parts(market: Market, payment: str) -> None:
    market.refund(payment, 300)
    market.refund(payment, 700)


def _refund_that_fails(market: Market, payment: str) -> None:
    market.shop.psp.fail_refund(market.shop.account, market.refund(payment))


def _one_of_two_fails(market: Market, payment: str) -> None:
    market.refund(payment, 300)
    market.shop.psp.fail_refund(market.shop.account, market.refund(payment, 700))


def _lost_then_reinstated(market: Market, payment: str) -> None:
    lost = market.dispute(payment, "lost")
    time.sleep(1.1)  # Stripe tells seconds, and never gives back in the one in which it took
    market.emit("charge.dispute.funds_reinstated", lost)


def _inquiry(*outcomes: str) -> Callable[[Market, str], Any]:
    return lambda market, payment: market.dispute(payment, *outcomes, inquiry=True)


STORIES = [
    Story("refunded in part", lambda market, payment: market.refund(payment, 300), "pending_validation", ACCRUED),
    Story("refunded in two parts", _refund_in_parts, "clawed_back", {}),
    Story("refund that fails later", _refund_that_fails, "pending_validation", ACCRUED),
    Story("second refund fails later", _one_of_two_fails, "pending_validation", ACCRUED),
    Story("disputed", lambda market, payment: market.dispute(payment), "disputed", ACCRUED),
    Story("dispute lost", lambda market, payment: market.dispute(payment, "lost"), "clawed_back", {}),
    Story("dispute won", lambda market, payment: market.dispute(payment, "won"), "resolved", ACCRUED),
    Story("inquiry closed", _inquiry("closed"), "resolved", ACCRUED),
    Story("inquiry lost", _inquiry("escalated", "lost"), "clawed_back", {}),
    Story("lost, then reinstated", _lost_then_reinstated, "resolved", ACCRUED),
]
