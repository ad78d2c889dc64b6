"""Holds a settled month against what it must come to."""

from collections.abc import Iterator
from typing import Any

from django.db.models import Sum

from benchmarks.replay.expected import Month
from ledger.models import Posting
from settlement.models import Batch, Invoice, Line, Payout, Statement
from settlement.recomputing import differences


def disagreements(period: str, expected: Month) -> Iterator[str]:
    """Where a month's lines, invoice, statements, payouts or balances are not as expected."""
    batch = Batch.objects.get(period=period)
    sums = Line.objects.filter(batch=batch).aggregate(charged=Sum("commission_minor"), fees=Sum("fee_minor"))
    statements = Statement.objects.filter(batch=batch)
    payouts = Payout.objects.filter(batch=batch)
    for what, ours, theirs in (
        ("commissions", sums["charged"], expected.charged),
        ("fees", sums["fees"], expected.fees),
        ("net of the invoice", _only(Invoice.objects.filter(batch=batch), "net_minor"), expected.charged),
        ("earnings", dict(statements.values_list("builder_id", "earned_minor")), dict(expected.earned)),
        ("payouts", dict(payouts.values_list("builder_id", "amount_minor")), expected.paid),
        ("trial balance", Posting.objects.aggregate(total=Sum("amount_minor"))["total"], 0),
    ):
        if ours != theirs:
            yield f"{period} {what}: {ours} instead of {theirs}"
    yield from (f"{period} {difference}" for difference in differences(batch))


def _only(rows: Any, column: str) -> int | None:
    found = list(rows.values_list(column, flat=True))
    return found[0] if len(found) == 1 else None
