"""The lines of a batch for whoever may see them, page by page: memory does not grow with a month."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from settlement.models import Line

_PAGE = 2000
# Paged by an index, from where the last page ended, before anything is joined: lines never change.
_ROWS = """
SELECT line.merchant_id, line.builder_id, line.conversion_id, line.currency, line.commission_minor, line.fee_minor,
    line.payout_minor, line.is_late, conversion.order_reference, conversion.offer_id, conversion.attribution_path,
    conversion.converted_at, coalesce(conversion.corrected_value_minor, conversion.transaction_value_minor),
    coalesce(invoice.number, ''), coalesce(statement.number, '')
FROM (
    SELECT * FROM settlement_line WHERE batch_id = %(batch)s AND {of} ORDER BY {order} LIMIT {page}
) line
JOIN ledger_conversion conversion ON conversion.id = line.conversion_id
LEFT JOIN settlement_invoice invoice ON invoice.batch_id = line.batch_id AND invoice.merchant_id = line.merchant_id
    AND invoice.currency = line.currency
    AND invoice.kind = CASE sign(line.commission_minor) WHEN 1 THEN 'invoice' WHEN -1 THEN 'credit_note' END
    AND invoice.vat_rate = coalesce(line.reversed_vat_rate, invoice.vat_rate)
LEFT JOIN settlement_statement statement ON statement.batch_id = line.batch_id
    AND statement.builder_id = line.builder_id AND statement.currency = line.currency
ORDER BY {order_of_line}
"""


@dataclass(frozen=True, slots=True)
class Reader:
    """For whom an export is: a merchant or a builder with its own lines, or finance with all of them."""

    kind: str = "finance"
    id: str = ""

    @property
    def column(self) -> str:
        """The column of a line that says whose it is."""
        return f"{self.kind}_id"


FINANCE = Reader()


class ExportedLine(NamedTuple):
    """A line with what is known of its sale, and the documents that it is on."""

    merchant_id: str
    builder_id: str
    conversion_id: str
    currency: str
    commission_minor: int
    fee_minor: int
    payout_minor: int
    is_late: bool
    order_reference: str
    offer_id: str
    attribution_path: str
    converted_at: datetime
    transaction_value_minor: int
    invoice: str
    statement: str


def has_lines(batch_id: str, reader: Reader) -> bool:
    """Whether a batch has anything of the reader's."""
    own = {} if reader.kind == "finance" else {reader.column: reader.id}
    return Line.objects.filter(batch=batch_id, **own).exists()


def exported_lines(batch_id: str, reader: Reader) -> Iterator[list[ExportedLine]]:
    """Pages of a batch's lines, in one order."""
    keys = ["conversion_id", "currency"]
    own = f"{reader.column} = %(reader)s AND"
    if reader.kind == "finance":
        keys, own = ["merchant_id", *keys], ""
    sql = _ROWS.format(
        of=f"{own} ({', '.join(keys)}) > ({', '.join(f'%({key})s' for key in keys)})",
        order=", ".join(keys),
        page=_PAGE,
        order_of_line=", ".join(f"line.{key}" for key in keys),
    )
    after = [""] * len(keys)
    while True:
        with connection.cursor() as cursor:
            values = dict(zip(keys, after, strict=True))
            cursor.execute(sql, values | {"batch": batch_id, "reader": reader.id})
            page = [ExportedLine(*row) for row in cursor.fetchall()]
        if not page:
            return
        yield page
        after = [getattr(page[-1], key) for key in keys]
