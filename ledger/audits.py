"""Verifying as a habit: each run of `verify_ledger` is kept, and the worker runs it by itself."""

import logging
import time
from dataclasses import asdict

from ledger.models import Head, Verification
from ledger.verification.findings import Report
from ledger.verification.run import Scope, verify

log = logging.getLogger("rako.ledger")

_KEPT = 20


def audit(scope: Scope) -> Report:
    """Verify and keep what came of it. Raises what `verify` raises; then nothing is kept."""
    began = time.monotonic()
    report = verify(scope)
    Verification.objects.create(
        mode=scope.mode,
        entries=report.checked.get("leaves", 0),
        size=report.checked.get("size", 0),
        is_sound=report.is_sound,
        findings=[asdict(finding) for finding in report.kept[:_KEPT]],
        seconds=round(time.monotonic() - began, 3),
    )
    if report.first is not None:
        log.error("ledger TAMPERED WITH: %s %s: %s", report.first.check, report.first.subject, report.first.detail)
    return report


def audit_growth() -> Report:
    """Verify what came since the last sound run; everything if there was none, or the newest one was not sound."""
    latest = Verification.objects.exclude(mode=Verification.Mode.SAMPLE).first()
    since = latest.size if latest is not None and latest.is_sound else 0
    # It continues a head that is still there: a size that is not would be found out by a full run.
    return audit(Scope(since=since if Head.objects.filter(size=since).exists() else 0))
