"""Earnings and payouts as they appear on the wire (protocol, section 1)."""

from typing import Any

from rest_framework import serializers

from rako.core.money import to_wire
from rako.core.wire import InstantField, WireSerializer, camel, instant
from settlement.earnings import Earnings, Owed
from settlement.models import Payout, Statement

_EARNINGS = ("pending", "held", "confirmed", "carried_forward", "payable", "failed", "paid_out", "owed")
_OWED = ("accrued", "held", "confirmed", "invoiced", "overdue", "credit", "paid")
_STATEMENT = ("opening", "earned", "reversed", "paid", "closing")


class NextPayoutReply(WireSerializer):
    amount = serializers.FloatField(help_text="What a settlement of all this would pay out; 0 below the minimum.")
    minimum = serializers.FloatField()


class EarningsOfCurrency(WireSerializer):
    """A builder's, or a merchant's: each has its own names of these."""

    currency = serializers.CharField()
    pending = serializers.FloatField(required=False, help_text="Agent: in validation.")
    held = serializers.FloatField(help_text="Disputed or held: no settlement takes it until that is resolved.")
    confirmed = serializers.FloatField(
        help_text="Validated, and in no statement or invoice yet; below zero if more was taken back."
    )
    carried_forward = serializers.FloatField(required=False, help_text="Agent: closing balance of the last statement.")
    payable = serializers.FloatField(required=False, help_text="Agent: ordered by a statement, not yet paid.")
    failed = serializers.FloatField(required=False, help_text="Agent: the part of `payable` that the bank refused.")
    paid_out = serializers.FloatField(required=False, help_text="Agent.")
    owed = serializers.FloatField(required=False, help_text="Agent: paid out, then reversed; taken off next earnings.")
    next_payout = NextPayoutReply(required=False)
    accrued = serializers.FloatField(required=False, help_text="Merchant: owed once validated.")
    invoiced = serializers.FloatField(required=False, help_text="Merchant: open on invoices.")
    overdue = serializers.FloatField(required=False, help_text="Merchant: the part of it that is past its day.")
    credit = serializers.FloatField(required=False, help_text="Merchant: paid or credited beyond all invoices.")
    paid = serializers.FloatField(required=False, help_text="Merchant.")


class EarningsReply(WireSerializer):
    earnings = EarningsOfCurrency(many=True)


class StatementSummary(WireSerializer):
    number = serializers.CharField()
    period = serializers.CharField(help_text="YYYY-MM")
    opening = serializers.FloatField()
    earned = serializers.FloatField()
    reversed = serializers.FloatField()
    paid = serializers.FloatField()
    closing = serializers.FloatField()
    lines = serializers.IntegerField()


class LinesSummary(WireSerializer):
    count = serializers.IntegerField()
    earned = serializers.FloatField()
    reversed = serializers.FloatField()


class PayoutReply(WireSerializer):
    id = serializers.CharField()
    status = serializers.ChoiceField(choices=Payout.State.values)
    amount = serializers.FloatField()
    currency = serializers.CharField()
    period = serializers.CharField(help_text="The month whose settlement ordered it, YYYY-MM.")
    attempts = serializers.IntegerField()
    failure = serializers.CharField(allow_null=True, help_text="Why the last attempt failed.")
    created_at = InstantField()
    submitted_at = InstantField(allow_null=True)
    paid_at = InstantField(allow_null=True)
    statements = StatementSummary(many=True, help_text="Whose balances it pays, oldest first.")
    lines = LinesSummary(help_text="The commissions of these statements.")


class PayoutsReply(WireSerializer):
    payouts = PayoutReply(many=True)
    count = serializers.IntegerField()
    next_cursor = serializers.CharField(required=False)


def earnings_wire(row: Earnings) -> dict[str, Any]:
    """A builder's standing in one currency."""
    minimum, following = to_wire(row.minimum_payout, row.currency), to_wire(row.next_payout, row.currency)
    return _amounts(row, _EARNINGS) | {"nextPayout": {"amount": following, "minimum": minimum}}


def owed_wire(row: Owed) -> dict[str, Any]:
    """A merchant's standing in one currency."""
    return _amounts(row, _OWED)


def payout_wire(payout: Payout) -> dict[str, Any]:
    """A payout as its builder sees it. Load it with its batch and its statements with theirs."""
    statements = sorted(payout.statements.all(), key=lambda row: row.batch.period)
    earned, taken = (sum(getattr(row, f"{name}_minor") for row in statements) for name in ("earned", "reversed"))
    return {
        "id": payout.pk,
        "status": payout.state,
        "amount": to_wire(payout.amount_minor, payout.currency),
        "currency": payout.currency,
        "period": payout.batch.period,
        "attempts": payout.attempts,
        "failure": payout.failure or None,
        "createdAt": instant(payout.created_at),
        "submittedAt": payout.submitted_at and instant(payout.submitted_at),
        "paidAt": payout.paid_at and instant(payout.paid_at),
        "statements": [_statement(row) for row in statements],
        "lines": {
            "count": sum(row.line_count for row in statements),
            "earned": to_wire(earned, payout.currency),
            "reversed": to_wire(taken, payout.currency),
        },
    }


def _statement(row: Statement) -> dict[str, Any]:
    amounts = {name: to_wire(getattr(row, f"{name}_minor"), row.currency) for name in _STATEMENT}
    return {"number": row.number, "period": row.batch.period, **amounts, "lines": row.line_count}


def _amounts(row: Earnings | Owed, names: tuple[str, ...]) -> dict[str, Any]:
    return {"currency": row.currency} | {camel(name): to_wire(getattr(row, name), row.currency) for name in names}
