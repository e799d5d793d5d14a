"""Does the log agree with the stock? Replayed in SQL, so that a million entries take seconds."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

# Their logs are replayed in memory, or at least the order in which they are read.
REPLAYED_AT_ONCE = 100

# Every entry must carry the next number, be no older than the one before it, and end in the numbers
# that its predecessors add up to.
_BROKEN_ENTRIES = """
WITH replay AS (
    SELECT stock_id, sequence, row_number() OVER log AS expected_sequence,
        (sum(available) OVER log, sum(allocated) OVER log, sum(held) OVER log)
            = (available_after, allocated_after, held_after) AS adds_up,
        created_at < lag(created_at) OVER log AS is_older
    FROM inventory_stock_effect WHERE {stocks}
    WINDOW log AS (PARTITION BY stock_id ORDER BY sequence ROWS UNBOUNDED PRECEDING)
)
SELECT replay.stock_id, coalesce(product.sku, '?'),
    CASE WHEN NOT adds_up
        THEN format('entry %%s does not end in what the log before it adds up to', replay.sequence)
        WHEN replay.sequence <> expected_sequence
        THEN format('entry %%s should be entry %%s', replay.sequence, expected_sequence)
        ELSE format('entry %%s is older than the one before it', replay.sequence) END
FROM replay
LEFT JOIN inventory_stock AS stock ON stock.id = replay.stock_id
LEFT JOIN inventory_product AS product ON product.id = stock.product_id
WHERE NOT adds_up OR replay.sequence <> expected_sequence OR is_older
ORDER BY replay.stock_id, replay.sequence
"""

# Every stock must be what its log adds up to.
_DIFFERING_STOCK = """
WITH replayed AS (
    SELECT stock_id, max(sequence) AS sequence, sum(available) AS available,
        sum(allocated) AS allocated, sum(held) AS held, max(created_at) AS moved_at
    FROM inventory_stock_effect WHERE {stocks} GROUP BY stock_id
), stock AS (
    SELECT id AS stock_id, product_id, available, allocated, held, sequence, last_moved_at
    FROM inventory_stock
), looked_at AS (
    SELECT * FROM stock WHERE {stocks}
)
SELECT coalesce(stock.stock_id, replayed.stock_id), coalesce(product.sku, '?'),
    CASE WHEN stock.stock_id IS NULL THEN 'there is a log but no stock'
    WHEN (stock.available, stock.allocated, stock.held, stock.sequence)
            = (coalesce(replayed.available, 0), coalesce(replayed.allocated, 0),
                coalesce(replayed.held, 0), coalesce(replayed.sequence, 0))
        THEN format('the stock says that it moved last at %%s UTC, the log at %%s',
            stock.last_moved_at AT TIME ZONE 'UTC', replayed.moved_at AT TIME ZONE 'UTC')
    ELSE format('stock says %%s available, %%s allocated, %%s held after entry %%s; '
        'the log says %%s, %%s, %%s after entry %%s',
        stock.available, stock.allocated, stock.held, stock.sequence,
        coalesce(replayed.available, 0), coalesce(replayed.allocated, 0),
        coalesce(replayed.held, 0), coalesce(replayed.sequence, 0)) END
FROM looked_at AS stock
FULL JOIN replayed ON replayed.stock_id = stock.stock_id
LEFT JOIN inventory_product AS product ON product.id = stock.product_id
WHERE stock.stock_id IS NULL
    OR (stock.available, stock.allocated, stock.held, stock.sequence, stock.last_moved_at)
        IS DISTINCT FROM (coalesce(replayed.available, 0), coalesce(replayed.allocated, 0),
            coalesce(replayed.held, 0), coalesce(replayed.sequence, 0), replayed.moved_at)
ORDER BY 1
"""

# Of the counts of a stock the one with the latest moment stands. What it found must be the total of
# that moment, as the log knew it when the count was written down, with the count's own correction:
# so it is compared with the entries up to the count's own number. What was written since may say
# more of that moment only where services.log says that no count speaks against it.
_DIFFERING_COUNTS = """
WITH last_count AS (
    SELECT DISTINCT ON (stock_id) stock_id, units, counted_at, change, sequence
    FROM inventory_stockcount WHERE withdrawn_at IS NULL AND {counts}
    ORDER BY stock_id, counted_at DESC, sequence DESC, recorded_at DESC
)
SELECT last_count.stock_id, coalesce(product.sku, '?'),
    CASE WHEN units <> past.total
        THEN format('%%s were counted at %%s UTC, the log says %%s of that moment',
            units, moment, past.total)
        ELSE format('the count of %%s at %%s UTC corrected the total by %%s, entry %%s did not',
            units, moment, change, last_count.sequence) END
FROM last_count
CROSS JOIN to_char(counted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS moment
LEFT JOIN LATERAL (
    SELECT available + allocated AS total FROM inventory_stocktransaction
    WHERE stock_id = last_count.stock_id AND created_at <= counted_at
        AND sequence <= last_count.sequence
    ORDER BY created_at DESC, sequence DESC LIMIT 1
) AS entry ON true
CROSS JOIN LATERAL (
    SELECT coalesce(entry.total, 0) + coalesce(sum(available + allocated), 0) AS total
    FROM inventory_stock_effect
    WHERE stock_id = last_count.stock_id AND created_at > counted_at
        AND effective_at <= counted_at AND sequence <= last_count.sequence
) AS past
LEFT JOIN inventory_stock AS stock ON stock.id = last_count.stock_id
LEFT JOIN inventory_product AS product ON product.id = stock.product_id
WHERE units <> past.total OR (change <> 0 AND NOT EXISTS (
    SELECT FROM inventory_stock_effect AS correction
    WHERE correction.stock_id = last_count.stock_id
        AND correction.sequence = last_count.sequence
        AND (correction.available, correction.allocated, correction.effective_at)
            = (change, 0, counted_at)
))
ORDER BY last_count.stock_id
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
    return [
        *_found_of_stock(_BROKEN_ENTRIES, limit),
        *_found_of_stock(_DIFFERING_STOCK, limit),
        *differences_of_counts(limit),
    ]


def differences_of_stock(stock_ids: Sequence[uuid.UUID], limit: int = 100) -> list[Difference]:
    """Replay the log of some stock, a part after the other, as long as there is room for more."""
    differing: list[Difference] = []
    for begin in range(0, len(stock_ids), REPLAYED_AT_ONCE):
        these = stock_ids[begin : begin + REPLAYED_AT_ONCE]
        for query in (_BROKEN_ENTRIES, _DIFFERING_STOCK):
            differing += _found_of_stock(query, limit - len(differing), these)
        if len(differing) >= limit:
            break
    return differing


def stock_unlike_its_log(
    limit: int = 100, stock_ids: Sequence[uuid.UUID] | None = None
) -> list[Difference]:
    """Name the stock that is not what its log adds up to: of these, or of all."""
    return _found_of_stock(_DIFFERING_STOCK, limit, stock_ids)


def _found_of_stock(
    query: str, limit: int, stock_ids: Sequence[uuid.UUID] | None = None
) -> list[Difference]:
    if stock_ids is None:
        return found(query.format(stocks="true"), limit)
    these = query.format(stocks="stock_id = ANY(%(stock_ids)s)")
    return found(these, limit, {"stock_ids": list(stock_ids)})


def differences_of_counts(
    limit: int = 100, *, recorded_since: datetime | None = None
) -> list[Difference]:
    """Compare the last count of each stock with the log of its moment.

    Of those that agreed once, nothing can differ but what was written down since.
    """
    if recorded_since is None:
        return found(_DIFFERING_COUNTS.format(counts="true"), limit)
    newer = _DIFFERING_COUNTS.format(counts="recorded_at > %(since)s")
    return found(newer, limit, {"since": recorded_since})


def found(
    query: str, limit: int, parameters: Mapping[str, Any] | None = None, *, row: str = "stock"
) -> list[Difference]:
    """Return what a query finds: the id of a row, what people call it, and what is wrong.

    It is planned as if all it finds were wanted. With a limit of its own, PostgreSQL would go by
    how many rows there are, of which it takes nearly all to differ, and look them up one by one.
    """
    whole = f"WITH differing AS MATERIALIZED ({query}) SELECT * FROM differing"  # noqa: S608 - ours
    with connection.cursor() as cursor:
        cursor.execute(f"{whole} LIMIT %(limit)s", {**(parameters or {}), "limit": limit})
        return [Difference(pk, sku, what, row) for pk, sku, what in cursor.fetchall()]
