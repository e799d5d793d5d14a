"""Reading the log: by its numbers, and the past as far as it is known by now.

An entry counts from when it was written, unless it says otherwise. What a count found was true at
the moment of the count already; and what takes an entry back counts from that entry's own moment,
so that the two add up to nothing at every moment, as if neither had been. So the numbers of a past
moment are those that the log had then, and what later entries say of that moment or an earlier one.
"""

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from api.errors import Refusal
from inventory.errors import (
    AwayThen,
    BookedAnew,
    CountedLater,
    StockNotFound,
    StockTransactionNotFound,
)
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
    stock: Stock, offset: int, limit: int, *, newest_first: bool = False
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


def last_number(stock: Stock, moment: datetime) -> int:
    """Return the number of the entry that was the log's last at this moment; 0 before the first."""
    until = stock.log.filter(created_at__lte=moment)
    entry = until.order_by("-created_at", "-sequence").first()
    return entry.sequence if entry else 0


# The past, as far as it is known by now.


class Past(NamedTuple):
    """A stock's numbers at a past moment, and when it had last moved then."""

    available: int
    allocated: int
    held: int
    moved_at: datetime | None

    @property
    def total(self) -> int:
        return self.available + self.allocated


def at_moments(stock: Stock, moments: Sequence[datetime]) -> list[Past]:
    """Return the numbers at each moment: one look-up in an index, however long the log is.

    Before the log begins there was nothing, and nothing had moved.
    """
    with connection.cursor() as cursor:
        cursor.execute(_AT_MOMENTS, _columns([(stock.pk, moment) for moment in moments]))
        return [Past(*row) for row in cursor.fetchall()]


class Then(NamedTuple):
    """The total that a count of a past moment is compared with, and what speaks against it."""

    total: int
    # The moment of the latest count of a later moment.
    counted_later_at: datetime | None = None
    # When units came back that had been sent away before the moment.
    came_back_at: datetime | None = None
    # When a delivery was booked again that had been booked before the moment, too.
    booked_anew_at: datetime | None = None

    @property
    def refusal(self) -> Refusal | None:
        """Return why no count of this moment may find another total, if none may."""
        if self.counted_later_at:
            return CountedLater(self.counted_later_at)
        if self.came_back_at:
            return AwayThen(self.came_back_at)
        if self.booked_anew_at:
            return BookedAnew(self.booked_anew_at)
        return None


def totals_at(moments: Sequence[tuple[Stock, datetime]]) -> list[Then]:
    """Return the total of each stock at its moment. The caller holds the rows' locks."""
    with connection.cursor() as cursor:
        cursor.execute(_TOTALS_AT, _columns([(stock.pk, moment) for stock, moment in moments]))
        return [Then(*row) for row in cursor.fetchall()]


class TakingBack(NamedTuple):
    """What there is to know before an entry is taken back."""

    # From when the entry counts, and so what takes it back.
    effective_at: datetime
    # When it was counted since, with the entry: to take it back would make a right total wrong.
    counted_at: datetime | None


def taking_back(entries: Sequence[tuple[Stock, int]]) -> list[TakingBack]:
    """Look into each entry, by its number in the log. The caller holds the rows' locks."""
    with connection.cursor() as cursor:
        cursor.execute(_TAKING_BACK, _columns([(stock.pk, number) for stock, number in entries]))
        return [TakingBack(*row) for row in cursor.fetchall()]


class Shipment(NamedTuple):
    """When units of a stock left the total for an order, and what was counted since."""

    # None where the log knows of none.
    shipped_at: datetime | None
    # The moment of the latest count since then.
    counted_at: datetime | None
    # How many units the last count since then found more than the log or an earlier one of them
    # said: so many may have come back unseen.
    found: int


def shipments(entry_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Shipment]:
    """Return what these entries took out of the total, by product: of several, the first."""
    with connection.cursor() as cursor:
        cursor.execute(_SHIPMENTS, [list(entry_ids)])
        return {product_id: Shipment(*row) for product_id, *row in cursor.fetchall()}


def _columns(rows: Sequence[tuple[object, object]]) -> list[list[object]]:
    return [[first for first, _ in rows], [second for _, second in rows]]


# What the log said then, and what entries that were written later say of then.
_PAST = """
FROM unnest(%s::uuid[], %s::timestamptz[]) WITH ORDINALITY AS asked (stock_id, moment, position)
LEFT JOIN LATERAL (
    SELECT available, allocated, held, created_at FROM inventory_stocktransaction
    WHERE stock_id = asked.stock_id AND created_at <= asked.moment
    ORDER BY created_at DESC, sequence DESC LIMIT 1
) AS entry ON true
CROSS JOIN LATERAL (
    SELECT coalesce(sum(available), 0) AS available, coalesce(sum(allocated), 0) AS allocated,
        coalesce(sum(held), 0) AS held
    FROM inventory_stock_effect
    WHERE stock_id = asked.stock_id AND created_at > asked.moment AND effective_at <= asked.moment
) AS later
"""

_AT_MOMENTS = f"""
SELECT coalesce(entry.available, 0) + later.available,
    coalesce(entry.allocated, 0) + later.allocated,
    coalesce(entry.held, 0) + later.held, entry.created_at
{_PAST}
ORDER BY asked.position
"""

# Units of an order were away at the moment if any had been shipped, and are an entry of their own
# again since: which of several shipments they left with is not known. What an order wrote off is
# not away. A shipment that was undone counts from when it happened, like the undoing. A delivery
# that was undone and booked again counts from then: its number was corrected, or it had not come
# yet.
_TOTALS_AT = f"""
SELECT coalesce(entry.available, 0) + coalesce(entry.allocated, 0)
        + later.available + later.allocated,
    (SELECT max(counted_at) FROM inventory_stockcount
     WHERE stock_id = asked.stock_id AND withdrawn_at IS NULL AND counted_at > asked.moment),
    (SELECT max(back.created_at) FROM inventory_stocktransaction AS back
     WHERE back.stock_id = asked.stock_id AND back.by_order AND back.action = 'increment'
        AND back.effective_at IS NULL AND back.created_at > asked.moment
        AND EXISTS (
            SELECT FROM inventory_stocktransaction AS gone
            WHERE gone.order_id = back.order_id AND gone.stock_id = back.stock_id
                AND gone.by_order AND gone.action = 'decrement' AND gone.reason = 'shipped'
                AND gone.sequence < back.sequence AND gone.created_at <= asked.moment
                AND NOT EXISTS (
                    SELECT FROM inventory_stocktransaction AS undone
                    WHERE undone.order_id = gone.order_id AND undone.stock_id = gone.stock_id
                        AND undone.by_order AND undone.action = 'increment'
                        AND undone.sequence > gone.sequence
                        AND undone.effective_at = gone.created_at))),
    (SELECT max(again.created_at) FROM inventory_deliveryline AS line
     JOIN inventory_stock AS stock ON stock.product_id = line.product_id
     JOIN inventory_stocktransaction AS again
        ON again.stock_id = stock.id AND again.sequence = line.entries[cardinality(line.entries)]
     JOIN inventory_stocktransaction AS once
        ON once.stock_id = stock.id AND once.sequence = line.entries[1]
     WHERE stock.id = asked.stock_id AND mod(cardinality(line.entries), 2) = 1
        AND again.created_at > asked.moment AND once.created_at <= asked.moment)
{_PAST}
ORDER BY asked.position
"""  # noqa: S608 - as above

# A count that was written down before the entry says nothing about it, and the entry's own count
# goes with it.
_TAKING_BACK = """
SELECT coalesce(entry.effective_at, entry.created_at),
    (SELECT max(seen.counted_at) FROM inventory_stockcount AS seen
     WHERE seen.stock_id = asked.stock_id AND seen.withdrawn_at IS NULL
        AND seen.counted_at >= coalesce(entry.effective_at, entry.created_at)
        AND seen.sequence >= asked.sequence
        AND NOT (seen.sequence = asked.sequence AND seen.change <> 0))
FROM unnest(%s::uuid[], %s::bigint[]) WITH ORDINALITY AS asked (stock_id, sequence, position)
JOIN inventory_stocktransaction AS entry
    ON entry.stock_id = asked.stock_id AND entry.sequence = asked.sequence
ORDER BY asked.position
"""

_SHIPMENTS = """
SELECT DISTINCT ON (gone.stock_id) stock.product_id, gone.created_at, seen.counted_at, seen.found
FROM inventory_stocktransaction AS gone
JOIN inventory_stock AS stock ON stock.id = gone.stock_id
CROSS JOIN LATERAL (
    SELECT max(counted_at) AS counted_at, greatest(max(found_since), 0)::bigint AS found
    FROM (
        SELECT counted_at,
            sum(change) OVER (ORDER BY counted_at DESC, sequence DESC, recorded_at DESC
                ROWS UNBOUNDED PRECEDING) AS found_since
        FROM inventory_stockcount
        WHERE stock_id = gone.stock_id AND withdrawn_at IS NULL AND counted_at >= gone.created_at
    ) AS counts
) AS seen
WHERE gone.id = ANY(%s)
ORDER BY gone.stock_id, gone.sequence
"""
