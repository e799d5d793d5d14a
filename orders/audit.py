"""Do the orders hold what the stock says that orders hold?"""

from django.db import connection

from inventory import audit
from inventory.audit import Difference

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


def differences(limit: int = 100) -> list[Difference]:
    """Name what differs between log and stock, and between stock and orders."""
    with connection.cursor() as cursor:
        cursor.execute(_DIFFERING_HOLDERS, [limit])
        holders = [Difference(*row) for row in cursor.fetchall()]
    return [*audit.differences(limit), *holders]
