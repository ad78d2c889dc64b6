"""V8 for milestones: they are what the entries of their conversion tell."""

from collections.abc import Iterator

from ledger.models import Conversion
from ledger.verification.told import Told
from rako.core.wire import instant


def milestone_differences(conversion: Conversion, told: list[Told]) -> Iterator[tuple[str, str]]:
    """Where milestones and the entries that tell of them are not the same."""
    entries = {entry.key.removeprefix("milestone:"): entry for entry in told if entry.key.startswith("milestone:")}
    for milestone in conversion.milestones.all():
        entry = entries.pop(milestone.pk, None)
        if entry is None:
            yield "V8", f"no entry tells of its milestone {milestone.pk}"
        elif (milestone.name, instant(milestone.occurred_at), milestone.sha256, milestone.reference) != (
            entry.facts.get("milestone"),
            entry.body["occurred_at"],
            entry.body["evidence"],
            # An opening that was erased says nothing of the reference.
            milestone.reference if entry.for_merchant is None else entry.for_merchant.get("reference"),
        ):
            yield "V8", f"milestone {milestone.pk} differs from its entry"
    for key in entries:
        yield "V8", f"its milestone {key} is missing"
