"""What the worker does by the clock. Every job may run twice, or at the same time, without harm."""

import structlog
from procrastinate.contrib.django import app

from backoffice import logins
from backoffice.figures import days

log = structlog.get_logger(__name__)


@app.periodic(cron="17 * * * *")
@app.task(queueing_lock="purge_logins", pass_context=False)
def purge_logins(timestamp: int) -> None:
    """Forget sessions that are over, and wrong passwords that count no longer."""
    logins.purge()


@app.periodic(cron="*/10 * * * *")
@app.task(queueing_lock="add_up_days", pass_context=False)
def add_up_days(timestamp: int) -> None:
    """Keep the sums of days that are over, for the pages of figures."""
    if added := days.add_up():
        log.info("days_added_up", days=added)
