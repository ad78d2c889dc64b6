"""Importing sales from a merchant's own records in CSV: as its reports, of the level `reconciled`."""

import re
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from itertools import groupby
from pathlib import Path
from typing import Any

from ledger import wire
from ledger.batch_wire import report_of, status_of
from ledger.batches import CHUNK, Outcome, report_chunk
from ledger.models.conversion import Level
from ledger.reports import Report
from merchants.models import Merchant
from rako.core.csv_rows import Row, RowResult, read_rows
from rako.core.errors import BadRequest, NotFound, RakoError
from rako.core.ids import is_id
from rako.core.row_commands import trying
from rako.core.wire import camel

REQUIRED = ("sessionId", "orderReference", "transactionValue")
COLUMNS = (*REQUIRED, "recommendationId", "currency", "paymentReference", "occurredAt", "serviceDate")
MERCHANT = "merchant"
_NUMBER = re.compile(r"-?[0-9]{1,13}(\.[0-9]{1,4})?\Z", re.ASCII)


class MerchantUnknown(NotFound):
    code, message = "merchant_not_found", "Merchant not found"


def find_merchant(name: str) -> Merchant:
    """By id or by name. Raises MerchantUnknown."""
    found = Merchant.objects.filter(**{"pk" if is_id(name) else "name": name}).first()
    if found is None:
        raise MerchantUnknown()
    return found


def read_sales(path: Path, *, with_merchant: bool) -> list[Row]:
    """The rows of a file, by the API's names; snake_case is accepted, too. Raises BadFile."""
    return read_rows(path, (*REQUIRED, MERCHANT) if with_merchant else REQUIRED, COLUMNS, named=camel)


def import_sales(rows: Sequence[Row], merchant: Merchant | None, *, is_dry_run: bool = False) -> Iterator[RowResult]:
    """Import rows as their merchants' reports, each few in a transaction of their own: `recorded`, `attached`, `known`
    or `refused`.

    Without a merchant, each row names its own. A dry run keeps nothing: it judges each few rows as if those before them
    had not been there.
    """
    merchants: dict[str, Merchant | RakoError] = {}
    for start in range(0, len(rows), CHUNK):
        chunk = rows[start : start + CHUNK]
        with trying(is_dry_run=True) if is_dry_run else nullcontext():
            results = _import(chunk, merchant, merchants)
        yield from results


def _import(rows: Sequence[Row], only: Merchant | None, merchants: dict[str, Merchant | RakoError]) -> list[RowResult]:
    """Import a few rows in their order, neighbours of one merchant together."""
    reader, results = wire.ReportBody(), list[RowResult]()
    read = [(row.line, row.cells.get("orderReference", ""), *_read(row, only, merchants, reader)) for row in rows]
    for merchant, neighbours in groupby(read, key=lambda each: each[2]):
        group = list(neighbours)
        reports = [report for *_, report in group if isinstance(report, Report)]
        # Without a merchant there are only these.
        refusals: list[Outcome] = [error for *_, error in group if isinstance(error, RakoError)]
        outcomes = report_chunk(merchant, reports, Level.RECONCILED) if merchant else refusals
        for (line, order, *_), outcome in zip(group, outcomes, strict=True):
            detail = str(outcome) if isinstance(outcome, RakoError) else outcome.conversion.pk
            results.append(RowResult(line, status_of(outcome), order, detail))
    return results


def _read(
    row: Row, only: Merchant | None, merchants: dict[str, Merchant | RakoError], reader: wire.ReportBody
) -> tuple[Merchant, Report] | tuple[None, RakoError]:
    try:
        cells = row.check()
        merchant = only or _merchant(cells, merchants)
        return merchant, report_of(merchant, reader.take(_fields(cells)))
    except RakoError as error:
        return None, error


def _merchant(row: dict[str, str], known: dict[str, Merchant | RakoError]) -> Merchant:
    name = row.get(MERCHANT, "")
    if name not in known:
        try:
            known[name] = find_merchant(name)
        except MerchantUnknown as error:
            known[name] = error
    found = known[name]
    if isinstance(found, RakoError):
        raise found
    return found


def _fields(row: dict[str, str]) -> dict[str, Any]:
    """A row as the body of a report."""
    fields: dict[str, Any] = {name: cell for name, cell in row.items() if cell and name != MERCHANT}
    if "transactionValue" in fields:
        if not _NUMBER.match(fields["transactionValue"]):
            raise BadRequest("transactionValue must be a number")
        fields["transactionValue"] = float(fields["transactionValue"])
    return fields
