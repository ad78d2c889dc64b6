"""What a payment outcome does: finds its checkout, moves it, and asks the gate whether a sale is proven."""

from dataclasses import dataclass

from django.db.models import Q
from django.utils import timezone

from checkout.connectors.base import OutcomeEvent, OutcomeType
from checkout.gate import Refused, judge
from checkout.models import Checkout, WebhookReceipt
from checkout.start import move, note_psp_objects
from ledger.conversions import OrderAttributed, SessionConverted, record_conversion
from ledger.models import Conversion
from rako.core.ids import is_id

State = Checkout.State

# Success is final and comes through from any state, for a buyer may pay a page that was just closed; what is not
# success never undoes what came after it, so events may arrive in any order.
_MOVES: dict[OutcomeType, tuple[Checkout.State, tuple[Checkout.State, ...]]] = {
    OutcomeType.PAYMENT_PENDING: (
        State.PROCESSING,
        (State.CREATING, State.OPEN, State.EXPIRING, State.UNKNOWN),
    ),
    OutcomeType.PAYMENT_FAILED: (
        State.FAILED,
        (State.CREATING, State.OPEN, State.EXPIRING, State.UNKNOWN, State.PROCESSING),
    ),
    # A page that expires after a declined card is told of twice, as failed and as expired, in any order: expiry stands.
    OutcomeType.CHECKOUT_EXPIRED: (State.EXPIRED, (State.CREATING, State.OPEN, State.EXPIRING, State.FAILED)),
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
            _move(checkout, outcome.type)
        return Result("ignored", reason=f"{outcome.type}: no sale yet")
    try:
        evidence = judge(receipt, outcome, checkout)
        recorded = record_conversion(checkout.recommendation, evidence)
    except Refused as refusal:
        return Result("rejected", failed_check=refusal.check, reason=str(refusal))
    except (SessionConverted, OrderAttributed) as error:
        return Result("rejected", failed_check="already_attributed", reason=str(error))
    note_psp_objects(checkout, list(outcome.psp_ids))
    _succeed(checkout, outcome.payment_ref)
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


def _move(checkout: Checkout, outcome: OutcomeType) -> None:
    to, origins = _MOVES[outcome]
    if checkout.state in origins:  # locked: nobody moves it meanwhile
        move(checkout, State(checkout.state), to)


def _succeed(checkout: Checkout, payment_ref: str) -> None:
    Checkout.objects.filter(pk=checkout.pk).update(
        state=State.SUCCEEDED, confirmation=payment_ref, updated_at=timezone.now()
    )
