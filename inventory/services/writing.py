"""The one place that writes stock, in SQL for speed. The tests compare it with plain Django."""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from django.db import connection

from api import clock
from api.actors import Actor
from api.ids import uuid7
from inventory.models import NewEntry, Stock


@dataclass(frozen=True)
class Cause:
    """Who moved stock, why, and for which order."""

    actor: Actor
    reason: str = ""
    order_id: uuid.UUID | None = None


# Rows and their entries in one statement, whatever their number. A row is written only if it is
# unchanged since it was read, and an entry only with its row: so the number of entries tells
# whether everything was written.
_WRITE = """
WITH moved AS (
    UPDATE inventory_stock AS stock
    SET available = new.available, allocated = new.allocated, held = new.held,
        sequence = new.sequence, last_moved_at = new.moved_at
    FROM unnest(%s::uuid[], %s::int[], %s::int[], %s::int[], %s::bigint[], %s::bigint[],
                %s::timestamptz[])
        AS new (id, available, allocated, held, sequence, read_at_sequence, moved_at)
    WHERE stock.id = new.id AND stock.sequence = new.read_at_sequence
    RETURNING stock.id, new.moved_at
)
INSERT INTO inventory_stocktransaction
    (id, stock_id, sequence, action, quantity, by_order, available, allocated, held,
     actor_kind, actor_id, actor_name, reason, order_id, created_at, effective_at)
SELECT entry.id, entry.stock_id, entry.sequence, entry.action, entry.quantity, entry.by_order,
       entry.available, entry.allocated, entry.held, %s, %s, %s, coalesce(entry.reason, %s),
       %s::uuid, moved.moved_at, entry.effective_at
FROM unnest(%s::uuid[], %s::uuid[], %s::bigint[], %s::text[], %s::int[], %s::bool[], %s::int[],
            %s::int[], %s::int[], %s::text[], %s::timestamptz[])
    AS entry (id, stock_id, sequence, action, quantity, by_order, available, allocated, held,
              reason, effective_at)
JOIN moved ON moved.id = entry.stock_id
"""


class RowMoved(AssertionError):
    """A stock row changed between its lock and its write: something wrote without the lock."""


def write(
    entries: Sequence[NewEntry],
    cause: Cause,
    *,
    first_id: uuid.UUID | None = None,
    ids: Sequence[uuid.UUID] | None = None,
    reasons: list[str] | None = None,
    effective_at: Sequence[datetime | None] | None = None,
) -> None:
    """Write locked rows, as their entries left them, and their log entries, in one statement.

    `first_id` becomes the id of the first entry, unless `ids` has one per entry, as `reasons` has,
    which override the cause's;
    `effective_at`, one per entry, is from when it counts, if not from when it is written.
    Raises: RowMoved, when the caller must roll back.
    """
    stocks = {entry.stock.pk: entry.stock for entry in entries}.values()
    old_sequences = _sequences_before(entries)
    parameters = [
        _array(stock.pk for stock in stocks),
        _array(stock.available for stock in stocks),
        _array(stock.allocated for stock in stocks),
        _array(stock.held for stock in stocks),
        _array(stock.sequence for stock in stocks),
        _array(old_sequences[stock.pk] for stock in stocks),
        _array(moment.isoformat() for moment in _moments(stocks, entries, effective_at)),
        cause.actor.kind,
        cause.actor.id,
        cause.actor.name,
        cause.reason,
        cause.order_id,
        _array(ids or islice(_ids(first_id), len(entries))),
        _array(entry.stock.pk for entry in entries),
        _array(entry.sequence for entry in entries),
        _array(entry.action.value for entry in entries),
        _array(entry.quantity for entry in entries),
        _array(entry.by_order for entry in entries),
        _array(entry.available for entry in entries),
        _array(entry.allocated for entry in entries),
        _array(entry.held for entry in entries),
        reasons,
        list(effective_at) if effective_at else None,
    ]
    with connection.cursor() as cursor:
        cursor.execute(_WRITE, parameters)
        if cursor.rowcount != len(entries):
            raise RowMoved


def _array(values: Iterable[object]) -> str:
    """Write an array as PostgreSQL reads it, since psycopg takes three times as long over a list.

    Ids, numbers, actions and times need no quotes.
    """
    return "{" + ",".join(map(str, values)) + "}"


def _ids(first_id: uuid.UUID | None) -> Iterator[uuid.UUID]:
    yield first_id or uuid7()
    while True:
        yield uuid7()


def _sequences_before(entries: Sequence[NewEntry]) -> dict[uuid.UUID, int]:
    """Return the number with which each row's log ended when the row was read."""
    sequences: dict[uuid.UUID, int] = {}
    for entry in entries:
        sequences.setdefault(entry.stock.pk, entry.sequence - 1)
    return sequences


def _moments(
    stocks: Iterable[Stock],
    entries: Sequence[NewEntry],
    effective_at: Sequence[datetime | None] | None,
) -> Iterable[datetime]:
    """Return when each row moves: no entry is written before the moment from which it counts.

    That one lies ahead if another machine, whose clock is faster, has named it.
    """
    moments = {stock.pk: next_moment(stock) for stock in stocks}
    for entry, effective in zip(entries, effective_at or (), strict=False):
        if effective:
            moments[entry.stock.pk] = max(moments[entry.stock.pk], effective)
    return moments.values()


def next_moment(stock: Stock) -> datetime:
    """Return now, but never before the row's last movement, whatever the machine's clock does."""
    now = clock.now()
    return max(now, stock.last_moved_at) if stock.last_moved_at else now
