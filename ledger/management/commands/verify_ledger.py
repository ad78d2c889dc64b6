"""manage.py verify_ledger"""

import json
from argparse import ArgumentParser, ArgumentTypeError
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from ledger.audits import audit
from ledger.models import Conversion, Entry
from ledger.verification.findings import Finding, Report
from ledger.verification.outside import Unreadable, read_checkpoints
from ledger.verification.rows import query
from ledger.verification.run import Scope, verify

_SHOWN = 20
_MAY_KEEP = """
SELECT has_table_privilege('ledger_verification', 'INSERT') AND NOT current_setting('transaction_read_only')::boolean
"""
# What of the tally a reader wants to know, besides.
_HELD = ("checkpoints", "cosignatures", "checkpoints from outside", "state of the signer", "openings erased")


class Command(BaseCommand):
    help = (
        "Verify the ledger: every entry, proof and balance, the signed checkpoints and the database's guards. "
        "Exit 3 names the first thing that was tampered with, 1 if it could not finish. Safe to repeat."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        mode = parser.add_mutually_exclusive_group()
        mode.add_argument("--full", action="store_true", help="everything (the default)")
        mode.add_argument("--since", type=_number, metavar="SIZE", help="what came after the first SIZE entries")
        mode.add_argument("--sample", type=_number, metavar="N", help="N entries picked at random, and the guards")
        parser.add_argument(
            "--checkpoint",
            metavar="FILE|URL",
            help="signed checkpoints that were kept elsewhere: without one, a log rewritten as a whole looks sound",
        )
        parser.add_argument("--json", action="store_true", help="a report for programs")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["checkpoint"] and options["sample"] is not None:
            raise CommandError("--sample does not look at --checkpoint", returncode=2)
        try:
            notes = tuple(read_checkpoints(options["checkpoint"])) if options["checkpoint"] else ()
            scope = Scope(options["since"] or 0, options["sample"], notes)
            # Whoever may only read, or reads a replica, verifies all the same; the run is not kept then.
            report = audit(scope) if query(_MAY_KEEP)[0][0] else verify(scope)
            counts = {"entries": Entry.objects.count(), "conversions": Conversion.objects.count()}
        except (DatabaseError, Unreadable) as error:
            raise CommandError(f"could not finish: {error}") from None
        if options["json"]:
            self._tell_program(scope, report, counts)
        else:
            self._tell(report, counts)
        if not report.is_sound:
            raise SystemExit(3)

    def _tell(self, report: Report, counts: dict[str, int]) -> None:
        for finding in report.kept[:_SHOWN]:
            self.stdout.write(_text(finding))
        if report.count > _SHOWN:
            self.stdout.write(f"and {report.count - _SHOWN} more")
        if report.first is not None:
            self.stdout.write(f"ledger TAMPERED WITH: {report.count} findings, the first is {_text(report.first)}")
            return
        sound = f"ledger sound: {counts['entries']} entries, {counts['conversions']} conversions, guards in place"
        held = [f"{number} {what}" for what, number in report.checked.items() if what in _HELD and number]
        self.stdout.write("; ".join([sound, *held]))

    def _tell_program(self, scope: Scope, report: Report, counts: dict[str, int]) -> None:
        told = counts | {
            "mode": scope.mode,
            "sound": report.is_sound,
            "checked": report.checked,
            "count": report.count,
            "first": None if report.first is None else asdict(report.first),
            "findings": [asdict(finding) for finding in report.kept],
        }
        self.stdout.write(json.dumps(told))


def _text(finding: Finding) -> str:
    place = "" if finding.index is None else f" (index {finding.index})"
    return f"{finding.check} {finding.subject}{place}: {finding.detail}"


def _number(text: str) -> int:
    """A whole number from 0."""
    if not (text.isascii() and text.isdigit()):
        raise ArgumentTypeError("a whole number is expected")
    return int(text)
