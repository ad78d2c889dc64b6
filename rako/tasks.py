"""Background jobs of the core; each only calls a function that is tested on its own."""

from procrastinate.contrib.django import app

from rako.core import idempotency


@app.periodic(cron="7,22,37,52 * * * *")
@app.task(name="rako.forget_replies", queueing_lock="forget_replies", pass_context=False)
def forget_replies(timestamp: int) -> None:
    """Every quarter of an hour: delete the replies that were kept for repeated requests, a day after."""
    idempotency.forget_expired()
