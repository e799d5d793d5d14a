"""What the worker does on a schedule. Every job may run twice, or in parallel, without harm."""

import structlog
from procrastinate.contrib.django import app
from procrastinate.exceptions import UniqueViolation
from procrastinate.jobs import Status

from api import finished_jobs, idempotency, limits

log = structlog.get_logger(__name__)


@app.periodic(cron="* * * * *")
@app.task(queueing_lock="retry_stalled_jobs", pass_context=False)
async def retry_stalled_jobs(timestamp: int) -> None:
    """Take up again what a killed worker left behind in the middle."""
    for job in await app.job_manager.get_stalled_jobs():
        log.warning("job_taken_up_again", job=job.id, task=job.task_name)
        try:
            await app.job_manager.retry_job(job)
        except UniqueViolation:
            # Another one of its kind waits already, of which there may be one: that does the work.
            await app.job_manager.finish_job(job, Status.FAILED, delete_job=False)


@app.periodic(cron="17 * * * *")
@app.task(queueing_lock="purge_keys_and_counts", pass_context=False)
def purge_keys_and_counts(timestamp: int) -> None:
    """Delete yesterday's idempotency keys, and the counts of addresses that have gone quiet."""
    idempotency.purge()
    limits.purge()


@app.periodic(cron="37 * * * *")
@app.task(queueing_lock="purge_finished_jobs", pass_context=False)
def purge_finished_jobs(timestamp: int) -> None:
    """Delete the jobs that were over long ago."""
    finished_jobs.purge()
