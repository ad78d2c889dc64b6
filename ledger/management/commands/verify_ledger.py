"""manage.py verify_ledger"""

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from itertools import chain
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from ledger import verify
from ledger.models import Conversion, Entry, Evidence
from ledger.verify import Finding
from rako.core.progress import progress

_SHOWN = 20


class Command(BaseCommand):
    help = (
        "Check every ledger entry, conversion and database guard; exit 3 names what was tampered with. Safe to repeat."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            counts = {"entries": Entry.objects.count(), "conversions": Conversion.objects.count()}
            findings = [*verify.verify_guards(), *self._walk(sum(counts.values()) + Evidence.objects.count())]
        except DatabaseError as error:
            raise CommandError(f"could not finish: {error}") from None
        if options["json"]:
            found = [{"check": f.check, "subject": f.subject, "detail": f.detail} for f in findings]
            self.stdout.write(json.dumps(counts | {"sound": not findings, "findings": found}))
        else:
            self._report(counts, findings)
        if findings:
            raise SystemExit(3)

    def _walk(self, total: int) -> Iterator[Finding]:
        steps = chain(verify.verify_entries(), verify.verify_conversions(), verify.verify_evidence())
        for _, findings in progress(steps, total=total, label="ledger"):
            yield from findings

    def _report(self, counts: dict[str, int], findings: list[Finding]) -> None:
        for finding in findings[:_SHOWN]:
            self.stdout.write(f"{finding.check} {finding.subject}: {finding.detail}")
        if len(findings) > _SHOWN:
            self.stdout.write(f"and {len(findings) - _SHOWN} more")
        if findings:
            self.stdout.write(f"ledger TAMPERED WITH: {len(findings)} findings")
        else:
            self.stdout.write(
                f"ledger sound: {counts['entries']} entries, {counts['conversions']} conversions, guards in place"
            )
