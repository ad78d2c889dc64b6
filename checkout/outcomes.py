"""What an outcome at a PSP does: finds its checkout, moves it, asks the gate whether a sale is proven, and tells the
ledger what happened to one afterwards.

One processor for all of them, whether a webhook brings an outcome or reconciliation does; and in whatever order.
"""

from dataclasses import dataclass
from typing import Any

from checkout.connections import disconnect
from checkout.connectors.base import OutcomeEvent, OutcomeType
from checkout.gate import AMOUNT, AUTHENTIC, Refused, judge
from checkout.matching import note_psp_objects
from checkout.models import Checkout, WebhookReceipt
from checkout.sales import find_checkout
from checkout.states import move
from ledger.conversions import OrderAttributed, SessionConverted, record_conversion
from ledger.lifecycle import Kind, Told, tell
from ledger.models import Conversion

State = Checkout.State

# What an outcome short of success makes of a checkout, if `states.MOVES` allows it.
_STATES = {
    OutcomeType.PAYMENT_PENDING: State.PROCESSING,
    OutcomeType.PAYMENT_FAILED: State.FAILED,
    OutcomeType.CHECKOUT_EXPIRED: State.EXPIRED,
}
# What happened to a sale after it, in the ledger's words. An inquiry holds the sale like a dispute: nothing is taken.
_AFTERWARDS = {
    OutcomeType.REFUND_SUCCEEDED: Kind.REFUNDED,
    OutcomeType.REFUND_FAILED: Kind.REFUND_FAILED,
    OutcomeType.DISPUTE_INQUIRY: Kind.DISPUTE_OPENED,
    OutcomeType.DISPUTE_OPENED: Kind.DISPUTE_OPENED,
    OutcomeType.DISPUTE_LOST: Kind.DISPUTE_LOST,
    OutcomeType.DISPUTE_RELEASED: Kind.DISPUTE_WON,
}
# Nothing happens until they succeed; what all refunds come to is held against the ledger by reconciliation.
_WITHOUT_EFFECT = frozenset({OutcomeType.REFUND_PENDING, OutcomeType.REFUND_TOTAL})


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a delivery, in the words of the webhook reply (protocol, section 1)."""

    status: str
    conversion: Conversion | None = None
    failed_check: str = ""
    reason: str = ""


def apply_outcome(receipt: WebhookReceipt, outcome: OutcomeEvent) -> Result:
    """Carry out one outcome inside the caller's transaction. A refusal is a result, not an exception."""
    if outcome.type == OutcomeType.CONNECTION_REVOKED:
        # Some PSPs tell whole seconds.
        if outcome.occurred_at < receipt.connection.connected_at.replace(microsecond=0):
            return Result("ignored", reason="It was told of an earlier connection to this account")
        disconnect(receipt.connection, revoked_at=outcome.occurred_at)
        return Result("ignored", reason="The merchant disconnected: nothing more is sold through this connection")
    checkout = find_checkout(receipt.connection_id, outcome)
    if checkout is None:
        return _without_checkout(outcome)
    if outcome.type in _AFTERWARDS or outcome.type in _WITHOUT_EFFECT:
        return _tell_of(checkout, receipt, outcome)
    if outcome.type != OutcomeType.PAYMENT_SUCCEEDED:
        if checkout.connection_id == receipt.connection_id:
            _move(checkout, receipt, outcome)
            # One attempt of several may have failed: what is told of this payment later belongs here all the same.
            note_psp_objects(checkout, outcome.psp_ids, told_by=receipt.pk)
        return Result("ignored", reason=f"{outcome.type}: no sale yet")
    return _attribute(checkout, receipt, outcome)


def _attribute(checkout: Checkout, receipt: WebhookReceipt, outcome: OutcomeEvent) -> Result:
    """A payment that succeeded: a conversion, if the gate lets it pass."""
    try:
        evidence = judge(receipt, outcome, checkout)
        recorded = record_conversion(checkout.recommendation, evidence)
    except Refused as refusal:
        return Result("rejected", failed_check=refusal.check, reason=str(refusal))
    except (SessionConverted, OrderAttributed) as error:
        return Result("rejected", failed_check="already_attributed", reason=str(error))
    _succeed(checkout, receipt, outcome)
    note_psp_objects(checkout, outcome.psp_ids, told_by=receipt.pk)
    known = not (recorded.made or recorded.attached)
    return Result("duplicate" if known else "conversion_recorded", recorded.conversion)


def _tell_of(checkout: Checkout, receipt: WebhookReceipt, outcome: OutcomeEvent) -> Result:
    """Refunds and disputes. They name no code of ours: whose they are, the objects at the PSP tell, which we noted."""
    if checkout.connection_id != receipt.connection_id:
        return Result("rejected", failed_check=AUTHENTIC, reason="The payment was not made through this connection")
    if outcome.type in _WITHOUT_EFFECT:
        note_psp_objects(checkout, outcome.psp_ids, told_by=receipt.pk)
        return Result("ignored", reason=f"{outcome.type}: nothing is taken back by it")
    kind, money = _AFTERWARDS[outcome.type], outcome.money
    # What a dispute is about does not matter: it is about the sale.
    if kind == Kind.REFUNDED and (money is None or money.amount_minor <= 0 or money.currency != checkout.currency):
        return Result("rejected", failed_check=AMOUNT, reason="The event names no amount in the payment's currency")
    told = Told(
        kind=kind,
        sale_reference=outcome.payment_ref,
        reference=outcome.related_ref,
        occurred_at=outcome.occurred_at,
        amount_minor=money.amount_minor if money is not None and kind == Kind.REFUNDED else None,
        reason=outcome.status,
        sha256=receipt.sha256,
        received_at=receipt.received_at,
    )
    conversion = tell(checkout.merchant_id, told)
    note_psp_objects(checkout, outcome.psp_ids, told_by=receipt.pk)
    if conversion is None:
        return Result("ignored", reason=f"{outcome.type}: kept until its sale is proven")
    return Result("clawback_recorded", conversion)


def _without_checkout(outcome: OutcomeEvent) -> Result:
    if outcome.type in _AFTERWARDS or outcome.type in _WITHOUT_EFFECT:
        # Most of a merchant's refunds are not of our sales. Quietly: it is nobody's fault, and no fact about a sale.
        return Result("unmatched", reason="No payment of ours is known under this reference")
    if not any(name.startswith("aap_") for name in outcome.metadata):
        return Result("ignored", reason="Not a payment that Rako asked for")
    return Result("unmatched", failed_check="code_agreement", reason="No checkout of ours belongs to this payment")


def _move(checkout: Checkout, receipt: WebhookReceipt, outcome: OutcomeEvent) -> None:
    to = _STATES[outcome.type]
    if (checkout.state, to) == (State.UNKNOWN, State.EXPIRED):
        return  # it is a charge's state, and expiry a page's: what became of the charge, recovery asks
    move(checkout, to, evidence_sha256=receipt.sha256, occurred_at=outcome.occurred_at)


def _succeed(checkout: Checkout, receipt: WebhookReceipt, outcome: OutcomeEvent) -> None:
    """Success, with the payment that was credited. The checkout is locked: nobody moves it meanwhile."""
    found: dict[str, Any] = {"confirmation": outcome.payment_ref}
    if not move(checkout, State.SUCCEEDED, evidence_sha256=receipt.sha256, occurred_at=outcome.occurred_at, **found):
        # It had succeeded before, by the answer to a charge. The event's reference is the one that counts.
        Checkout.objects.filter(pk=checkout.pk).update(**found)
