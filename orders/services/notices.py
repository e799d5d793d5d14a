"""What buyers are told of their orders by mail: that one was placed, and that a parcel left."""

from collections.abc import Iterable
from typing import Any

from django.utils import timezone

from api import store
from events.models import Event
from events.services.notices import Letter, Notice, Words
from inventory.services import currencies
from orders.models import Order, OrderItem, Shipment
from orders.services import addresses, carriers


def words_of(order: Order) -> Words:
    """Say of an order what its buyer may know."""
    money = currencies.by_code()[order.currency_id].formatted
    items = sorted(order.items.all(), key=lambda item: item.position)
    return {
        "order": {
            "number": order.order_number or str(order.number),
            "placed": _day(order),
            "name": order.customer_name,
            "email": order.customer_email,
            "total": money(order.total),
            "items": [
                {
                    **_item(item, item.quantity),
                    "unit_price": money(item.unit_price),
                    "value": money(item.value),
                }
                for item in items
            ],
            "billing_address": addresses.lines(order.billing_address),
            "shipping_address": addresses.lines(order.shipping_address),
        }
    }


def _day(order: Order) -> str:
    placed = timezone.localtime(order.created_at, store.time_zone())
    return f"{placed.day} {placed:%B %Y}"


def _item(item: OrderItem, quantity: int) -> dict[str, Any]:
    return {"name": item.name, "sku": item.sku, "quantity": quantity}


def found(number: str) -> Order | None:
    """Find the order that people mean by its number."""
    orders = Order.objects.prefetch_related("items")
    written = number.strip().removeprefix("#")
    if not written:
        return None
    named = orders.filter(order_number=written).order_by("-number").first()
    if named or not written.isdecimal() or len(written) > 18:
        return named
    return orders.filter(number=int(written)).first()


# Placed.


def _placed(event: Event) -> Iterable[Letter]:
    order = Order.objects.prefetch_related("items").filter(pk=event.subject).first()
    if order:
        yield Letter(
            event.subject, order.customer_email, words_of(order), order.created_at, order.pk
        )


def _placed_example(number: str) -> Words | None:
    order = found(number)
    return words_of(order) if order else None


# Shipped.


def _shipped(event: Event) -> Iterable[Letter]:
    rows = Shipment.objects.select_related("order").prefetch_related("lines__item")
    shipment = rows.filter(pk=event.subject, undone_at=None).first()
    if shipment:
        order = shipment.order
        words = _words_of_shipment(shipment)
        yield Letter(event.subject, order.customer_email, words, shipment.created_at, order.pk)


def _words_of_shipment(shipment: Shipment) -> Words:
    lines = sorted(shipment.lines.all(), key=lambda line: line.item.position)
    return {
        **words_of(shipment.order),
        "parcel": {
            "number": shipment.number,
            "carrier": shipment.carrier,
            "tracking": shipment.tracking,
            "link": carriers.link_to(shipment.carrier, shipment.tracking),
            "items": [_item(line.item, line.quantity) for line in lines],
        },
    }


def _shipped_example(number: str) -> Words | None:
    order = found(number)
    rows = Shipment.objects.filter(order=order, undone_at=None).prefetch_related("lines__item")
    shipment = rows.order_by("-number").first() if order else None
    return _words_of_shipment(shipment) if shipment else None


SAMPLE: Words = {
    "order": {
        "number": "1042",
        "placed": "28 November 2026",
        "name": "Ada Buyer",
        "email": "ada@example.com",
        "total": "$61.50",
        "items": [
            {
                "name": "Shirt, navy, M",
                "sku": "SHIRT-NAVY-M",
                "quantity": 2,
                "unit_price": "$24.50",
                "value": "$49.00",
            },
            {
                "name": "Mug, blue",
                "sku": "MUG-BLUE",
                "quantity": 1,
                "unit_price": "$12.50",
                "value": "$12.50",
            },
        ],
        "billing_address": ["Ada Buyer", "1 Square", "SW1A 1AA London", "GB"],
        "shipping_address": ["Ada Buyer", "1 Square", "SW1A 1AA London", "GB"],
    }
}

PLACED = Notice(
    "order-placed",
    "Order placed",
    "To the buyer, when an order is placed.",
    sample=SAMPLE,
    types=frozenset({"order.created"}),
    letters=_placed,
    example=_placed_example,
)
SHIPPED = Notice(
    "order-shipped",
    "Parcel shipped",
    "To the buyer, for each parcel that is shipped, with its tracking number.",
    sample={
        **SAMPLE,
        "parcel": {
            "number": 1,
            "carrier": "DHL",
            "tracking": "00340434161094022115",
            "link": carriers.link_to("DHL", "00340434161094022115"),
            "items": [{"name": "Shirt, navy, M", "sku": "SHIRT-NAVY-M", "quantity": 2}],
        },
    },
    types=frozenset({"shipment.created"}),
    letters=_shipped,
    example=_shipped_example,
)
