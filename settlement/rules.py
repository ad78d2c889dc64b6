"""The rules of settlement: from the sums of a month to its documents. Pure arithmetic in minor units.

A change of anything here is a new VERSION, and `resettle` then needs the old one, too: past months are never reckoned
by new rules.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from rako.core.money import round_half_up

VERSION = 1
# The least that is paid out, in each currency; what is below is carried forward (protocol, section 4).
MINIMUM_PAYOUT_MINOR = {"GBP": 2500, "EUR": 2500, "USD": 2500}
DUE_DAYS = 30


class MerchantSum(NamedTuple):
    """What a month's lines charge a merchant in one currency, or credit it of what had one rate of VAT: positive."""

    merchant_id: str
    currency: str
    is_credit: bool
    reversed_vat_rate: Decimal | None
    net_minor: int
    line_count: int


class BuilderSum(NamedTuple):
    """What a month's lines bring a builder in one currency: `reversed_minor` is zero or less."""

    builder_id: str
    currency: str
    earned_minor: int
    reversed_minor: int
    line_count: int


@dataclass(frozen=True, slots=True)
class InvoiceDraft:
    """An invoice or credit note, before it has an id. Amounts are positive."""

    kind: str
    number: str
    merchant_id: str
    currency: str
    line_count: int
    net_minor: int
    vat_rate: Decimal
    vat_minor: int

    @property
    def total_minor(self) -> int:
        """With VAT."""
        return self.net_minor + self.vat_minor


@dataclass(frozen=True, slots=True)
class StatementDraft:
    """A builder's month, before it has an id. `paid_minor` is what the month orders to be paid out."""

    number: str
    builder_id: str
    currency: str
    line_count: int
    opening_minor: int
    earned_minor: int
    reversed_minor: int
    paid_minor: int

    @property
    def closing_minor(self) -> int:
        """What is carried forward; below zero, the builder owes it."""
        return self.opening_minor + self.earned_minor + self.reversed_minor - self.paid_minor

    @property
    def newly_owed_minor(self) -> int:
        """By how much the builder's debt to the network grows; below zero, it shrinks."""
        return max(-self.closing_minor, 0) - max(-self.opening_minor, 0)


def invoices(
    sums: Sequence[MerchantSum], vat_rates: Mapping[str, Decimal], first_invoice: int, first_credit_note: int
) -> list[InvoiceDraft]:
    """The documents for merchants: charges on an invoice, what is reversed on credit notes; numbered without gaps.

    Charges have today's rate of the merchant, reversals that of what they reverse: a note for each.
    """
    charged = [(row, vat_rates[row.merchant_id]) for row in sums if not row.is_credit]
    credited = [(row, row.reversed_vat_rate or Decimal(0)) for row in sums if row.is_credit]
    return [
        *_numbered("invoice", "INV", charged, first_invoice),
        *_numbered("credit_note", "CRN", credited, first_credit_note),
    ]


def statements(sums: Sequence[BuilderSum], openings: Mapping[tuple[str, str], int], first: int) -> list[StatementDraft]:
    """The documents for builders. A balance of the minimum or more is paid out whole."""
    drafts = []
    for number, row in enumerate(sorted(sums), first):
        opening = openings.get((row.builder_id, row.currency), 0)
        balance = opening + row.earned_minor + row.reversed_minor
        paid = balance if balance >= MINIMUM_PAYOUT_MINOR[row.currency] else 0
        drafts.append(
            StatementDraft(
                number=f"STM-{number:08d}",
                builder_id=row.builder_id,
                currency=row.currency,
                line_count=row.line_count,
                opening_minor=opening,
                earned_minor=row.earned_minor,
                reversed_minor=row.reversed_minor,
                paid_minor=paid,
            )
        )
    return drafts


def _numbered(
    kind: str,
    prefix: str,
    rows: Iterable[tuple[MerchantSum, Decimal]],
    first: int,
) -> Iterator[InvoiceDraft]:
    for number, (row, rate) in enumerate(sorted(rows), first):
        yield InvoiceDraft(
            kind=kind,
            number=f"{prefix}-{number:08d}",
            merchant_id=row.merchant_id,
            currency=row.currency,
            line_count=row.line_count,
            net_minor=row.net_minor,
            vat_rate=rate,
            vat_minor=round_half_up(row.net_minor * rate),
        )
