"""Whether all books agree: log, stock, orders, and the money of orders with their payments."""

from django.db import connection, transaction
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob
from procrastinate.exceptions import AlreadyEnqueued

from api import clock
from inventory.services.audit import Difference, snapshot
from orders.models import AuditResult
from orders.services import audit

# Money that came late is in no sum of its order.
_DIFFERING_MONEY = """
WITH paid AS (
    SELECT order_id,
        coalesce(sum(captured_amount) FILTER (WHERE NOT late), 0) AS captured,
        coalesce(sum(refunded_amount) FILTER (WHERE NOT late), 0) AS refunded,
        coalesce(sum(amount) FILTER (WHERE status = 'pending'), 0) AS pending,
        coalesce(sum(amount) FILTER (WHERE method = 'authorize' AND status = 'complete'
            AND captured_amount = 0 AND NOT late), 0) AS authorized
    FROM payments_payment GROUP BY order_id
)
SELECT sold.id, format('#%%s', sold.number),
    format('the order says %%s captured, %%s authorized, %%s pending and %%s refunded; its '
        'payments say %%s, %%s, %%s and %%s', sold.captured, sold.authorized, sold.pending,
        sold.refunded, coalesce(paid.captured, 0), coalesce(paid.authorized, 0),
        coalesce(paid.pending, 0), coalesce(paid.refunded, 0))
FROM orders_order AS sold
LEFT JOIN paid ON paid.order_id = sold.id
WHERE (sold.captured, sold.authorized, sold.pending, sold.refunded)
    <> (coalesce(paid.captured, 0), coalesce(paid.authorized, 0), coalesce(paid.pending, 0),
        coalesce(paid.refunded, 0))
ORDER BY sold.id LIMIT %s
"""

# Entries are numbered without gaps, so that nobody has to count them.
_COMPARED = "SELECT count(*), coalesce(sum(sequence), 0)::bigint FROM inventory_stock"
JOB = "payments.jobs.audit_inventory"
# The job's own, so that one comparison at most is waited for.
LOCK = "audit_inventory"


def run() -> list[Difference]:
    """Compare all books as of one moment, and keep the result for people to read."""
    with snapshot(), connection.cursor() as cursor:
        discrepancies = differences()
        cursor.execute(_COMPARED)
        stocks, entries = cursor.fetchone()
    result = AuditResult(
        checked_at=clock.now(),
        differences=len(discrepancies),
        example=str(discrepancies[0]) if discrepancies else "",
        found=[str(each) for each in discrepancies],
        stocks=stocks,
        entries=entries,
    )
    AuditResult.objects.bulk_create(
        [result],
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=["checked_at", "differences", "example", "found", "stocks", "entries"],
    )
    return discrepancies


def ask() -> bool:
    """Let the worker compare as soon as it can; false where it is to do so already."""
    compare = app.configure_task(JOB, queueing_lock=LOCK)
    try:
        with transaction.atomic():
            compare.defer(timestamp=int(clock.now().timestamp()))
    except AlreadyEnqueued:
        return False
    return True


def is_under_way() -> bool:
    """Tell whether the worker compares, or is to do so as soon as it can."""
    jobs = ProcrastinateJob.objects.filter(queueing_lock=LOCK, status__in=["todo", "doing"])
    return jobs.exists()


def differences(limit: int = 100) -> list[Difference]:
    """Return the differences between log, stock, orders and payments, `limit` of each kind."""
    return [*audit.differences(limit), *money_differences(limit)]


def money_differences(limit: int = 100) -> list[Difference]:
    """Return the orders whose sums of money are not what their payments add up to."""
    with connection.cursor() as cursor:
        cursor.execute(_DIFFERING_MONEY, [limit])
        return [Difference(pk, number, what, "order") for pk, number, what in cursor.fetchall()]
