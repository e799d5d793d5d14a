"""What the worker does by the clock. Every job may run twice, or at the same time, without harm."""

from procrastinate.contrib.django import app

from backoffice import logins


@app.periodic(cron="17 * * * *")
@app.task(queueing_lock="purge_logins", pass_context=False)
def purge_logins(timestamp: int) -> None:
    """Forget sessions that are over, and wrong passwords that count no longer."""
    logins.purge()
