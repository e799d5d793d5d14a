"""What the worker does by the clock. Every job may run twice, or at the same time, without harm."""

import structlog
from procrastinate.contrib.django import app

from api import idempotency, limits
from inventory.audit import snapshot
from orders.audit import differences
from payments import services

log = structlog.get_logger(__name__)


@app.periodic(cron="* * * * *")
@app.task(queue="payments", queueing_lock="settle_pending", pass_context=False)
def settle_pending_payments(timestamp: int) -> None:
    """Ask the gateways about payments that a crash or a silence left open."""
    if settled := services.settle_pending():
        log.warning("settled_pending_payments", payments=settled)


@app.periodic(cron="17 * * * *")
@app.task(queueing_lock="purge_what_has_lapsed", pass_context=False)
def purge_what_has_lapsed(timestamp: int) -> None:
    """Forget yesterday's idempotency keys, and the calls of addresses that have gone quiet."""
    idempotency.purge()
    limits.purge()


@app.periodic(cron="47 * * * *")
@app.task(queueing_lock="audit_inventory", pass_context=False)
def audit_inventory(timestamp: int) -> None:
    """Compare log, stock and orders, and be loud about any difference."""
    with snapshot():
        found = differences()
    for difference in found:
        log.error("inventory_differs", what=str(difference))
