"""What the worker does. Every job may run twice, or in parallel, without harm."""

import uuid
from datetime import timedelta

import structlog
from procrastinate.contrib.django import app

from api import clock
from payments.services import audit, gateway_events, payments, recovery

log = structlog.get_logger(__name__)

# After this long a person should look: recovery asks every minute.
ALARM_AFTER = timedelta(minutes=15)


# Jobs that a request leaves to a worker.


@app.task(queue="payments")
def charge_queued(payment_id: str) -> None:
    payments.charge_queued(uuid.UUID(payment_id))


@app.task(queue="events")
def look_into_event(event_id: str) -> None:
    gateway_events.look_into(event_id)


# Jobs on a schedule. Those that ask gateways may take long with a slow one: one of a kind runs at a
# time, and none keeps another one waiting.


@app.periodic(cron="* * * * *")
@app.task(
    queue="recovery", queueing_lock="settle_pending", lock="settle_pending", pass_context=False
)
def settle_pending_payments(timestamp: int) -> None:
    """Ask the gateways about payments that a crash or a silence left open."""
    gateway_events.take_up_again()
    if settled := recovery.settle_pending():
        log.warning("settled_pending_payments", payments=settled)


# Every 20 seconds.
@app.periodic(cron="* * * * * */20")
@app.task(
    queue="recovery",
    queueing_lock="settle_left_behind",
    lock="settle_left_behind",
    pass_context=False,
)
def settle_left_behind(timestamp: int) -> None:
    """Ask at once about what a process left that was killed while it asked a gateway."""
    if settled := recovery.settle_left_behind():
        log.warning("settled_left_behind", payments=settled)


@app.periodic(cron="*/10 * * * *")
@app.task(queueing_lock="alarm_about_open_payments", pass_context=False)
def alarm_about_open_payments(timestamp: int) -> None:
    """Be loud about what stays open although its gateway is asked every minute."""
    for row in recovery.unresolved(older_than=ALARM_AFTER):
        minutes = int((clock.now() - row.since).total_seconds() // 60)
        log.error("payments_stay_open", gateway=row.gateway, count=row.count, minutes=minutes)


@app.periodic(cron="*/10 * * * *")
@app.task(queue="recovery", queueing_lock="let_lapse", lock="let_lapse", pass_context=False)
def let_lapse(timestamp: int) -> None:
    """Let go of authorizations and orders whose time is over."""
    voided, expired = recovery.void_lapsed_authorizations(), recovery.expire_orders()
    if voided or expired:
        log.warning("lapsed", authorizations=voided, orders=expired)


@app.periodic(cron="47 * * * *")
@app.task(queueing_lock=audit.LOCK, pass_context=False)
def audit_inventory(timestamp: int) -> None:
    """Compare log, stock, orders and payments, and be loud about any difference."""
    try:
        differences = audit.run()
    except audit.UnderWay:
        return
    for difference in differences:
        log.error("inventory_differs", what=str(difference))
