"""Conversions and evidence as they appear on the wire (protocol, sections 1, 3 and 4)."""

from typing import Any, ClassVar

from drf_spectacular.utils import inline_serializer
from rest_framework import serializers

from ledger.models import Conversion, Entry, Evidence, FraudHold, Opening, Status
from ledger.models.conversion import Level, Path
from ledger.settled import settlement_wire, standing
from rako.core.money import EXPONENTS, to_wire
from rako.core.receipts import RECEIPT
from rako.core.tlog.encoding import encode_base64
from rako.core.wire import DateField, InstantField, NumberField, ObjectField, TextField, WireSerializer, instant
from sessions_app.wire import RecommendationOfSession, SessionReply

# A sale's status as the API shows it.
SHOWN = ["pending", *(status.value for status in Status if status not in (Status.MATCHED, Status.PENDING_VALIDATION))]


class ReportBody(WireSerializer):
    """A merchant's report of a sale."""

    required_together = ("session_id", "order_reference", "transaction_value")
    stands_in: ClassVar[dict[str, str]] = {"session_id": "attribution_token"}
    session_id = TextField(required=False, help_text="Needed unless there is an `attributionToken`.")
    order_reference = TextField(max_length=200)
    transaction_value = NumberField(help_text="Major units.")
    recommendation_id = TextField(required=False)
    currency = TextField(max_length=3, one_of=list(EXPONENTS), required=False)
    payment_reference = TextField(max_length=200, required=False)
    occurred_at = InstantField(required=False)
    service_date = DateField(required=False)
    attribution_path = serializers.ChoiceField(
        choices=["aap_flow", "extension", "influence"],
        error_messages={"invalid_choice": "must be aap_flow, extension or influence"},
        required=False,
    )
    evidence = ObjectField(
        max_bytes=2048,
        required=False,
        help_text="Texts. `activatedAt`, an ISO 8601 time, is needed for `extension`; anything for `influence`.",
    )
    attribution_token = TextField(required=False, help_text="Says which recommendation has the sale (docs/bridges.md).")


class ConvertBody(WireSerializer):
    """A merchant's report of a sale that a tracked link brought."""

    required_together = ("order_reference", "transaction_value")
    order_reference = TextField(max_length=200)
    transaction_value = NumberField(help_text="Major units.")
    currency = TextField(max_length=3, one_of=list(EXPONENTS), required=False)
    occurred_at = InstantField(required=False)
    service_date = DateField(required=False)


class SplitReply(WireSerializer):
    amount = serializers.FloatField()
    network_fee = serializers.FloatField()
    builder_payout = serializers.FloatField()


class CommissionReply(SplitReply):
    type = serializers.ChoiceField(choices=["cpa", "percentage", "hybrid"])


class ReportReply(WireSerializer):
    conversion_id = serializers.CharField()
    session_id = serializers.CharField()
    order_reference = serializers.CharField()
    transaction_value = serializers.FloatField(help_text="As reported, or as corrected since.")
    commission = CommissionReply(help_text="What is left of it.")
    status = serializers.ChoiceField(choices=SHOWN)
    validation_period_days = serializers.IntegerField()


class ReceiptedReportReply(ReportReply):
    receipt = serializers.CharField(help_text=RECEIPT)


class ConversionReply(ReportReply):
    recommendation_id = serializers.CharField()
    offer_id = serializers.CharField()
    merchant_id = serializers.CharField()
    currency = serializers.CharField()
    refunded_value = serializers.FloatField(help_text="Refunds that take back commission: those during validation.")
    reversed = SplitReply(help_text="What was taken back of the commission; below zero, a correction added it.")
    attribution_path = serializers.ChoiceField(choices=Path.values)
    verification_level = serializers.ChoiceField(choices=Level.values)
    is_superseded = serializers.BooleanField(help_text="A path of higher priority has the sale: this earns nothing.")
    conversion_path = serializers.CharField(required=False, help_text="`verified_payment` where a payment proved it.")
    converted_at = InstantField()
    recorded_at = InstantField()
    validation_ends_at = InstantField(allow_null=True)
    is_held = serializers.BooleanField(help_text="Not settled for now: disputed, or held by a fraud signal.")
    held_by = serializers.ListField(child=serializers.CharField(), help_text="The fraud signals that hold it.")
    settlement_status = serializers.ChoiceField(
        choices=["pending", "confirmed", "invoiced", "paid", "reversed", "disputed"],
        help_text="`paid`: a merchant has paid the invoice, a builder was paid out.",
    )
    settlement_period = serializers.CharField(allow_null=True, help_text="The last month that settled it, YYYY-MM.")
    invoice_number = serializers.CharField(required=False, allow_null=True, help_text="Merchant.")
    statement_number = serializers.CharField(required=False, allow_null=True, help_text="Agent.")
    paid_at = InstantField(allow_null=True)


class ConversionsReply(WireSerializer):
    conversions = ConversionReply(many=True)
    count = serializers.IntegerField()
    next_cursor = serializers.CharField(required=False)


class WholeSessionReply(WireSerializer):
    session = SessionReply()
    recommendations = RecommendationOfSession(many=True)
    conversions = ConversionReply(many=True)


class LinkStatsReply(WireSerializer):
    recommendation_id = serializers.CharField()
    clicks = serializers.IntegerField(help_text="By people, once per visitor and ten minutes.")
    unique_clicks = serializers.IntegerField(help_text="People.")
    bot_clicks = serializers.IntegerField(help_text="Not in `clicks`.")
    flood_clicks = serializers.IntegerField(help_text="Too many in an hour; not in `clicks`.")
    conversions = serializers.IntegerField(help_text="Sales that the recommendation has, by whatever path.")
    first_click_at = InstantField(allow_null=True)
    last_click_at = InstantField(allow_null=True)


class EvidenceReply(WireSerializer):
    source = serializers.CharField()  # type: ignore[assignment]  # a field of ours, not the base class's option
    level = serializers.ChoiceField(choices=Level.values)
    attribution_path = serializers.ChoiceField(choices=Path.values)
    reference = serializers.CharField()
    transaction_value = serializers.FloatField()
    currency = serializers.CharField()
    occurred_at = InstantField()
    received_at = InstantField()
    sha256 = serializers.CharField()


class EvidencesReply(WireSerializer):
    conversion_id = serializers.CharField()
    evidence = EvidenceReply(many=True)


class EntryReply(WireSerializer):
    entry_id = serializers.CharField()
    index = serializers.IntegerField(allow_null=True, help_text="Its place in the log; null until it is sequenced.")
    kind = serializers.CharField()
    stream_id = serializers.CharField()
    stream_seq = serializers.IntegerField()
    recorded_at = InstantField()
    leaf_hash = serializers.CharField(help_text="base64")
    body = serializers.CharField(help_text="base64 of the exact bytes that are hashed")
    opening = serializers.CharField(allow_null=True, help_text="base64 of what was sealed for you")
    receipt = serializers.CharField(help_text="signed note")


class LogKeysReply(WireSerializer):
    origin = serializers.CharField()
    checkpoint = serializers.ListField(child=serializers.CharField(), help_text="newest first")
    receipt = serializers.ListField(child=serializers.CharField(), help_text="newest first")
    witnesses = serializers.ListField(child=serializers.CharField())


# `from` is no name for an attribute.
ConsistencyReply = inline_serializer(
    "ConsistencyReply",
    {
        "from": serializers.IntegerField(),
        "to": serializers.IntegerField(),
        "path": serializers.ListField(child=serializers.CharField(), help_text="base64 hashes"),
    },
)


class ProvenEntry(WireSerializer):
    entry_id = serializers.CharField()
    index = serializers.IntegerField()
    body = serializers.CharField()
    inclusion = serializers.ListField(child=serializers.CharField())
    receipt = serializers.CharField()
    opening = serializers.CharField(allow_null=True)


class ConversionProofReply(WireSerializer):
    format = serializers.ChoiceField(choices=["rako-conversion-proof@v1"])
    party = serializers.ChoiceField(choices=["merchant", "agent"])
    origin = serializers.CharField()
    conversion_id = serializers.CharField()
    aap_code = serializers.CharField()
    checkpoint = serializers.CharField()
    entries = ProvenEntry(many=True)
    keys = serializers.DictField()


def entry_wire(entry: Entry, opening: Opening | None, receipt: str) -> dict[str, Any]:
    """An entry as one of its parties sees it. Load it with its leaf."""
    leaf = getattr(entry, "leaf", None)
    return {
        "entryId": entry.entry_id,
        "index": None if leaf is None else leaf.pk,
        "kind": entry.kind,
        "streamId": entry.stream_id,
        "streamSeq": entry.stream_seq,
        "recordedAt": instant(entry.recorded_at),
        "leafHash": encode_base64(bytes(entry.leaf_hash)),
        "body": encode_base64(bytes(entry.body)),
        "opening": None if opening is None else encode_base64(bytes(opening.content)),
        "receipt": receipt,
    }


def report_wire(conversion: Conversion, order_reference: str) -> dict[str, Any]:
    """The reply to a report, under the merchant's own order reference: value and commission as they are by now."""
    return {
        "conversionId": conversion.pk,
        "sessionId": conversion.session_id,
        "orderReference": order_reference,
        "transactionValue": to_wire(conversion.value_minor, conversion.currency),
        "commission": {
            "amount": to_wire(conversion.retained_commission_minor, conversion.currency),
            "networkFee": to_wire(conversion.retained_fee_minor, conversion.currency),
            "builderPayout": to_wire(conversion.retained_payout_minor, conversion.currency),
            "type": conversion.commission_type,
        },
        "status": status_wire(conversion),
        "validationPeriodDays": conversion.validation_days,
    }


def conversion_wire(conversion: Conversion, *, is_merchant: bool) -> dict[str, Any]:
    """A conversion as one of its parties sees it. Load it `with_settlement`."""
    shown = report_wire(conversion, conversion.order_reference) | {
        "recommendationId": conversion.recommendation_id,
        "offerId": conversion.offer_id,
        "merchantId": conversion.merchant_id,
        "currency": conversion.currency,
        "refundedValue": to_wire(conversion.refunded_minor, conversion.currency),
        "reversed": {
            "amount": to_wire(conversion.reversed_commission_minor, conversion.currency),
            "networkFee": to_wire(conversion.reversed_fee_minor, conversion.currency),
            "builderPayout": to_wire(conversion.reversed_payout_minor, conversion.currency),
        },
        "attributionPath": conversion.attribution_path,
        "isSuperseded": conversion.is_superseded,
        "verificationLevel": conversion.verification_level,
        "convertedAt": instant(conversion.converted_at),
        "recordedAt": instant(conversion.recorded_at),
        "validationEndsAt": None if conversion.validation_ends_at is None else instant(conversion.validation_ends_at),
        "isHeld": conversion.is_held,
        "heldBy": _held_by(conversion) if conversion.is_held else [],
    }
    shown |= settlement_wire(conversion, is_merchant=is_merchant)
    if conversion.verification_level == "orchestrated":
        shown["conversionPath"] = "verified_payment"  # for older readers (protocol, section 6)
    return shown


def _held_by(conversion: Conversion) -> list[str]:
    return sorted(hold.rule for hold in conversion.fraud_holds.all() if hold.state == FraudHold.State.OPEN)


def status_wire(conversion: Conversion) -> str:
    """The API says `pending` until validation ends (protocol, section 3), also while it has yet to begin."""
    status = standing(conversion)
    return "pending" if status in (Status.MATCHED, Status.PENDING_VALIDATION) else status.value


def evidence_wire(evidence: Evidence) -> dict[str, Any]:
    """What proves a conversion; the bytes themselves stay with us, their hash does not."""
    return {
        "source": evidence.source,
        "level": evidence.level,
        "attributionPath": evidence.path,
        "reference": evidence.reference,
        "transactionValue": to_wire(evidence.transaction_value_minor, evidence.currency),
        "currency": evidence.currency,
        "occurredAt": instant(evidence.occurred_at),
        "receivedAt": instant(evidence.received_at),
        "sha256": evidence.sha256,
    }
