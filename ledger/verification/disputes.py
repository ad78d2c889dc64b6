"""V8 for disputes and holds: their rows and what was said are what the entries of their streams tell."""

from collections.abc import Iterator
from typing import Any

from django.db.models import Model, QuerySet

from ledger import holds
from ledger.dispute_moves import MOVES, facts_of
from ledger.disputes import said_facts
from ledger.models import Dispute, DisputeStatement, FraudHold
from ledger.verification.findings import Finding
from ledger.verification.rows import query
from ledger.verification.told import Told, told_by
from rako.core.wire import instant

_CHUNK = 500
_LOST = """
SELECT DISTINCT stream_id FROM ledger_entry
WHERE kind = 'dispute.opened' AND NOT EXISTS (SELECT 1 FROM ledger_dispute WHERE id = stream_id)
    OR kind = 'hold.placed' AND NOT EXISTS (SELECT 1 FROM ledger_fraudhold WHERE id = stream_id)
LIMIT 1000
"""
# What an entry is told along with, which the row does not have.
_BESIDE = {"state_before"}


def dispute_findings() -> Iterator[Finding]:
    """Disputes, statements and holds that differ from their entries, and entries whose rows are missing."""
    for dispute, told in _told(Dispute.objects.prefetch_related("statements")):
        yield from _differences(dispute, told, facts_of(dispute), _dispute_differences)
    for hold, told in _told(FraudHold.objects.all()):
        yield from _differences(hold, told, holds.facts_of(hold), _hold_differences)
    for (stream_id,) in query(_LOST):
        yield Finding("V8", f"stream {stream_id}", "the dispute or hold that it tells of is missing")


def _told(rows: QuerySet[Any]) -> Iterator[tuple[Any, list[Told]]]:
    last = ""
    while chunk := list(rows.filter(pk__gt=last).order_by("pk")[:_CHUNK]):
        told = told_by([row.pk for row in chunk])
        yield from ((row, told.get(row.pk, [])) for row in chunk)
        last = chunk[-1].pk


def _differences(row: Model, told: list[Told], facts: dict[str, Any], further: Any) -> Iterator[Finding]:
    """Where a row is not as the last entry of its state has it, and what else is amiss."""
    subject = f"{row._meta.verbose_name} {row.pk}"
    states = [entry for entry in told if "state" in entry.facts]
    if not states:
        yield Finding("V8", subject, "no entry tells of it")
        return
    last = {name: value for name, value in states[-1].facts.items() if name not in _BESIDE}
    if last != facts:
        yield Finding("V8", subject, "differs from its last entry", states[-1].index)
    yield from (Finding("V8", subject, detail, told[0].index) for detail in further(row, told, states))


def _dispute_differences(dispute: Dispute, told: list[Told], states: list[Told]) -> Iterator[str]:
    for before, after in zip([None, *states[:-1]], states, strict=True):
        was = None if before is None else before.facts["state"]
        if after.facts.get("state_before") != was or (was and after.facts["state"] not in MOVES[Dispute.State(was)]):
            yield f"{after.facts['state']} does not follow on {was}"
    opened, ended = states[0].for_merchant, states[-1].for_merchant
    if opened is not None and opened.get("order_reference") != dispute.order_reference:
        yield "order_reference differs from its entry"
    if dispute.is_ended and ended is not None and ended.get("reason", "") != dispute.reason:
        yield "reason differs from its entry"
    if any(entry.parties != (dispute.merchant_id, dispute.agent_id) for entry in told):
        yield "an entry of its stream is of other parties"
    yield from _statement_differences(dispute, told)


def _statement_differences(dispute: Dispute, told: list[Told]) -> Iterator[str]:
    """What was said is what was hashed, and none of it is missing."""
    entries = {entry.key.removeprefix("statement:"): entry for entry in told if "statement_id" in entry.facts}
    for said in dispute.statements.all():
        entry = entries.pop(said.pk, None)
        if entry is None:
            yield f"no entry tells of its statement {said.pk}"
        elif _said(said) != (entry.kind, entry.facts, entry.body.get("evidence"), entry.body.get("occurred_at")):
            yield f"statement {said.pk} differs from its entry"
    yield from (f"its statement {key} is missing" for key in entries)


def _said(said: DisputeStatement) -> tuple[Any, ...]:
    return f"dispute.{said.kind}_added", said_facts(said), said.sha256 or None, instant(said.said_at)


def _hold_differences(hold: FraudHold, _: list[Told], states: list[Told]) -> Iterator[str]:
    if hold.placed_at and states[0].body.get("occurred_at") != instant(hold.placed_at):
        yield "was placed at another time"
    if len(states) > 2 or states[0].facts.get("state") != FraudHold.State.OPEN:
        yield "ended more than once"
