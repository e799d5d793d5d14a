"""Does the log agree with the stock? Replayed in SQL, so that a million entries take seconds."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import connection, transaction

# Every entry must carry the next number and end in the numbers that its predecessors add up to.
_BROKEN_ENTRIES = """
WITH replay AS (
    SELECT stock_id, sequence, row_number() OVER log AS expected_sequence,
        (sum(available) OVER log, sum(allocated) OVER log, sum(held) OVER log)
            = (available_after, allocated_after, held_after) AS adds_up
    FROM inventory_stock_effect
    WINDOW log AS (PARTITION BY stock_id ORDER BY sequence ROWS UNBOUNDED PRECEDING)
)
SELECT replay.stock_id, coalesce(product.sku, '?'),
    CASE WHEN NOT adds_up
        THEN format('entry %%s does not end in what the log before it adds up to', replay.sequence)
        ELSE format('entry %%s should be entry %%s', replay.sequence, expected_sequence) END
FROM replay
LEFT JOIN inventory_stock AS stock ON stock.id = replay.stock_id
LEFT JOIN inventory_product AS product ON product.id = stock.product_id
WHERE NOT adds_up OR replay.sequence <> expected_sequence
ORDER BY replay.stock_id, replay.sequence LIMIT %s
"""

# Every stock must be what its log adds up to.
_DIFFERING_STOCK = """
WITH replayed AS (
    SELECT stock_id, max(sequence) AS sequence, sum(available) AS available,
        sum(allocated) AS allocated, sum(held) AS held
    FROM inventory_stock_effect GROUP BY stock_id
)
SELECT coalesce(stock.id, replayed.stock_id), coalesce(product.sku, '?'),
    CASE WHEN stock.id IS NULL THEN 'there is a log but no stock'
    ELSE format('stock says %%s available, %%s allocated, %%s held after entry %%s; '
        'the log says %%s, %%s, %%s after entry %%s',
        stock.available, stock.allocated, stock.held, stock.sequence,
        coalesce(replayed.available, 0), coalesce(replayed.allocated, 0),
        coalesce(replayed.held, 0), coalesce(replayed.sequence, 0)) END
FROM inventory_stock AS stock
FULL JOIN replayed ON replayed.stock_id = stock.id
LEFT JOIN inventory_product AS product ON product.id = stock.product_id
WHERE stock.id IS NULL
    OR (stock.available, stock.allocated, stock.held, stock.sequence) IS DISTINCT FROM
        (coalesce(replayed.available, 0), coalesce(replayed.allocated, 0),
         coalesce(replayed.held, 0), coalesce(replayed.sequence, 0))
ORDER BY 1 LIMIT %s
"""


@dataclass(frozen=True)
class Difference:
    """Something that does not agree, in words, and the stock concerned, or another row."""

    row_id: uuid.UUID
    sku: str
    what: str
    row: str = "stock"

    def __str__(self) -> str:
        return f"{self.sku}: {self.what} ({self.row} {self.row_id})"


def differences(limit: int = 100) -> list[Difference]:
    """Replay the log and name what differs from it, at most `limit` of each kind."""
    return [*_found(_BROKEN_ENTRIES, limit), *_found(_DIFFERING_STOCK, limit)]


def _found(query: str, limit: int) -> Iterator[Difference]:
    with connection.cursor() as cursor:
        cursor.execute(query, [limit])
        yield from (Difference(*row) for row in cursor.fetchall())


@contextmanager
def snapshot() -> Iterator[None]:
    """Read the database as it is at one moment, however long reading takes, and write nothing."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SET LOCAL statement_timeout = 0")
        yield
