"""The product's pages with what only this app knows: the orders, and whether money is under way."""

import uuid
from collections.abc import Collection, Mapping

from backoffice.products.list import ProductAdmin
from backoffice.products.page import Holding, HoldingOrder
from inventory.models import Product, StockTransaction
from orders.models import Order
from payments import holders
from payments.holders import Holder

ORDERS_SHOWN = 25
NUMBER_DIGITS_MAX = 18


class ProductPages(ProductAdmin):
    def holding(self, product: Product) -> Holding:
        stock, units = holders.stock_and_orders(product.pk, ORDERS_SHOWN)
        return Holding(stock, [_shown(holder) for holder in holders.with_orders(units)])

    def order_names(self, entries: Collection[StockTransaction]) -> Mapping[uuid.UUID, str]:
        ids = {entry.order_id for entry in entries if entry.order_id}
        return {order.pk: str(order) for order in Order.objects.filter(pk__in=ids)} if ids else {}

    def orders_named(self, written: str) -> Collection[uuid.UUID]:
        """By number, with or without its #; by the client's own number; or by id."""
        number = written.strip().removeprefix("#")
        found = Order.objects.filter(order_number__iexact=written.strip())
        if number.isdecimal() and len(number) <= NUMBER_DIGITS_MAX:
            found |= Order.objects.filter(number=int(number))
        return super().orders_named(written) or list(found.values_list("pk", flat=True)[:25])


def _shown(holder: Holder) -> HoldingOrder:
    order = holder.order
    money = ", ".join(f"payment under way through {each.gateway}" for each in holder.pending)
    if holder.payment_in_flight and not money:
        money = "payment under way"
    state = ", ".join(filter(None, [order.get_payment_display().lower(), money]))
    return HoldingOrder(order.pk, str(order), holder.units, state, order.allocated_at)
