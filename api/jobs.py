"""What the worker does by the clock. Every job may run twice, or at the same time, without harm."""

import structlog
from procrastinate.contrib.django import app

from api import idempotency, limits

log = structlog.get_logger(__name__)


@app.periodic(cron="* * * * *")
@app.task(queueing_lock="retry_stalled_jobs", pass_context=False)
async def retry_stalled_jobs(timestamp: int) -> None:
    """Take up again what a killed worker left behind in the middle."""
    for job in await app.job_manager.get_stalled_jobs():
        log.warning("job_taken_up_again", job=job.id, task=job.task_name)
        await app.job_manager.retry_job(job)


@app.periodic(cron="17 * * * *")
@app.task(queueing_lock="purge_keys_and_counts", pass_context=False)
def purge_keys_and_counts(timestamp: int) -> None:
    """Forget yesterday's idempotency keys, and addresses that have gone quiet."""
    idempotency.purge()
    limits.purge()
