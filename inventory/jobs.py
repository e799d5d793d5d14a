"""What the worker does for people. Every job may run twice, or in parallel, without harm."""

import uuid

import structlog
from procrastinate.contrib.django import app

from inventory.services import picture_files
from inventory.services.sheets import processing

log = structlog.get_logger(__name__)


# Everything else that waits for a worker goes first: payments, above all.
@app.task(queue="sheets", priority=-10, pass_context=False)
def work_on_sheet(sheet_id: str) -> None:
    """Check, apply or revert a file of counts, for some seconds."""
    processing.work_on(uuid.UUID(sheet_id))


@app.periodic(cron="* * * * *")
@app.task(queue="sheets", queueing_lock="take_up_sheets", pass_context=False)
def take_up_sheets(timestamp: int) -> None:
    """Give another job to files whose job died with its worker."""
    if sheets := processing.take_up_again():
        log.warning("took_up_sheets", sheets=sheets)


@app.periodic(cron="23 3 * * *")
@app.task(queueing_lock="purge_picture_files", pass_context=False)
def purge_picture_files(timestamp: int) -> None:
    """Delete the files of pictures that are no more, or never came to be."""
    if pictures := picture_files.purge():
        log.info("purged_picture_files", pictures=pictures)


@app.periodic(cron="41 3 * * *")
@app.task(queueing_lock="purge_sheets", pass_context=False)
def purge_sheets(timestamp: int) -> None:
    """Delete files that nobody has applied for a long time."""
    if sheets := processing.purge():
        log.info("purged_sheets", sheets=sheets)
