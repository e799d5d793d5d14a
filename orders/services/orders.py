"""What makes and changes orders. Locks: Cart, then Order, then Stock, as everywhere."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import F
from django.utils.crypto import salted_hmac

from api import clock, compiled, metrics
from api.actors import Actor
from api.errors import Standing, require_as_seen
from api.idempotency import Key, claim
from api.ids import uuid7
from api.transactions import assert_in_transaction, in_transaction
from inventory.errors import CurrencyUnknown, StockTooLow
from inventory.models import REASON_LENGTH_MAX
from inventory.services import codes, currencies
from inventory.services import stock as inventory
from orders.errors import (
    CartEmpty,
    CurrencyDiffers,
    CustomItemIsAProduct,
    InsufficientStock,
    NotForSale,
    OrderNotChangeable,
    TooManyUnpaidOrders,
    TotalChanged,
)
from orders.models import (
    Cart,
    Order,
    OrderEvent,
    OrderItem,
    next_number_and_unpaid,
    next_order_number,
    summed,
)
from orders.services import cart_contents, cart_lines, finding
from orders.services.cart_contents import CartLine

# Over which time unpaid orders from one address are counted.
A_DAY = timedelta(days=1)

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
    placed_from: str = "",
    order_id: uuid.UUID | None = None,
    key: Key | None = None,
) -> tuple[Order, list[OrderItem]]:
    """Make an unpaid order of the cart at today's prices. Nothing is reserved; the cart stays.

    `placed_from` is the address of a shopper, for whom it is limited how many orders wait for their
    money; none is kept as it stands.

    Raises: CartEmpty, NotForSale, CustomItemIsAProduct, InsufficientStock, CurrencyDiffers,
    TotalChanged, TotalTooLarge, TooManyUnpaidOrders.
    """
    order_id = order_id or uuid7()
    claim(key, order_id)
    return place(
        cart_id,
        buyer,
        order_id=order_id,
        expected_total=expected_total,
        currency=currency,
        order_number=order_number,
        external_ref=external_ref,
        placed_from=placed_from,
    )


def place(
    cart_id: str,
    buyer: Buyer,
    *,
    order_id: uuid.UUID,
    seen: Standing | None = None,
    expected_total: int | None = None,
    currency: str = "",
    order_number: str = "",
    external_ref: str = "",
    placed_from: str = "",
) -> tuple[Order, list[OrderItem]]:
    """Do what `checkout` does, in the transaction of the caller.

    Raises: Moved, if the cart's lines are not as they were `seen`; whatever `checkout` raises.
    """
    assert_in_transaction()
    now = clock.now()
    placed_from = placed_from and _digest(placed_from)
    cart = Cart.objects.lock(cart_id, now=now)
    lines = cart_contents.lines_of(cart) if cart else []
    require_as_seen(seen, lambda: cart_contents.standing(lines))
    if cart is None or not lines or cart.currency_id is None:
        raise CartEmpty
    if currency and currency != cart.currency_id:
        raise CurrencyDiffers
    _require_enabled(cart.currency_id)
    _require_for_sale(lines)
    _require_no_product_named(lines)
    total = sum(line.value for line in lines)
    cart_lines.require_payable(total)
    if expected_total is not None and expected_total != total:
        raise TotalChanged
    order = Order(
        id=order_id,
        number=_next_number(cart_id, placed_from, now) if placed_from else next_order_number(),
        cart_id=cart_id,
        currency_id=cart.currency_id,
        total=total,
        customer_name=buyer.name,
        customer_email=buyer.email,
        billing_address=buyer.billing_address,
        shipping_address=buyer.shipping_address,
        order_number=order_number,
        external_ref=external_ref,
        custom_attributes=cart.custom_attributes,
        placed_from=placed_from,
        created_at=now,
        updated_at=now,
    )
    finding.note(order)
    items = _snapshots(order, lines)
    compiled.insert([order])
    compiled.insert(items)
    metrics.once_committed(metrics.ORDERS, "placed")
    return order, items


def _digest(address: str) -> str:
    """Stand for an address that nobody can read again, without the key of this server."""
    return salted_hmac("orders.placed_from", address, algorithm="sha256").hexdigest()


def _next_number(cart_id: str, placed_from: str, now: datetime) -> int:
    """Raises: TooManyUnpaidOrders."""
    of_cart, from_there = settings.UNPAID_ORDERS_PER_CART, settings.UNPAID_ORDERS_PER_ADDRESS
    numbered = next_number_and_unpaid(cart_id, of_cart, placed_from, from_there, now - A_DAY)
    if (of_cart and numbered.unpaid_of_cart >= of_cart) or (
        from_there and numbered.unpaid_from_there >= from_there
    ):
        raise TooManyUnpaidOrders
    return numbered.number


def _require_enabled(currency: str) -> None:
    """A cart may be older than the decision to sell no more in its currency."""
    try:
        currencies.named(currency)
    except CurrencyUnknown as unknown:
        why = f"The store no longer sells in {currency}. Begin a new cart."
        raise NotForSale(why, meta={"currency": currency}) from unknown


def _require_for_sale(lines: Sequence[CartLine]) -> None:
    for offer in (line.offer for line in lines):
        if not offer.is_for_sale:
            raise NotForSale(
                f"{offer.name} is no longer for sale. Remove it from the cart.",
                meta={"id": str(offer.product_id), "sku": offer.sku},
            )
    products = {line.offer.product_id: line.offer for line in lines}
    quantities = summed(
        [(line.item.product_id, line.item.quantity) for line in lines if line.item.product_id]
    )
    for product_id, quantity in quantities.items():
        products[product_id].require_enough(quantity)


def _require_no_product_named(lines: Sequence[CartLine]) -> None:
    """A product may have got the sku of a custom item since that was put into the cart."""
    custom = [line.item for line in lines if line.item.product_id is None and line.item.sku]
    taken = codes.taken([item.sku for item in custom])
    for item in custom:
        if item.sku in taken:
            raise CustomItemIsAProduct(meta={"id": str(item.pk), "sku": item.sku})


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
            location_id=line.item.location_id,
        )
        for position, line in enumerate(lines)
    ]


def save_and_mind(order: Order) -> None:
    """Save what changed in the life of the locked order, and end its being left be.

    People left the order be as it was then: after any change they should look at it again.
    """
    assert_in_transaction()
    order.left_be_at = None
    order.write()


# The units of an order, inside the transaction of the caller, which has locked it.


def allocate_and_save(order: Order, *, actor: Actor) -> None:
    """Take the units of every line of a locked order whose stock is managed, all or none.

    Nothing that went off sale since checkout is taken, nor anything beside it. Where stock is too
    low, the shopper's refusal names neither product nor quantity.
    Raises: NotForSale, InsufficientStock.
    """
    assert_in_transaction()
    lines = OrderItem.claim_units(order)
    for line in lines:
        if not line.is_live:
            raise NotForSale(
                f"{line.name} is no longer for sale.",
                meta={"id": str(line.product_id), "sku": line.sku},
            )
    order.allocated_at = clock.now()
    save_and_mind(order)
    if lines:
        quantities = summed([(line.product_id, line.quantity) for line in lines])
        try:
            inventory.allocate(quantities, order_id=order.pk, actor=actor)
        except StockTooLow as refusal:
            raise InsufficientStock from refusal


def release_and_save(order: Order, *, actor: Actor, reason: str) -> None:
    """Give back what the locked order holds, if it holds anything."""
    assert_in_transaction()
    held = _held(order)
    if order.allocated_at is not None:
        OrderItem.objects.filter(order=order).update(allocated=0, stocked=False)
        order.allocated_at = None
    save_and_mind(order)
    if held:
        inventory.deallocate(held, order_id=order.pk, actor=actor, reason=reason)


def cancel_and_save(order: Order, *, actor: Actor, reason: str = "", restock: bool = True) -> None:
    """Cancel the locked order and give back what it holds. The caller checked that it may be."""
    assert not order.is_cancelled
    assert not order.is_shipped
    held = _held(order)
    order.status = Order.Status.CANCELLED
    order.cancelled_at = order.updated_at = clock.now()
    order.allocated_at = None
    items = OrderItem.objects.filter(order=order)
    items.update(allocated=0, stocked=False, cancelled=F("quantity"))
    save_and_mind(order)
    note_event(order, OrderEvent.Kind.CANCELLED, actor=actor, text=reason)
    if held:
        give_up(order, held, actor=actor, what="order cancelled", reason=reason, restock=restock)


def give_up(
    order: Order,
    held: Mapping[uuid.UUID, int],
    *,
    actor: Actor,
    what: str,
    reason: str,
    restock: bool,
) -> None:
    """Move the units that the locked order does not hold any more: to available, or away."""
    if restock:
        inventory.deallocate(held, order_id=order.pk, actor=actor, reason=what)
    else:
        why = ": ".join(filter(None, [f"{what}, written off", reason]))[:REASON_LENGTH_MAX]
        inventory.write_off(held, order_id=order.pk, actor=actor, reason=why)


def _held(order: Order) -> dict[uuid.UUID, int]:
    if order.allocated_at is None:
        return {}
    lines = OrderItem.objects.filter(order=order, allocated__gt=0)
    return summed(list(lines.values_list("product_id", "allocated")))


@in_transaction
def change(
    order_id: uuid.UUID,
    *,
    actor: Actor,
    seen: Standing | None = None,
    key: Key | None = None,
    **fields: Any,
) -> None:
    """Change customer, address, attributes or the client's numbers of an order not shipped yet.

    `seen` is what `standing_of` told of these fields. Raises: OrderNotFound, OrderNotChangeable,
    Moved.
    """
    claim(key, order_id)
    order = Order.objects.lock(order_id)
    require_as_seen(seen, lambda: standing_of(order, fields))
    if order.is_shipped:
        raise OrderNotChangeable
    changed = _changes(order, fields)
    for name, value in fields.items():
        setattr(order, name, value)
    finding.note(order)
    order.updated_at = clock.now()
    order.save(update_fields=[*fields, "found_by", "updated_at"])
    if changed:
        note_event(order, OrderEvent.Kind.CHANGED, actor=actor, text=changed)


def standing_of(order: Order, names: Iterable[str]) -> Standing:
    """What people decide by who change these fields: what stands in each, and the order's state."""
    standing: dict[str, int | str] = {"status": order.status, "shipping": order.shipping}
    for name in names:
        value = getattr(order, name)
        parts = value if isinstance(value, Mapping) else {"": value}
        standing |= {
            f"{name} {part}".strip().replace("_", " "): str(parts[part])
            for part in sorted(parts)
            if parts[part]
        }
    return standing


# Of these a line of the log would tell what can never be removed again.
_PERSONAL = frozenset({"customer_name", "customer_email"})


def _changes(order: Order, fields: Mapping[str, Any]) -> str:
    """Describe the changes: a number's old and new value, but of an address only its name.

    So of custom attributes, which may hold what is personal, too, and of the customer.
    """
    changes = []
    for name, value in fields.items():
        old_value = getattr(order, name)
        if old_value == value:
            continue
        label = str(Order._meta.get_field(name).verbose_name)  # type: ignore[union-attr]
        is_object = isinstance(value, Mapping) or isinstance(old_value, Mapping)
        changes.append(
            label if is_object or name in _PERSONAL else f'{label} from "{old_value}" to "{value}"'
        )
    return ", ".join(changes)


# What people write about an order.


@in_transaction
def write_note(order_id: uuid.UUID, text: str, *, actor: Actor, key: Key | None = None) -> None:
    """Keep a note about an order for colleagues to read. Raises: OrderNotFound."""
    claim(key, order_id)
    order = Order.objects.lock(order_id)
    note_event(order, OrderEvent.Kind.NOTE, actor=actor, text=text)


def leave_be(order: Order, *, actor: Actor, reason: str) -> None:
    """Record that people leave the locked order as it is, until something happens to it."""
    assert_in_transaction()
    order.left_be_at = clock.now()
    order.save(update_fields=["left_be_at"])
    note_event(order, OrderEvent.Kind.LEFT_BE, actor=actor, text=reason)


def note_event(order: Order, kind: OrderEvent.Kind, *, actor: Actor, text: str = "") -> None:
    """Record what was done to the locked order, before any stock is locked."""
    assert_in_transaction()
    event = OrderEvent(order=order, kind=kind, text=text, created_at=clock.now())
    event.actor = actor
    compiled.insert([event])
    metrics.once_committed(metrics.ORDERS, kind)
