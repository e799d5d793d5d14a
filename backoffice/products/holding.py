"""Why is it not available? The orders that hold units of a product, and money on its way."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from backoffice.order_states import payment_words
from inventory.models import Product, Stock
from orders.services import holders
from orders.services.holders import Holder
from payments.models import Payment

ORDERS_SHOWN = 25


@dataclass(frozen=True)
class HoldingOrder:
    """An order that holds units of a product, in words."""

    id: uuid.UUID
    name: str
    units: int
    state: str
    since: datetime | None


@dataclass(frozen=True)
class Holding:
    """A product's stock, and the orders that hold units of it, all of one moment."""

    stock: Stock
    orders: list[HoldingOrder]

    @property
    def units_of_others(self) -> int:
        """What further orders hold, which are too many to be named."""
        return self.stock.for_orders - sum(order.units for order in self.orders)


def holding_of(product: Product) -> Holding:
    stock, units = holders.stock_and_orders(product.pk, ORDERS_SHOWN)
    gateways = _gateways_asked(units)
    return Holding(
        stock,
        [_shown(each, gateways.get(each.order.pk, [])) for each in holders.with_orders(units)],
    )


def _gateways_asked(order_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, list[str]]:
    """Name the gateways by which money of each order is on its way, oldest first."""
    asked: dict[uuid.UUID, list[str]] = {}
    if order_ids:
        under_way = Payment.objects.filter(order__in=order_ids, status=Payment.Status.PENDING)
        for payment in under_way.order_by("created_at", "pk"):
            asked.setdefault(payment.order_id, []).append(payment.gateway)
    return asked


def _shown(holder: Holder, gateways: Sequence[str]) -> HoldingOrder:
    order = holder.order
    money = ", ".join(f"payment under way through {gateway}" for gateway in gateways)
    if holder.payment_in_flight and not money:
        money = "payment under way"
    state = ", ".join(filter(None, [payment_words(order).lower(), money]))
    return HoldingOrder(order.pk, str(order), holder.units, state, order.allocated_at)
