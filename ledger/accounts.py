"""The double entry: which accounts a sale's standing occupies, and the postings that take it from one to the next.

Pure arithmetic in minor units; debits are positive, credits negative, and every standing adds up to zero.
"""

from collections import Counter
from dataclasses import dataclass

from ledger.models.entry import Account
from rako.core.facts import Posting


@dataclass(frozen=True, slots=True)
class Parties:
    """Whose accounts a sale moves, and in which currency."""

    merchant_id: str
    builder_id: str
    currency: str


@dataclass(frozen=True, slots=True)
class Split:
    """A commission: what the merchant owes = the network's fee + the builder's payout."""

    amount: int
    fee: int
    payout: int


NOTHING = Split(0, 0, 0)


def accrued(split: Split) -> dict[Account, int]:
    """What a sale occupies until its validation has ended."""
    return {
        Account.MERCHANT_ACCRUED: split.amount,
        Account.BUILDER_PENDING: -split.payout,
        Account.FEE_PENDING: -split.fee,
    }


def confirmed(split: Split) -> dict[Account, int]:
    """What a validated sale occupies until invoice and payout are paid."""
    return {
        Account.MERCHANT_RECEIVABLE: split.amount,
        Account.BUILDER_PAYABLE: -split.payout,
        Account.FEE_REVENUE: -split.fee,
    }


def difference(old: dict[Account, int], new: dict[Account, int], parties: Parties) -> list[Posting]:
    """The postings that lead from one standing to another; none where nothing changes."""
    moved = Counter(new)
    moved.subtract(old)
    return [
        Posting(account, owner_of(account, parties), parties.currency, moved[account])
        for account in Account
        if moved[account]
    ]


def owner_of(account: Account, parties: Parties) -> str:
    """The party an account belongs to; the network's own belong to nobody."""
    if account.value.startswith("merchant_"):
        return parties.merchant_id
    return parties.builder_id if account.value.startswith("builder_") else ""
