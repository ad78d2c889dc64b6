"""Builders' statements: what a month brought, what was paid, what is carried forward, what waits and why."""

from datetime import date
from typing import Any

from django.db.models import Count, QuerySet, Sum

from rako.core.admin_text import money_text, number_text
from settlement.models import Batch, Line, Statement, Waiting
from settlement.papers.invoice import day_text, path_text
from settlement.papers.offer_sums import offer_sums
from settlement.papers.paper import Paper, Party, Table, foot_of, month_text, party
from settlement.rules import MINIMUM_PAYOUT_MINOR


def statement_paper(statement: Statement) -> Paper:
    """A statement for people."""
    name = f"inputs__builders__{statement.builder_id}"
    batch = Batch.objects.values("period", "cut", "document_sha256", "inputs__issued_on", "inputs__seller", name).get(
        pk=statement.batch_id
    )
    currency, month = statement.currency, month_text(batch["period"])
    return Paper(
        title="Statement",
        number=statement.number,
        parties=[
            party("From", batch["inputs__seller"]),
            Party("To", batch[name], [f"Builder {statement.builder_id}"]),
        ],
        facts=[
            ("Issued", day_text(date.fromisoformat(batch["inputs__issued_on"]))),
            ("Month", month),
            ("Sales", number_text(statement.line_count)),
            ("Currency", currency),
        ],
        tables=[table for table in _tables(statement) if table.rows],
        totals=[
            ("Carried from before", money_text(statement.opening_minor, currency)),
            ("Earned", money_text(statement.earned_minor, currency)),
            ("Reversed", money_text(statement.reversed_minor, currency)),
            ("Paid out", money_text(-statement.paid_minor, currency)),
            ("Carried forward", money_text(statement.closing_minor, currency)),
        ],
        notes=_notes(statement),
        foot=foot_of(statement.batch_id, batch["cut"], batch["document_sha256"]),
    )


def waiting_of(statement: Statement) -> list[Any]:
    """The builder's sales that the batch holds back: reason, how many, and what they would have brought.

    What belongs to a later month only waits for that month, and is not told of.
    """
    rows: QuerySet[Waiting] = Waiting.objects.filter(
        batch=statement.batch_id, conversion__builder=statement.builder_id, conversion__currency=statement.currency
    )
    sums = rows.exclude(reason=Waiting.Reason.LATER).values("reason").order_by("reason")
    return list(sums.annotate(quantity=Count("*"), sum=Sum("payout_minor")))


def lines_of(statement: Statement) -> QuerySet[Line]:
    """The lines that a statement adds up."""
    return Line.objects.filter(batch=statement.batch_id, builder_id=statement.builder_id, currency=statement.currency)


def _tables(statement: Statement) -> list[Table]:
    lines = lines_of(statement)
    return [
        _sums("Earned", lines.filter(payout_minor__gt=0), statement.currency),
        _sums("Reversed", lines.filter(payout_minor__lt=0), statement.currency),
        Table(
            "Waits, and is in none of the sums",
            ("Why", "Sales", "Would have brought"),
            [
                (Waiting.Reason(row["reason"]).label, number_text(row["quantity"]), _money(row["sum"], statement))
                for row in waiting_of(statement)
            ],
        ),
    ]


def _sums(title: str, lines: QuerySet[Line], currency: str) -> Table:
    rows = [
        (row.offer, path_text(row.path, row.late), number_text(row.quantity), money_text(row.amount_minor, currency))
        for row in offer_sums(lines, "payout_minor")
    ]
    return Table(title, ("Offer", "Attribution", "Sales", "Payout"), rows)


def _notes(statement: Statement) -> list[str]:
    minimum = money_text(MINIMUM_PAYOUT_MINOR[statement.currency], statement.currency)
    notes = [f"A balance of {minimum} or more is paid out whole; less than that is carried forward."]
    if statement.closing_minor < 0:
        notes.append("The balance is below zero: sales were reversed after they were paid. New earnings pay it first.")
    return notes


def _money(amount_minor: int, statement: Statement) -> str:
    return money_text(amount_minor, statement.currency)
