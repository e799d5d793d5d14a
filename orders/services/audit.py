"""Whether orders, shipments and returns agree with each other, with the stock and with the log."""

from django.db import connection

from inventory.services import audit
from inventory.services.audit import Difference

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

# Every unit of a line that is shipped left with a shipment, and every one that came back with a
# return.
_DIFFERING_LINES = """
WITH shipped AS (
    SELECT line.item_id, sum(line.quantity) AS units
    FROM orders_shipmentline AS line
    JOIN orders_shipment AS shipment ON shipment.id = line.shipment_id
    WHERE shipment.undone_at IS NULL GROUP BY line.item_id
), returned AS (
    SELECT item_id, sum(quantity) AS units FROM orders_returnline GROUP BY item_id
)
SELECT item.id, item.sku,
    format('order #%%s says %%s shipped and %%s returned; shipments and returns say %%s and %%s',
        sold.number, item.shipped, item.returned,
        coalesce(shipped.units, 0), coalesce(returned.units, 0))
FROM orders_orderitem AS item
JOIN orders_order AS sold ON sold.id = item.order_id
LEFT JOIN shipped ON shipped.item_id = item.id
LEFT JOIN returned ON returned.item_id = item.id
WHERE (item.shipped, item.returned) <> (coalesce(shipped.units, 0), coalesce(returned.units, 0))
ORDER BY item.id LIMIT %s
"""

# An order is shipped when nothing of it is left, and counts its shipments.
_DIFFERING_ORDERS = """
WITH made AS (
    SELECT order_id, count(*) AS made, count(undone_at) AS undone
    FROM orders_shipment GROUP BY order_id
), units AS (
    SELECT order_id, sum(shipped) AS shipped, sum(quantity - shipped - cancelled) AS left
    FROM orders_orderitem GROUP BY order_id
)
SELECT sold.id, format('#%%s', sold.number),
    format('the order says %%s, %%s, %%s of %%s shipments undone; its lines say %%s shipped and '
        '%%s left, and there are %%s of %%s', sold.status, sold.shipping, sold.shipments_undone,
        sold.shipments_made, units.shipped, units.left, coalesce(made.undone, 0),
        coalesce(made.made, 0))
FROM orders_order AS sold
JOIN units ON units.order_id = sold.id
LEFT JOIN made ON made.order_id = sold.id
WHERE (sold.shipments_made, sold.shipments_undone)
        <> (coalesce(made.made, 0), coalesce(made.undone, 0))
    OR (sold.shipping = 'fulfilled') <> (units.shipped > 0 AND units.left = 0)
    OR (sold.cancelled_at IS NOT NULL AND (units.shipped > 0 OR units.left > 0))
ORDER BY sold.id LIMIT %s
"""

# Its lines may change while nobody pays, and what it comes to changes with them.
_DIFFERING_TOTALS = """
WITH sums AS (
    SELECT order_id, sum(quantity::numeric * unit_price) AS value
    FROM orders_orderitem GROUP BY order_id
)
SELECT sold.id, format('#%%s', sold.number),
    format('the order comes to %%s, its lines to %%s', sold.total, coalesce(sums.value, 0))
FROM orders_order AS sold
LEFT JOIN sums ON sums.order_id = sold.id
WHERE sold.total <> coalesce(sums.value, 0)
ORDER BY sold.id LIMIT %s
"""

# What a shipment took from stock is an entry of the log, for all its lines of a product.
_DIFFERING_ENTRIES = """
WITH sent AS (
    SELECT line.entry_id, shipment.order_id, item.product_id, sum(line.quantity) AS units
    FROM orders_shipmentline AS line
    JOIN orders_shipment AS shipment ON shipment.id = line.shipment_id
    JOIN orders_orderitem AS item ON item.id = line.item_id
    WHERE line.entry_id IS NOT NULL GROUP BY line.entry_id, shipment.order_id, item.product_id
)
SELECT sent.entry_id, product.sku,
    format('a shipment says %%s units, the log says %%s', sent.units,
        coalesce(entry.action || ' ' || entry.quantity, 'nothing'))
FROM sent
JOIN inventory_product AS product ON product.id = sent.product_id
LEFT JOIN inventory_stocktransaction AS entry ON entry.id = sent.entry_id
LEFT JOIN inventory_stock AS stock ON stock.id = entry.stock_id
WHERE (entry.action, entry.quantity, entry.order_id, stock.product_id)
    IS DISTINCT FROM ('decrement', sent.units, sent.order_id, sent.product_id)
ORDER BY sent.entry_id LIMIT %s
"""

_QUERIES = (
    ("stock", _DIFFERING_HOLDERS),
    ("order item", _DIFFERING_LINES),
    ("order", _DIFFERING_ORDERS),
    ("order", _DIFFERING_TOTALS),
    ("stock transaction", _DIFFERING_ENTRIES),
)


def differences(limit: int = 100) -> list[Difference]:
    """Return the differences between log, stock and orders, at most `limit` of each kind."""
    found = []
    with connection.cursor() as cursor:
        for row, query in _QUERIES:
            cursor.execute(query, [limit])
            found += [Difference(pk, sku, what, row) for pk, sku, what in cursor.fetchall()]
    return [*audit.differences(limit), *found]
