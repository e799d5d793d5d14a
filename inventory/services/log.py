"""Reading the log: by its numbers, at a moment, and past totals as far as is known by now.

The log has a count's result from when it was written down. But the result was true at the moment of
the count already, so the entries of counts carry that moment too. Of several counts, the one with
the latest moment is right: it found whatever the earlier ones did, and more.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from inventory.errors import StockNotFound, StockTransactionNotFound
from inventory.models import BY_HAND, Action, Stock, StockTransaction


def stock_of(product_id: uuid.UUID) -> Stock:
    """Raises: StockNotFound for a product that is unknown or unmanaged."""
    stocks = Stock.objects.filter(product_id=product_id, managed=True).select_related("product")
    stock = stocks.first()
    if stock is None:
        raise StockNotFound
    return stock


def stock_transaction_of(product_id: uuid.UUID, entry_id: uuid.UUID) -> StockTransaction:
    """Raises: StockTransactionNotFound."""
    entries = StockTransaction.objects.select_related("stock")
    entry = entries.filter(pk=entry_id, stock__product_id=product_id).first()
    if entry is None:
        raise StockTransactionNotFound
    return entry


def page(
    stock: Stock, *, offset: int, limit: int, newest_first: bool = False
) -> list[StockTransaction]:
    """Read a page of the log as a range of its numbers, which have no gaps: never OFFSET."""
    if newest_first:
        last = stock.sequence - offset
        numbers, order = (last - limit + 1, last), "-sequence"
    else:
        numbers, order = (offset + 1, offset + limit), "sequence"
    return list(stock.log.filter(sequence__range=numbers).order_by(order))


def set_aside(stock: Stock, limit: int) -> list[StockTransaction]:
    """Read what people allocated and deallocated since nothing was set aside, newest first.

    Added up, they are what is `held`, unless there are more than `limit`.
    """
    if not stock.held:
        return []
    by_hand = stock.log.filter(
        by_order=BY_HAND,
        action__in=[Action.ALLOCATE, Action.DEALLOCATE],
        sequence__lte=stock.sequence,
    )
    parts = []
    for entry in by_hand.order_by("-sequence")[:limit]:
        parts.append(entry)
        if entry.held == entry.set_aside:
            break
    return parts


def entry_at(stock: Stock, moment: datetime) -> StockTransaction | None:
    """Find the entry that made the numbers of a past moment: one look-up in an index.

    None before the log begins, when there was no stock.
    """
    until = stock.log.filter(created_at__lte=moment)
    return until.order_by("-created_at", "-sequence").first()


# Past totals, as far as is known by now.


class Then(NamedTuple):
    """The total that a count of a past moment is compared with."""

    total: int
    # The moment of a later count that found another total than the log had: then this one is void.
    counted_later_at: datetime | None = None


def totals_at(moments: Sequence[tuple[Stock, datetime]]) -> list[Then]:
    """Return the total of each stock at its moment. The caller holds the rows' locks.

    The log is only read for rows that have moved since.
    """
    totals = [Then(stock.total) for stock, _ in moments]
    moved_since = [
        (position, stock.pk, moment)
        for position, (stock, moment) in enumerate(moments)
        if stock.last_moved_at and stock.last_moved_at > moment
    ]
    if moved_since:
        columns = [list(column) for column in zip(*moved_since, strict=True)]
        with connection.cursor() as cursor:
            cursor.execute(_TOTALS_AT, columns)
            for position, *then in cursor.fetchall():
                totals[position] = Then(*then)
    return totals


def counted_since(entries: Sequence[tuple[Stock, int]]) -> list[datetime | None]:
    """Return, for each entry by its number in the log, when a count corrected the total after it.

    Such a count has seen what the entry did: taking that back would make a right total wrong. The
    caller holds the rows' locks.
    """
    stock_ids, numbers = [stock.pk for stock, _ in entries], [number for _, number in entries]
    with connection.cursor() as cursor:
        cursor.execute(_COUNTED_SINCE, [stock_ids, numbers])
        return [counted_at for (counted_at,) in cursor.fetchall()]


# A count that was taken back, by an entry with the same moment, adds up to nothing. Every count
# that matters was written down after the entry that was the last one at the moment asked about.
_TOTALS_AT = """
SELECT asked.position, coalesce(entry.total, 0) + coalesce(until_then.change, 0), later.counted_at
FROM unnest(%s::int[], %s::uuid[], %s::timestamptz[]) AS asked (position, stock_id, moment)
LEFT JOIN LATERAL (
    SELECT available + allocated AS total, sequence FROM inventory_stocktransaction
    WHERE stock_id = asked.stock_id AND created_at <= asked.moment
    ORDER BY created_at DESC, sequence DESC LIMIT 1
) AS entry ON true
CROSS JOIN LATERAL (
    SELECT sum(CASE action WHEN 'increment' THEN quantity ELSE -quantity END) AS change
    FROM inventory_stocktransaction
    WHERE stock_id = asked.stock_id AND NOT by_order AND sequence > coalesce(entry.sequence, 0)
        AND counted_at <= asked.moment
) AS until_then
CROSS JOIN LATERAL (
    SELECT max(counted_at) AS counted_at FROM (
        SELECT counted_at FROM inventory_stocktransaction
        WHERE stock_id = asked.stock_id AND NOT by_order AND sequence > coalesce(entry.sequence, 0)
            AND counted_at > asked.moment
        GROUP BY counted_at
        HAVING sum(CASE action WHEN 'increment' THEN quantity ELSE -quantity END) <> 0
    ) AS counts
) AS later
"""

_COUNTED_SINCE = """
SELECT later.counted_at
FROM unnest(%s::uuid[], %s::bigint[]) WITH ORDINALITY AS asked (stock_id, sequence, position)
JOIN inventory_stocktransaction AS entry
    ON entry.stock_id = asked.stock_id AND entry.sequence = asked.sequence
CROSS JOIN LATERAL (
    SELECT max(counted_at) AS counted_at FROM (
        SELECT counted_at FROM inventory_stocktransaction
        WHERE stock_id = asked.stock_id AND NOT by_order AND sequence > asked.sequence
            AND counted_at >= coalesce(entry.counted_at, entry.created_at)
        GROUP BY counted_at
        HAVING sum(CASE action WHEN 'increment' THEN quantity ELSE -quantity END) <> 0
    ) AS counts
) AS later
ORDER BY asked.position
"""
