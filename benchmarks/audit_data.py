"""A log of any length with its stock, counts, orders, payments and shipments, made in SQL.

The services would take hours for it. Every number adds up, as they would have left it: each product
goes through the same ten movements again and again, among which one order is paid and shipped. Of
every twentieth product the last order still holds its units.
"""

from django.db import connection

# The movements of a round: what moved, by an order or by hand, and the numbers afterwards, all of
# them times the product's own quantity. A round leaves two units more than it found.
ROUND = 10
_MOVEMENTS = """
    (VALUES
        (1, 'increment', 4, false, 4, 0, 0), (2, 'allocate', 2, true, 2, 2, 0),
        (3, 'deallocate', 2, true, 4, 0, 0), (4, 'decrement', 2, true, 2, 0, 0),
        (5, 'increment', 1, false, 3, 0, 0), (6, 'decrement', 1, false, 2, 0, 0),
        (7, 'allocate', 1, false, 1, 1, 1), (8, 'deallocate', 1, false, 2, 0, 0),
        (9, 'increment', 1, false, 3, 0, 0), (10, 'decrement', 1, false, 2, 0, 0)
    ) AS movement (place, action, units, by_order, available, allocated, held)
"""

# Ids rise with time, as those of version 7 do: neighbours in time are neighbours on disk.
_FUNCTIONS = """
CREATE FUNCTION pg_temp.moment(product int, number int) RETURNS timestamptz
LANGUAGE sql IMMUTABLE AS $$
    SELECT timestamptz '2026-01-01 00:00Z' + interval '1 hour' * number
        + interval '1 millisecond' * (abs(hashint8(product::bigint * 1000003 + number)) % 3600000)
$$;
CREATE FUNCTION pg_temp.named(at timestamptz, what text) RETURNS uuid
LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7'
        || substr(md5(what), 1, 3) || '8' || substr(md5(what), 4, 15))::uuid
$$;
"""

_PRODUCTS = """
INSERT INTO inventory_product
    (id, name, sku, slug, description, status, commodity_type, barcode, image_url,
     created_at, updated_at)
SELECT pg_temp.named('2025-12-31Z', 'product' || n), 'Product ' || n, 'A-' || n, 'a-' || n, '',
    'live', 'physical', '', '', '2025-12-31Z', '2025-12-31Z'
FROM generate_series(1, {products}) AS n;

INSERT INTO inventory_stock
    (id, product_id, location_id, managed, available, allocated, held, sequence, last_moved_at)
SELECT pg_temp.named('2025-12-31Z', 'stock' || n), pg_temp.named('2025-12-31Z', 'product' || n),
    '00000000-0000-7000-8000-000000000001', true,
    2 * (1 + n % 5) * {rounds},
    CASE WHEN n % 20 = 0 THEN 2 * (1 + n % 5) ELSE 0 END, 0,
    last.number, pg_temp.moment(n, last.number)
FROM generate_series(1, {products}) AS n,
    LATERAL (SELECT {rounds} * 10 - CASE WHEN n % 20 = 0 THEN 8 ELSE 0 END AS number) AS last;
"""

# Movement after movement of all products, those of an hour in any order.
_ENTRIES = """
INSERT INTO inventory_stocktransaction
    (id, stock_id, sequence, action, quantity, by_order, available, allocated, held,
     actor_kind, actor_id, actor_name, reason, order_id, created_at)
SELECT pg_temp.named(at, 'entry' || n || ' ' || number),
    pg_temp.named('2025-12-31Z', 'stock' || n), number, action, units * (1 + n % 5), by_order,
    (2 * ({round} - 1) + available) * (1 + n % 5), allocated * (1 + n % 5), held * (1 + n % 5),
    'client', '{client}', 'Storefront', CASE WHEN by_order THEN 'payment started' ELSE '' END,
    CASE WHEN by_order THEN pg_temp.named(pg_temp.moment(n, {number} - place + 2),
        'order' || n || ' ' || {round}) END,
    at
FROM generate_series(1, {products}) AS n,
    LATERAL (SELECT {number} AS number, pg_temp.moment(n, {number}) AS at) AS entry,
    {movements}
WHERE place = {place} AND (n % 20 <> 0 OR {number} <= {rounds} * 10 - 8)
ORDER BY at
"""

_ORDERS = """
CREATE TEMPORARY TABLE sale AS
SELECT n, round, 1 + n % 5 AS quantity, at, NOT (n % 20 = 0 AND round = {rounds}) AS shipped,
    pg_temp.moment(n, round * 10 - 6) AS shipped_at,
    pg_temp.named(at, 'order' || n || ' ' || round) AS id,
    row_number() OVER (ORDER BY at) AS number
FROM generate_series(1, {products}) AS n, generate_series(1, {rounds}) AS round,
    LATERAL (SELECT pg_temp.moment(n, round * 10 - 8) AS at) AS begun
ORDER BY at;

INSERT INTO orders_order
    (id, number, cart_id, status, payment, shipping, total, captured, authorized, pending, refunded,
     attempts_open, refunds_open, allocated_at, fully_paid_at, shipped_at, customer_name,
     customer_email, billing_address, shipping_address, order_number, external_ref, created_at,
     updated_at, currency, shipments_made)
SELECT id, 10000 + number, 'cart' || number, 'complete', 'paid',
    CASE WHEN shipped THEN 'fulfilled' ELSE 'unfulfilled' END, 2500 * quantity, 2500 * quantity, 0,
    0, 0, 0, 0, CASE WHEN NOT shipped THEN at END, at, CASE WHEN shipped THEN shipped_at END,
    'A Buyer', 'buyer' || number % 50000 || '@example.com',
    jsonb_build_object('line_1', number || ' High Street', 'city', 'Leeds', 'country', 'GB'),
    jsonb_build_object('line_1', number || ' High Street', 'city', 'Leeds', 'country', 'GB'),
    '', '', at, CASE WHEN shipped THEN shipped_at ELSE at END, 'USD', shipped::int
FROM sale ORDER BY sale.number;

INSERT INTO orders_orderitem
    (id, position, cart_item_id, name, sku, quantity, unit_price, includes_tax, allocated, shipped,
     order_id, product_id, returned, cancelled, stocked)
SELECT pg_temp.named(at, 'item' || n || ' ' || round), 0, id, 'Product ' || n, 'A-' || n,
    2 * quantity, 1250, true, CASE WHEN shipped THEN 0 ELSE 2 * quantity END,
    CASE WHEN shipped THEN 2 * quantity ELSE 0 END, id,
    pg_temp.named('2025-12-31Z', 'product' || n), 0, 0, true
FROM sale ORDER BY sale.number;

INSERT INTO payments_payment
    (id, gateway, method, status, currency, amount, captured_amount, refunded_amount,
     refunding_amount, late, token, reference, name, custom_reference, failure, actor_kind,
     actor_id, actor_name, created_at, updated_at, order_id, captured_at)
SELECT pg_temp.named(at, 'payment' || n || ' ' || round), 'stripe', 'purchase', 'complete', 'USD',
    2500 * quantity, 2500 * quantity, 0, 0, false, '', 'pi_' || md5(n || ' ' || round), '', '', '',
    'client', '{client}', 'Storefront', at, at, id, at
FROM sale ORDER BY sale.number;

INSERT INTO orders_shipment
    (id, number, carrier, tracking, created_at, order_id, actor_kind, actor_id, actor_name)
SELECT pg_temp.named(shipped_at, 'shipment' || n || ' ' || round), 1, 'DHL', 'T' || number,
    shipped_at, id, 'client', '{client}', 'Storefront'
FROM sale WHERE shipped ORDER BY sale.shipped_at;

INSERT INTO orders_shipmentline (id, quantity, entry_id, item_id, shipment_id)
SELECT pg_temp.named(shipped_at, 'line' || n || ' ' || round), 2 * quantity,
    pg_temp.named(shipped_at, 'entry' || n || ' ' || round * 10 - 6),
    pg_temp.named(at, 'item' || n || ' ' || round),
    pg_temp.named(shipped_at, 'shipment' || n || ' ' || round)
FROM sale WHERE shipped ORDER BY sale.shipped_at;

DROP TABLE sale;
"""

# Each product was counted once, half way, and the count agreed.
_COUNTS = """
INSERT INTO inventory_stockcount
    (id, stock_id, units, counted_at, change, sequence, recorded_at, actor_kind, actor_id,
     actor_name)
SELECT pg_temp.named(at, 'count' || n), pg_temp.named('2025-12-31Z', 'stock' || n),
    2 * (1 + n % 5) * {half}, at, 0, {half} * 10, at, 'user', '1', 'Clerk'
FROM generate_series(1, {products}) AS n,
    LATERAL (SELECT pg_temp.moment(n, {half} * 10) AS at) AS counted;
"""

# All of the log is in the feed, in the order in which it came. What else is told is left out.
_FEED = """
INSERT INTO events_event (position, id, type, kind, subject, sequence, occurred_at, payload)
SELECT position, gen_random_uuid(), 'stock-transaction.created', 'stock-transaction',
    product_id::text, sequence, created_at, '{{"data": "' || repeat('.', {payload}) || '"}}'
FROM (
    SELECT row_number() OVER (ORDER BY entry.created_at, entry.id) AS position,
        stock.product_id, entry.sequence, entry.created_at
    FROM inventory_stocktransaction AS entry
    JOIN inventory_stock AS stock ON stock.id = entry.stock_id
) AS entry;

UPDATE events_toldstock SET first = 1;
"""
# Without it, as if all of that had been before there was a feed.
_UNTOLD = """
INSERT INTO events_toldstock (stock_id, first, last)
SELECT id, sequence + 1, sequence FROM inventory_stock;
"""

# About as long as what is told of an entry.
_PAYLOAD = 500
_CLIENT = "00000000-0000-7000-8000-00000000c11e"
# Its indexes are made when it is there, which takes a tenth of the time.
_INDEXES = """
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid)
FROM pg_index WHERE indrelid = ANY(%s::regclass[]) AND indexrelid NOT IN (
    SELECT conindid FROM pg_constraint WHERE contype IN ('p', 'u')
)
"""
TABLES = (
    *("inventory_product", "inventory_stock", "inventory_stocktransaction", "inventory_stockcount"),
    *("orders_order", "orders_orderitem", "orders_shipment", "orders_shipmentline"),
    *("payments_payment", "events_event", "events_toldstock"),
)


def make(products: int, rounds: int) -> None:
    """Fill an empty database: ten entries, and an order, for each product and round."""
    with connection.cursor() as cursor:
        for name, value in (("statement_timeout", "0"), ("maintenance_work_mem", "512MB")):
            cursor.execute(f"SET {name} = '{value}'")
        cursor.execute(_INDEXES, [list(TABLES)])
        indexes = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f"DROP INDEX {name}")
        insert(products, rounds)
        cursor.execute(_FEED.format(payload=_PAYLOAD))
        for _, definition in indexes:
            cursor.execute(definition)
        for table in TABLES:
            cursor.execute(f"VACUUM ANALYZE {table}")


def insert(products: int, rounds: int) -> None:
    """Insert it, without what compares it row by row: that is left to the audit."""
    given: dict[str, int | str] = {"client": _CLIENT, "movements": _MOVEMENTS}
    given |= {"products": products, "rounds": rounds, "half": max(rounds // 2, 1)}
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(_FUNCTIONS)
        cursor.execute(_PRODUCTS.format(**given))
        for number in range(1, rounds * ROUND + 1):
            place, of_round = (number - 1) % ROUND + 1, (number - 1) // ROUND + 1
            cursor.execute(_ENTRIES.format(number=number, place=place, round=of_round, **given))
        cursor.execute(_ORDERS.format(**given))
        cursor.execute(_COUNTS.format(**given))
        cursor.execute(_UNTOLD)
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
