"""The provider contract: what Rako asks of whoever carries out payouts, in words that belong to no bank.

A provider turns orders into the text that is handed over, and reads what has become of them, where it can. It holds
no state, never touches the database, and knows no payout but by its id: `instructions` is called inside the
transaction that marks the payouts as submitted, so it must not call anybody either. To add one: a file beside this,
and a line in `registry.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Protocol

from rako.core.errors import Conflict
from rako.core.money import Money


class NotConfigured(Conflict):
    code, message = "payouts_not_configured", "Payouts are not configured"


@dataclass(frozen=True, slots=True)
class Order:
    """A payment to make. The bank must repeat `payout_id` with its answer, and pay once for each; `bic` may be ""."""

    payout_id: str
    money: Money
    holder: str = field(repr=False)
    iban: str = field(repr=False)
    bic: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a payment; `reason` says why a refused one was."""

    payout_id: str
    is_paid: bool
    reason: str = ""


class PayoutProvider(Protocol):
    """`currencies` are those it pays in; `suffix` is the ending of its files' names."""

    name: ClassVar[str]
    currencies: ClassVar[frozenset[str]]
    suffix: ClassVar[str]

    def instructions(self, file_id: str, created_at: datetime, orders: Sequence[Order]) -> str:
        """The text to hand over, of orders in one currency: the same for the same arguments. Raises NotConfigured."""

    def answers(self, instructions: str, created_at: datetime) -> Sequence[Answer]:
        """What has become of instructions by now; nothing where answers come by another way."""
