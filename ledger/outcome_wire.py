"""Milestones and cancellations as they appear on the wire (protocol, section 1)."""

from typing import Any

from rest_framework import serializers

from ledger import wire
from ledger.cancellations import Cancelled
from ledger.milestones import Reached
from ledger.models import Milestone
from merchants.verticals import VERTICALS
from rako.core.receipts import RECEIPT, receipt_for
from rako.core.wire import InstantField, TextField, WireSerializer, instant

_MILESTONES = tuple(dict.fromkeys(name for rules in VERTICALS.values() for name in rules.milestones))


class MilestoneBody(WireSerializer):
    """How a sale goes on. What a vertical knows, and which of it starts validation, docs/protocol.md says."""

    required_together = ("milestone", "occurred_at", "reference")
    milestone = TextField(max_length=20, one_of=_MILESTONES)
    occurred_at = InstantField()
    reference = TextField(max_length=200)


class MilestoneReply(WireSerializer):
    conversion_id = serializers.CharField()
    milestone = serializers.CharField()
    occurred_at = InstantField()
    reference = serializers.CharField()
    recorded_at = InstantField()
    status = serializers.ChoiceField(choices=wire.SHOWN)
    validation_ends_at = InstantField(allow_null=True)
    receipt = serializers.CharField(help_text=RECEIPT)


class CancelBody(WireSerializer):
    """Why a sale was cancelled."""

    required_together = ("reason",)
    reason = TextField(max_length=300)


class CancelReply(WireSerializer):
    conversion_id = serializers.CharField()
    status = serializers.ChoiceField(choices=wire.SHOWN)
    outcome = serializers.ChoiceField(choices=["clawed_back", "merchant_absorbs"])
    reason = serializers.CharField()
    cancelled_at = InstantField()
    receipt = serializers.CharField(help_text=RECEIPT)


class ListedMilestone(WireSerializer):
    milestone = serializers.CharField()
    occurred_at = InstantField()
    reference = serializers.CharField()
    recorded_at = InstantField()


class ConversionWithMilestonesReply(wire.ConversionReply):
    milestones = ListedMilestone(many=True)


def milestone_wire(milestone: Milestone) -> dict[str, Any]:
    """A milestone as either party sees it."""
    return {
        "milestone": milestone.name,
        "occurredAt": instant(milestone.occurred_at),
        "reference": milestone.reference,
        "recordedAt": instant(milestone.received_at),
    }


def reached_wire(reached: Reached) -> dict[str, Any]:
    """The reply to a reported milestone."""
    ends_at = reached.conversion.validation_ends_at
    return milestone_wire(reached.milestone) | {
        "conversionId": reached.conversion.pk,
        "status": wire.status_wire(reached.conversion),
        "validationEndsAt": None if ends_at is None else instant(ends_at),
        "receipt": receipt_for(reached.entry),
    }


def cancelled_wire(cancelled: Cancelled) -> dict[str, Any]:
    """The reply to a cancellation."""
    return {
        "conversionId": cancelled.conversion.pk,
        "status": wire.status_wire(cancelled.conversion),
        "outcome": cancelled.outcome,
        "reason": cancelled.event.reason,
        "cancelledAt": instant(cancelled.event.occurred_at),
        "receipt": receipt_for(cancelled.entry),
    }
