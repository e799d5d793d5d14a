"""Whether orders, shipments and returns agree with each other, with the stock and with the log.

What units an order holds is compared for all orders that hold any, which are few; the rest for all
orders, or for some of them: see `Orders`.
"""

import uuid
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from inventory.services import audit
from inventory.services.audit import Difference


class Orders(NamedTuple):
    """Which orders are compared, as a condition on the column that names an order."""

    condition: str
    parameters: Mapping[str, Any]

    def of(self, query: str) -> str:
        """Put the condition into a query: on an order's own id, and on what belongs to an order.

        Of both, where they are joined, since PostgreSQL does not conclude one from the other.
        """
        return query.format(
            ids=self.condition.format("sold.id"),
            order_ids=self.condition.format("order_id"),
            shipped_ids=self.condition.format("shipment.order_id"),
            item_ids=self.condition.format("item.order_id"),
        )


ALL = Orders("true", {})


def between(first: uuid.UUID, last: uuid.UUID) -> Orders:
    return Orders("{} BETWEEN %(first)s AND %(last)s", {"first": first, "last": last})


def among(order_ids: Collection[uuid.UUID]) -> Orders:
    return Orders("{} = ANY(%(order_ids)s)", {"order_ids": list(order_ids)})


_DIFFERING_HOLDERS = """
WITH held AS (
    SELECT product_id, sum(allocated) AS units FROM orders_orderitem AS item
    JOIN orders_order AS sold ON sold.id = item.order_id
    WHERE allocated > 0 GROUP BY product_id
)
SELECT stock.id, product.sku,
    format('orders hold %%s units, the stock says %%s', coalesce(held.units, 0),
        stock.allocated - stock.held)
FROM inventory_stock AS stock
JOIN inventory_product AS product ON product.id = stock.product_id
LEFT JOIN held ON held.product_id = stock.product_id
WHERE stock.allocated - stock.held <> coalesce(held.units, 0)
ORDER BY stock.id
"""

# Of each product, an order holds what its own entries in the log took for it and did not give back.
_DIFFERING_HOLDINGS = """
WITH holding AS (
    SELECT id FROM orders_order WHERE allocated_at IS NOT NULL
), lines AS (
    SELECT item.order_id, item.product_id, sum(item.allocated) AS units
    FROM holding JOIN orders_orderitem AS item ON item.order_id = holding.id
    WHERE item.stocked GROUP BY item.order_id, item.product_id
), logged AS (
    SELECT entry.order_id, stock.product_id, sum(
        CASE entry.action WHEN 'allocate' THEN entry.quantity
            WHEN 'deallocate' THEN -entry.quantity ELSE 0 END) AS units
    FROM holding
    JOIN inventory_stocktransaction AS entry ON entry.order_id = holding.id AND entry.by_order
    JOIN inventory_stock AS stock ON stock.id = entry.stock_id
    GROUP BY entry.order_id, stock.product_id
)
SELECT sold.id, product.sku,
    format('the lines of order #%%s hold %%s, the log says %%s', sold.number,
        coalesce(lines.units, 0), coalesce(logged.units, 0))
FROM lines
FULL JOIN logged USING (order_id, product_id)
JOIN orders_order AS sold ON sold.id = order_id
JOIN inventory_product AS product ON product.id = product_id
WHERE coalesce(lines.units, 0) <> coalesce(logged.units, 0)
ORDER BY sold.id, product.sku
"""

# A line takes no units where the stock of its product is not managed. What is managed now was so
# then, unless it began anew, which leaves a count of none: within a minute of the order, nobody
# can tell which of the two came first. An undone shipment says when the order holds units again,
# and no more when its lines took them.
_LINES_WITHOUT_UNITS = """
SELECT sold.id, product.sku,
    format('order #%%s is to be sent %%s, and holds none', sold.number,
        item.quantity - item.shipped - item.cancelled)
FROM orders_order AS sold
JOIN orders_orderitem AS item ON item.order_id = sold.id
JOIN inventory_product AS product ON product.id = item.product_id
JOIN inventory_stock AS stock ON stock.product_id = product.id AND stock.managed
WHERE sold.allocated_at IS NOT NULL AND NOT item.stocked
    AND item.quantity > item.shipped + item.cancelled
    AND NOT EXISTS (
        SELECT FROM inventory_stockcount AS begun
        WHERE begun.stock_id = stock.id AND (begun.units, begun.change) = (0, 0)
            AND begun.recorded_at > CASE WHEN sold.shipments_undone > 0 THEN sold.created_at
                ELSE sold.allocated_at END - interval '1 minute'
    )
ORDER BY sold.id, item.position
"""

# Money that is here or promised holds the order's units until they are shipped or the order is
# cancelled, and so does an attempt that may still change what is paid. Nothing else does.
_WITHOUT_REASON = """
WITH lines AS (
    SELECT order_id, sum(allocated) AS units FROM orders_orderitem
    WHERE allocated > 0 AND {order_ids} GROUP BY order_id
), sold AS (
    SELECT sold.*, cancelled_at IS NULL AND shipping <> 'fulfilled' AS is_open,
        captured > 0 OR authorized > 0 OR fully_paid_at IS NOT NULL AS has_money
    FROM orders_order AS sold WHERE {ids}
)
SELECT sold.id, format('#%%s', sold.number),
    CASE WHEN allocated_at IS NOT NULL
        THEN format('it holds units (%%s), and is %%s, %%s and %%s, with %%s attempts open',
            coalesce(units, 0), status, payment, shipping, attempts_open)
        WHEN units > 0 THEN format('its lines hold %%s units, and the order says none', units)
        ELSE format('it is %%s, with %%s pending, and holds no units', payment, pending) END
FROM sold
LEFT JOIN lines ON lines.order_id = sold.id
WHERE CASE WHEN allocated_at IS NULL
    THEN units > 0 OR (is_open AND (has_money OR pending > 0))
    ELSE NOT (is_open AND (has_money OR attempts_open > 0)) END
ORDER BY sold.id
"""

# Every unit of a line that is shipped left with a shipment, and every one that came back with a
# return. What a shipment took from stock is an entry of the log, for all its lines of a product.
# One query for both, since most of the work is to find the lines of shipments. They and their
# entries are looked up one by one: there are many more of others, and OFFSET keeps PostgreSQL from
# joining them.
_DIFFERING_LINES = """
WITH item AS MATERIALIZED (
    SELECT id, order_id, product_id, sku, shipped, returned
    FROM orders_orderitem AS item WHERE {item_ids}
), sent AS MATERIALIZED (
    SELECT line.item_id, line.entry_id, line.quantity, shipment.order_id,
        shipment.undone_at IS NULL AS stands
    FROM orders_shipment AS shipment
    CROSS JOIN LATERAL (
        SELECT * FROM orders_shipmentline WHERE shipment_id = shipment.id OFFSET 0
    ) AS line
    WHERE {shipped_ids}
), shipped AS (
    SELECT item_id, sum(quantity) AS units FROM sent WHERE stands GROUP BY item_id
), returned AS (
    SELECT line.item_id, sum(line.quantity) AS units
    FROM orders_returnline AS line
    JOIN orders_return AS of_return ON of_return.id = line.of_return_id
    WHERE {order_ids} GROUP BY line.item_id
), taken AS (
    SELECT sent.entry_id, sent.order_id, item.product_id, sum(sent.quantity) AS units
    FROM sent JOIN item ON item.id = sent.item_id
    WHERE sent.entry_id IS NOT NULL GROUP BY sent.entry_id, sent.order_id, item.product_id
), untold AS MATERIALIZED (
    SELECT taken.*, coalesce(entry.action || ' ' || entry.quantity, 'nothing') AS told
    FROM taken
    LEFT JOIN LATERAL (
        SELECT * FROM inventory_stocktransaction WHERE id = taken.entry_id OFFSET 0
    ) AS entry ON true
    LEFT JOIN inventory_stock AS stock ON stock.id = entry.stock_id
    WHERE (entry.action, entry.quantity, entry.order_id, stock.product_id)
        IS DISTINCT FROM ('decrement', taken.units, taken.order_id, taken.product_id)
)
SELECT item.id, item.sku,
    format('order #%%s says %%s shipped and %%s returned; shipments and returns say %%s and %%s',
        (SELECT number FROM orders_order WHERE id = item.order_id), item.shipped, item.returned,
        coalesce(shipped.units, 0), coalesce(returned.units, 0))
FROM item
LEFT JOIN shipped ON shipped.item_id = item.id
LEFT JOIN returned ON returned.item_id = item.id
WHERE (item.shipped, item.returned) <> (coalesce(shipped.units, 0), coalesce(returned.units, 0))
UNION ALL
SELECT item.id, item.sku, format('a shipment of order #%%s says %%s units, the log says %%s',
    (SELECT number FROM orders_order WHERE id = untold.order_id), untold.units, untold.told)
FROM untold
CROSS JOIN LATERAL (
    SELECT item.id, item.sku FROM orders_shipment AS shipment
    JOIN orders_shipmentline AS line ON line.shipment_id = shipment.id
    JOIN orders_orderitem AS item ON item.id = line.item_id
    WHERE shipment.order_id = untold.order_id AND line.entry_id = untold.entry_id
    ORDER BY item.position LIMIT 1
) AS item
ORDER BY 1
"""

# An order is shipped when nothing of it is left, and counts its shipments.
_DIFFERING_ORDERS = """
WITH made AS (
    SELECT order_id, count(*) AS made, count(undone_at) AS undone
    FROM orders_shipment WHERE {order_ids} GROUP BY order_id
), units AS (
    SELECT order_id, sum(shipped) AS shipped, sum(quantity - shipped - cancelled) AS left
    FROM orders_orderitem WHERE {order_ids} GROUP BY order_id
)
SELECT sold.id, format('#%%s', sold.number),
    format('the order says %%s, %%s, %%s of %%s shipments undone; its lines say %%s shipped and '
        '%%s left, and there are %%s of %%s', sold.status, sold.shipping, sold.shipments_undone,
        sold.shipments_made, units.shipped, units.left, coalesce(made.undone, 0),
        coalesce(made.made, 0))
FROM orders_order AS sold
JOIN units ON units.order_id = sold.id
LEFT JOIN made ON made.order_id = sold.id
WHERE {ids} AND (
    (sold.shipments_made, sold.shipments_undone)
        <> (coalesce(made.made, 0), coalesce(made.undone, 0))
    OR (sold.shipping = 'fulfilled') <> (units.shipped > 0 AND units.left = 0)
    OR (sold.cancelled_at IS NOT NULL AND (units.shipped > 0 OR units.left > 0))
)
ORDER BY sold.id
"""

# Its lines may change while nobody pays, and what it comes to changes with them.
_DIFFERING_TOTALS = """
WITH sums AS (
    SELECT order_id, sum(quantity::numeric * unit_price) AS value
    FROM orders_orderitem WHERE {order_ids} GROUP BY order_id
)
SELECT sold.id, format('#%%s', sold.number),
    format('the order comes to %%s, its lines to %%s', sold.total, coalesce(sums.value, 0))
FROM orders_order AS sold
LEFT JOIN sums ON sums.order_id = sold.id
WHERE {ids} AND sold.total <> coalesce(sums.value, 0)
ORDER BY sold.id
"""

# Of all orders that hold units.
_OF_HOLDERS = (
    ("stock", _DIFFERING_HOLDERS),
    ("order", _DIFFERING_HOLDINGS),
    ("order", _LINES_WITHOUT_UNITS),
)
# Of any orders.
_OF_ORDERS = (
    ("order", _WITHOUT_REASON),
    ("order item", _DIFFERING_LINES),
    ("order", _DIFFERING_ORDERS),
    ("order", _DIFFERING_TOTALS),
)


def differences(limit: int = 100) -> list[Difference]:
    """Return the differences between log, stock and orders, at most `limit` of each kind."""
    return [
        *audit.differences(limit),
        *differences_of_holders(limit),
        *differences_of_orders(ALL, limit),
    ]


def differences_of_holders(limit: int = 100) -> list[Difference]:
    """Compare what orders hold with stock, log and their own lines."""
    return _found(_OF_HOLDERS, ALL, limit)


def differences_of_orders(orders: Orders, limit: int = 100) -> list[Difference]:
    """Compare orders with their lines, shipments and returns, and shipments with the log."""
    return _found(_OF_ORDERS, orders, limit)


def _found(queries: Collection[tuple[str, str]], orders: Orders, limit: int) -> list[Difference]:
    return [
        difference
        for row, query in queries
        for difference in audit.found(orders.of(query), limit, orders.parameters, row=row)
    ]
