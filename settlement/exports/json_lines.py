"""A batch's lines as one JSON object, written a page at a time."""

from collections.abc import Iterator
from typing import Any

import orjson

from rako.core.money import to_wire
from rako.core.wire import instant
from settlement.exports.lines import ExportedLine, Reader, exported_lines
from settlement.models import Batch


def json_export(batch: Batch, reader: Reader) -> Iterator[bytes]:
    """The object, a page at a time: `lines` comes last."""
    head = {
        "batchId": batch.pk,
        "period": batch.period,
        "ruleVersion": batch.rule_version,
        "logSize": batch.cut,
        "documentSha256": batch.document_sha256,
        "closedAt": instant(batch.closed_at),
    }
    yield orjson.dumps(head)[:-1] + b',"lines":['
    separator = b"\n"
    for page in exported_lines(batch.pk, reader):
        yield separator + b",\n".join(orjson.dumps(line_wire(line, reader)) for line in page)
        separator = b",\n"
    yield b"\n]}\n"


def line_wire(line: ExportedLine, reader: Reader) -> dict[str, Any]:
    """A line as the reader sees it: money in major units."""
    shown = {
        "conversionId": line.conversion_id,
        "orderReference": line.order_reference,
        "offerId": line.offer_id,
        "attributionPath": line.attribution_path,
        "convertedAt": instant(line.converted_at),
        "currency": line.currency,
        "transactionValue": to_wire(line.transaction_value_minor, line.currency),
        "commission": to_wire(line.commission_minor, line.currency),
        "networkFee": to_wire(line.fee_minor, line.currency),
        "builderPayout": to_wire(line.payout_minor, line.currency),
        "toldLate": line.is_late,
    }
    if reader.kind != "builder":
        shown["invoice"] = line.invoice
    if reader.kind != "merchant":
        shown |= {"merchantId": line.merchant_id, "statement": line.statement}
    return shown if reader.kind != "finance" else shown | {"builderId": line.builder_id}
