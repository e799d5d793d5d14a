"""Whether the orders hold as many units as the stock says that orders hold."""

from django.db import connection, transaction
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob
from procrastinate.exceptions import AlreadyEnqueued

from api import clock
from inventory.services import audit
from inventory.services.audit import Difference, snapshot
from orders.models import AuditResult

_DIFFERING_HOLDERS = """
WITH held AS (
    SELECT product_id, sum(allocated) AS units FROM orders_orderitem
    WHERE allocated > 0 GROUP BY product_id
)
SELECT stock.id, product.sku,
    format('orders hold %%s units, the stock says %%s', coalesce(held.units, 0),
        stock.allocated - stock.held)
FROM inventory_stock AS stock
JOIN inventory_product AS product ON product.id = stock.product_id
LEFT JOIN held ON held.product_id = stock.product_id
WHERE stock.allocated - stock.held <> coalesce(held.units, 0)
ORDER BY stock.id LIMIT %s
"""

# Entries are numbered without gaps, so that nobody has to count them.
_COMPARED = "SELECT count(*), coalesce(sum(sequence), 0)::bigint FROM inventory_stock"
JOB = "orders.jobs.audit_inventory"
# The job's own, so that one comparison at most is waited for.
LOCK = "audit_inventory"


def run() -> list[Difference]:
    """Compare log, stock and orders as of one moment, and keep the result for people to read."""
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
    """Return the differences between log and stock, and between stock and orders."""
    with connection.cursor() as cursor:
        cursor.execute(_DIFFERING_HOLDERS, [limit])
        holders = [Difference(*row) for row in cursor.fetchall()]
    return [*audit.differences(limit), *holders]
