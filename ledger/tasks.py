"""Background jobs of the ledger; each only calls a function that is tested on its own."""

from procrastinate.contrib.django import app

from ledger import audits
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
