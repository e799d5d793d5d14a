"""The one place that writes stock: in SQL for speed, and again in plain Django as its proof."""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from django.db import connection

from api import clock
from api.actors import Actor
from api.ids import uuid7
from inventory.models import Step, Stock, StockTransaction


@dataclass(frozen=True)
class Cause:
    """Who moved stock, why, and for which order."""

    actor: Actor
    reason: str = ""
    order_id: uuid.UUID | None = None


# Rows and their entries in one statement, whatever their number. A row is written only where it
# still stands as it was read; an entry only beside its row: so the count of entries tells whether
# all of it happened.
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
     actor_kind, actor_id, actor_name, reason, order_id, created_at, counted_at)
SELECT step.id, step.stock_id, step.sequence, step.action, step.quantity, step.by_order,
       step.available, step.allocated, step.held, %s, %s, %s, coalesce(step.reason, %s), %s::uuid,
       moved.moved_at, step.counted_at
FROM unnest(%s::uuid[], %s::uuid[], %s::bigint[], %s::text[], %s::int[], %s::bool[], %s::int[],
            %s::int[], %s::int[], %s::text[], %s::timestamptz[])
    AS step (id, stock_id, sequence, action, quantity, by_order, available, allocated, held, reason,
             counted_at)
JOIN moved ON moved.id = step.stock_id
"""


class RowMoved(AssertionError):
    """A stock row changed between its lock and its write: somebody wrote without the lock."""


def write(
    steps: Sequence[Step],
    cause: Cause,
    *,
    first_id: uuid.UUID | None = None,
    reasons: list[str] | None = None,
    counted_at: Sequence[datetime | None] | None = None,
) -> None:
    """Write locked rows, as their steps left them, and their log entries, in one statement.

    `first_id` becomes the id of the first entry; `reasons`, one a step, stand before the cause's;
    `counted_at`, one a step, says of counts when they were.
    Raises: RowMoved, having written nothing of use.
    """
    stocks = {step.stock.pk: step.stock for step in steps}.values()
    before = _sequences_before(steps)
    parameters = [
        _array(stock.pk for stock in stocks),
        _array(stock.available for stock in stocks),
        _array(stock.allocated for stock in stocks),
        _array(stock.held for stock in stocks),
        _array(stock.sequence for stock in stocks),
        _array(before[stock.pk] for stock in stocks),
        _array(moment_of(stock).isoformat() for stock in stocks),
        cause.actor.kind,
        cause.actor.id,
        cause.actor.name,
        cause.reason,
        cause.order_id,
        _array(islice(_ids(first_id), len(steps))),
        _array(step.stock.pk for step in steps),
        _array(step.sequence for step in steps),
        _array(step.action.value for step in steps),
        _array(step.quantity for step in steps),
        _array(step.by_order for step in steps),
        _array(step.available for step in steps),
        _array(step.allocated for step in steps),
        _array(step.held for step in steps),
        reasons,
        list(counted_at) if counted_at else None,
    ]
    with connection.cursor() as cursor:
        cursor.execute(_WRITE, parameters)
        if cursor.rowcount != len(steps):
            raise RowMoved


def _array(values: Iterable[object]) -> str:
    """Write an array as PostgreSQL reads it. Ids, numbers, actions and times need no quotes."""
    return "{" + ",".join(map(str, values)) + "}"


def write_plainly(
    steps: Sequence[Step],
    cause: Cause,
    *,
    first_id: uuid.UUID | None = None,
    reasons: list[str] | None = None,
    counted_at: Sequence[datetime | None] | None = None,
) -> None:
    """Do what `write` does, row by row in plain Django: the tests hold the two together."""
    before = _sequences_before(steps)
    moments: dict[uuid.UUID, datetime] = {}
    for stock in {step.stock.pk: step.stock for step in steps}.values():
        moments[stock.pk] = moment_of(stock)
        rows = Stock.objects.filter(pk=stock.pk, sequence=before[stock.pk])
        moved = rows.update(
            available=stock.available,
            allocated=stock.allocated,
            held=stock.held,
            sequence=stock.sequence,
            last_moved_at=moments[stock.pk],
        )
        if not moved:
            raise RowMoved
    each_reason = reasons or [cause.reason] * len(steps)
    each_moment = counted_at or [None] * len(steps)
    entries = zip(_ids(first_id), steps, each_reason, each_moment, strict=False)
    for entry_id, step, reason, moment in entries:
        StockTransaction.objects.create(
            id=entry_id,
            stock=step.stock,
            sequence=step.sequence,
            action=step.action,
            quantity=step.quantity,
            by_order=step.by_order,
            available=step.available,
            allocated=step.allocated,
            held=step.held,
            actor_kind=cause.actor.kind,
            actor_id=cause.actor.id,
            actor_name=cause.actor.name,
            reason=reason,
            order_id=cause.order_id,
            created_at=moments[step.stock.pk],
            counted_at=moment,
        )


def _ids(first_id: uuid.UUID | None) -> Iterator[uuid.UUID]:
    yield first_id or uuid7()
    while True:
        yield uuid7()


def _sequences_before(steps: Sequence[Step]) -> dict[uuid.UUID, int]:
    """The number each row's log ended with when the row was read."""
    before: dict[uuid.UUID, int] = {}
    for step in steps:
        before.setdefault(step.stock.pk, step.sequence - 1)
    return before


def moment_of(stock: Stock) -> datetime:
    """Now, but never before the row's last movement, whatever the machine's clock does."""
    now = clock.now()
    return max(now, stock.last_moved_at) if stock.last_moved_at else now
