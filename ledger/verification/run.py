"""A whole verification: what is checked, in which order, and on which state of the database."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

from django.db import connection

from ledger.verification.checkpoints import check_checkpoints, check_cosignatures, checkpoint_keys
from ledger.verification.findings import Report
from ledger.verification.guards import check_functions, check_triggers
from ledger.verification.money import check_money
from ledger.verification.others import other_checks
from ledger.verification.outside import checkpoint_claims, signer_claims
from ledger.verification.rows import query
from ledger.verification.sample import check_sample
from ledger.verification.snapshots import beside, one_snapshot
from ledger.verification.stories import Stories
from ledger.verification.tables import check_constraints, check_privileges, check_tables
from ledger.verification.times import check_clock
from ledger.verification.waiting import check_late, check_waiting
from ledger.verification.walk import Walk
from rako.core.progress import progress


@dataclass(frozen=True, slots=True)
class Scope:
    """What to verify: everything, what came after the first `since` entries, or `sample` entries picked at random.

    `notes` are checkpoints that were kept outside.
    """

    since: int = 0
    sample: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def mode(self) -> str:
        """As `ledger.models.Verification` names it."""
        return "sample" if self.sample is not None else "since" if self.since else "full"


def verify(scope: Scope) -> Report:
    """Verify the ledger. Whatever is wrong is a finding; raises DatabaseError, or Unreadable for such notes."""
    report, in_sql = Report(), Report()
    # Before the snapshot: the signer never remembers more than the database then has.
    claims = signer_claims(report)
    with one_snapshot() as snapshot:
        if scope.sample is not None:
            report.tally("size", check_sample(report, scope.sample))
            check_guards(report)
            return report
        claims += checkpoint_claims(report, scope.notes, checkpoint_keys(Report()))
        walk, stories = Walk(report, since=scope.since, claims=claims), Stories(report, scope.since)
        report.tally("size", walk.size)
        late: list[int] = []
        with beside(snapshot, lambda: _in_sql(in_sql, scope)) as others:
            steps = chain(walk, stories, others)
            for step in progress(steps, total=walk.steps + stories.steps + 3, label="ledger"):
                late = step if isinstance(step, list) else late
        report.merge(in_sql)
    check_late(report, late)
    return report


def check_guards(report: Report) -> None:
    """V11."""
    for check in (check_triggers, check_functions, check_tables, check_constraints, check_privileges):
        check(report)


def _in_sql(report: Report, scope: Scope) -> Iterator[int | list[int]]:
    """The checks that PostgreSQL makes in a few statements; gives the entries that should have been in the log."""
    check_checkpoints(report, checkpoint_keys(report), scope.since)
    check_cosignatures(report, scope.since)
    check_clock(report, scope.since)
    yield 0
    check_money(report, scope.since)
    check_guards(report)
    if not scope.since:
        for check in other_checks():
            report.take(check())
    yield 0
    yield check_waiting(report, _now())


def _now() -> datetime:
    """The database's time; in a snapshot, when that was taken."""
    column = "statement_timestamp()" if connection.in_atomic_block else "transaction_timestamp()"
    return query(f"SELECT {column}")[0][0]  # type: ignore[no-any-return]
