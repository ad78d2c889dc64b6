"""Background jobs of settlement; each only calls a function that is tested on its own."""

from django.conf import settings
from procrastinate.contrib.django import app

from settlement import payouts, receivables


@app.task(name="settlement.collect_answers", queueing_lock="settlement.collect_answers", pass_context=False)
def collect_answers(timestamp: int) -> None:
    """What became of payouts, where the provider can tell."""
    payouts.collect_answers()


@app.periodic(cron="23 * * * *")
@app.task(queueing_lock="cover_invoices", pass_context=False)
def cover_invoices(timestamp: int) -> None:
    """Each hour: let credit cover what was invoiced since."""
    receivables.cover_invoices()


if settings.RAKO_MODE == "sandbox":
    # The sixth field is seconds: every 20 s.
    app.periodic(cron="* * * * * */20")(collect_answers)
