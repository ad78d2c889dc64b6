"""A batch as transactions: for finance in the network's accounts, for a merchant or builder in accounts of its own."""

from collections.abc import Iterator
from datetime import date, timedelta

from ledger.models import Account
from settlement.exports.journals import AccountPath, Leg, Transaction
from settlement.exports.ledger_journal import account_path, transactions_of
from settlement.exports.lines import ExportedLine, Reader, exported_lines
from settlement.models import Batch, Invoice, Payout, Statement
from settlement.periods import Period

_DOCUMENT_KINDS = ("invoice.issued", "credit_note.issued", "statement.issued", "payout.ordered")
# A merchant's: what it spends and what it owes. A builder's: what it is owed and what it earns.
_COMMISSIONS, _OWED_TO_US = ("expenses", "commissions"), ("liabilities", "rako")
_INPUT_VAT = ("assets", "input_vat")
_OWED_TO_BUILDER, _EARNED = ("assets", "rako"), ("income", "commissions")
_UNDER_WAY = ("assets", "payouts_under_way")


def batch_transactions(batch: Batch, reader: Reader) -> Iterator[list[Transaction]]:
    """Pages: first the lines, on the month's last day, then what the documents move."""
    last_day = (Period(batch.period).ends_at - timedelta(days=1)).date()
    for page in exported_lines(batch.pk, reader):
        yield [_of_line(line, last_day, reader) for line in page]
    if reader.kind == "merchant":
        yield [_of_invoice(row) for row in Invoice.objects.filter(batch=batch, merchant=reader.id).order_by("number")]
    elif reader.kind == "builder":
        rows = Payout.objects.filter(batch=batch, builder=reader.id).order_by("currency")
        yield [_of_payout(row) for row in rows]
    else:
        for model in (Invoice, Statement, Payout):
            streams = list(model._default_manager.filter(batch=batch).order_by("pk").values_list("pk", flat=True))
            yield from transactions_of(streams, _DOCUMENT_KINDS)


def _of_line(line: ExportedLine, on: date, reader: Reader) -> Transaction:
    document = line.statement if reader.kind == "builder" else line.invoice
    return Transaction(
        on=on,
        description=f"commission of {line.conversion_id}",
        tags={"conversion": line.conversion_id, "document": document},
        legs=[Leg(account, line.currency, amount) for account, amount in _amounts(line, reader)],
    )


def _amounts(line: ExportedLine, reader: Reader) -> list[tuple[AccountPath, int]]:
    if reader.kind == "merchant":
        return [(_COMMISSIONS, line.commission_minor), (_OWED_TO_US, -line.commission_minor)]
    if reader.kind == "builder":
        return [(_OWED_TO_BUILDER, line.payout_minor), (_EARNED, -line.payout_minor)]
    return [
        (account_path(Account.MERCHANT_RECEIVABLE, line.merchant_id), line.commission_minor),
        (account_path(Account.BUILDER_PAYABLE, line.builder_id), -line.payout_minor),
        (account_path(Account.FEE_REVENUE, ""), -line.fee_minor),
    ]


def _of_invoice(invoice: Invoice) -> Transaction:
    """The VAT: the net is in the lines."""
    vat_minor = invoice.vat_minor if invoice.kind == Invoice.Kind.INVOICE else -invoice.vat_minor
    return Transaction(
        on=invoice.issued_on,
        description=f"VAT of {invoice.number}",
        tags={"document": invoice.number},
        legs=[Leg(_INPUT_VAT, invoice.currency, vat_minor), Leg(_OWED_TO_US, invoice.currency, -vat_minor)],
    )


def _of_payout(payout: Payout) -> Transaction:
    return Transaction(
        on=payout.created_at.date(),
        description=f"payout {payout.pk}",
        tags={"payout": payout.pk},
        legs=[
            Leg(_UNDER_WAY, payout.currency, payout.amount_minor),
            Leg(_OWED_TO_BUILDER, payout.currency, -payout.amount_minor),
        ],
    )
