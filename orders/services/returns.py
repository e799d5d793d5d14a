"""Taking units back that had been shipped. Locks: Order, then Stock. Its money is payments'."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from api import clock, compiled
from api.actors import Actor
from api.errors import Standing
from api.idempotency import Key, claim
from api.ids import uuid7
from api.transactions import assert_in_transaction, in_transaction
from inventory.models import REASON_LENGTH_MAX
from inventory.services import stock as inventory
from orders.errors import NotPutBack, NoUnits, OrderItemNotFound, ReturnNotFound
from orders.models import (
    ITEMS_MAX,
    Order,
    OrderEvent,
    OrderItem,
    Return,
    ReturnLine,
    ShipmentLine,
    summed,
)
from orders.services import orders
from orders.services.units import lines_of

Disposition = ReturnLine.Disposition
# Of each line, some units may be restocked and others not.
TAKEN_BACK_MAX = ITEMS_MAX * len(Disposition)


class TakenBack(NamedTuple):
    item_id: uuid.UUID
    quantity: int
    disposition: str


@in_transaction
def take_back(
    order_id: uuid.UUID,
    lines: Sequence[TakenBack],
    *,
    actor: Actor,
    reason: str = "",
    return_id: uuid.UUID | None = None,
    seen: Standing | None = None,
    key: Key | None = None,
) -> Return:
    """Take back shipped units of an order, and put into stock what is good.

    Raises: OrderNotFound, Moved; whatever `record` does.
    """
    return_id = return_id or uuid7()
    claim(key, return_id)
    order = Order.objects.lock(order_id, seen=seen)
    order.updated_at = clock.now()
    orders.save_and_mind(order)
    return record(order, lines, actor=actor, reason=reason, return_id=return_id)


def record(
    order: Order,
    lines: Sequence[TakenBack],
    *,
    actor: Actor,
    reason: str = "",
    return_id: uuid.UUID | None = None,
    attempt_id: uuid.UUID | None = None,
) -> Return:
    """Take back shipped units of the locked order, with the refund of this attempt if there is one.

    This comes last in its transaction, since it locks stock. Raises: NoUnits, OrderItemNotFound;
    NotPutBack, if more would come back than are away, or into stock that there is none of;
    FoundByCount, if the units may have been counted already; StockNotFound, if a product's stock is
    not managed any more; TooManyUnits.
    """
    assert_in_transaction()
    items = {item.pk: item for item in lines_of(order)}
    _count(items, lines)
    back = Return(
        id=return_id or uuid7(),
        order=order,
        number=order.returns.count() + 1,
        reason=reason,
        created_at=clock.now(),
        attempt_id=attempt_id,
    )
    back.actor = actor
    OrderItem.write_units([items[item_id] for item_id in {line.item_id for line in lines}])
    compiled.insert([back])
    compiled.insert(
        [
            ReturnLine(
                of_return=back,
                item=items[line.item_id],
                quantity=line.quantity,
                disposition=str(line.disposition),
                settled_as="",
            )
            for line in lines
        ]
    )
    text = ": ".join(filter(None, [str(back), _told(items, lines), reason]))
    orders.note_event(order, OrderEvent.Kind.TAKEN_BACK, actor=actor, text=text)
    _put_back(back, items, lines)
    return back


def _count(items: Mapping[uuid.UUID, OrderItem], lines: Sequence[TakenBack]) -> None:
    """Raises: NoUnits, OrderItemNotFound, NotPutBack."""
    if not lines or len(lines) > TAKEN_BACK_MAX or min(line.quantity for line in lines) < 1:
        raise NoUnits
    if unknown := {line.item_id for line in lines} - items.keys():
        raise OrderItemNotFound(meta={"id": str(min(unknown))})
    for item_id, quantity in summed([(line.item_id, line.quantity) for line in lines]).items():
        item = items[item_id]
        away = item.shipped - item.returned
        if quantity > away:
            raise NotPutBack(
                f"Only {away} of {item.short_name} can come back.",
                meta={"id": str(item.pk), "sku": item.sku},
            )
        item.returned += quantity


def _put_back(
    back: Return, items: Mapping[uuid.UUID, OrderItem], lines: Sequence[TakenBack]
) -> None:
    """Move the stock of what was taken back: of what is discarded or missing, there is none."""
    good = _of(lines, {Disposition.RESTOCKED, Disposition.INSPECTION})
    if not good:
        return
    for line in good:
        if items[line.item_id].product_id is None:
            name, meta = items[line.item_id].label, {"id": str(line.item_id)}
            raise NotPutBack(f"{name} is no product and has no stock.", meta=meta)
    left_by = ShipmentLine.objects.filter(
        shipment__order=back.order,
        shipment__undone_at=None,
        item__product__in={items[line.item_id].product_id for line in good},
        entry_id__isnull=False,
    )
    inventory.put_back(
        _by_product(items, good),
        order_id=back.order_id,
        actor=back.actor,
        reason=back.reason[:REASON_LENGTH_MAX] or "came back",
        entry_ids={line.entry_id for line in left_by if line.entry_id},
        to_inspect=_by_product(items, _of(lines, {Disposition.INSPECTION})),
        inspected_as=_cause(back),
    )


def _of(lines: Sequence[TakenBack], dispositions: Collection[str]) -> list[TakenBack]:
    return [line for line in lines if line.disposition in dispositions]


def _by_product(
    items: Mapping[uuid.UUID, OrderItem], lines: Sequence[TakenBack]
) -> dict[uuid.UUID, int]:
    return summed(
        [
            (product_id, line.quantity)
            for line in lines
            if (product_id := items[line.item_id].product_id)
        ]
    )


def _told(items: Mapping[uuid.UUID, OrderItem], lines: Sequence[TakenBack]) -> str:
    return ", ".join(
        f"{line.quantity} of {items[line.item_id].label} "
        + ("to inspect" if line.disposition == Disposition.INSPECTION else line.disposition)
        for line in lines
    )


def _cause(back: Return) -> str:
    return f"return {back} of order #{back.order.number}"


# Inspection.


@in_transaction
def settle_inspected(
    order_id: uuid.UUID,
    line_id: uuid.UUID,
    disposition: str,
    *,
    actor: Actor,
    quantity: int | None = None,
    reason: str = "",
    seen: Standing | None = None,
    key: Key | None = None,
) -> ReturnLine:
    """Restock or discard units that were set aside to be inspected: all of a line, or some.

    The rest of the line then goes on waiting, as a line of its own.
    Raises: OrderNotFound, ReturnNotFound; NotPutBack, if they were inspected already, or are not so
    many; StockTooLow, if they are not set aside any more; Moved.
    """
    assert disposition in {Disposition.RESTOCKED, Disposition.DISCARDED}
    claim(key, line_id)
    order = Order.objects.lock(order_id, seen=seen)
    line = _line_of(order, line_id)
    quantity = line.quantity if quantity is None else quantity
    if not line.is_to_inspect or not 0 < quantity <= line.quantity:
        waiting = line.quantity if line.is_to_inspect else 0
        raise NotPutBack(f"Of {line.item.short_name}, {waiting} wait to be inspected.")
    _settle(line, quantity, disposition)
    order.updated_at = clock.now()
    orders.save_and_mind(order)
    what = f"{line.of_return}: {quantity} of {line.item.sku} {disposition}"
    text = f"{what}: {reason}" if reason else what
    orders.note_event(order, OrderEvent.Kind.INSPECTED, actor=actor, text=text)
    assert line.item.product_id
    inventory.settle_inspected(
        line.item.product_id,
        quantity,
        order_id=order_id,
        actor=actor,
        reason=": ".join(filter(None, [f"{_cause(line.of_return)}, {disposition}", reason]))[
            :REASON_LENGTH_MAX
        ],
        write_off=disposition == Disposition.DISCARDED,
    )
    return line


def _line_of(order: Order, line_id: uuid.UUID) -> ReturnLine:
    """Raises: ReturnNotFound."""
    lines = ReturnLine.objects.select_related("item", "of_return__order")
    line = lines.filter(pk=line_id, of_return__order=order).first()
    if line is None:
        raise ReturnNotFound
    return line


def _settle(line: ReturnLine, quantity: int, disposition: str) -> None:
    if rest := line.quantity - quantity:
        waiting = ReturnLine(
            of_return=line.of_return,
            item=line.item,
            quantity=rest,
            disposition=line.disposition,
            settled_as="",
        )
        compiled.insert([waiting])
    line.quantity, line.settled_as, line.settled_at = quantity, str(disposition), clock.now()
    line.save(update_fields=["quantity", "settled_as", "settled_at"])


# Reading.


def return_of(order_id: uuid.UUID, return_id: uuid.UUID) -> Return:
    """Raises: ReturnNotFound."""
    found = Return.objects.filter(pk=return_id, order_id=order_id)
    back = found.prefetch_related("lines__item").first()
    if back is None:
        raise ReturnNotFound
    return back
