"""manage.py rebuild_projections"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from ledger import projections


class Command(BaseCommand):
    help = (
        "Make the balances anew from the sequenced postings; with --check only compare, exit 3 if they differ. "
        "Safe to repeat, and while the sequencer runs."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="compare and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = projections.differences()
            rebuilt = None if options["check"] else projections.rebuild()
        except DatabaseError as error:
            raise CommandError(f"could not finish: {error}") from None
        for row in found:
            owner = f" of {row.owner_id}" if row.owner_id else ""
            self.stdout.write(f"{row.account}{owner}: {row.stored} {row.currency} stored, {row.summed} summed up")
        if rebuilt is not None:
            self.stdout.write(f"{rebuilt} balances rebuilt, {len(found)} were wrong")
            return
        self.stdout.write(f"{len(found)} balances differ from their postings")
        if found:
            raise SystemExit(3)
