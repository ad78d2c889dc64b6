"""The entries of settlement: that a batch, its documents and its payouts are there, and what they move."""

from collections.abc import Sequence
from typing import Any

from django.utils import timezone

from ledger.models import Account
from rako.core.facts import Appended, Fact, Posting, state
from settlement.models import Batch, Invoice, MerchantPayment, Payout, Statement


def fact_of_batch(batch: Batch) -> Fact:
    """`settlement.closed`: the hash of all that the month came to."""
    facts = {
        "period": batch.period,
        "rule_version": batch.rule_version,
        "cut": batch.cut,
        "lines": batch.line_count,
        "lines_sha256": batch.lines_sha256,
        "document_sha256": batch.document_sha256,
    }
    return _fact(batch.pk, "settlement.closed", facts)


def fact_of_invoice(invoice: Invoice) -> Fact:
    """`invoice.issued` or `credit_note.issued`. The commission is owed since validation: only VAT comes on top."""
    sign = 1 if invoice.kind == Invoice.Kind.INVOICE else -1
    lines = _lines(
        invoice.currency,
        (Account.MERCHANT_RECEIVABLE, invoice.merchant_id, sign * invoice.vat_minor),
        (Account.VAT_PAYABLE, "", -sign * invoice.vat_minor),
    )
    facts = {
        "number": invoice.number,
        "batch_id": invoice.batch_id,
        "currency": invoice.currency,
        "net_minor": invoice.net_minor,
        "vat_minor": invoice.vat_minor,
        "total_minor": invoice.total_minor,
    }
    return _fact(invoice.pk, f"{invoice.kind}.issued", facts, lines, merchant_id=invoice.merchant_id)


def tell_of_settled_document(document: Invoice) -> Appended:
    """`invoice.paid`: the merchant's payments and credit notes cover it. `credit_note.applied`: it was set against what
    the merchant owed. The money was moved before."""
    kind = "invoice.paid" if document.kind == Invoice.Kind.INVOICE else "credit_note.applied"
    facts = {"number": document.number, "currency": document.currency, "total_minor": document.total_minor}
    return state(_fact(document.pk, kind, facts, merchant_id=document.merchant_id))


def fact_of_statement(statement: Statement, newly_owed_minor: int) -> Fact:
    """`statement.issued`, which books a debt of the builder's as such."""
    lines = _lines(
        statement.currency,
        (Account.BUILDER_CLAWBACK_DUE, statement.builder_id, newly_owed_minor),
        (Account.BUILDER_PAYABLE, statement.builder_id, -newly_owed_minor),
    )
    facts = {
        "number": statement.number,
        "batch_id": statement.batch_id,
        "currency": statement.currency,
        "opening_minor": statement.opening_minor,
        "earned_minor": statement.earned_minor,
        "reversed_minor": statement.reversed_minor,
        "paid_minor": statement.paid_minor,
        "closing_minor": statement.closing_minor,
    }
    return _fact(statement.pk, "statement.issued", facts, lines, builder_id=statement.builder_id)


def fact_of_payout(payout: Payout, what: str, **facts: Any) -> Fact:
    """`payout.ordered`, `submitted`, `paid`, `failed` or `retried`. Ordering takes it out of what the builder is owed,
    failing gives it back."""
    moved = {"ordered": 1, "retried": 1, "failed": -1}.get(what, 0) * payout.amount_minor
    lines = _lines(
        payout.currency,
        (Account.BUILDER_PAYABLE, payout.builder_id, moved),
        (Account.BANK_CLEARING, "", -moved),
    )
    told = {"payout_id": payout.pk, "currency": payout.currency, "amount_minor": payout.amount_minor} | facts
    key = f"payout.{what}:{payout.pk}:{payout.attempts}"
    return _fact(payout.pk, f"payout.{what}", told, lines, builder_id=payout.builder_id, key=key)


def tell_of_payment(payment: MerchantPayment) -> Appended:
    """`payment.received`: a merchant paid on its invoices."""
    lines = _lines(
        payment.currency,
        (Account.BANK_CLEARING, "", payment.amount_minor),
        (Account.MERCHANT_RECEIVABLE, payment.merchant_id, -payment.amount_minor),
    )
    facts = {"payment_id": payment.pk, "currency": payment.currency, "amount_minor": payment.amount_minor}
    return state(_fact(payment.pk, "payment.received", facts, lines, merchant_id=payment.merchant_id))


def _lines(currency: str, *moves: tuple[Account, str, int]) -> list[Posting]:
    return [Posting(account, owner, currency, amount) for account, owner, amount in moves if amount]


def _fact(
    stream_id: str,
    kind: str,
    facts: dict[str, Any],
    postings: Sequence[Posting] = (),
    *,
    merchant_id: str | None = None,
    builder_id: str | None = None,
    key: str = "",
) -> Fact:
    return Fact(
        stream_id=stream_id,
        kind=kind,
        facts=facts,
        # Whose account is moved, openings prove.
        for_merchant=None if merchant_id is None else {"merchant_id": merchant_id},
        for_agent=None if builder_id is None else {"builder_id": builder_id},
        postings=postings,
        occurred_at=timezone.now(),
        idempotency_key=key or f"{kind}:{stream_id}",
        merchant_id=merchant_id,
    )
