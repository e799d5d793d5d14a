"""Shipping an order, at once or in parts, and undoing a shipment. Locks: Order, then Stock."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from api import clock, compiled
from api.actors import Actor
from api.errors import Standing, require_as_seen
from api.idempotency import Key, claim
from api.ids import uuid7
from api.transactions import in_transaction
from inventory.models import REASON_LENGTH_MAX
from inventory.services import log
from inventory.services import stock as inventory
from inventory.services.stock import Whereabouts
from orders.errors import ShipmentNotFound
from orders.models import Order, OrderEvent, OrderItem, Shipment, ShipmentLine
from orders.services import orders
from orders.services.units import Picked, from_stock, lines_of, pick, told


@in_transaction
def ship(
    order_id: uuid.UUID,
    *,
    actor: Actor,
    units: Mapping[uuid.UUID, int] | None = None,
    carrier: str = "",
    tracking: str = "",
    shipment_id: uuid.UUID | None = None,
    seen: Standing | None = None,
    key: Key | None = None,
) -> Shipment:
    """Take units of a paid order out of the total: these, by their line, or all that is left.

    Raises: OrderNotFound, OrderNotShippable, PaymentUnderWay; NoUnits, OrderItemNotFound,
    UnitsNotLeft; Moved.
    """
    shipment_id = shipment_id or uuid7()
    claim(key, shipment_id)
    order = Order.objects.lock(order_id, seen=seen)
    order.require_shippable()
    items = lines_of(order)
    picked = pick(items, units)
    stocked = from_stock(picked)
    for item, quantity in picked:
        item.ship(quantity)
    order.shipments_made += 1
    order.restate_shipping(items, clock.now())
    shipment = Shipment(
        id=shipment_id,
        order=order,
        number=order.shipments_made,
        carrier=carrier,
        tracking=tracking,
        created_at=order.updated_at,
    )
    shipment.actor = actor
    entry_ids = {product_id: (uuid7(), uuid7()) for product_id in stocked}
    _write(shipment, picked, entry_ids)
    orders.save_and_mind(order)
    what = _words(shipment, picked if order.is_partly_shipped else [])
    orders.note_event(order, OrderEvent.Kind.SHIPPED, actor=actor, text=what)
    if stocked:
        inventory.ship(stocked, order_id=order_id, actor=actor, entry_ids=entry_ids)
    return shipment


def _write(
    shipment: Shipment,
    picked: Sequence[Picked],
    entry_ids: Mapping[uuid.UUID, tuple[uuid.UUID, uuid.UUID]],
) -> None:
    OrderItem.write_units([item for item, _ in picked])
    compiled.insert([shipment])
    compiled.insert(
        [
            ShipmentLine(
                shipment=shipment,
                item=item,
                quantity=quantity,
                entry_id=entry_ids[item.product_id][1]
                if item.stocked and item.product_id
                else None,
            )
            for item, quantity in picked
        ]
    )


def _words(shipment: Shipment, picked: Sequence[Picked]) -> str:
    """Name a shipment, and what is in it if that is not all."""
    by = " ".join(filter(None, [shipment.carrier, shipment.tracking]))
    return ": ".join(filter(None, [str(shipment), by, told(picked)]))


# Undoing it.


@in_transaction
def undo(
    order_id: uuid.UUID,
    shipment_id: uuid.UUID,
    *,
    actor: Actor,
    reason: str,
    whereabouts: Whereabouts | None = None,
    seen: Standing | None = None,
    key: Key | None = None,
) -> Shipment:
    """Let the order hold the units of a shipment again, whose goods are still there after all.

    `whereabouts` tells of the products that were counted since: see `counted_since`. Units of a
    product whose stock is not managed any more do not come back into stock: see `not_coming_back`.
    Raises: OrderNotFound, ShipmentNotFound; ShipNotUndoable, also where some of its units were
    taken back already; CountedSinceShipped, if `whereabouts` is missing; FoundByCount, if it
    contradicts a count; StockTooLow, if others have taken what was counted; Moved, also where a
    product was counted again since `standing_to_undo` was seen.
    """
    claim(key, shipment_id)
    order = Order.objects.lock(order_id)
    shipment = shipment_of(order_id, shipment_id)
    lines = lines_in(shipment)
    was = order.standing() if seen is not None else {}
    back = _coming_back(lines)

    def now() -> Standing:
        return {**was, **_counts_seen(_counted(back))}

    require_as_seen(seen, now)
    shipment.require_undoable(lines)
    lost = _skus([line for line in lines if line.entry_id and line not in back])
    for line in lines:
        line.item.undo_ship(line.quantity, into_stock=line in back)
    order.shipments_undone += 1
    order.restate_shipping([line.item for line in lines], clock.now())
    shipment.undone_at = order.updated_at
    OrderItem.write_units([line.item for line in lines])
    shipment.save(update_fields=["undone_at"])
    orders.save_and_mind(order)
    what = ": ".join(filter(None, [str(shipment), reason]))
    what += (
        f" (not back in stock, which is not managed any more: {', '.join(lost)})" if lost else ""
    )
    orders.note_event(order, OrderEvent.Kind.SHIP_UNDONE, actor=actor, text=what)
    if back:
        inventory.undo_ship(
            from_stock(Picked(line.item, line.quantity) for line in back),
            order_id=order_id,
            actor=actor,
            reason=": ".join(filter(None, ["ship undone", reason]))[:REASON_LENGTH_MAX],
            entry_ids=_entries(back),
            whereabouts=whereabouts,
        )
        # Until its stock was locked, a product may have been counted once more.
        require_as_seen(seen, now)
    return shipment


def counted_since(shipment: Shipment) -> list[tuple[str, datetime]]:
    """Name the products of a shipment that were counted since, each with the last moment."""
    return _counted(_coming_back(lines_in(shipment)))


def not_coming_back(shipment: Shipment) -> list[str]:
    """Name the products of a shipment whose units would not come back into stock."""
    lines = lines_in(shipment)
    back = _coming_back(lines)
    return _skus([line for line in lines if line.entry_id and line not in back])


def standing_to_undo(order: Order, shipment: Shipment) -> Standing:
    """What people decide by: where the units were can only be said of counts that one knows of."""
    return {**order.standing(), **_counts_seen(counted_since(shipment))}


def _coming_back(lines: Collection[ShipmentLine]) -> list[ShipmentLine]:
    stocked = [line for line in lines if line.item.stocked]
    products = {line.item.product_id for line in stocked if line.item.product_id}
    managed = inventory.managed_among(products)
    return [line for line in stocked if line.item.product_id in managed]


def _counts_seen(counted: Sequence[tuple[str, datetime]]) -> Standing:
    return {f"count of {sku}": at.isoformat(sep=" ") for sku, at in counted}


def _counted(lines: Sequence[ShipmentLine]) -> list[tuple[str, datetime]]:
    shipped = log.shipments(_entries(lines))
    skus = {line.item.product_id: line.item.sku for line in lines}
    return [
        (sku, at)
        for product_id, sku in skus.items()
        if product_id in shipped and (at := shipped[product_id].counted_at)
    ]


def _entries(lines: Sequence[ShipmentLine]) -> list[uuid.UUID]:
    return list({line.entry_id for line in lines if line.entry_id})


def _skus(lines: Sequence[ShipmentLine]) -> list[str]:
    return list(dict.fromkeys(line.item.sku for line in lines))


# Reading.


def shipment_of(order_id: uuid.UUID, shipment_id: uuid.UUID) -> Shipment:
    """Raises: ShipmentNotFound."""
    shipment = Shipment.objects.filter(pk=shipment_id, order_id=order_id).first()
    if shipment is None:
        raise ShipmentNotFound
    return shipment


def lines_in(shipment: Shipment) -> list[ShipmentLine]:
    lines = ShipmentLine.objects.filter(shipment=shipment).select_related("item")
    return list(lines.order_by("item__position"))
