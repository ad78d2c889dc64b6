"""manage.py export_settlement"""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from settlement.exports.files import write_file
from settlement.exports.formats import FORMATS
from settlement.exports.lines import FINANCE
from settlement.management.commands.settle import period
from settlement.models import Batch


class Command(BaseCommand):
    help = "Write all lines of a closed month to a file. It only reads, and replaces the file: safe to repeat."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--period", type=period, required=True, metavar="YYYY-MM")
        parser.add_argument("--format", choices=list(FORMATS), required=True)
        parser.add_argument("--output", required=True, metavar="FILE")
        parser.add_argument("--json", action="store_true", help="the tally as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        batch = Batch.objects.defer("document", "inputs").filter(period=options["period"].text).first()
        if batch is None:
            raise CommandError(f"{options['period']} is not closed", returncode=2)
        try:
            written = write_file(options["output"], FORMATS[options["format"]].write(batch, FINANCE))
        except OSError as error:
            raise CommandError(str(error)) from None
        tally = {"period": batch.period, "lines": batch.line_count, "bytes": written, "file": options["output"]}
        said = f"{batch.period}: {batch.line_count} lines, {written} bytes in {options['output']}"
        self.stdout.write(json.dumps(tally) if options["json"] else said)
