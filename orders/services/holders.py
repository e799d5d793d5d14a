"""Why units are not available: the orders that hold them, and what people set aside."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import F, OuterRef, Sum
from django.db.models.functions import JSONObject

from inventory.errors import StockNotFound
from inventory.models import DEFAULT_LOCATION_ID, Stock, StockTransaction
from inventory.services import log as stock_log
from orders.models import Order, OrderItem


@dataclass(frozen=True)
class Holder:
    order: Order
    units: int

    @property
    def payment_in_flight(self) -> bool:
        """Tell whether something is under way that may still change what is paid."""
        return self.order.attempts_open > 0


@dataclass(frozen=True)
class Holders:
    """A product's stock and the holders of its units: the parts sum to what is allocated."""

    stock: Stock
    # The orders that have held units the longest come first.
    orders: list[Holder]
    # Newest first.
    by_hand: list[StockTransaction]

    @property
    def units_of_more_orders(self) -> int:
        """Return the units that are held by orders beyond the limit."""
        return self.stock.for_orders - sum(holder.units for holder in self.orders)

    @property
    def units_set_aside_before(self) -> int:
        """Return the units that were set aside by entries beyond the limit."""
        return self.stock.held - sum(entry.set_aside for entry in self.by_hand)


def of_product(product_id: uuid.UUID, limit: int) -> Holders:
    """Read who holds the units of a managed product, at most `limit` of each sort.

    Raises: StockNotFound.
    """
    stock, units = stock_and_orders(product_id, limit)
    if not stock.managed:
        raise StockNotFound
    return Holders(stock, with_orders(units), stock_log.set_aside(stock, limit))


def stock_and_orders(product_id: uuid.UUID, limit: int) -> tuple[Stock, dict[uuid.UUID, int]]:
    """Read the stock, and how many units of it each order holds, in one statement: of one moment.

    Raises: StockNotFound.
    """
    lines = OrderItem.objects.filter(product_id=OuterRef("product_id"), allocated__gt=0)
    units_by_order = (
        lines.values("order_id", "order__allocated_at")
        .annotate(units=Sum("allocated"))
        .order_by("order__allocated_at", "order_id")
        .values(held=JSONObject(order=F("order_id"), units=F("units")))[:limit]
    )
    stocks = Stock.objects.filter(product_id=product_id, location_id=DEFAULT_LOCATION_ID)
    stock = stocks.annotate(holding=ArraySubquery(units_by_order)).first()
    if stock is None:
        raise StockNotFound
    holding: list[dict[str, Any]] = stock.holding  # type: ignore[attr-defined]
    return stock, {uuid.UUID(each["order"]): each["units"] for each in holding}


def with_orders(units: Mapping[uuid.UUID, int]) -> list[Holder]:
    orders = Order.objects.in_bulk(list(units))
    return [Holder(orders[order_id], quantity) for order_id, quantity in units.items()]
