"""Cancelling a part of a paid order. Locks: Order, then Stock. All of it: payments.cancel."""

import uuid
from collections.abc import Mapping

from api import clock
from api.actors import Actor
from api.errors import Standing
from api.idempotency import Key, claim
from api.transactions import assert_in_transaction, in_transaction
from orders.errors import OrderNotCancellable
from orders.models import Order, OrderEvent, OrderItem
from orders.services import orders
from orders.services.units import from_stock, lines_of, pick, told


@in_transaction
def cancel_items(
    order_id: uuid.UUID,
    units: Mapping[uuid.UUID, int] | None,
    *,
    actor: Actor,
    reason: str,
    restock: bool = True,
    seen: Standing | None = None,
    key: Key | None = None,
) -> None:
    """Give back these units of what is left of a paid order, by their line, or all that is left.

    Without `restock` they are written off instead. No money moves.
    Raises: OrderNotFound, Moved; whatever `record` does.
    """
    claim(key, order_id)
    order = Order.objects.lock(order_id, seen=seen)
    record(order, units, actor=actor, reason=reason, restock=restock)


def record(
    order: Order,
    units: Mapping[uuid.UUID, int] | None,
    *,
    actor: Actor,
    reason: str,
    restock: bool = True,
) -> None:
    """Cancel units of the locked order, and save it. Something shipped and nothing left: fulfilled.

    This comes last in its transaction, since it locks stock. Raises: OrderNotCancellable, also
    where nothing would be left and nothing was shipped; PaymentUnderWay; NoUnits,
    OrderItemNotFound, UnitsNotLeft.
    """
    assert_in_transaction()
    order.require_items_cancellable()
    items = lines_of(order)
    picked = pick(items, units)
    held = from_stock(picked)
    for item, quantity in picked:
        item.cancel(quantity)
    if not order.is_partly_shipped and not any(item.left for item in items):
        raise OrderNotCancellable("Nothing would be left of the order. Cancel it as a whole.")
    order.restate_shipping(items, clock.now())
    OrderItem.write_units([item for item, _ in picked])
    orders.save_and_mind(order)
    what = f"{told(picked)}{'' if restock else ', written off'}"
    text = f"{what}: {reason}" if reason else what
    orders.note_event(order, OrderEvent.Kind.ITEMS_CANCELLED, actor=actor, text=text)
    if held:
        orders.give_up(
            order, held, actor=actor, what="items cancelled", reason=reason, restock=restock
        )
