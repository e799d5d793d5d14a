"""What is in carts, at today's prices. Reading takes no lock and writes nothing."""

import uuid
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet

from api import clock, compiled, store
from api.errors import Standing
from orders.models import Cart, CartItem
from orders.services.offers import Offer, custom_offer, offers, offers_in


@dataclass(frozen=True)
class CartLine:
    item: CartItem
    offer: Offer

    @property
    def value(self) -> int:
        return self.offer.value_of(self.item.quantity)


@dataclass(frozen=True)
class CartContents:
    """A cart with its lines at today's prices. `cart` is None while nothing was ever added."""

    id: str
    cart: Cart | None
    lines: list[CartLine]

    @property
    def total(self) -> int:
        return sum(line.value for line in self.lines)


def contents(cart_id: str) -> CartContents:
    """Read a cart. An unknown or expired cart is empty."""
    cart = Cart.objects.filter(pk=cart_id, expires_at__gt=clock.now()).first()
    return CartContents(cart_id, cart, lines_of(cart) if cart else [])


def expiry(changed_at: datetime) -> datetime:
    """Return until when a cart that last changed at that moment is kept."""
    return changed_at + timedelta(days=store.current().cart_expiry_days)


def newest_first() -> "QuerySet[Cart]":
    """Return the carts that a list shows, the last changed first.

    No cart belongs to a customer, so a list of customers' carts alone is empty.
    """
    carts = Cart.objects.filter(expires_at__gt=clock.now()).order_by("-updated_at", "-pk")
    return carts if store.current().show_all_carts else carts.none()


def contents_of(carts: Collection[Cart]) -> list[CartContents]:
    """Read many carts at once: a query for their items, and one for the items' offers."""
    items: dict[str, list[CartItem]] = {cart.pk: [] for cart in carts}
    for item in compiled.fetch(CartItem, "WHERE cart_id = ANY(%s) ORDER BY id", [list(items)]):
        items[item.cart_id].append(item)
    offered = offers_in(
        product_ids(item for lines in items.values() for item in lines),
        {cart.currency_id for cart in carts if cart.currency_id},
    )

    def lines(cart: Cart) -> list[CartLine]:
        currency = cart.currency_id
        return lines_at(items[cart.pk], offered[currency], currency) if currency else []

    return [CartContents(cart.pk, cart, lines(cart)) for cart in carts]


def lines_of(cart: Cart) -> list[CartLine]:
    if cart.currency_id is None:
        return []
    items = CartItem.of_cart(cart.pk)
    return lines_at(items, offers(product_ids(items), cart.currency_id), cart.currency_id)


def lines_at(
    items: Collection[CartItem], offered: Mapping[uuid.UUID, Offer], currency: str
) -> list[CartLine]:
    return [CartLine(item, offer_of(item, offered, currency)) for item in items]


def standing(lines: Collection[CartLine]) -> Standing:
    """What people decide by when they make an order of it: how many of what, at which price."""
    units: dict[str, list[str]] = {}
    prices: dict[str, int] = {}
    for line in lines:
        name = line.offer.sku or line.offer.name
        units.setdefault(name, []).append(str(line.item.quantity))
        prices[f"price of {name}"] = line.offer.value_of(1)
    return {f"units of {name}": " + ".join(each) for name, each in units.items()} | prices


def offer_of(item: CartItem, offered: Mapping[uuid.UUID, Offer], currency: str) -> Offer:
    if item.product_id is None:
        return custom_offer(item, currency)
    return offered[item.product_id]


def product_ids(items: "Collection[CartItem] | Iterator[CartItem]") -> set[uuid.UUID]:
    return {item.product_id for item in items if item.product_id}


def defers_inventory_check(cart: Cart | None) -> bool:
    """Tell whether stock is checked only at checkout: the cart's own setting or the store's."""
    if cart is None or cart.defer_inventory_check is None:
        return store.current().defer_inventory_check
    return cart.defer_inventory_check
