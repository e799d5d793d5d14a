"""Changing what is in an order that nobody has begun to pay: its lines, under its lock."""

import uuid
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from api import clock, compiled
from api.actors import Actor
from api.errors import Moved, Standing, require_as_seen
from api.fields import UNITS_MAX
from api.idempotency import Key, claim
from api.ids import uuid7
from api.transactions import in_transaction
from inventory.errors import ProductNotFound
from inventory.services import codes, currencies
from orders.errors import (
    CustomItemIsAProduct,
    InsufficientStock,
    NotForSale,
    OrderNotChangeable,
    TooManyInALine,
    TooManyItems,
)
from orders.models import ITEMS_MAX, Order, OrderEvent, OrderItem
from orders.services import cart_lines, orders
from orders.services.cart_lines import CustomItem, ProductWanted
from orders.services.offers import Offer, offers

# Of the lines that changed, how many the timeline names.
NAMED_MAX = 20


def require_changeable(order: Order) -> None:
    """Raises: OrderNotChangeable."""
    if order.is_cancelled or order.is_shipped:
        state = "cancelled" if order.is_cancelled else "shipped"
        raise OrderNotChangeable(f"The order is {state} already.")
    if order.captured or order.authorized or order.fully_paid_at:
        raise OrderNotChangeable("Money was paid for what is in the order.")
    if order.attempts_open or order.pending:
        raise OrderNotChangeable(
            "A payment of the order is on its way. Give it up first, or wait until it has failed."
        )
    if order.allocated_at:
        raise OrderNotChangeable("The order holds units.")


def standing(order: Order) -> Standing:
    """What people decide by when they change the lines: the order, and how many of what it has."""
    return {**order.standing(), **_units(order.items.order_by("position"))}


def _units(items: Collection[OrderItem]) -> dict[str, str]:
    units: dict[str, list[str]] = {}
    for item in items:
        units.setdefault(f"quantity of {item.short_name}", []).append(str(item.quantity))
    return {name: " + ".join(each) for name, each in units.items()}


@in_transaction
def change_lines(
    order_id: uuid.UUID,
    quantities: Mapping[uuid.UUID, int],
    added: Sequence[ProductWanted | CustomItem] = (),
    *,
    actor: Actor,
    seen: Standing | None = None,
    key: Key | None = None,
) -> Order:
    """Give the lines named by their ids these quantities, where 0 removes one, and add others.

    Lines that stay keep the price they had at checkout; what is new costs what it costs today. More
    units of a product that is on a line already go there. What grows or is new must be for sale,
    and there must be enough of it, as at checkout; nothing is reserved.

    Raises: OrderNotFound, OrderNotChangeable, Moved; ProductNotFound, NoPrice, NotForSale,
    InsufficientStock, CustomItemIsAProduct; TooManyItems, TooManyInALine, TotalTooLarge.
    """
    claim(key, order_id)
    order = Order.objects.lock(order_id)
    items = list(OrderItem.objects.filter(order=order).order_by("position"))
    require_as_seen(seen, lambda: {**order.standing(), **_units(items)})
    require_changeable(order)
    if quantities.keys() - {item.pk for item in items}:
        raise Moved
    amending = _Amending(order, items, {item.pk: item.quantity for item in items})
    amending.resize(quantities)
    amending.add(added)
    amending.require_sane()
    if told := amending.told():
        amending.write()
        orders.note_event(order, OrderEvent.Kind.CHANGED, actor=actor, text=told)
    return order


@dataclass
class _Amending:
    """The lines of a locked order while they change, in memory."""

    order: Order
    items: list[OrderItem]
    # The quantity that each line had before.
    were: Mapping[uuid.UUID, int]

    def resize(self, quantities: Mapping[uuid.UUID, int]) -> None:
        for item in self.items:
            item.quantity = quantities.get(item.pk, item.quantity)

    def add(self, added: Sequence[ProductWanted | CustomItem]) -> None:
        wanted = Counter[uuid.UUID]()
        for each in added:
            if isinstance(each, ProductWanted):
                assert each.product_id, "a product is named by its id here"
                wanted[each.product_id] += each.quantity
        by_product = {
            item.product_id: item for item in reversed(self.items) if not item.custom_inputs
        }
        for product_id in wanted.keys() & by_product.keys():
            by_product[product_id].quantity += wanted.pop(product_id)
        offered = offers({*wanted, *self._growing()}, self.order.currency_id)
        for product_id, quantity in wanted.items():
            self._append(_line(_offer(product_id, offered), quantity))
        customs = [each for each in added if isinstance(each, CustomItem)]
        taken = codes.taken({each.sku for each in customs if each.sku})
        for custom in customs:
            if custom.sku in taken:
                raise CustomItemIsAProduct
            self._append(_custom_line(custom))
        self._require_for_sale(offered)

    def _append(self, item: OrderItem) -> None:
        item.order = self.order
        item.position = max(each.position for each in self.items) + 1
        item.cart_item_id = uuid7()
        self.items.append(item)

    def _growing(self) -> set[uuid.UUID]:
        """Return the products of which there are to be more units than before."""
        more = Counter[uuid.UUID]()
        for item in self.items:
            if item.product_id:
                more[item.product_id] += item.quantity - self.were.get(item.pk, 0)
        return {product_id for product_id, units in more.items() if units > 0}

    def _require_for_sale(self, offered: Mapping[uuid.UUID, Offer]) -> None:
        growing = self._growing()
        wanted = Counter[uuid.UUID]()
        for item in self.items:
            if item.product_id and item.product_id in growing:
                wanted[item.product_id] += item.quantity
        for product_id, quantity in wanted.items():
            offer = offered[product_id]
            if not offer.is_live:
                raise NotForSale(f"{offer.name} is no longer for sale.")
            if offer.available is not None and quantity > offer.available:
                raise InsufficientStock(
                    f"{offer.available:,} of {offer.sku} available, and {quantity:,} wanted."
                )

    def require_sane(self) -> None:
        left = [item for item in self.items if item.quantity]
        if not left:
            raise OrderNotChangeable("An order has at least one line. Cancel it instead.")
        if len(left) > max(ITEMS_MAX, len(self.were)):
            raise TooManyItems
        if any(item.quantity > UNITS_MAX for item in left):
            raise TooManyInALine
        cart_lines.require_payable(self._total())

    def _total(self) -> int:
        return sum(item.value for item in self.items)

    def told(self) -> str:
        """Say what becomes another: nothing where all is as it was."""
        changes = [
            _change(item, was)
            for item in self.items
            if item.quantity != (was := self.were.get(item.pk, 0))
        ]
        if not changes:
            return ""
        named, more = changes[:NAMED_MAX], len(changes) - NAMED_MAX
        if more > 0:
            named.append(f"{more} more lines")
        currency = currencies.by_code()[self.order.currency_id]
        total = f"{currency.formatted(self.order.total)} → {currency.formatted(self._total())}"
        return "\n".join([*named, f"Total: {total}"])

    def write(self) -> None:
        removed = [item.pk for item in self.items if not item.quantity and item.pk in self.were]
        new = [item for item in self.items if item.quantity and item.pk not in self.were]
        changed = [
            item
            for item in self.items
            if item.quantity and self.were.get(item.pk, item.quantity) != item.quantity
        ]
        OrderItem.objects.filter(pk__in=removed).delete()
        OrderItem.objects.bulk_update(changed, ["quantity"])
        if new:
            compiled.insert(new)
        self.order.total, self.order.updated_at = self._total(), clock.now()
        self.order.left_be_at = None
        self.order.save(update_fields=["total", "updated_at", "left_be_at"])


def _offer(product_id: uuid.UUID, offered: Mapping[uuid.UUID, Offer]) -> Offer:
    offer = offered.get(product_id)
    if offer is None or not offer.is_live:
        raise ProductNotFound
    offer.require_price()
    return offer


def _line(offer: Offer, quantity: int) -> OrderItem:
    return OrderItem(
        product_id=offer.product_id,
        name=offer.name,
        sku=offer.sku,
        quantity=quantity,
        unit_price=offer.value_of(1),
        includes_tax=offer.includes_tax,
    )


def _custom_line(custom: CustomItem) -> OrderItem:
    return OrderItem(
        name=custom.name,
        sku=custom.sku,
        quantity=custom.quantity,
        unit_price=custom.unit_price,
        includes_tax=custom.includes_tax,
        custom_inputs=custom.custom_inputs,
    )


def _change(item: OrderItem, was: int) -> str:
    name = item.short_name
    if not was:
        return f"{name}: {item.quantity} added"
    return f"{name}: {was} → {item.quantity}" if item.quantity else f"{name}: {was}, removed"
