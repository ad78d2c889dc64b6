"""What a builder has earned and a merchant owes, now: from the ledger's balances and the rows of settlement.

Nothing is counted twice, and the parts add up to the balances: what no statement or invoice has yet is the account's
balance less what they have. All amounts are minor units.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db import connection
from django.db.models import Q, Sum

from ledger.models import Account
from ledger.projections import balances_of
from rako.core.postgres import one_moment
from settlement.findings import merchants_with_findings
from settlement.models import Invoice, MerchantPayment, Payout, Statement
from settlement.rules import MINIMUM_PAYOUT_MINOR

# What sales that are held for now occupy on a party's two accounts, less what settlements have taken of them.
_HELD = """
SELECT currency, sum(pending)::bigint, sum(confirmed)::bigint FROM (
    SELECT posting.currency, CASE posting.account WHEN %(pending)s THEN posting.amount_minor ELSE 0 END AS pending,
        CASE posting.account WHEN %(confirmed)s THEN posting.amount_minor ELSE 0 END AS confirmed
    FROM ledger_conversion sale JOIN ledger_entry entry ON entry.stream_id = sale.id
    JOIN ledger_posting posting ON posting.entry_id = entry.id
    WHERE {which} AND sale.{owner} = %(owner)s AND posting.account IN (%(pending)s, %(confirmed)s)
    UNION ALL
    SELECT line.currency, 0, {settled}
    FROM ledger_conversion sale JOIN settlement_line line ON line.conversion_id = sale.id
    WHERE {which} AND sale.{owner} = %(owner)s
) part GROUP BY currency
"""
# A builder's accounts are in credit.
_HELD_OF_BUILDER = _HELD.format(owner="builder_id", settled="line.payout_minor", which="sale.is_held")
_HELD_OF_MERCHANT = _HELD.format(owner="merchant_id", settled="-line.commission_minor", which="sale.is_held")
# Once validated, they wait for their merchants' findings.
_OF_FINDINGS = "NOT sale.is_held AND sale.merchant_id = ANY(%(merchants)s)"
_WAITING_OF_BUILDER = _HELD.format(owner="builder_id", settled="line.payout_minor", which=_OF_FINDINGS)


@dataclass(frozen=True, slots=True)
class Earnings:
    """A builder's standing in one currency."""

    currency: str
    pending: int  # in validation
    held: int  # disputed or held, before or after validation, or its merchant has findings; no settlement takes it
    confirmed: int  # validated and in no statement yet; below zero if more was taken back
    carried_forward: int  # the closing balance of the last statement
    payable: int  # paid out by a statement, and not yet by the bank
    failed: int  # the part of it that the bank refused
    paid_out: int
    owed: int  # what the builder owes: paid out, then reversed

    @property
    def minimum_payout(self) -> int:
        """The least that a settlement pays out."""
        return MINIMUM_PAYOUT_MINOR[self.currency]

    @property
    def next_payout(self) -> int:
        """What a settlement of all this would pay out."""
        balance = self.carried_forward - self.owed + self.confirmed
        return balance if balance >= self.minimum_payout else 0


@dataclass(frozen=True, slots=True)
class Owed:
    """A merchant's standing in one currency."""

    currency: str
    accrued: int  # owed once validated
    held: int
    confirmed: int  # validated and on no invoice yet; below zero if more was taken back
    invoiced: int  # open on invoices
    overdue: int  # the part of it that is past its day
    credit: int  # paid beyond all invoices
    paid: int


def earnings_of(builder_id: str) -> list[Earnings]:
    """A builder's earnings, by currency."""
    with one_moment():
        accounts = (Account.BUILDER_PENDING, Account.BUILDER_PAYABLE, Account.BUILDER_CLAWBACK_DUE)
        balances = balances_of(builder_id, *accounts)
        held = _held(_HELD_OF_BUILDER, builder_id, *accounts[:2])
        merchants = list(merchants_with_findings())
        waiting = _held(_WAITING_OF_BUILDER, builder_id, *accounts[:2], merchants) if merchants else {}
        last = Statement.objects.filter(builder=builder_id).order_by("currency", "-batch__period")
        closings = dict(last.distinct("currency").values_list("currency", "closing_minor"))
        payouts = _payouts(builder_id)
    found = []
    for currency in sorted({code for _, code in balances} | closings.keys()):
        pending, payable, owed = (balances.get((account, currency), 0) for account in accounts)
        held_pending, held_confirmed = held.get(currency, (0, 0))
        held_confirmed += waiting.get(currency, (0, 0))[1]
        state = payouts.get(currency, {})
        failed, carried = state.get("failed", 0), max(closings.get(currency, 0), 0)
        found.append(
            Earnings(
                currency=currency,
                pending=-pending + held_pending,
                held=-held_pending - held_confirmed,
                confirmed=-payable + held_confirmed - carried - failed,
                carried_forward=carried,
                payable=state.get("pending", 0) + state.get("submitted", 0) + failed,
                failed=failed,
                paid_out=state.get("paid", 0),
                owed=owed,
            )
        )
    return found


def owed_by(merchant_id: str, today: date) -> list[Owed]:
    """What a merchant owes, by currency."""
    with one_moment():
        accounts = (Account.MERCHANT_ACCRUED, Account.MERCHANT_RECEIVABLE)
        balances = balances_of(merchant_id, *accounts)
        held = _held(_HELD_OF_MERCHANT, merchant_id, *accounts)
        has_findings = merchants_with_findings().filter(pk=merchant_id).exists()
        documents = _documents(merchant_id, today)
        payments = MerchantPayment.objects.filter(merchant=merchant_id).order_by().values_list("currency")
        paid = {currency: int(total) for currency, total in payments.annotate(total=Sum("amount_minor"))}
    found = []
    for currency in sorted({code for _, code in balances} | documents.keys() | paid.keys()):
        accrued, receivable = (balances.get((account, currency), 0) for account in accounts)
        held_accrued, held_receivable = held.get(currency, (0, 0))
        invoiced, credited, due = documents.get(currency, (0, 0, 0))
        funds = paid.get(currency, 0) + credited
        if has_findings:
            held_receivable = receivable - (invoiced - funds)
        found.append(
            Owed(
                currency=currency,
                accrued=accrued - held_accrued,
                held=held_accrued + held_receivable,
                confirmed=receivable - held_receivable - (invoiced - funds),
                invoiced=max(invoiced - funds, 0),
                overdue=max(due - funds, 0),
                credit=max(funds - invoiced, 0),
                paid=paid.get(currency, 0),
            )
        )
    return found


def _held(
    sql: str, owner_id: str, pending: Account, confirmed: Account, merchants: Sequence[str] = ()
) -> dict[str, tuple[int, int]]:
    values: dict[str, Any] = {
        "owner": owner_id,
        "pending": pending.value,
        "confirmed": confirmed.value,
        "merchants": list(merchants),
    }
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return {currency: (before, after) for currency, before, after in cursor.fetchall()}


def _payouts(builder_id: str) -> dict[str, dict[str, int]]:
    """The sums of a builder's payouts, by currency and state."""
    found: dict[str, dict[str, int]] = {}
    rows = Payout.objects.filter(builder=builder_id).order_by().values_list("currency", "state")
    for currency, state, total in rows.annotate(total=Sum("amount_minor")):
        found.setdefault(currency, {})[state] = int(total)
    return found


def _documents(merchant_id: str, today: date) -> dict[str, tuple[int, int, int]]:
    """What invoices and credit notes come to by currency, and the invoices whose day has passed.

    The oldest are covered first, and fall due first.
    """
    invoice = Q(kind=Invoice.Kind.INVOICE)
    rows = Invoice.objects.filter(merchant=merchant_id).order_by().values_list("currency")
    sums = rows.annotate(
        invoiced=Sum("total_minor", filter=invoice, default=0),
        credited=Sum("total_minor", filter=~invoice, default=0),
        due=Sum("total_minor", filter=invoice & Q(due_on__lt=today), default=0),
    )
    return {currency: (int(invoiced), int(credited), int(due)) for currency, invoiced, credited, due in sums}
