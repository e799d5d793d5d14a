"""What the worker does for people. Every job may run twice, or in parallel, without harm."""

import uuid

import structlog
from procrastinate.contrib.django import app

from inventory.services import counts

log = structlog.get_logger(__name__)


# Everything else that waits for a worker goes first: payments, above all.
@app.task(queue="counts", priority=-10, pass_context=False)
def work_on_count_file(file_id: str) -> None:
    """Check, apply or revert a file of counts, for some seconds."""
    counts.work_on(uuid.UUID(file_id))


@app.periodic(cron="* * * * *")
@app.task(queue="counts", queueing_lock="take_up_count_files", pass_context=False)
def take_up_count_files(timestamp: int) -> None:
    """Give another job to files whose job died with its worker."""
    if files := counts.take_up_again():
        log.warning("took_up_count_files", files=files)
