"""What the worker does on a schedule. Every job may run twice, or in parallel, without harm."""

from procrastinate.contrib.django import app

from api import finished_jobs, idempotency, limits


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
