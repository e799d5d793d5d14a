"""Booking a delivery adds all that was received to the stock at once, and can be taken back.

The delivery is locked first, then the stock of its products in key order.
"""

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from django.db import connection
from django.db.models import Exists, OuterRef

from api import changes, clock
from api.actors import Actor
from api.errors import Standing, require_as_seen
from api.idempotency import Key, claim
from api.ids import uuid7
from api.transactions import in_transaction
from inventory.errors import (
    CountedLater,
    DeliveryNotReady,
    DeliveryNotUndoable,
    LinesNotBookable,
    StockTooLow,
    TooManyUnits,
    listed,
)
from inventory.models import (
    BY_HAND,
    DEFAULT_LOCATION_ID,
    REASON_LENGTH_MAX,
    Action,
    Delivery,
    DeliveryLine,
    NewEntry,
    Stock,
    StockCount,
)
from inventory.services.deliveries import NUMBER_LENGTH_MAX, lock, lock_open, make, touch
from inventory.services.log import taking_back
from inventory.services.writing import Cause, write


@in_transaction
def book(
    delivery_id: uuid.UUID,
    *,
    actor: Actor,
    expect_rest: bool = False,
    seen: Standing | None = None,
    key: Key | None = None,
) -> Delivery | None:
    """Add what was received to the stock: every line of it, or none.

    With `expect_rest`, what is short becomes a delivery of its own, which is returned.

    Raises: DeliveryNotReady, also if nothing was received; LinesNotBookable, which names them;
    Moved.
    """
    claim(key, delivery_id)
    delivery = lock_open(delivery_id)
    require_as_seen(seen, delivery.standing)
    lines = list(delivery.lines.select_related("product").order_by("pk"))
    received = [line for line in lines if line.received]
    if not received:
        raise DeliveryNotReady(_NOTHING_RECEIVED)
    short = [line for line in lines if line.short] if expect_rest else []
    rest = _expect_rest(delivery, short, actor) if short else None
    delivery.state = Delivery.State.BOOKED
    delivery.booked_at, delivery.booked_by = clock.now(), actor.name
    delivery.undone_at, delivery.undone_by = None, ""
    touch(delivery, "state", "booked_at", "booked_by", "undone_at", "undone_by")
    # Last of all: while the stock is locked, sales of these products wait.
    _increment(received, Cause(actor, delivery.reason))
    return rest


def _increment(lines: Sequence[DeliveryLine], cause: Cause) -> None:
    """Raises: LinesNotBookable."""
    stocks = {stock.product_id: stock for stock in Stock.objects.lock(_products(lines))}
    _require_managed([line for line in lines if not _is_managed(stocks, line)])
    entries, too_many = [], []
    # In the order of the locks, as every other movement.
    by_product = {line.product_id: line for line in lines}
    for product_id, stock in stocks.items():
        line = by_product[product_id]
        try:
            entries.append(stock.move(Action.INCREMENT, line.received, by_order=BY_HAND))
        except TooManyUnits:
            too_many.append(line)
        line.entries = [*line.entries, stock.sequence]
    if too_many:
        raise LinesNotBookable(
            f"{TooManyUnits.detail} {_skus(too_many)} would have more, so nothing was booked."
        )
    write(entries, cause)
    DeliveryLine.write(lines)


_NOTHING_RECEIVED = "Nothing was received yet, so there is nothing to book."


def require_bookable(delivery: Delivery) -> None:
    """Say beforehand what would refuse to book it. Raises: DeliveryNotReady, LinesNotBookable."""
    delivery.require(Delivery.State.OPEN)
    received = delivery.lines.filter(received__gt=0)
    if not received.exists():
        raise DeliveryNotReady(_NOTHING_RECEIVED)
    managed = Stock.objects.filter(product_id=OuterRef("product_id"), managed=True)
    _require_managed(received.filter(~Exists(managed)).select_related("product").order_by("pk"))


def found_already(delivery: Delivery) -> list[StockCount]:
    """Find the counts since the delivery was made that found more of its products than was booked.

    That may be what the delivery has brought: it stood on the shelf before it was booked.
    """
    received = delivery.lines.filter(received__gt=0).values("product_id")
    counts = StockCount.objects.filter(
        stock__product__in=received,
        change__gt=0,
        withdrawn_at=None,
        counted_at__gte=delivery.created_at,
    )
    return list(counts.select_related("stock__product").order_by("counted_at", "pk"))


def booked_since(moments: Mapping[uuid.UUID, datetime]) -> set[uuid.UUID]:
    """Tell of which products a delivery was booked after the moment beside each."""
    with connection.cursor() as cursor:
        cursor.execute(_BOOKED_SINCE, [list(moments), list(moments.values()), DEFAULT_LOCATION_ID])
        return {product_id for (product_id,) in cursor.fetchall()}


_BOOKED_SINCE = """
SELECT asked.product_id
FROM unnest(%s::uuid[], %s::timestamptz[]) AS asked (product_id, moment)
JOIN inventory_stock AS stock
    ON stock.product_id = asked.product_id AND stock.location_id = %s
WHERE EXISTS (
    SELECT FROM inventory_deliveryline AS line
    JOIN inventory_stocktransaction AS entry
        ON entry.stock_id = stock.id AND entry.sequence = line.entries[cardinality(line.entries)]
    WHERE line.product_id = asked.product_id AND entry.action = 'increment'
        AND entry.created_at > asked.moment
)
"""


def _require_managed(unmanaged: Iterable[DeliveryLine]) -> None:
    """Raises: LinesNotBookable."""
    lines = list(unmanaged)
    if deleted := [line for line in lines if line.product.archived_at]:
        raise LinesNotBookable(
            f"{_skus(deleted)}: deleted from the store. Take it off the delivery, or bring the "
            "product back and start managing its stock."
        )
    if lines:
        raise LinesNotBookable(
            f"The stock of {_skus(lines)} is not managed. Start managing it on the product's "
            "Inventory tab, or take it off the delivery."
        )


def _expect_rest(delivery: Delivery, short: Sequence[DeliveryLine], actor: Actor) -> Delivery:
    """Make the delivery of what has not come."""
    rest = Delivery(
        id=uuid7(), number=_number_of_rest(delivery), supplier=delivery.supplier, follows=delivery
    )
    make(rest, actor)
    DeliveryLine.objects.bulk_create(
        [DeliveryLine(delivery=rest, product=line.product, expected=line.short) for line in short]
    )
    return rest


def _number_of_rest(delivery: Delivery) -> str:
    """Number the parts of what was one delivery: D-1001, D-1001-2, D-1001-3."""
    matched = re.fullmatch(r"(.+)-([2-9]|[1-9][0-9]{1,3})", delivery.number)
    if delivery.follows_id and matched:
        base, part = matched[1], int(matched[2])
    else:
        base, part = delivery.number, 1
    base = base[: NUMBER_LENGTH_MAX - 6]
    taken = {
        number.upper()
        for number in Delivery.objects.filter(number__istartswith=f"{base}-").values_list(
            "number", flat=True
        )
    }
    while f"{base}-{(part := part + 1)}".upper() in taken:
        pass
    return f"{base}-{part}"


@in_transaction
def undo(
    delivery_id: uuid.UUID,
    *,
    actor: Actor,
    seen: Standing | None = None,
    key: Key | None = None,
) -> None:
    """Take out of the stock again what booking a delivery added: all of it, or nothing.

    It counts from when it was booked, as if it never had been; the delivery is open again. The one
    that expects its rest goes, if nothing was done with it yet.

    Raises: DeliveryNotReady; DeliveryNotUndoable, which names the lines; Moved.
    """
    claim(key, delivery_id)
    delivery, rest = lock(delivery_id)
    delivery.require(Delivery.State.BOOKED)
    require_as_seen(seen, delivery.standing)
    if rest:
        _give_up_rest(rest, actor)
    lines = list(delivery.lines.filter(received__gt=0).select_related("product").order_by("pk"))
    _decrement(lines, Cause(actor, f"undo: {delivery.reason}"[:REASON_LENGTH_MAX]))
    delivery.state = Delivery.State.OPEN
    delivery.booked_at, delivery.booked_by = None, ""
    delivery.undone_at, delivery.undone_by = clock.now(), actor.name
    touch(delivery, "state", "booked_at", "booked_by", "undone_at", "undone_by")


def _give_up_rest(rest: Delivery, actor: Actor) -> None:
    """Raises: DeliveryNotUndoable."""
    if rest.revision:
        raise DeliveryNotUndoable(
            f"{rest} expects the rest of it, and was worked on since. Delete that one first, or "
            "undo it and then delete it."
        )
    changes.deleted(actor, rest)
    rest.delete()


def _decrement(lines: Sequence[DeliveryLine], cause: Cause) -> None:
    """Raises: DeliveryNotUndoable."""
    stocks = {stock.product_id: stock for stock in Stock.objects.lock(_products(lines))}
    unmanaged = [line for line in lines if not _is_managed(stocks, line)]
    if unmanaged:
        raise DeliveryNotUndoable(
            f"The stock of {_skus(unmanaged)} is not managed any more, so nothing was undone."
        )
    by_product = {line.product_id: line for line in lines}
    booked = [(stock, by_product[product_id]) for product_id, stock in stocks.items()]
    backs = taking_back([(stock, line.entries[-1]) for stock, line in booked])
    entries: list[NewEntry] = []
    refused: list[str] = []
    for (stock, line), back in zip(booked, backs, strict=True):
        if back.counted_at:
            refused.append(f"{line.product.sku}: {CountedLater(back.counted_at)}")
            continue
        try:
            entries.append(stock.move(Action.DECREMENT, line.received, by_order=BY_HAND))
        except StockTooLow as refusal:
            refused.append(f"{line.product.sku}: {refusal}")
        line.entries = [*line.entries, stock.sequence]
    if refused:
        raise DeliveryNotUndoable(f"Nothing was undone. {listed(refused)}")
    write(entries, cause, effective_at=[back.effective_at for back in backs])
    DeliveryLine.write(lines)


def _is_managed(stocks: Mapping[uuid.UUID, Stock], line: DeliveryLine) -> bool:
    return line.product_id in stocks and stocks[line.product_id].managed


def _products(lines: Sequence[DeliveryLine]) -> list[uuid.UUID]:
    return [line.product_id for line in lines]


def _skus(lines: Sequence[DeliveryLine]) -> str:
    return listed([line.product.sku for line in lines])


def of_entries(product_id: uuid.UUID, sequences: Sequence[int]) -> dict[int, Delivery]:
    """Find the deliveries that wrote entries of a product's log, by the entries' numbers."""
    lines = DeliveryLine.objects.filter(product_id=product_id, entries__overlap=list(sequences))
    return {
        number: line.delivery
        for line in lines.select_related("delivery")
        for number in line.entries
    }
