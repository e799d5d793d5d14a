"""Whether the orders hold as many units as the stock says that orders hold."""

from django.db import connection

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


def run() -> list[Difference]:
    """Compare log, stock and orders as of one moment, and keep the result for the dashboard."""
    with snapshot():
        discrepancies = differences()
    result = AuditResult(
        checked_at=clock.now(),
        differences=len(discrepancies),
        example=str(discrepancies[0]) if discrepancies else "",
    )
    AuditResult.objects.bulk_create(
        [result],
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=["checked_at", "differences", "example"],
    )
    return discrepancies


def differences(limit: int = 100) -> list[Difference]:
    """Return the differences between log and stock, and between stock and orders."""
    with connection.cursor() as cursor:
        cursor.execute(_DIFFERING_HOLDERS, [limit])
        holders = [Difference(*row) for row in cursor.fetchall()]
    return [*audit.differences(limit), *holders]
