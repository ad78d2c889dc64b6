"""Milestones that merchants report of a sale; the payable one starts its validation (protocol, sections 1 and 4)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from ledger.lifecycle import Told, hold_sale, holding, holding_sales, tell
from ledger.models import Conversion, Entry, Event, Milestone
from ledger.reports import content_hash
from ledger.windows import CLOCK_SKEW
from merchants.verticals import VERTICALS
from rako.core.errors import BadRequest, Conflict
from rako.core.facts import Appended, Fact, state
from rako.core.postgres import send
from rako.core.wire import instant

Name = Milestone.Name
# Policies begin at midnight of the day they are sold, and are sold long before they begin.
ONE_DAY, LONGEST_WAIT = timedelta(days=1), timedelta(days=366)


class MilestoneConflict(Conflict):
    code, message = "milestone_conflict", "This milestone was already reported under this reference with another time"


@dataclass(frozen=True, slots=True)
class Reached:
    """A milestone as it is stored, its entry, and the conversion as it stands now."""

    milestone: Milestone
    entry: Appended
    conversion: Conversion


@holding_sales
def report_milestone(conversion: Conversion, *, name: str, occurred_at: datetime, reference: str) -> Reached:
    """Store a milestone once, in whatever order they come; the payable one of its vertical starts the validation.

    The earliest report of that counts. Raises BadRequest, or MilestoneConflict.
    """
    _check(conversion, name, occurred_at)
    # References, session, conversion: as whoever records a sale or what happens to it.
    send(holding(conversion.merchant_id, conversion.order_reference))
    hold_sale(conversion)
    conversion = Conversion.objects.select_for_update(of=("self",)).select_related("offer").get(pk=conversion.pk)
    found = conversion.milestones.filter(name=name, reference=reference).first()
    if found is not None:
        if instant(found.occurred_at) != instant(occurred_at):
            raise MilestoneConflict()
        return Reached(found, _entry_of(found), conversion)
    content = {"conversion_id": conversion.pk, "milestone": name, "occurred_at": instant(occurred_at)}
    milestone = Milestone(
        conversion=conversion,
        name=name,
        reference=reference,
        occurred_at=occurred_at,
        sha256=content_hash(content | {"reference": reference}),
    )
    entry = state(_fact_of(milestone), along_with=milestone)
    if name == VERTICALS[conversion.offer.vertical].payable_milestone:
        _start_validation(conversion, milestone)
    return Reached(milestone, entry, conversion)


def _check(conversion: Conversion, name: str, occurred_at: datetime) -> None:
    vertical = conversion.offer.vertical
    allowed = VERTICALS[vertical].milestones
    if not allowed:
        raise BadRequest(f"A sale of {vertical} has no milestones", code="invalid_field")
    if name not in allowed:
        raise BadRequest(f"milestone must be one of {', '.join(allowed)} for {vertical}", code="invalid_field")
    wait = LONGEST_WAIT if name == Name.POLICY_STARTED else CLOCK_SKEW
    if occurred_at > timezone.now() + wait:
        raise BadRequest(
            "occurredAt lies more than a year ahead" if wait == LONGEST_WAIT else "occurredAt lies in the future",
            code="invalid_field",
        )
    if occurred_at < conversion.converted_at - ONE_DAY:
        raise BadRequest("occurredAt lies before the sale", code="invalid_field")


def _start_validation(conversion: Conversion, milestone: Milestone) -> None:
    told = Told(
        Event.Kind.VALIDATION_STARTED,
        conversion.order_reference,
        milestone.pk,
        occurred_at=milestone.occurred_at,
        sha256=milestone.sha256,
    )
    tell(conversion.merchant_id, told, conversion=conversion)
    conversion.refresh_from_db()


def _fact_of(milestone: Milestone) -> Fact:
    conversion = milestone.conversion
    return Fact(
        stream_id=conversion.pk,
        kind="milestone.reported",
        facts={"conversion_id": conversion.pk, "status": str(conversion.status), "milestone": str(milestone.name)},
        for_merchant={"reference": milestone.reference},
        for_agent={"builder_id": conversion.builder_id},
        evidence_sha256=milestone.sha256,
        occurred_at=milestone.occurred_at,
        idempotency_key=f"milestone:{milestone.pk}",
        merchant_id=conversion.merchant_id,
        agent_id=conversion.agent_id,
    )


def _entry_of(milestone: Milestone) -> Appended:
    entry = Entry.objects.get(idempotency_key=f"milestone:{milestone.pk}")
    return Appended(entry.pk, entry.entry_id, entry.stream_seq, entry.recorded_at, bytes(entry.leaf_hash), False)
