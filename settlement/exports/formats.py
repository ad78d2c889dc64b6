"""The forms in which a batch leaves the house."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.http import StreamingHttpResponse

from settlement.exports.batch_journal import batch_transactions
from settlement.exports.journals import Beancount, Hledger, Journal, written
from settlement.exports.json_lines import json_export
from settlement.exports.lines import Reader
from settlement.exports.spreadsheet import csv_export
from settlement.models import Batch

JOURNALS: dict[str, type[Journal]] = {"hledger": Hledger, "beancount": Beancount}


@dataclass(frozen=True, slots=True)
class Format:
    """How a batch is written, what the reply calls it, and how the file's name ends."""

    write: Callable[[Batch, Reader], Iterator[str] | Iterator[bytes]]
    content_type: str
    ending: str


def _journal(name: str) -> Callable[[Batch, Reader], Iterator[str]]:
    def write(batch: Batch, reader: Reader) -> Iterator[str]:
        title = f"Rako, settlement of {batch.period}, batch {batch.pk}"
        return written(JOURNALS[name](), title, batch_transactions(batch, reader))

    return write


FORMATS = {
    "csv": Format(csv_export, "text/csv; charset=utf-8", "csv"),
    "json": Format(json_export, "application/json", "json"),
    "hledger": Format(_journal("hledger"), "text/plain; charset=utf-8", "journal"),
    "beancount": Format(_journal("beancount"), "text/plain; charset=utf-8", "beancount"),
}


def export_reply(batch: Batch, reader: Reader, name: str) -> StreamingHttpResponse:
    """A batch as a file, sent while it is read."""
    form = FORMATS[name]
    headers = {
        "Content-Disposition": f'attachment; filename="settlement-{batch.period}.{form.ending}"',
        "Cache-Control": "private, no-store",
    }
    return StreamingHttpResponse(form.write(batch, reader), content_type=form.content_type, headers=headers)
