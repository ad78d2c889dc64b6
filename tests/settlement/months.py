"""Sales in months of the past, and what their settlements come to."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Sum

from ledger.conversions import record_conversion
from ledger.lifecycle import Told, tell
from ledger.models import Conversion, Event, Posting
from rako.core.money import Money
from settlement.closing import settle
from settlement.models import Batch, Invoice, Statement
from settlement.periods import Period
from tests.factories import RecommendationFactory
from tests.ledger.conftest import make_proof

Kind = Event.Kind
FLIGHT = {"vertical": "flights", "terms": {"type": "percentage", "rate": "10"}}
_numbers = itertools.count(1)
JANUARY, FEBRUARY, MARCH = (datetime(2026, month, 15, 12, tzinfo=UTC) for month in (1, 2, 3))


def sold(at: datetime, value: int = 1000, **recommendation: Any) -> Conversion:
    """A SIM sold with a CPA of 8.00, unless told otherwise: 1.60 for the network, 6.40 for the builder."""
    reference = f"pi_{next(_numbers)}"
    money = Money(value, "GBP")
    proof = make_proof(
        reference=reference, order_reference=reference, money=money, occurred_at=at, service_on=at.date()
    )
    return record_conversion(RecommendationFactory(**recommendation), proof).conversion


def happened(conversion: Conversion, kind: Kind, at: datetime, reference: str = "", amount: int | None = None) -> None:
    """Something that happened to a sale."""
    told = Told(kind, conversion.order_reference, reference or f"r{next(_numbers)}", at, amount)
    assert tell(conversion.merchant_id, told) is not None


def confirmed(at: datetime, value: int = 1000, **recommendation: Any) -> Conversion:
    """A sale whose validation ended then."""
    conversion = sold(at - timedelta(days=30), value, **recommendation)
    happened(conversion, Kind.VALIDATED, at)
    return conversion


def close(month: int) -> Batch:
    """Settle a month of 2026."""
    return settle(Period(f"2026-{month:02d}"))


def lines(batch: Batch) -> dict[str, tuple[int, int, int]]:
    """What each conversion adds to a batch: commission, fee, payout."""
    rows = batch.lines.values_list("conversion_id", "commission_minor", "fee_minor", "payout_minor")
    return {pk: (commission, fee, payout) for pk, commission, fee, payout in rows}


def waiting(batch: Batch) -> dict[str, str]:
    """Which conversions wait, and why."""
    return dict(batch.waiting.values_list("conversion_id", "reason"))


def statement(batch: Batch) -> tuple[int, ...]:
    """A batch's only statement: opening, earned, reversed, paid, closing."""
    row = Statement.objects.get(batch=batch)
    return row.opening_minor, row.earned_minor, row.reversed_minor, row.paid_minor, row.closing_minor


def invoices(batch: Batch) -> list[tuple[str, int]]:
    """A batch's documents for merchants: number and net."""
    return sorted(Invoice.objects.filter(batch=batch).values_list("number", "net_minor"))


def balances() -> dict[str, int]:
    """The accounts that are not at zero."""
    rows = Posting.objects.values("account").annotate(total=Sum("amount_minor"))
    return {row["account"]: row["total"] for row in rows if row["total"]}
