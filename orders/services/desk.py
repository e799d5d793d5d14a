"""Orders that people of the store make for a customer: a cart, until it is checked out."""

import uuid

from django.db.models.functions import Lower

from api import clock
from api.actors import Actor
from api.errors import Standing
from api.idempotency import Key, claim
from api.ids import uuid7
from api.transactions import in_transaction
from orders.errors import CartGone
from orders.models import Cart, CartItem, Order, OrderEvent
from orders.services import carts, orders
from orders.services.cart_contents import CartContents
from orders.services.cart_lines import CustomItem, ProductWanted
from orders.services.orders import Buyer

_DRAFT = "desk-"


def new_draft() -> str:
    return f"{_DRAFT}{uuid.uuid4().hex}"


def is_draft(cart_id: str) -> bool:
    return cart_id.startswith(_DRAFT)


def add(
    cart_id: str,
    entry: ProductWanted | CustomItem,
    *,
    currency: str,
    actor: Actor,
    is_begun: bool = False,
    key: Key | None = None,
) -> CartContents:
    """Put something into a draft, which begins with it unless it was seen to be begun.

    Raises: what `carts.add_one` does; CartGone, if an order was made of it, or it was discarded
    since.
    """
    is_there = is_begun or Cart.objects.filter(pk=cart_id, expires_at__gt=clock.now()).exists()
    if not is_there and order_of(cart_id):
        raise CartGone
    return carts.add_one(
        cart_id,
        entry,
        currency=currency,
        only_if_there=is_there,
        named=f"Made by {actor.name}",
        key=key,
    )


@in_transaction
def check_out(
    cart_id: str,
    buyer: Buyer,
    *,
    actor: Actor,
    note: str = "",
    seen: Standing | None = None,
    order_id: uuid.UUID | None = None,
    key: Key | None = None,
) -> Order:
    """Make an unpaid order of a draft, which is gone then: nobody is to add to it in vain.

    Raises: what `orders.place` does.
    """
    order_id = order_id or uuid7()
    claim(key, order_id)
    order, _ = orders.place(cart_id, buyer, order_id=order_id, seen=seen)
    orders.note_event(order, OrderEvent.Kind.PLACED_AT_THE_DESK, actor=actor)
    if note:
        orders.note_event(order, OrderEvent.Kind.NOTE, actor=actor, text=note)
    CartItem.objects.filter(cart_id=cart_id).delete()
    Cart.objects.filter(pk=cart_id).delete()
    return order


def order_of(cart_id: str) -> Order | None:
    """Return the order that was made of a draft."""
    return Order.objects.filter(cart_id=cart_id).first()


def last_order_of(email: str) -> Order | None:
    """Return the newest order with this e-mail address, in whatever case it was written."""
    of_them = Order.objects.alias(lower=Lower("customer_email")).filter(lower=email.lower())
    return of_them.order_by("-created_at").first()
