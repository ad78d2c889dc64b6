"""Background jobs of the ledger; each only calls a function that is tested on its own."""

from django.utils import timezone
from procrastinate.contrib.django import app

from ledger import audits, disputes, fraud_signals, validation
from ledger.verification.run import Scope


@app.periodic(cron="*/10 * * * *")
@app.task(queueing_lock="audit_growth", pass_context=False)
def audit_growth(timestamp: int) -> None:
    """Every ten minutes: verify what was added to the ledger."""
    audits.audit_growth()


@app.periodic(cron="17 3 * * *")
@app.task(queueing_lock="audit_all", pass_context=False)
def audit_all(timestamp: int) -> None:
    """Each night: verify all of it."""
    audits.audit(Scope())


@app.periodic(cron="*/5 * * * *")
@app.task(queueing_lock="close_validation_periods", pass_context=False)
def close_validation_periods(timestamp: int) -> None:
    """Every five minutes: validate the sales that nothing has taken back in time."""
    for _ in validation.close_validation_periods(timezone.now()):
        pass


@app.periodic(cron="11 * * * *")
@app.task(lock="review_overdue_disputes", queueing_lock="review_overdue_disputes", pass_context=False)
def review_overdue_disputes(timestamp: int) -> None:
    """Every hour: put under review what a side did not answer in time."""
    disputes.review_overdue()


@app.periodic(cron="23 * * * *")
@app.task(lock="check_fraud_signals", queueing_lock="check_fraud_signals", pass_context=False)
def check_fraud_signals(timestamp: int) -> None:
    """Every hour: hold sales that are suspicious."""
    fraud_signals.check_all()
