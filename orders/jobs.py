"""What the worker does on a schedule. Every job may run twice, or in parallel, without harm."""

import structlog
from procrastinate.contrib.django import app

from orders.services import audit, carts

log = structlog.get_logger(__name__)


@app.periodic(cron="27 * * * *")
@app.task(queueing_lock="purge_carts", pass_context=False)
def purge_carts(timestamp: int) -> None:
    carts.purge()


@app.periodic(cron="47 * * * *")
@app.task(queueing_lock="audit_inventory", pass_context=False)
def audit_inventory(timestamp: int) -> None:
    """Compare log, stock and orders, and be loud about any difference."""
    for difference in audit.run():
        log.error("inventory_differs", what=str(difference))
