"""The event types, and what their payloads hold: names here are a contract with receivers (docs/webhooks.md).

Which kinds of ledger entries make which type, and which of their facts are told under which name. Only facts that are
open to both parties, and of the recipient's own sealed part what is listed here: nothing else leaves.
"""

from typing import NamedTuple

PING = "test.ping"
ENDPOINT_DISABLED = "endpoint.disabled"


class Family(NamedTuple):
    """Entries that are told alike: fact or sealed part → its name on the wire. Amounts drop their `_minor`."""

    facts: dict[str, str]
    stream: str = ""  # what the stream's id is called
    sealed: dict[str, str] = {}


_SALE = {"conversion_id": "conversionId", "status": "status"}
_DOCUMENT = {"number": "number", "batch_id": "batchId", "currency": "currency"}
_VAT = {"net_minor": "net", "vat_minor": "vat", "total_minor": "total"}

RECORDED = Family(
    _SALE
    | {
        "session_id": "sessionId",
        "recommendation_id": "recommendationId",
        "merchant_id": "merchantId",
        "offer_id": "offerId",
        "transaction_value_minor": "transactionValue",
        "currency": "currency",
        "commission": "commission",
        "attribution_path": "attributionPath",
        "verification_level": "verificationLevel",
        "validation_ends_at": "validationEndsAt",
    },
    sealed={"order_reference": "orderReference"},
)
MOVED = Family(
    _SALE
    | {
        "status_before": "statusBefore",
        "is_held": "isHeld",
        "retained": "retained",
        "event_amount_minor": "eventAmount",
        "validation_ends_at": "validationEndsAt",
    }
)
MILESTONE = Family(_SALE | {"milestone": "milestone"}, sealed={"reference": "reference"})
DISPUTE = Family(
    {
        "dispute_id": "disputeId",
        "kind": "kind",
        "opened_by": "openedBy",
        "merchant_id": "merchantId",
        "recommendation_id": "recommendationId",
        "conversion_id": "conversionId",
        "currency": "currency",
        "claimed_value_minor": "claimedValue",
        "state": "state",
        "due_at": "dueAt",
        "decision": "decision",
        "decided_value_minor": "decidedValue",
        "decided_by": "decidedBy",
    }
)
STATEMENT_OF_A_SIDE = Family({"dispute_id": "disputeId", "side": "side"})
CHECKOUT = Family(
    {
        "checkout_id": "transactionId",
        "session_id": "sessionId",
        "recommendation_id": "recommendationId",
        "merchant_id": "merchantId",
        "offer_id": "offerId",
        "mode": "mode",
        "amount_minor": "amount",
        "currency": "currency",
        "state": "status",
    }
)
EVIDENCE = Family({"failed_check": "failedCheck", "conversion_id": "conversionId"}, sealed={"event_id": "pspEventId"})
INVOICE = Family(_DOCUMENT | _VAT, stream="invoiceId")
STATEMENT = Family(
    _DOCUMENT
    | {
        "opening_minor": "opening",
        "earned_minor": "earned",
        "reversed_minor": "reversed",
        "paid_minor": "paid",
        "closing_minor": "closing",
    },
    stream="statementId",
)
PAYOUT = Family({"payout_id": "payoutId", "currency": "currency", "amount_minor": "amount"})
PAYMENT = Family({"payment_id": "paymentId", "currency": "currency", "amount_minor": "amount"})
CONNECTION = Family(
    {"connection_id": "connectionId", "status": "status", "reason": "reason"}, sealed={"processor": "processor"}
)

_MOVES = (
    *("validation_started", "validated", "corrected", "refunded", "refund_failed", "cancelled", "dispute_opened"),
    *("dispute_won", "dispute_lost", "held", "released", "fraud_found", "superseded", "reinstated"),
)
_CHECKOUTS = ("opened", "processing", "unknown", "succeeded", "failed", "expired", "voided")
_CONNECTIONS = ("degraded", "restored", "disconnected")
_ENTRIES: dict[str, tuple[str, Family]] = {
    "conversion.recorded": ("conversion.recorded", RECORDED),
    **{f"conversion.{kind}": (f"conversion.{kind}", MOVED) for kind in _MOVES},
    "milestone.reported": ("conversion.milestone_reported", MILESTONE),
    "dispute.opened": ("dispute.opened", DISPUTE),
    "dispute.awaiting_merchant": ("dispute.answer_awaited", DISPUTE),
    "dispute.awaiting_builder": ("dispute.answer_awaited", DISPUTE),
    "dispute.under_review": ("dispute.under_review", DISPUTE),
    "dispute.decided": ("dispute.decided", DISPUTE),
    "dispute.withdrawn": ("dispute.withdrawn", DISPUTE),
    "dispute.message_added": ("dispute.message_added", STATEMENT_OF_A_SIDE),
    "dispute.evidence_added": ("dispute.evidence_added", STATEMENT_OF_A_SIDE),
    **{f"checkout.{to}": (f"checkout.{to}", CHECKOUT) for to in _CHECKOUTS},
    "payment.unmatched": ("payment.unmatched", EVIDENCE),
    "payment.rejected": ("payment.rejected", EVIDENCE),
    "payment.matched": ("payment.matched", EVIDENCE),
    "payment.received": ("payment.received", PAYMENT),
    "invoice.issued": ("invoice.issued", INVOICE),
    "invoice.paid": ("invoice.paid", INVOICE),
    "credit_note.issued": ("credit_note.issued", INVOICE),
    "credit_note.applied": ("credit_note.applied", INVOICE),
    "statement.issued": ("statement.issued", STATEMENT),
    **{f"payout.{to}": (f"payout.{to}", PAYOUT) for to in ("ordered", "submitted", "paid", "failed", "retried")},
    **{f"connection.{to}": (f"connection.{to}", CONNECTION) for to in _CONNECTIONS},
}
KINDS = tuple(_ENTRIES)

# Of the many sales that one entry is about, each side is told how many of its own there are (`notifications.sales`).
SALES_PENDING, SALES_SETTLED = "conversions.settlement_pending", "conversions.settled"
SALES = {"settlement.closed": SALES_PENDING, "payout.paid": SALES_SETTLED, "payout.failed": SALES_PENDING}

# A move that takes a sale's commission away is told by where it leads; `cause` says which move it was.
_ENDINGS = {"clawed_back": "conversion.clawed_back", "rejected": "conversion.rejected"}

EVENT_TYPES = tuple(dict.fromkeys((*(name for name, _ in _ENTRIES.values()), *_ENDINGS.values(), *SALES.values())))


def family_of(kind: str) -> Family:
    """What is told of entries of a kind."""
    return _ENTRIES[kind][1]


def type_of(kind: str, status_before: str | None, status: str | None) -> str:
    """The event type of an entry."""
    name, family = _ENTRIES[kind]
    return _ENDINGS.get(status or "", name) if family is MOVED and status != status_before else name
