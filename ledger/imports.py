"""Importing sales from a merchant's own records in CSV: as its reports, of the level `reconciled`."""

import re
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from django.db import transaction

from ledger import wire
from ledger.batch_wire import report_of, status_of
from ledger.batches import CHUNK, Outcome, report_chunk
from ledger.models.conversion import Level
from ledger.reports import Report
from merchants.imports import BadFile, read_rows
from merchants.models import Merchant
from rako.core.errors import BadRequest, NotFound, RakoError
from rako.core.ids import is_id
from rako.core.wire import camel

REQUIRED = ("sessionId", "orderReference", "transactionValue")
COLUMNS = (*REQUIRED, "recommendationId", "currency", "paymentReference", "occurredAt", "serviceDate")
MERCHANT = "merchant"
_NUMBER = re.compile(r"-?[0-9]{1,13}(\.[0-9]{1,4})?\Z", re.ASCII)

Row = tuple[int, dict[str, str]]


@dataclass(frozen=True, slots=True)
class RowResult:
    """What became of a row. `outcome`: recorded, attached, known or refused; `detail` says why it was refused."""

    line: int
    outcome: str
    order: str
    detail: str = ""


class MerchantUnknown(NotFound):
    code, message = "merchant_not_found", "Merchant not found"


def find_merchant(name: str) -> Merchant:
    """By id or by name. Raises MerchantUnknown."""
    found = Merchant.objects.filter(**{"pk" if is_id(name) else "name": name}).first()
    if found is None:
        raise MerchantUnknown()
    return found


def read_sales(path: Path, *, with_merchant: bool) -> list[Row]:
    """The rows with their line numbers, by the API's names. Raises BadFile."""

    def check(names: Any) -> None:
        given = [_name(name) for name in names]
        required = (*REQUIRED, MERCHANT) if with_merchant else REQUIRED
        if missing := [name for name in required if name not in given]:
            raise BadFile(f"columns are missing: {', '.join(missing)}")
        if unknown := [name for name in given if name not in {*COLUMNS, *required}]:
            raise BadFile(f"columns are unknown: {', '.join(unknown)}")
        if twice := [name for name in given if given.count(name) > 1]:
            raise BadFile(f"column {twice[0]} is given twice")

    return [(line, {_name(name): cell for name, cell in row.items()}) for line, row in read_rows(path, check)]


def import_sales(rows: Sequence[Row], merchant: Merchant | None, *, is_dry: bool = False) -> Iterator[RowResult]:
    """Import rows as their merchants' reports, each few in a transaction of their own.

    Without a merchant, each row names its own. A dry run keeps nothing: it judges each few rows as if those before them
    had not been there.
    """
    merchants: dict[str, Merchant | RakoError] = {}
    for start in range(0, len(rows), CHUNK):
        chunk = rows[start : start + CHUNK]
        with transaction.atomic() if is_dry else nullcontext():
            results = list(_import(chunk, merchant, merchants))
            if is_dry:
                transaction.set_rollback(True)
        yield from results


def _import(rows: Sequence[Row], only: Merchant | None, merchants: dict[str, Merchant | RakoError]) -> list[RowResult]:
    """Import a few rows in their order, neighbours of one merchant together."""
    reader, results = wire.ReportBody(), list[RowResult]()
    read = [(line, row.get("orderReference", ""), *_read(row, only, merchants, reader)) for line, row in rows]
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
    row: dict[str, str], only: Merchant | None, merchants: dict[str, Merchant | RakoError], reader: wire.ReportBody
) -> tuple[Merchant, Report] | tuple[None, RakoError]:
    try:
        merchant = only or _merchant(row, merchants)
        return merchant, report_of(merchant, reader.take(_fields(row)))
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
    if "_shape" in row:
        raise BadRequest(row["_shape"])
    if nul := [name for name, cell in row.items() if "\x00" in cell]:
        raise BadRequest(f"{nul[0]} holds a NUL character")
    fields: dict[str, Any] = {name: cell for name, cell in row.items() if cell and name != MERCHANT}
    if "transactionValue" in fields:
        if not _NUMBER.match(fields["transactionValue"]):
            raise BadRequest("transactionValue must be a number")
        fields["transactionValue"] = float(fields["transactionValue"])
    return fields


def _name(name: str) -> str:
    """A column's name as the API has it; snake_case is accepted, too."""
    return name if name.startswith("_") else camel(name or "")
