"""What settlements say of a sale: read by the names of its relations, for settlement is above the ledger.

A sale is stored as validated for good; that a batch has it, and that it is paid, is said here (protocol, section 4).
"""

from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, Prefetch, QuerySet

from ledger.models import Conversion, Status
from rako.core.wire import instant

# What a validated sale is shown as: in no batch yet, in one, in batches that are all paid out.
SETTLEMENTS = (Status.VALIDATED.value, Status.SETTLEMENT_PENDING.value, Status.SETTLED.value)
_REVERSED = (Status.REJECTED, Status.CLAWED_BACK)


def with_settlement(sales: QuerySet[Conversion], *, merchant_id: str | None = None) -> QuerySet[Conversion]:
    """Load sales with the lines that settle them, in two queries; for a merchant, with its invoices in a third."""
    line: Any = _related(Conversion, "settlement_lines")
    batch = _related(line, "batch")
    batches = batch.objects.only("period")  # a batch's document can be large
    if merchant_id is not None:
        invoices = _related(batch, "invoices").objects.filter(merchant=merchant_id, kind="invoice")
        invoices = invoices.only("batch_id", "currency", "number", "paid_at")
        batches = batches.prefetch_related(Prefetch("invoices", invoices))
    lines = line.objects.select_related("statement__payout").order_by("batch__period")
    lines = lines.prefetch_related(Prefetch("batch", batches))
    return sales.prefetch_related(Prefetch("settlement_lines", lines))


def standing(sale: Conversion) -> Status:
    """The status as everybody sees it: `settled` once all statements that have the sale are paid out."""
    status = Status(sale.status)
    lines = _lines(sale) if status == Status.VALIDATED else []
    if not lines:
        return status
    return Status.SETTLED if all(_paid_out_at(line) for line in lines) else Status.SETTLEMENT_PENDING


def of_settlement(sales: QuerySet[Conversion], status: Status) -> QuerySet[Conversion]:
    """Of validated sales, those that are shown in one of the SETTLEMENTS."""
    line: Any = _related(Conversion, "settlement_lines")
    lines = line.objects.filter(conversion=OuterRef("pk"))
    if status == Status.VALIDATED:
        return sales.filter(~Exists(lines))
    is_unpaid = Exists(lines.filter(statement__payout__paid_at=None))
    return sales.filter(Exists(lines), is_unpaid if status == Status.SETTLEMENT_PENDING else ~is_unpaid)


def in_batch(sales: QuerySet[Conversion], batch_id: str) -> QuerySet[Conversion]:
    """Those that a batch settles, or takes back."""
    return sales.filter(Exists(_own_lines().filter(batch=batch_id)))


def paid_by(sales: QuerySet[Conversion], payout_id: str) -> QuerySet[Conversion]:
    """Those that a payout pays, or takes back, in whichever batches they are."""
    return sales.filter(Exists(_own_lines().filter(statement__payout=payout_id)))


def _own_lines() -> QuerySet[Any]:
    # The merchant says nothing new, but lines have an index by it.
    lines: QuerySet[Any] = _related(Conversion, "settlement_lines").objects.all()
    return lines.filter(conversion=OuterRef("pk"), merchant_id=OuterRef("merchant_id"))


def settlement_wire(sale: Conversion, *, is_merchant: bool) -> dict[str, Any]:
    """`settlementStatus` and what it rests on. For a merchant a sale is paid when its invoices are, for a builder when
    it is paid out."""
    lines = _lines(sale)
    # Charges are on invoices; what is taken back is on credit notes, which nobody pays.
    charges = [line for line in lines if line.commission_minor > 0]
    documents = [_invoice(line) for line in charges] if is_merchant else [line.statement for line in lines]
    moments: list[Any] = [row.paid_at for row in documents] if is_merchant else [_paid_out_at(line) for line in lines]
    paid_at = max(moments) if moments and all(moments) else None
    return {
        "settlementStatus": _settlement_status(sale, is_settled=bool(lines), is_paid=paid_at is not None),
        "settlementPeriod": lines[-1].batch.period if lines else None,
        "invoiceNumber" if is_merchant else "statementNumber": documents[-1].number if documents else None,
        "paidAt": None if paid_at is None else instant(paid_at),
    }


def _settlement_status(sale: Conversion, *, is_settled: bool, is_paid: bool) -> str:
    if sale.status in _REVERSED:
        return "reversed"
    if sale.is_held:
        return "disputed"
    if is_settled:
        return "paid" if is_paid else "invoiced"
    return "confirmed" if sale.status == Status.VALIDATED else "pending"


def _lines(sale: Any) -> list[Any]:
    return list(sale.settlement_lines.all())


def _paid_out_at(line: Any) -> datetime | None:
    payout = line.statement.payout
    moment: datetime | None = None if payout is None else payout.paid_at
    return moment


def _invoice(line: Any) -> Any:
    return next(row for row in line.batch.invoices.all() if row.currency == line.currency)


def _related(model: Any, name: str) -> Any:
    return model._meta.get_field(name).related_model
