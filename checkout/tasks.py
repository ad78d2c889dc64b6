"""Background jobs of the checkout app; each only calls a function that is tested on its own."""

from django.utils import timezone
from procrastinate.contrib.django import app

from checkout import inbox, matching, recovery
from checkout.reconciliation.run import nightly


@app.periodic(cron="* * * * *")
@app.task(lock="recover_checkouts", queueing_lock="recover_checkouts", pass_context=False)
def recover_checkouts(timestamp: int) -> None:
    """Every minute: finish or void PSP calls that died half-way, end checkouts whose time is over."""
    recovery.recover_checkouts()
    recovery.expire_checkouts()


@app.periodic(cron="* * * * *")
@app.task(lock="sweep_inbox", queueing_lock="sweep_inbox", pass_context=False)
def sweep_inbox(timestamp: int) -> None:
    """Every minute: process webhooks that a fault left behind, look again at unmatched ones."""
    inbox.sweep()


@app.periodic(cron="41 2 * * *")
@app.task(lock="reconcile_payments", queueing_lock="reconcile_payments", pass_context=False)
def reconcile_payments(timestamp: int) -> None:
    """Each night: hold what PSPs say against what is recorded, and have carried out what was missed."""
    nightly(timezone.now())


@app.task(name=matching.RETRY, pass_context=False)
def retry_unmatched(receipt_ids: list[str]) -> None:
    """The other half of what these deliveries tell of has arrived."""
    inbox.process_again(receipt_ids)
