"""A settled month without a settlement, for tests of other things that need very many."""

from typing import Any

from django.utils import timezone

from ledger.models import Conversion
from settlement.models import Batch, Invoice, Line, Statement


def documents(conversion: Conversion) -> Batch:
    """A month whose only line is of this sale, with an invoice and a statement; the ledger does not know of it."""
    number, today = Batch.objects.count() + 1, timezone.now().date()
    party = {"name": "Nobody Ltd", "address": "1 Nowhere", "vat_number": ""}
    shared: dict[str, Any] = {"currency": "GBP", "line_count": 1}
    batch = Batch.objects.create(
        period=f"{2000 + number}-01",
        rule_version=1,
        cut=0,
        inputs={"seller": party, "issued_on": today.isoformat()},
        line_count=1,
        document=b"{}",
    )
    Line.objects.create(
        conversion=conversion,
        batch=batch,
        currency="GBP",
        merchant_id=conversion.merchant_id,
        builder_id=conversion.builder_id,
        commission_minor=800,
        fee_minor=160,
        payout_minor=640,
        up_to_seq=1,
        is_late=False,
    )
    net = {"net_minor": 800, "vat_rate": 0, "vat_minor": 0, "total_minor": 800}
    parties = {"merchant": conversion.merchant, "seller": party, "buyer": party}
    dates = {"issued_on": today, "due_on": today}
    Invoice.objects.create(kind="invoice", number=f"INV-{number}", batch=batch, **parties, **dates, **net, **shared)
    sums = {"opening_minor": 0, "earned_minor": 640, "reversed_minor": 0, "paid_minor": 0, "closing_minor": 640}
    Statement.objects.create(number=f"STM-{number}", batch=batch, builder=conversion.builder, **sums, **shared)
    return batch
