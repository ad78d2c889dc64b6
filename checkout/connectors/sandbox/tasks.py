"""The background worker's part in the sandbox PSP; the bodies are plain functions elsewhere."""

from django.conf import settings
from procrastinate.contrib.django import app

from checkout.connectors.sandbox import deliveries, jobs, pages, payments, refunds


@app.task(name=jobs.DELIVER)
def deliver_event(delivery_id: int) -> None:
    """One attempt to send an event; a failed one has deferred the next."""
    deliveries.attempt(delivery_id)


@app.task(name=jobs.SETTLE)
def complete_delayed_payment(payment_id: str) -> None:
    """The end of a payment that takes its time."""
    payments.complete_delayed(payment_id)


@app.task(name=jobs.SETTLE_REFUND)
def complete_delayed_refund(refund_id: str) -> None:
    """The end of a refund that takes its time."""
    refunds.complete_delayed(refund_id)


@app.task(name="sandbox.sweep", queueing_lock="sandbox.sweep")
def sweep(timestamp: int) -> None:
    """What time alone brings about, and what a lost job left behind."""
    pages.expire_overdue()
    payments.cancel_unanswered()
    payments.settle_overdue()
    refunds.settle_overdue()
    deliveries.rearm_overdue()


if settings.RAKO_MODE == "sandbox":
    # The sixth field is seconds: every 20 s.
    app.periodic(cron="* * * * * */20")(sweep)
