"""What the worker does on a schedule. Every job may run twice, or in parallel, without harm."""

from procrastinate.contrib.django import app

from api.lanes import TELLING
from events.services import keeping, posting


@app.periodic(cron="47 * * * *")
@app.task(queue=TELLING, queueing_lock="purge_events", pass_context=False)
def purge_events(timestamp: int) -> None:
    """Delete events that are older than they are kept, and what became of their deliveries."""
    keeping.purge()


@app.periodic(cron="52 * * * *")
@app.task(queue=TELLING, queueing_lock="purge_mails", pass_context=False)
def purge_mails(timestamp: int) -> None:
    """Delete mails that are older than they are kept."""
    posting.purge()
