"""Batches of reports on the wire (protocol, section 1): each row is read, answered and refused by itself."""

from typing import Any

from rest_framework import serializers

from ledger import wire
from ledger.batches import LARGEST, Outcome, report_batch
from ledger.conversions import Recorded
from ledger.redemption import redeem
from ledger.reports import Report
from merchants.models import Merchant
from rako.core.errors import BadRequest, RakoError
from rako.core.receipts import RECEIPT, receipt_for
from rako.core.wire import WireSerializer


class BatchBody(WireSerializer):
    """Many reports of sales, each judged by itself."""

    # The lengths are options of the list that `many` makes.
    conversions = wire.ReportBody(many=True, min_length=1, max_length=LARGEST)  # type: ignore[call-arg]


class BatchRowReply(WireSerializer):
    """What became of a row; but for a refused one with all that the reply to a single report has."""

    index = serializers.IntegerField(help_text="The row's place, from 0.")
    status = serializers.ChoiceField(choices=["recorded", "attached", "known", "refused"])
    conversion_status = serializers.CharField(required=False, help_text="`status` of the reply to a single report.")
    conversion_id = serializers.CharField(required=False)
    session_id = serializers.CharField(required=False)
    order_reference = serializers.CharField(required=False)
    transaction_value = serializers.FloatField(required=False)
    commission = wire.CommissionReply(required=False)
    validation_period_days = serializers.IntegerField(required=False)
    receipt = serializers.CharField(required=False, help_text=RECEIPT)
    error = serializers.CharField(required=False)
    code = serializers.CharField(required=False, help_text="What `X-Error-Code` says of a single report.")


class BatchReply(WireSerializer):
    results = BatchRowReply(many=True)
    count = serializers.IntegerField()
    recorded = serializers.IntegerField()
    refused = serializers.IntegerField()


def answer(merchant: Merchant, rows: Any) -> dict[str, Any]:
    """Record the rows of a batch and say what became of each. Raises BadRequest if it is no batch at all."""
    if not isinstance(rows, list) or not 1 <= len(rows) <= LARGEST:
        raise BadRequest(f"conversions must be a list of 1 to {LARGEST:,} reports", code="invalid_field")
    read = _read(merchant, rows)
    reports = {index: report for index, report in enumerate(read) if isinstance(report, Report)}
    outcomes = dict(zip(reports, report_batch(merchant, list(reports.values())), strict=True))
    results = [_result(index, row, outcomes.get(index)) for index, row in enumerate(read)]
    statuses = [result["status"] for result in results]
    return {
        "results": results,
        "count": len(results),
        "recorded": statuses.count("recorded"),
        "refused": statuses.count("refused"),
    }


def report_of(merchant: Merchant, fields: dict[str, Any]) -> Report:
    """A report from the fields of its body. Raises BadRequest for a token that is not good."""
    fields = redeem(merchant, fields)
    return Report(value=fields.pop("transaction_value"), service_on=fields.pop("service_date", None), **fields)


def status_of(outcome: Outcome) -> str:
    """recorded, attached, known or refused."""
    if isinstance(outcome, RakoError):
        return "refused"
    return "recorded" if outcome.made else "attached" if outcome.attached else "known"


def _read(merchant: Merchant, rows: list[Any]) -> list[Report | RakoError]:
    reader, found = wire.ReportBody(), list[Report | RakoError]()
    for row in rows:
        try:
            found.append(report_of(merchant, reader.take(row)))
        except RakoError as error:
            found.append(error)
    return found


def _result(index: int, row: Report | RakoError, outcome: Outcome | None) -> dict[str, Any]:
    if isinstance(row, RakoError):
        return {"index": index, "status": "refused", "error": str(row), "code": row.code}
    if not isinstance(outcome, Recorded):
        refusal = outcome or RakoError()
        return {
            "index": index,
            "status": "refused",
            "orderReference": row.order_reference,
            "error": str(refusal),
            "code": refusal.code,
        }
    reply = wire.report_wire(outcome.conversion, row.order_reference)
    receipt = receipt_for(outcome.entry)
    told = {"index": index, "conversionStatus": reply["status"], "receipt": receipt}
    return reply | told | {"status": status_of(outcome)}
