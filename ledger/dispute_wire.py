"""Disputes as they appear on the wire; both sides see the same (protocol, section 1)."""

from collections.abc import Sequence
from typing import Any

from django.core.validators import RegexValidator
from rest_framework import serializers

from ledger.models import Dispute, DisputeStatement
from rako.core.money import to_wire
from rako.core.wire import InstantField, NumberField, TextField, WireSerializer, instant

LONGEST_TEXT = 4000
_SHA256 = r"[0-9a-f]{64}\Z"


class DisputeBody(WireSerializer):
    """What contests a recorded sale."""

    required_together = ("kind",)
    kind = TextField(
        one_of=("wrong_amount", "merchant_dispute", "refused_conversion", "clawback"),
        help_text="wrong_amount and merchant_dispute for merchants, refused_conversion and clawback for agents.",
    )
    claimed_value = NumberField(least=0.01, required=False, help_text="Major units; for wrong_amount.")
    message = TextField(max_length=LONGEST_TEXT, required=False)


class MissingSaleBody(WireSerializer):
    """A sale that was never recorded, as its agent knows it."""

    required_together = ("session_id", "recommendation_id", "claimed_value", "occurred_at")
    session_id = TextField()
    recommendation_id = TextField()
    claimed_value = NumberField(least=0.01, help_text="Major units of the code's currency.")
    occurred_at = InstantField()
    order_reference = TextField(max_length=200, required=False)
    attribution_path = serializers.ChoiceField(
        choices=["aap_flow", "tracked_link"],
        error_messages={"invalid_choice": "must be aap_flow or tracked_link"},
        required=False,
        help_text="aap_flow (the default): sold in the session. tracked_link: after a visit by the link.",
    )
    message = TextField(max_length=LONGEST_TEXT, required=False)


class MessageBody(WireSerializer):
    required_together = ("text",)
    text = TextField(max_length=LONGEST_TEXT)


class DisputeEvidenceBody(WireSerializer):
    """A document that the side keeps, by its hash, or a small text."""

    required_together = ("description",)
    description = TextField(max_length=1000)
    sha256 = TextField(required=False, validators=[RegexValidator(_SHA256, "must be 64 hex digits")])
    text = TextField(max_length=16_000, required=False)


class SaidReply(WireSerializer):
    kind = serializers.ChoiceField(choices=DisputeStatement.Kind.values)
    side = serializers.ChoiceField(choices=["merchant", "builder"])
    description = serializers.CharField(required=False)
    text = serializers.CharField(required=False)
    sha256 = serializers.CharField(required=False)
    said_at = InstantField()


class DecisionReply(WireSerializer):
    outcome = serializers.ChoiceField(choices=Dispute.Decision.values)
    value = serializers.FloatField(allow_null=True)
    decided_by = serializers.ChoiceField(choices=["merchant", "builder", "staff"])
    reason = serializers.CharField()


class DisputeReply(WireSerializer):
    dispute_id = serializers.CharField()
    kind = serializers.ChoiceField(choices=Dispute.Kind.values)
    state = serializers.ChoiceField(choices=Dispute.State.values)
    opened_by = serializers.ChoiceField(choices=["merchant", "builder"])
    merchant_id = serializers.CharField()
    recommendation_id = serializers.CharField()
    conversion_id = serializers.CharField(allow_null=True)
    order_reference = serializers.CharField(required=False)
    claimed_value = serializers.FloatField(allow_null=True)
    currency = serializers.CharField()
    occurred_at = InstantField(required=False)
    attribution_path = serializers.CharField(required=False, help_text="By which a missing sale is claimed.")
    opened_at = InstantField()
    due_at = InstantField(allow_null=True, help_text="Until when it waits for the side, or staff, whose turn it is.")
    ended_at = InstantField(allow_null=True)
    decision = DecisionReply(allow_null=True)


class WholeDisputeReply(DisputeReply):
    statements = SaidReply(many=True)


class DisputesReply(WireSerializer):
    disputes = DisputeReply(many=True)
    count = serializers.IntegerField()
    next_cursor = serializers.CharField(required=False)


def dispute_wire(dispute: Dispute) -> dict[str, Any]:
    """A dispute as either side sees it."""
    shown: dict[str, Any] = {
        "disputeId": dispute.pk,
        "kind": dispute.kind,
        "state": dispute.state,
        "openedBy": dispute.opened_by,
        "merchantId": dispute.merchant_id,
        "recommendationId": dispute.recommendation_id,
        "conversionId": dispute.conversion_id,
        "claimedValue": _value(dispute.claimed_value_minor, dispute.currency),
        "currency": dispute.currency,
        "openedAt": instant(dispute.opened_at),
        "dueAt": None if dispute.due_at is None else instant(dispute.due_at),
        "endedAt": None if dispute.ended_at is None else instant(dispute.ended_at),
        "decision": _decision(dispute) if dispute.decision else None,
    }
    if dispute.order_reference:
        shown["orderReference"] = dispute.order_reference
    if dispute.sold_at is not None:
        shown |= {"occurredAt": instant(dispute.sold_at), "attributionPath": dispute.attribution_path}
    return shown


def whole_dispute_wire(dispute: Dispute, statements: Sequence[DisputeStatement]) -> dict[str, Any]:
    """A dispute with all that was said in it."""
    return dispute_wire(dispute) | {"statements": [statement_wire(said) for said in statements]}


def statement_wire(said: DisputeStatement) -> dict[str, Any]:
    """What a side said; what it left empty is left out."""
    shown = {"description": said.description, "text": said.text, "sha256": said.sha256}
    given = {name: value for name, value in shown.items() if value}
    return {"kind": said.kind, "side": said.side, **given, "saidAt": instant(said.said_at)}


def _decision(dispute: Dispute) -> dict[str, Any]:
    return {
        "outcome": dispute.decision,
        "value": _value(dispute.decided_value_minor, dispute.currency),
        "decidedBy": dispute.decided_by,
        "reason": dispute.reason,
    }


def _value(minor: int | None, currency: str) -> int | float | None:
    return None if minor is None else to_wire(minor, currency)
