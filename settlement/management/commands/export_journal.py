"""manage.py export_journal"""

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from rako.core.progress import progress
from settlement.exports.files import write_file
from settlement.exports.formats import JOURNALS
from settlement.exports.journals import Transaction, written
from settlement.exports.ledger_journal import sequenced_transactions
from settlement.management.commands.settle import period


class Command(BaseCommand):
    help = (
        "Write every entry of the ledger that moves money to a plain-text double-entry journal. It only reads, and "
        "replaces the file: safe to repeat."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--until", type=period, metavar="YYYY-MM", help="what was recorded up to that month's end")
        parser.add_argument("--format", choices=list(JOURNALS), required=True)
        parser.add_argument("--output", required=True, metavar="FILE")
        parser.add_argument("--json", action="store_true", help="the tally as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        until = options["until"]
        title = f"Rako, the ledger{f' until the end of {until}' if until else ''}"
        self._count = 0
        pages = self._counted(sequenced_transactions(until.ends_at) if until else sequenced_transactions())
        try:
            size = write_file(options["output"], written(JOURNALS[options["format"]](), title, pages))
        except OSError as error:
            raise CommandError(str(error)) from None
        tally = {"transactions": self._count, "bytes": size, "file": options["output"]}
        said = f"{self._count} transactions, {size} bytes in {options['output']}"
        self.stdout.write(json.dumps(tally) if options["json"] else said)

    def _counted(self, pages: Iterator[list[Transaction]]) -> Iterator[list[Transaction]]:
        for page in progress(pages, total=None, label="pages"):
            self._count += len(page)
            yield page
