"""What the ledger accepts as proof of a sale, in its own words: it never learns a PSP's."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from ledger.models import Evidence
from ledger.models.conversion import Level, Path
from rako.core.money import Money

# The merchant's own word, whose references are its orders.
OF_MERCHANT = (Evidence.Source.MERCHANT_REPORT, Evidence.Source.RECONCILIATION)

# Orders that a payment names itself are in a space of their own, which no merchant's report can enter.
PAYMENT_ORDER = "aap:"


@dataclass(frozen=True, slots=True)
class SaleEvidence:
    """One authenticated statement of a completed sale.

    `reference` is the payment's id at the PSP or the merchant's order reference; `sha256` the hex digest of the bytes
    received. `order_reference` names the order on the conversion if this statement makes it.
    """

    source: Evidence.Source
    level: Level
    path: Path
    reference: str
    order_reference: str
    money: Money
    occurred_at: datetime
    received_at: datetime
    sha256: str
    service_on: date | None = None
    details: dict[str, Any] = field(default_factory=dict)
