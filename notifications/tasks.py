"""Background jobs of outgoing webhooks; each only calls a function that is tested on its own."""

from procrastinate.contrib.django import app

from notifications import delivering


@app.periodic(cron="41 4 * * *")
@app.task(queueing_lock="forget_old_webhooks", pass_context=False)
def forget_old_webhooks(timestamp: int) -> None:
    """Each night: forget messages that are kept no longer."""
    while delivering.forget_old():
        pass
