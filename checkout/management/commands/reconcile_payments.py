"""manage.py reconcile_payments"""

import json
import logging
from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from checkout.models import Finding
from checkout.reconciliation.run import Run, Tally
from checkout.reconciliation.windows import SETTLED_AFTER, Window
from merchants.models import Connection
from rako.core.progress import progress

log = logging.getLogger("rako.reconciliation")


class Command(BaseCommand):
    help = (
        "Hold what payment processors say against what is recorded; with --fix have carried out what was missed. "
        "A run that was cut short goes on where it stopped. Exit 3 while findings are open. Safe to repeat."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--connection", metavar="ID", help="one connection")
        which.add_argument("--all", action="store_true", help="every connection that is not disconnected")
        parser.add_argument("--since", type=_moment, help="2026-11-01 or 2026-11-01T12:00:00Z; else since the last run")
        parser.add_argument("--until", type=_moment, help="at most, and by default, ten minutes ago")
        parser.add_argument("--fix", action="store_true", help="replay missed outcomes through the gate; edits nothing")
        parser.add_argument("--json", action="store_true", help="a line for each finding, and one for the tally")

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = _connections(options["connection"])
        window = _window(options["since"], options["until"])
        tally, broken = Tally(), 0
        for pk in wanted:
            try:
                self._reconcile(pk, window, tally, is_fixing=options["fix"])
            except Exception:  # logged: one that cannot be worked with holds up no other
                log.exception("connection %s could not be reconciled", pk)
                broken += 1
        left = Finding.objects.filter(connection__in=wanted, state="open").order_by("pk")
        tell = self._tell_program if options["json"] else self._tell
        tell(len(wanted) - broken, tally, list(left))
        if broken:
            raise CommandError(f"{broken} connections could not be reconciled: the log has the cause")
        if left:
            raise SystemExit(3)

    def _reconcile(self, pk: str, window: Window | None, tally: Tally, *, is_fixing: bool) -> None:
        connection = Connection.objects.select_related("merchant").get(pk=pk)
        run = Run(connection, window, is_fixing=is_fixing)
        # How long the lists are, PSPs do not say.
        for _ in progress(run, total=None, label=f"{connection}, pages"):
            pass
        tally.read += run.tally.read
        tally.found += run.tally.found
        tally.fixed += run.tally.fixed

    def _tell(self, connections: int, tally: Tally, left: list[Finding]) -> None:
        for finding in left:
            money = "money " if finding.is_money else ""
            self.stdout.write(f"{finding.connection_id} {money}{finding.kind} {finding.reference}: {finding.detail}")
        self.stdout.write(
            f"{connections} connections, {tally.read} objects read, "
            f"{tally.fixed} differences mended, {len(left)} findings open"
        )

    def _tell_program(self, connections: int, tally: Tally, left: list[Finding]) -> None:
        for finding in left:
            told = {
                "connection": finding.connection_id,
                "merchant": finding.merchant_id,
                "kind": finding.kind,
                "reference": finding.reference,
                "is_money": finding.is_money,
                "detail": finding.detail,
                "checkout": finding.checkout_id,
                "first_seen_at": finding.first_seen_at.isoformat(),
            }
            self.stdout.write(json.dumps(told))
        tallied = {"connections": connections, "read": tally.read, "mended": tally.fixed, "open": len(left)}
        self.stdout.write(json.dumps(tallied))


def _connections(wanted: str | None) -> list[str]:
    if wanted is None:
        rows = Connection.objects.exclude(status="disconnected")
        return list(rows.order_by("pk").values_list("pk", flat=True))
    if not Connection.objects.filter(pk=wanted).exists():
        raise CommandError(f"no connection has the id {wanted!r}", returncode=2)
    return [wanted]


def _window(since: datetime | None, until: datetime | None) -> Window | None:
    if since is None and until is None:
        return None
    if since is None:
        raise CommandError("--until needs --since", returncode=2)
    latest = timezone.now() - SETTLED_AFTER
    until = min(until or latest, latest)
    if not timedelta(0) < until - since <= timedelta(days=400):
        raise CommandError("--since must be before --until, by at most 400 days", returncode=2)
    return Window(since, until)


def _moment(text: str) -> datetime:
    """A date or a time; UTC unless it says otherwise."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError("a date or a time in ISO 8601 is expected") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
