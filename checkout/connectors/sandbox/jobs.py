"""What is left to the background worker; deferred in the caller's transaction, so a job exists only if its cause does.

Tasks are named, not imported: the tasks import the modules that defer them.
"""

from procrastinate.contrib.django import app

DELIVER = "sandbox.deliver_event"
SETTLE = "sandbox.complete_delayed_payment"
SETTLE_REFUND = "sandbox.complete_delayed_refund"


def defer_delivery(delivery_id: int, delay_seconds: int = 0) -> None:
    """Attempt a delivery after so many seconds."""
    app.configure_task(DELIVER, schedule_in={"seconds": delay_seconds}).defer(delivery_id=delivery_id)


def defer_settlement(payment_id: str, delay_seconds: int) -> None:
    """Settle a processing payment after so many seconds."""
    app.configure_task(SETTLE, schedule_in={"seconds": delay_seconds}).defer(payment_id=payment_id)


def defer_refund(refund_id: str, delay_seconds: int) -> None:
    """Let a pending refund arrive after so many seconds."""
    app.configure_task(SETTLE_REFUND, schedule_in={"seconds": delay_seconds}).defer(refund_id=refund_id)
