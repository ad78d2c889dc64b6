"""What happens without the client's asking: buyers pay, banks dispute, the merchant's staff refund in the dashboard.

Each function changes the state as the real event would and records its webhook; none goes through the API. A move that
reality does not know raises ControlError, so that a test cannot tell an impossible story.
"""

from typing import Literal

from tests.counterparties.hyperswitch import errors, events, payments, refunds
from tests.counterparties.hyperswitch.world import Decline, Dispute, Payment, Refund, World

Outcome = Literal["succeeded", "declined", "processing", "action_required"]
PAYABLE = {"requires_payment_method", "failed"}
STATUSES = {
    "succeeded": "succeeded",
    "declined": "failed",
    "processing": "processing",
    "action_required": "requires_customer_action",
}
UNDECIDED = {"processing", "requires_customer_action"}
REFUND_STATUSES = {"succeeded", "failed", "pending", "review"}
REFUND_MOVES = {
    "pending": {"succeeded", "failed", "review"},
    "review": {"succeeded", "failed"},
    "succeeded": {"failed"},
}
DISPUTE_MOVES = {
    "dispute_opened": {"challenged", "lost", "won", "cancelled", "accepted", "expired"},
    "dispute_challenged": {"lost", "won", "cancelled"},
    "dispute_lost": {"won"},
}


class ControlError(ValueError):
    """The test asked for something that cannot happen."""


def pay(world: World, payment: Payment, outcome: Outcome, decline: str) -> None:
    """The buyer tries to pay by the link. After a decline the link stays open; after its session it is closed."""
    if payment.link_id is None:
        raise ControlError("Only a payment link can be paid by a buyer")
    if world.now() >= payment.expires_on:
        raise ControlError("The session of this link has run out")
    if payment.status not in PAYABLE:
        raise ControlError(f"A payment that is {payment.status} cannot be paid")
    status, why = _resolved(payment, outcome, decline)
    payments.begin_attempt(world, payment)
    payments.settle(world, payment, status, why)


def finish(world: World, payment: Payment, outcome: Outcome, decline: str, *, unseen: bool) -> None:
    """Decide a payment that is processing or waits for its buyer; `unseen`: only a force_sync will find out."""
    if payment.status not in UNDECIDED:
        raise ControlError(f"A payment that is {payment.status} is not undecided")
    status, why = _resolved(payment, outcome, decline)
    if unseen:
        payment.unseen = (status, why)
    else:
        payments.settle(world, payment, status, why)


def _resolved(payment: Payment, outcome: Outcome, decline: str) -> tuple[str, Decline | None]:
    if outcome not in STATUSES or decline not in payments.DECLINES:
        raise ControlError(f"There is no outcome {outcome} ({decline})")
    if outcome == "succeeded" and payment.fields.get("capture_method") == "manual":
        return "requires_capture", None
    return STATUSES[outcome], payments.DECLINES[decline] if outcome == "declined" else None


def capture(world: World, payment: Payment, amount: int | None) -> None:
    """The merchant captures an authorised payment, wholly or in part (the rest is then void)."""
    wanted = payment.amount if amount is None else amount
    if payment.status != "requires_capture" or not 0 < wanted <= payment.amount:
        raise ControlError(f"Cannot capture {wanted} of a payment that is {payment.status}")
    payment.amount_received = wanted
    payments.settle(world, payment, "succeeded" if wanted == payment.amount else "partially_captured")


def expire(world: World, payment: Payment) -> None:
    """The processor says that the payment has expired."""
    if payment.status not in {"requires_payment_method", "requires_customer_action", "failed"}:
        raise ControlError(f"A payment that is {payment.status} cannot expire")
    payment.expires_on = min(payment.expires_on, world.now())
    payments.settle(world, payment, "expired")


def refund(world: World, payment: Payment, amount: int | None, status: str) -> Refund:
    """A refund made in the merchant's dashboard."""
    if status not in REFUND_STATUSES:
        raise ControlError(f"A refund cannot be {status}")
    try:
        return refunds.make(world, payment, {} if amount is None else {"amount": amount}, status)
    except errors.ApiError as error:
        raise ControlError(str(error)) from error


def finish_refund(world: World, made: Refund, status: str) -> None:
    """A pending refund is decided; a succeeded one may still fail, days later."""
    if status not in REFUND_MOVES.get(made.status, set()):
        raise ControlError(f"A {made.status} refund cannot become {status}")
    refunds.settle(world, made, status)


def dispute(world: World, payment: Payment, amount: int | None, reason: str) -> Dispute:
    """The buyer's bank opens a dispute, for the whole amount or a part."""
    wanted = amount if amount is not None else payment.amount_received
    if payment.amount_received is None or wanted is None or not 0 < wanted <= payment.amount_received:
        raise ControlError(f"Cannot dispute {wanted} of a payment that is {payment.status}")
    now, dispute_id = world.now(), world.new_id("dp", 27)
    opened = Dispute(world.number("dispute"), payment, dispute_id, wanted, "dispute_opened", reason, now, now)
    world.disputes[payment.merchant.merchant_id, dispute_id] = opened
    payment.disputes.append(opened)
    events.of_dispute(world, opened)
    return opened


def move_dispute(world: World, opened: Dispute, to: str) -> None:
    if to not in DISPUTE_MOVES.get(opened.status, set()):
        raise ControlError(f"A {opened.status} cannot become {to}")
    opened.status = f"dispute_{to}"
    opened.updated = world.now()
    events.of_dispute(world, opened)
