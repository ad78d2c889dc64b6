"""V8 and V10 for conversions: a conversion's row and its standing are what the entries of its stream tell, and what
its events make of it."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from ledger.conversions import TELL_OF_EVIDENCE
from ledger.lifecycle import happenings, sale_of, standing_values
from ledger.models import Conversion, Event
from ledger.standing import derive
from ledger.verification.evidence import evidence_differences
from ledger.verification.findings import Finding, Report
from ledger.verification.milestones import milestone_differences
from ledger.verification.rows import query
from ledger.verification.told import Told, told_by
from rako.core.aap_code import InvalidCode, decode
from rako.core.wire import instant

CHUNK = 1000
# What reading a row or a body that was tampered with may come to.
_UNREADABLE = (ArithmeticError, AttributeError, InvalidCode, LookupError, TypeError, ValueError)
_LOST = """
SELECT entry_id, index FROM (
    SELECT entry.entry_id, leaf.index FROM ledger_entry entry LEFT JOIN ledger_leaf leaf ON leaf.entry_id = entry.id
    WHERE kind = 'conversion.recorded' AND NOT EXISTS (SELECT 1 FROM ledger_conversion WHERE id = stream_id)
) lost ORDER BY index LIMIT 1000
"""
_TOUCHED = """
SELECT stream_id FROM ledger_leaf leaf JOIN ledger_entry entry ON entry.id = leaf.entry_id WHERE leaf.index >= %s
UNION
SELECT stream_id FROM ledger_entry entry
WHERE NOT EXISTS (SELECT 1 FROM ledger_leaf leaf WHERE leaf.entry_id = entry.id)
"""


class Stories:
    """All conversions, or those that an entry from `since` on tells of. Iterate to check them, a chunk at a step."""

    def __init__(self, report: Report, since: int = 0) -> None:
        self._report = report
        self._since = since
        rows = Conversion.objects.order_by("pk")
        if since:
            rows = rows.filter(pk__in=[pk for (pk,) in query(_TOUCHED, [since])])
        self._rows = rows
        self.count = rows.count()

    @property
    def steps(self) -> int:
        """How many chunks there are."""
        return -(-self.count // CHUNK)

    def __iter__(self) -> Iterator[int]:
        last = ""
        related = self._rows.select_related("recommendation").prefetch_related("evidence", "events", "milestones")
        while chunk := list(related.filter(pk__gt=last)[:CHUNK]):
            told = told_by([conversion.pk for conversion in chunk])
            for conversion in chunk:
                self._report.take(_findings(conversion, told.get(conversion.pk, [])))
            self._report.tally("conversions", len(chunk))
            last = chunk[-1].pk
            yield len(chunk)
        if not self._since:
            for entry_id, index in query(_LOST):
                self._report.add("V8", entry_id, "the conversion it tells of is missing", index)


def _findings(conversion: Conversion, told: list[Told]) -> Iterator[Finding]:
    subject = f"conversion {conversion.pk}"
    if not told or told[0].kind != "conversion.recorded":
        yield Finding("V8", subject, "no entry tells of it")
        return
    index = told[0].index
    checks = (
        *(_row_differences, _standing_differences, _event_differences),
        *(evidence_differences, milestone_differences),
    )
    for check in checks:
        try:
            yield from (Finding(name, subject, detail, index) for name, detail in check(conversion, told))
        except _UNREADABLE as error:
            yield Finding("V8", subject, f"cannot be read with its entries: {type(error).__name__} {error}", index)


def _row_differences(conversion: Conversion, told: list[Told]) -> Iterator[tuple[str, str]]:
    """Where the row's facts are not those of the first entry, and where an entry is of other parties."""
    for name, ours, theirs in _pairs(conversion, told[0]):
        if ours != theirs:
            yield "V8", f"{name} differs from its entry"
    if decode(conversion.recommendation.aap_code).sha256 != conversion.code_sha256:
        yield "V8", "the code is not the recommendation's"
    if any(entry.parties != (conversion.merchant_id, conversion.agent_id) for entry in told):
        yield "V8", "an entry of its stream is of other parties"


def _pairs(conversion: Conversion, first: Told) -> Iterator[tuple[str, Any, Any]]:
    """What the row and its first entry both say: a name, ours, theirs. What was erased says nothing."""
    facts, earned = first.facts, first.facts["commission"]
    for name in (
        *("merchant_id", "recommendation_id", "session_id", "offer_id", "code_sha256", "attribution_path"),
        *("transaction_value_minor", "currency", "validation_days"),
    ):
        yield name, getattr(conversion, name), facts.get(name)
    yield "conversion_id", conversion.pk, facts.get("conversion_id")
    # Entries of before merchants could agree on it do not tell: it is off then.
    yield "refunds_reverse_cpa", conversion.refunds_reverse_cpa, facts.get("refunds_reverse_cpa", False)
    yield "converted_at", instant(conversion.converted_at), first.body["occurred_at"]
    ends_at = conversion.first_validation_ends_at
    yield "first_validation_ends_at", None if ends_at is None else instant(ends_at), facts.get("validation_ends_at")
    yield "commission_type", conversion.commission_type, earned["type"]
    yield "commission_minor", conversion.commission_minor, earned["amount_minor"]
    yield "network_fee_minor", conversion.network_fee_minor, earned["fee_minor"]
    yield "builder_payout_minor", conversion.builder_payout_minor, earned["payout_minor"]
    yield "network_fee_rate", conversion.network_fee_rate, Decimal(earned["fee_rate"])
    if first.for_merchant is not None:
        yield "order_reference", conversion.order_reference, first.for_merchant.get("order_reference")
    if first.for_agent is not None:
        yield "agent_id", conversion.agent_id, first.for_agent.get("agent_id")
        yield "builder_id", conversion.builder_id, first.for_agent.get("builder_id")


def _standing_differences(conversion: Conversion, told: list[Told]) -> Iterator[tuple[str, str]]:
    """Where status, validation or the moved money is not what the events make of the sale."""
    standing = derive(sale_of(conversion), happenings(list(conversion.events.all())))
    if conversion.status != standing.status:
        yield "V10", f"is {conversion.status}, but what happened makes it {standing.status}"
    for name, value in standing_values(conversion, standing).items():
        if name != "status" and getattr(conversion, name) != value:
            yield "V10", f"{name} is not what happened makes it"
    if conversion.status != told[-1].facts.get("status"):
        yield "V10", f"is {conversion.status}, but its last entry tells otherwise"
    levels = [entry.facts.get("verification_level") for entry in told if entry.kind in TELL_OF_EVIDENCE]
    if conversion.verification_level != levels[-1]:
        yield "V10", f"verification_level is {conversion.verification_level}, but its evidence makes it {levels[-1]}"
    moved: Counter[tuple[str, str]] = Counter()
    for entry in told:
        for account, currency, amount in entry.body["postings"]:
            moved[account, currency] += amount
    expected = {(account.value, conversion.currency): amount for account, amount in standing.accounts.items() if amount}
    if {place: amount for place, amount in moved.items() if amount} != expected:
        yield "V10", "its entries have moved other amounts than its standing occupies"


def _event_differences(conversion: Conversion, told: list[Told]) -> Iterator[tuple[str, str]]:
    """Where events and the entries that tell of them are not the same."""
    entries = {entry.key.removeprefix("event:"): entry for entry in told if entry.key.startswith("event:")}
    for event in conversion.events.all():
        entry = entries.pop(event.pk, None)
        if entry is None:
            yield "V8", f"no entry tells of its event {event.pk}"
        elif _told_of(event) != (
            entry.kind,
            entry.body["occurred_at"],
            entry.body["evidence"],
            entry.facts.get("event_amount_minor"),
            entry.facts.get("is_inherited", False),
            event.reference if entry.for_merchant is None else entry.for_merchant.get("reference"),
        ):
            yield "V8", f"event {event.pk} differs from its entry"
    for key in entries:
        yield "V8", f"its event {key} is missing"


def _told_of(event: Event) -> tuple[Any, ...]:
    kind = f"conversion.{event.kind}"
    told = (kind, instant(event.occurred_at), event.sha256 or None, event.amount_minor, event.is_inherited)
    return *told, event.reference
