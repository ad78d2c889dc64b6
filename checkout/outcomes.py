"""What a payment outcome does: finds its checkout, moves it, and asks the gate whether a sale is proven."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from checkout.connectors.base import OutcomeEvent, OutcomeType
from checkout.gate import Refused, judge
from checkout.matching import note_psp_objects
from checkout.models import Checkout, WebhookReceipt
from checkout.states import move
from ledger.conversions import OrderAttributed, SessionConverted, record_conversion
from ledger.models import Conversion
from rako.core.ids import is_id

State = Checkout.State

# What an outcome short of success makes of a checkout, if `states.MOVES` allows it.
_STATES = {
    OutcomeType.PAYMENT_PENDING: State.PROCESSING,
    OutcomeType.PAYMENT_FAILED: State.FAILED,
    OutcomeType.CHECKOUT_EXPIRED: State.EXPIRED,
}


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a delivery, in the words of the webhook reply (protocol, section 1)."""

    status: str
    conversion: Conversion | None = None
    failed_check: str = ""
    reason: str = ""


def apply_outcome(receipt: WebhookReceipt, outcome: OutcomeEvent) -> Result:
    """Carry out one outcome inside the caller's transaction. A refusal is a result, not an exception."""
    checkout = _find_checkout(receipt, outcome)
    if checkout is None:
        return _without_checkout(outcome)
    if outcome.type != OutcomeType.PAYMENT_SUCCEEDED:
        if checkout.connection_id == receipt.connection_id:
            _move(checkout, receipt, outcome)
        return Result("ignored", reason=f"{outcome.type}: no sale yet")
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


def _without_checkout(outcome: OutcomeEvent) -> Result:
    if not any(name.startswith("aap_") for name in outcome.metadata):
        return Result("ignored", reason="Not a payment that Rako asked for")
    return Result("unmatched", failed_check="code_agreement", reason="No checkout of ours belongs to this payment")


def _find_checkout(receipt: WebhookReceipt, outcome: OutcomeEvent) -> Checkout | None:
    """By the PSP's object ids, which only we wrote down; by the metadata's pointer only while none is written down yet.

    Locked, so that events of one payment are processed one after the other.
    """
    named = Q(psp_objects__connection=receipt.connection_id, psp_objects__psp_id__in=list(outcome.psp_ids))
    by_object = Checkout.objects.filter(named).values("pk")[:1]
    pointer = outcome.metadata.get("aap_checkout_id", "")
    rows = Checkout.objects.select_for_update(of=("self",)).select_related(
        "session", "recommendation__agent", "recommendation__session", "recommendation__offer__merchant"
    )
    found = rows.filter(pk__in=by_object).first()
    # A payment that merely copies the metadata of a known page is not that page's.
    unnoted = rows.filter(pk=pointer, state__in=[State.CREATING, State.UNKNOWN]) if is_id(pointer) else rows.none()
    return found or unnoted.filter(psp_objects=None).first()


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
