"""What is left of an order's lines, and what of it somebody wants to ship or to cancel."""

import uuid
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from orders.errors import NoUnits, OrderItemNotFound, UnitsNotLeft
from orders.models import Order, OrderItem, summed


class Picked(NamedTuple):
    item: OrderItem
    quantity: int


def lines_of(order: Order) -> list[OrderItem]:
    return list(OrderItem.objects.filter(order=order).order_by("position"))


def pick(items: Iterable[OrderItem], units: Mapping[uuid.UUID, int] | None) -> list[Picked]:
    """Pick these units among the lines of an order, or all that is left of them.

    Raises: NoUnits, OrderItemNotFound, UnitsNotLeft.
    """
    if units is None:
        return [Picked(item, item.left) for item in items if item.left]
    by_id = {item.pk: item for item in items}
    if not units or min(units.values()) < 1:
        raise NoUnits
    if unknown := units.keys() - by_id.keys():
        raise OrderItemNotFound(meta={"id": str(min(unknown))})
    picked = [Picked(item, units[item.pk]) for item in by_id.values() if item.pk in units]
    for item, quantity in picked:
        if quantity > item.left:
            raise UnitsNotLeft(
                f"Of {item.short_name}, {item.left} of {item.quantity} "
                f"{'is' if item.left == 1 else 'are'} left; {quantity} asked for.",
                meta={"id": str(item.pk), "sku": item.sku, "left": item.left},
            )
    return picked


def from_stock(picked: Iterable[Picked]) -> dict[uuid.UUID, int]:
    """Add up what of it is in stock, by product."""
    stocked = [(item.product_id, units) for item, units in picked if item.stocked]
    return summed([(product_id, units) for product_id, units in stocked if product_id])


def told(picked: Iterable[Picked]) -> str:
    return ", ".join(f"{quantity} of {item.short_name}" for item, quantity in picked)
