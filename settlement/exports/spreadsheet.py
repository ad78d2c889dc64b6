"""A batch's lines as CSV (RFC 4180), safe to open in a spreadsheet."""

import csv
from collections.abc import Iterator
from io import StringIO

from rako.core.money import major_text
from rako.core.wire import instant
from settlement.exports.lines import ExportedLine, Reader, exported_lines
from settlement.models import Batch

_COLUMNS = (
    *("period", "conversion_id", "order_reference", "offer_id", "attribution_path", "converted_at", "currency"),
    *("transaction_value", "commission", "network_fee", "builder_payout", "told_late"),
)
_PARTIES = {
    "merchant": ("document",),
    "builder": ("merchant_id", "document"),
    "finance": ("merchant_id", "builder_id", "document", "statement"),
}
# What spreadsheets take for the beginning of a formula, in full width, too.
_FORMULA = tuple("=+-@＝＋－＠")


def csv_export(batch: Batch, reader: Reader) -> Iterator[str]:
    """The file, a page at a time."""
    yield _text([(*_COLUMNS, *_PARTIES[reader.kind])])
    for page in exported_lines(batch.pk, reader):
        yield _text([_row(batch.period, line, reader) for line in page])


def safe(text: str) -> str:
    """Somebody's text that no spreadsheet takes for a formula: an apostrophe comes before what could be one."""
    return f"'{text}" if text.startswith(_FORMULA) or text.lstrip() != text else text


def _row(period: str, line: ExportedLine, reader: Reader) -> tuple[str, ...]:
    amounts = (line.transaction_value_minor, line.commission_minor, line.fee_minor, line.payout_minor)
    return (
        period,
        line.conversion_id,
        safe(line.order_reference),
        line.offer_id,
        line.attribution_path,
        instant(line.converted_at),
        line.currency,
        *(major_text(amount, line.currency) for amount in amounts),
        "yes" if line.is_late else "no",
        *_parties(line, reader),
    )


def _parties(line: ExportedLine, reader: Reader) -> tuple[str, ...]:
    if reader.kind == "merchant":
        return (line.invoice,)
    if reader.kind == "builder":
        return line.merchant_id, line.statement
    return line.merchant_id, line.builder_id, line.invoice, line.statement


def _text(rows: list[tuple[str, ...]]) -> str:
    out = StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return out.getvalue()
