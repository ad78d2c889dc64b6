"""A bank of our own that pays after a moment, or refuses: in sandbox mode only, no money moves (docs/sandbox.md)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import ClassVar

import orjson
from django.conf import settings
from django.utils import timezone

from rako.core.money import EXPONENTS
from rako.core.wire import instant
from settlement.providers.base import Answer, Order

# Its check digits hold, as those of a real account that was closed would.
CLOSED_ACCOUNT = "GB05RAKO00000000000002"


class Sandbox:
    """Pays every account but one."""

    name: ClassVar[str] = "sandbox"
    currencies: ClassVar[frozenset[str]] = frozenset(EXPONENTS)
    suffix: ClassVar[str] = ".json"

    def instructions(self, file_id: str, created_at: datetime, orders: Sequence[Order]) -> str:
        """The orders as JSON."""
        payments = [
            {
                "payout": order.payout_id,
                "amount_minor": order.money.amount_minor,
                "currency": order.money.currency,
                "holder": order.holder,
                "iban": order.iban,
            }
            for order in orders
        ]
        told = {"file": file_id, "created_at": instant(created_at), "payments": payments}
        return orjson.dumps(told, option=orjson.OPT_INDENT_2).decode()

    def answers(self, instructions: str, created_at: datetime) -> Sequence[Answer]:
        """All of them, once the moment has passed."""
        if timezone.now() < created_at + timedelta(seconds=settings.RAKO_SANDBOX_DELAY_SECONDS):
            return ()
        return [
            Answer(order["payout"], False, "The account is closed")
            if order["iban"] == CLOSED_ACCOUNT
            else Answer(order["payout"], True)
            for order in orjson.loads(instructions)["payments"]
        ]
