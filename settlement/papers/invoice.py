"""Invoices and credit notes, with all that a VAT invoice has to say. From facts alone: it is always the same."""

from datetime import date
from typing import Any

from django.db.models import QuerySet

from rako.core.admin_text import money_text, number_text, percent_text
from settlement.models import Batch, Invoice, Line
from settlement.papers.offer_sums import OfferSum, offer_sums
from settlement.papers.paper import Paper, Table, foot_of, month_text, party

_VAT_PLACES = {"XI": "GB"}  # Northern Ireland's numbers are for goods: for services it is the United Kingdom
REVERSE_CHARGE = "Reverse charge: the customer is to account for VAT on this supply to its own tax authority."


def invoice_paper(invoice: Invoice) -> Paper:
    """An invoice or credit note for people. Load it with its batch, which need have no document."""
    batch, is_credit = invoice.batch, invoice.kind == Invoice.Kind.CREDIT_NOTE
    month = month_text(batch.period)
    facts = [("Issued (tax point)", day_text(invoice.issued_on))]
    if not is_credit:
        facts += [("Due", day_text(invoice.due_on)), ("Payment reference", invoice.number)]
    what = f"Commissions reversed in {month}" if is_credit else f"Commissions of {month}"
    return Paper(
        title="Credit note" if is_credit else "Invoice",
        number=invoice.number,
        parties=[party("From", invoice.seller), party("To", invoice.buyer)],
        facts=[*facts, ("For", what), ("Sales", number_text(invoice.line_count)), ("Currency", invoice.currency)],
        tables=[_table(what, offer_sums(lines_of(invoice), "commission_minor"), invoice.currency)],
        totals=[
            ("Net", money_text(invoice.net_minor, invoice.currency)),
            (f"VAT at {percent_text(100 * invoice.vat_rate)}", money_text(invoice.vat_minor, invoice.currency)),
            ("Credited" if is_credit else "Total due", money_text(invoice.total_minor, invoice.currency)),
        ],
        notes=[*_vat_notes(invoice), *_credit_notes(invoice)],
        foot=foot_of(batch.pk, batch.cut, batch.document_sha256),
    )


def standing(invoice: Invoice, today: date) -> str:
    """`paid`, `overdue` or `open`; a credit note is `applied` once it was set against what the merchant owed."""
    is_credit = invoice.kind == Invoice.Kind.CREDIT_NOTE
    if invoice.paid_at is not None:
        return "applied" if is_credit else "paid"
    return "overdue" if invoice.due_on < today and not is_credit else "open"


def lines_of(invoice: Invoice) -> QuerySet[Line]:
    """The lines that a document charges or credits."""
    rows = Line.objects.filter(batch=invoice.batch_id, merchant_id=invoice.merchant_id, currency=invoice.currency)
    if invoice.kind == Invoice.Kind.CREDIT_NOTE:
        return rows.filter(commission_minor__lt=0, reversed_vat_rate=invoice.vat_rate)
    return rows.filter(commission_minor__gt=0)


def reversed_invoices(invoice: Invoice) -> list[tuple[str, str]]:
    """Month and number of the invoices that a credit note takes something back of."""
    if invoice.kind != Invoice.Kind.CREDIT_NOTE:
        return []
    earlier = Line.objects.filter(
        conversion__in=lines_of(invoice).values("conversion"), currency=invoice.currency, commission_minor__gt=0
    )
    batches = Batch.objects.filter(pk__in=earlier.values("batch"), period__lt=invoice.batch.period)
    found = Invoice.objects.filter(
        batch__in=batches, merchant=invoice.merchant_id, currency=invoice.currency, kind=Invoice.Kind.INVOICE
    )
    return list(found.order_by("number").values_list("batch__period", "number"))


def day_text(day: date) -> str:
    """For people: `5 February 2026`."""
    return f"{day.day} {month_text(day.isoformat())}"


def _table(title: str, sums: list[OfferSum], currency: str) -> Table:
    rows = [
        (
            row.offer,
            path_text(row.path, row.late),
            number_text(row.quantity),
            money_text(abs(row.amount_minor), currency),
        )
        for row in sums
    ]
    return Table(title, ("Offer", "Attribution", "Sales", "Commission"), rows)


def path_text(path: str, late: int) -> str:
    """How sales were attributed, and how many of them a closed month should have had."""
    said = path.replace("_", " ")
    return f"{said} ({number_text(late)} told late)".strip() if late else said


def _vat_notes(invoice: Invoice) -> list[str]:
    if not invoice.seller.get("vat_number"):
        return [f"{invoice.seller['name']} is not registered for VAT: this is not a VAT invoice."]
    if invoice.vat_rate:
        return []
    return [REVERSE_CHARGE if _is_abroad(invoice.seller, invoice.buyer) else "No VAT is charged."]


def _is_abroad(seller: dict[str, Any], buyer: dict[str, Any]) -> bool:
    """Whether the buyer has a VAT number of another country than the seller's."""
    return bool(buyer["vat_number"]) and _place(buyer) not in ("", _place(seller | {"country": "GB"}))


def _place(details: dict[str, Any]) -> str:
    """The country of a VAT number: its first two letters, or the address's country where it has none."""
    prefix: str = details["vat_number"][:2].upper()
    place: str = prefix if prefix.isalpha() else details.get("country", "").upper()
    return _VAT_PLACES.get(place, place)


def _credit_notes(invoice: Invoice) -> list[str]:
    reversed_ = reversed_invoices(invoice)
    if not reversed_:
        return []
    told = ", ".join(f"{number} ({month_text(period)})" for period, number in reversed_)
    return [f"Reverses, in whole or in part, commissions invoiced by {told}."]
