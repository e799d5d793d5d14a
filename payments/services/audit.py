"""Whether all books agree: log, stock, orders, and the money of orders with their payments."""

from django.db import connection, transaction
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob
from procrastinate.exceptions import AlreadyEnqueued

from api import clock
from inventory.services.audit import Difference, found, snapshot
from orders.models import AuditResult
from orders.services import audit

# Money that came late is in no sum of its order; that it is to be sent back is under way, too.
_DIFFERING_MONEY = """
WITH paid AS (
    SELECT order_id,
        coalesce(sum(captured_amount) FILTER (WHERE NOT late), 0) AS captured,
        coalesce(sum(refunded_amount) FILTER (WHERE NOT late), 0) AS refunded,
        coalesce(sum(amount) FILTER (WHERE status = 'pending'), 0) AS pending,
        coalesce(sum(amount) FILTER (WHERE method = 'authorize' AND status = 'complete'
            AND captured_amount = 0 AND NOT late), 0) AS authorized,
        count(*) FILTER (WHERE status = 'pending') AS payments_open
    FROM payments_payment WHERE {order_ids} GROUP BY order_id
), tried AS (
    SELECT order_id, count(*) FILTER (WHERE kind <> 'refund') AS attempts_open,
        count(*) FILTER (WHERE kind = 'refund') AS refunds_open
    FROM payments_attempt AS attempt
    JOIN payments_payment AS payment ON payment.id = attempt.payment_id
    WHERE attempt.status = 'pending' AND {order_ids} GROUP BY order_id
), told AS (
    SELECT sold.id AS order_id, coalesce(paid.captured, 0) AS captured,
        coalesce(paid.authorized, 0) AS authorized, coalesce(paid.pending, 0) AS pending,
        coalesce(paid.refunded, 0) AS refunded,
        coalesce(paid.payments_open, 0) + coalesce(tried.attempts_open, 0) AS attempts_open,
        coalesce(tried.refunds_open, 0) AS refunds_open
    FROM orders_order AS sold
    LEFT JOIN paid ON paid.order_id = sold.id
    LEFT JOIN tried ON tried.order_id = sold.id
    WHERE {ids}
)
SELECT sold.id, format('#%%s', sold.number),
    CASE WHEN (sold.captured, sold.authorized, sold.pending, sold.refunded)
            <> (told.captured, told.authorized, told.pending, told.refunded)
        THEN format('the order says %%s captured, %%s authorized, %%s pending and %%s refunded; '
            'its payments say %%s, %%s, %%s and %%s', sold.captured, sold.authorized,
            sold.pending, sold.refunded, told.captured, told.authorized, told.pending,
            told.refunded)
        ELSE format('the order says %%s attempts and %%s refunds open; its payments say %%s and '
            '%%s', sold.attempts_open, sold.refunds_open, told.attempts_open,
            told.refunds_open) END
FROM told
JOIN orders_order AS sold ON sold.id = told.order_id
WHERE (sold.captured, sold.authorized, sold.pending, sold.refunded, sold.attempts_open,
        sold.refunds_open)
    <> (told.captured, told.authorized, told.pending, told.refunded, told.attempts_open,
        told.refunds_open)
ORDER BY sold.id
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


def money_differences(limit: int = 100, orders: audit.Orders = audit.ALL) -> list[Difference]:
    """Return the orders whose sums of money are not what their payments add up to."""
    return found(orders.of(_DIFFERING_MONEY), limit, orders.parameters, row="order")
