"""What was counted on the shelf, by whom and at which moment, whether or not the log agreed.

Of several counts the one with the latest moment is right: it found whatever the earlier ones did,
and more. Evidence is written and withdrawn under the stock's lock, in the transaction that moves
the stock; nothing here opens one.
"""

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime

from api import clock, compiled
from api.actors import Actor
from api.transactions import assert_in_transaction
from inventory.models import CountLine, Stock, StockCount

# To less than half, and by so many units: a digit was lost, perhaps, or a box.
GREAT_DROP = 10
# Of several counts of one moment, the last written down is the better one.
_LATEST_FIRST = ("-counted_at", "-sequence", "-recorded_at")


def words_of_drop(before: int, after: int) -> str:
    """Say so if most of what there was would be gone: people are to look at that first."""
    if before - after < GREAT_DROP or 2 * after >= before:
        return ""
    return f"From {before:,} to {after:,}: more than half would be gone."


def of(
    stock: Stock,
    units: int,
    counted_at: datetime,
    change: int,
    *,
    actor: Actor,
    line: CountLine | None = None,
) -> StockCount:
    """Make the evidence of a count that has moved the locked stock by `change` already."""
    count = StockCount(
        stock=stock,
        units=units,
        counted_at=counted_at,
        change=change,
        sequence=stock.sequence,
        line=line,
        recorded_at=clock.now(),
    )
    count.actor = actor
    return count


def keep(counts: Sequence[StockCount]) -> None:
    """Write what was counted, in one statement."""
    assert_in_transaction()
    if counts:
        compiled.insert(counts)


def follow_undo(stock: Stock, undone: int) -> None:
    """Withdraw the count whose correction the log's last entry has undone.

    Where that entry has undone the undoing of a count, what was counted stands again, as a count of
    its own with that entry: of the old one nothing is rewritten.
    """
    assert_in_transaction()
    corrections = stock.counts.exclude(change=0)
    corrections.filter(sequence=undone, withdrawn_at=None).update(
        withdrawn_at=clock.now(), withdrawn_sequence=stock.sequence
    )
    again = corrections.filter(withdrawn_sequence=undone)
    keep([_repeated(each, stock, each.change) for each in again])


def withdraw(stocks: Collection[Stock], line_ids: Collection[int]) -> None:
    """Withdraw what these lines of a file have said of these stocks."""
    assert_in_transaction()
    said = StockCount.objects.filter(stock__in=stocks, line__in=line_ids, withdrawn_at=None)
    said.update(withdrawn_at=clock.now())


def confirm(stocks: Collection[Stock]) -> None:
    """Write down once more what the last count of each has found: nobody takes that back then.

    It stays the count of whoever counted.
    """
    assert_in_transaction()
    by_id = {stock.pk: stock for stock in stocks}
    counts = StockCount.objects.filter(stock__in=by_id, withdrawn_at=None)
    last = counts.order_by("stock", *_LATEST_FIRST).distinct("stock") if stocks else []
    keep([_repeated(each, by_id[each.stock_id], 0) for each in last])


def _repeated(count: StockCount, stock: Stock, change: int) -> StockCount:
    """Make the same count anew, which has moved the locked stock by `change` now."""
    return of(stock, count.units, count.counted_at, change, actor=count.actor)


def last_count(product_id: uuid.UUID) -> StockCount | None:
    """Find the count with the latest moment: of several of one moment, the last written down."""
    counts = StockCount.objects.filter(stock__product_id=product_id, withdrawn_at=None)
    return counts.order_by(*_LATEST_FIRST).first()
