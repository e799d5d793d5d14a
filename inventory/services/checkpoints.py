"""What the last audit without a difference has seen of each stock, and how its log goes on since.

With it, the next audit reads what was written since and nothing else. It is exact, in whatever
order transactions were committed: a checkpoint is written in the very snapshot in which all of it
was compared, and what that did not see has a higher number in the log of its stock. What it cannot
see is an older entry that somebody has rewritten since: the whole audit does, once a day.
"""

import uuid
from typing import NamedTuple

from django.db import connection

from inventory.models import StockCheckpoint
from inventory.services.audit import Difference, found
from inventory.services.fingerprints import SUSPECTS_MAX

# Stock that differs from its checkpoint, and whether the entries since lead from one to the other.
_MOVED = """
WITH moved AS MATERIALIZED (
    SELECT stock.id, stock.available, stock.allocated, stock.held, stock.sequence,
        coalesce(kept.available, 0) AS kept_available,
        coalesce(kept.allocated, 0) AS kept_allocated,
        coalesce(kept.held, 0) AS kept_held, coalesce(kept.sequence, 0) AS kept_sequence,
        coalesce(kept.moved_at, '-infinity') AS kept_moved_at
    FROM inventory_stock AS stock
    LEFT JOIN inventory_stockcheckpoint AS kept ON kept.stock_id = stock.id
    WHERE (stock.available, stock.allocated, stock.held, stock.sequence)
        IS DISTINCT FROM (coalesce(kept.available, 0), coalesce(kept.allocated, 0),
            coalesce(kept.held, 0), coalesce(kept.sequence, 0))
), compared AS (
    SELECT moved.id, since.entries, since.follow
        AND kept_sequence + since.entries = sequence
        AND (kept_available + since.available, kept_allocated + since.allocated,
            kept_held + since.held) = (moved.available, moved.allocated, moved.held) AS agrees
    FROM moved
    CROSS JOIN LATERAL (
        SELECT count(*) AS entries, coalesce(sum(available), 0) AS available,
            coalesce(sum(allocated), 0) AS allocated, coalesce(sum(held), 0) AS held,
            coalesce(bool_and(follows), true) AS follow
        FROM (
            SELECT available, allocated, held,
                sequence = kept_sequence + row_number() OVER log
                AND (available_after, allocated_after, held_after)
                    = (kept_available + sum(available) OVER log,
                        kept_allocated + sum(allocated) OVER log,
                        kept_held + sum(held) OVER log)
                AND created_at >= lag(created_at, 1, kept_moved_at) OVER log AS follows
            FROM inventory_stock_effect
            WHERE stock_id = moved.id AND sequence > kept_sequence
            WINDOW log AS (ORDER BY sequence ROWS UNBOUNDED PRECEDING)
        ) AS entry
    ) AS since
)
SELECT count(*), coalesce(sum(entries), 0)::bigint, array_agg(id) FILTER (WHERE NOT agrees)
FROM compared
"""

# Also of stock that did not move, the log must end in what the stock says, and when, and not go on.
_NOT_THE_LAST = """
SELECT stock.id FROM inventory_stock AS stock
CROSS JOIN LATERAL (
    SELECT count(*) AS entries, coalesce(bool_and(
        (entry.available, entry.allocated, entry.held, entry.sequence, entry.created_at)
            IS NOT DISTINCT FROM (stock.available, stock.allocated, stock.held, stock.sequence,
                stock.last_moved_at)), true) AS agrees
    FROM inventory_stocktransaction AS entry
    WHERE entry.stock_id = stock.id AND entry.sequence >= stock.sequence
) AS last
WHERE NOT last.agrees OR last.entries <> least(stock.sequence, 1) LIMIT %s
"""

# What an audit saw at the end of a log stays there, whatever is written after it.
_REWRITTEN = """
SELECT kept.stock_id, coalesce(product.sku, '?'),
    CASE WHEN entry.sequence IS NULL
        THEN format('there was an entry %%s, and is none', kept.sequence)
        ELSE format('the last audit saw that entry %%s of %%s UTC ended in %%s available, %%s '
            'allocated, %%s held; it is of %%s UTC and ends in %%s, %%s, %%s', kept.sequence,
            kept.moved_at AT TIME ZONE 'UTC', kept.available, kept.allocated, kept.held,
            entry.created_at AT TIME ZONE 'UTC', entry.available, entry.allocated, entry.held) END
FROM inventory_stockcheckpoint AS kept
JOIN inventory_stock AS stock ON stock.id = kept.stock_id
LEFT JOIN LATERAL (
    SELECT * FROM inventory_stocktransaction
    WHERE stock_id = kept.stock_id AND sequence = kept.sequence LIMIT 1
) AS entry ON true
LEFT JOIN inventory_product AS product ON product.id = stock.product_id
WHERE (entry.available, entry.allocated, entry.held, entry.created_at)
    IS DISTINCT FROM (kept.available, kept.allocated, kept.held, kept.moved_at)
ORDER BY kept.stock_id
"""

# No stock that has a log is ever deleted.
_GONE = """
SELECT kept.stock_id, '?', format('there was stock until entry %%s, and is none', kept.sequence)
FROM inventory_stockcheckpoint AS kept
LEFT JOIN inventory_stock AS stock ON stock.id = kept.stock_id
WHERE stock.id IS NULL
ORDER BY kept.stock_id
"""

_KEEP = """
INSERT INTO inventory_stockcheckpoint AS kept
    (stock_id, sequence, available, allocated, held, moved_at)
SELECT stock.id, stock.sequence, stock.available, stock.allocated, stock.held, entry.created_at
FROM inventory_stock AS stock
LEFT JOIN inventory_stockcheckpoint AS old ON old.stock_id = stock.id
JOIN inventory_stocktransaction AS entry
    ON entry.stock_id = stock.id AND entry.sequence = stock.sequence
WHERE old.sequence IS DISTINCT FROM stock.sequence
ON CONFLICT (stock_id) DO UPDATE SET sequence = excluded.sequence,
    available = excluded.available, allocated = excluded.allocated, held = excluded.held,
    moved_at = excluded.moved_at
"""


class Since(NamedTuple):
    """What moved since the checkpoints were written."""

    stocks: int
    entries: int
    # Stock that differs from its log, or may do so.
    suspects: list[uuid.UUID]


def are_kept() -> bool:
    return StockCheckpoint.objects.exists()


def since() -> Since:
    """Follow the log from each checkpoint to the stock of now."""
    with connection.cursor() as cursor:
        cursor.execute(_MOVED)
        stocks, entries, differing = cursor.fetchone()
    return Since(stocks, entries, sorted({*(differing or ()), *unlike_the_last_entry()}))


def unlike_the_last_entry() -> list[uuid.UUID]:
    """Find stock that does not say what the last entry of its log ends in, and when."""
    with connection.cursor() as cursor:
        cursor.execute(_NOT_THE_LAST, [SUSPECTS_MAX])
        return [stock_id for (stock_id,) in cursor.fetchall()]


def rewritten(limit: int = 100) -> list[Difference]:
    """Name the stock of whose log an audit saw something else."""
    return found(_REWRITTEN, limit)


def gone(limit: int = 100) -> list[Difference]:
    """Name the stock that was there when its checkpoint was written, and is not any more."""
    return found(_GONE, limit)


def keep() -> None:
    """Write what the snapshot of this transaction has of each stock, all of which agrees.

    Somebody has compared it.
    """
    with connection.cursor() as cursor:
        cursor.execute(_KEEP)
