"""What changes carts and orders. Locks: Cart, then Order, then Stock; see inventory.services."""

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import F

from api import clock, compiled
from api.actors import Actor
from api.fields import AMOUNT_MAX, UNITS_MAX
from api.idempotency import Key, claim
from api.ids import uuid7
from api.transactions import assert_in_transaction, in_transaction
from inventory import services as inventory
from inventory.errors import ProductNotFound, StockTooLow
from inventory.models import Product
from orders.errors import (
    CartEmpty,
    CartItemNotFound,
    CurrencyDiffers,
    InsufficientStock,
    NotForSale,
    OrderNotChangeable,
    TooManyInALine,
    TooManyItems,
    TotalChanged,
    TotalTooLarge,
)
from orders.models import (
    ITEMS_MAX,
    Cart,
    CartItem,
    Order,
    OrderItem,
    next_order_number,
    summed,
)
from orders.offers import Offer, offers

# Carts.


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
    """Read a cart. One that is unknown or expired is empty."""
    cart = Cart.objects.filter(pk=cart_id, expires_at__gt=clock.now()).first()
    if cart is None:
        return CartContents(cart_id, None, [])
    return CartContents(cart_id, cart, _lines(cart))


def _lines(cart: Cart) -> list[CartLine]:
    items = CartItem.of_cart(cart.pk)
    if not items or cart.currency is None:
        return []
    offered = offers([item.product_id for item in items], cart.currency)
    return [CartLine(item, offered[item.product_id]) for item in items]


@in_transaction
def add_item(
    cart_id: str,
    *,
    product_id: uuid.UUID | None = None,
    sku: str = "",
    quantity: int,
    custom_inputs: Mapping[str, Any] | None = None,
    currency: str,
    key: Key | None = None,
) -> CartContents:
    """Put units of a live product into the cart; the same product again adds to its line.

    Only this request is checked against what is available, and nothing is reserved. The currency
    counts for the first item only.

    Raises: ProductNotFound, NoPrice, InsufficientStock, TooManyItems, TooManyInALine,
    TotalTooLarge.
    """
    claim(key, cart_id)
    cart = _open_cart(cart_id, currency)
    product_id = product_id or _product_id_of(sku)
    items = CartItem.of_cart(cart_id)
    offered = offers({product_id, *(item.product_id for item in items)}, cart.currency or currency)
    offer = offered.get(product_id)
    if offer is None or not offer.is_live:
        raise ProductNotFound
    offer.require_price()
    offer.require_enough(quantity)
    line_key = _line_key(product_id, custom_inputs)
    item = next((item for item in items if item.line_key == line_key), None)
    if item is None:
        if len(items) >= ITEMS_MAX:
            raise TooManyItems
        item = CartItem(
            cart_id=cart_id,
            product_id=product_id,
            quantity=0,
            custom_inputs=custom_inputs,
            line_key=line_key,
            created_at=clock.now(),
        )
        items.append(item)
    _set(item, item.quantity + quantity, offer)
    return CartContents(cart_id, cart, [CartLine(item, offered[item.product_id]) for item in items])


def _product_id_of(sku: str) -> uuid.UUID:
    """Raises: ProductNotFound."""
    found = Product.objects.kept().filter(sku=sku).values_list("pk", flat=True).first()
    if found is None:
        raise ProductNotFound
    return found


@in_transaction
def set_quantity(
    cart_id: str, item_id: uuid.UUID, quantity: int, *, key: Key | None = None
) -> None:
    """Set a line to a number of units; 0 removes it.

    Raises: CartItemNotFound, InsufficientStock, TotalTooLarge.
    """
    claim(key, cart_id)
    cart = _open_cart(cart_id)
    item = CartItem.objects.filter(cart_id=cart_id, pk=item_id).first()
    if item is None or cart.currency is None:
        raise CartItemNotFound
    if not quantity:
        item.delete()
        _forget_currency_if_empty(cart_id)
        return
    offer = offers([item.product_id], cart.currency)[item.product_id]
    offer.require_enough(quantity)
    _set(item, quantity, offer)


def _set(item: CartItem, quantity: int, offer: Offer) -> None:
    item.quantity = quantity
    item.updated_at = clock.now()
    if quantity > UNITS_MAX:
        raise TooManyInALine
    _require_payable(offer.value_of(quantity))
    if item._state.adding:
        compiled.insert([item])
    else:
        compiled.update(item, "quantity", "updated_at")


@in_transaction
def remove_item(cart_id: str, item_id: uuid.UUID) -> None:
    """Raises: CartItemNotFound."""
    _open_cart(cart_id)
    removed, _ = CartItem.objects.filter(cart_id=cart_id, pk=item_id).delete()
    if not removed:
        raise CartItemNotFound
    _forget_currency_if_empty(cart_id)


@in_transaction
def remove_items(cart_id: str) -> None:
    """Empty the cart; the cart itself stays."""
    if Cart.objects.lock(cart_id, now=clock.now()):
        CartItem.objects.filter(cart_id=cart_id).delete()
        Cart.objects.filter(pk=cart_id).update(updated_at=clock.now())
        _forget_currency_if_empty(cart_id)


def _forget_currency_if_empty(cart_id: str) -> None:
    """Let the next first item choose the currency anew."""
    if not CartItem.objects.filter(cart_id=cart_id).exists():
        Cart.objects.filter(pk=cart_id).update(currency=None)


@in_transaction
def delete_cart(cart_id: str) -> None:
    """Delete the cart, if there is one. Orders made from it stay."""
    # Locked as a row that goes, so that nobody adds a line to it meanwhile.
    if Cart.objects.filter(pk=cart_id).select_for_update().first():
        CartItem.objects.filter(cart_id=cart_id).delete()
        Cart.objects.filter(pk=cart_id).delete()


@in_transaction
def save_cart(cart_id: str, *, key: Key | None = None, **fields: str) -> None:
    """Create the cart or change its name and description."""
    claim(key, cart_id)
    _open_cart(cart_id)
    if fields:
        Cart.objects.filter(pk=cart_id).update(**fields)


def _open_cart(cart_id: str, currency: str | None = None) -> Cart:
    now = clock.now()
    expires_at = now + timedelta(days=settings.CART_EXPIRY_DAYS)
    cart, revived = Cart.objects.open(cart_id, currency=currency, now=now, expires_at=expires_at)
    if revived:
        CartItem.objects.filter(cart_id=cart_id, created_at__lt=now).delete()
    return cart


def _line_key(product_id: uuid.UUID, custom_inputs: Mapping[str, Any] | None) -> str:
    if not custom_inputs:
        return str(product_id)
    canonical = json.dumps(custom_inputs, sort_keys=True).encode()
    return f"{product_id}:{hashlib.sha256(canonical).hexdigest()[:32]}"


def _require_payable(total: int) -> None:
    if total > AMOUNT_MAX:
        raise TotalTooLarge


# Checkout.


@dataclass(frozen=True)
class Buyer:
    name: str
    email: str
    billing_address: Mapping[str, Any] = field(default_factory=dict)
    shipping_address: Mapping[str, Any] = field(default_factory=dict)


@in_transaction
def checkout(
    cart_id: str,
    buyer: Buyer,
    *,
    expected_total: int | None = None,
    currency: str = "",
    order_number: str = "",
    external_ref: str = "",
    order_id: uuid.UUID | None = None,
    key: Key | None = None,
) -> tuple[Order, list[OrderItem]]:
    """Make an unpaid order of the cart at today's prices. It reserves nothing; the cart stays.

    Raises: CartEmpty, NotForSale, InsufficientStock, CurrencyDiffers, TotalChanged, TotalTooLarge.
    """
    order_id = order_id or uuid7()
    claim(key, order_id)
    now = clock.now()
    cart = Cart.objects.lock(cart_id, now=now)
    lines = _lines(cart) if cart else []
    if cart is None or not lines or cart.currency is None:
        raise CartEmpty
    if currency and currency != cart.currency:
        raise CurrencyDiffers
    _require_for_sale(lines)
    total = sum(line.value for line in lines)
    _require_payable(total)
    if expected_total is not None and expected_total != total:
        raise TotalChanged
    order = Order(
        id=order_id,
        number=next_order_number(),
        cart_id=cart_id,
        currency_id=cart.currency,
        total=total,
        customer_name=buyer.name,
        customer_email=buyer.email,
        billing_address=buyer.billing_address,
        shipping_address=buyer.shipping_address,
        order_number=order_number,
        external_ref=external_ref,
        created_at=now,
        updated_at=now,
    )
    items = _snapshots(order, lines)
    compiled.insert([order])
    compiled.insert(items)
    return order, items


def _require_for_sale(lines: Sequence[CartLine]) -> None:
    for offer in (line.offer for line in lines):
        if not offer.is_for_sale:
            raise NotForSale(
                f"{offer.name} is no longer for sale. Remove it from the cart.",
                meta={"id": str(offer.product_id), "sku": offer.sku},
            )
    wanted = summed([(line.item.product_id, line.item.quantity) for line in lines])
    for line in lines:
        line.offer.require_enough(wanted[line.item.product_id])


def _snapshots(order: Order, lines: Sequence[CartLine]) -> list[OrderItem]:
    return [
        OrderItem(
            order=order,
            position=position,
            product_id=line.item.product_id,
            cart_item_id=line.item.pk,
            name=line.offer.name,
            sku=line.offer.sku,
            quantity=line.item.quantity,
            unit_price=line.offer.value_of(1),
            includes_tax=line.offer.includes_tax,
            custom_inputs=line.item.custom_inputs,
        )
        for position, line in enumerate(lines)
    ]


# The units of an order. All but `ship` work inside the transaction of whoever locked the order.


def allocate(order: Order, *, actor: Actor) -> None:
    """Take the units of every line whose stock is managed, all or none, and save the locked order.

    What was archived since checkout is not there at all. The shopper's refusal names neither
    product nor quantity. Raises: InsufficientStock.
    """
    assert_in_transaction()
    lines = OrderItem.claim_units(order)
    if any(line.archived for line in lines):
        raise InsufficientStock
    order.allocated_at = clock.now()
    order.write()
    if lines:
        wanted = summed([(line.product_id, line.quantity) for line in lines])
        try:
            inventory.allocate(wanted, order_id=order.pk, actor=actor)
        except StockTooLow as refusal:
            raise InsufficientStock from refusal


def release(order: Order, *, actor: Actor, reason: str) -> None:
    """Give back what the order holds, if it holds anything, and save the locked order."""
    assert_in_transaction()
    held = _held(order)
    if order.allocated_at is not None:
        OrderItem.objects.filter(order=order).update(allocated=0)
        order.allocated_at = None
    order.write()
    if held:
        inventory.deallocate(held, order_id=order.pk, actor=actor, reason=reason)


def cancel(order: Order, *, actor: Actor) -> None:
    """Cancel the locked order, which its caller found cancellable, and give back what it holds."""
    assert not order.is_cancelled
    assert not order.is_shipped
    order.status = Order.Status.CANCELLED
    order.cancelled_at = order.updated_at = clock.now()
    release(order, actor=actor, reason="order cancelled")


@in_transaction
def ship(order_id: uuid.UUID, *, actor: Actor, key: Key | None = None) -> None:
    """Take the units of a paid order out of the total.

    Raises: OrderNotFound, OrderNotShippable, PaymentUnderWay.
    """
    claim(key, order_id)
    order = Order.objects.lock(order_id)
    order.require_shippable()
    held = _held(order)
    order.shipping = Order.Shipping.FULFILLED
    order.shipped_at = order.updated_at = clock.now()
    order.allocated_at = None
    OrderItem.objects.filter(order=order).update(shipped=F("allocated"), allocated=0)
    order.write()
    if held:
        inventory.ship(held, order_id=order_id, actor=actor)


def _held(order: Order) -> dict[uuid.UUID, int]:
    if order.allocated_at is None:
        return {}
    lines = OrderItem.objects.filter(order=order, allocated__gt=0)
    return summed(list(lines.values_list("product_id", "allocated")))


@in_transaction
def change(order_id: uuid.UUID, *, key: Key | None = None, **fields: Any) -> None:
    """Change the address or the client's own numbers of an order that has not been shipped.

    Raises: OrderNotFound, OrderNotChangeable.
    """
    claim(key, order_id)
    order = Order.objects.lock(order_id)
    if order.is_shipped:
        raise OrderNotChangeable
    for name, value in fields.items():
        setattr(order, name, value)
    order.updated_at = clock.now()
    order.save(update_fields=[*fields, "updated_at"])
