"""What others are told of carts, orders, shipments and returns: what the API shows of them."""

import uuid
from collections import defaultdict
from collections.abc import Collection, Mapping

from django.db.models import prefetch_related_objects

from api import compiled
from events.services import kinds
from events.services.kinds import Document
from inventory.services import currencies
from orders import serializers, unit_serializers
from orders.models import Cart, Order, OrderItem, Return, Shipment
from orders.services import cart_contents


def register() -> None:
    kinds.renders("cart", _carts)
    kinds.renders("order", _orders)
    kinds.renders("return", _returns)
    kinds.renders("shipment", _shipments)


def _carts(ids: Collection[str]) -> Mapping[str, Document]:
    """Render carts without their items, of which they name the ids, as is published."""
    by_code = currencies.by_code()
    carts = compiled.fetch(Cart, "WHERE id = ANY(%s)", [list(ids)])
    return {
        contents.id: {
            "data": serializers.cart(
                contents,
                by_code[contents.cart.currency_id]
                if contents.cart and contents.cart.currency_id
                else None,
                kinds.absolute(f"/v2/carts/{contents.id}"),
            )
        }
        for contents in cart_contents.contents_of(carts)
    }


def _orders(ids: Collection[str]) -> Mapping[str, Document]:
    """Render orders with their items, as is published."""
    by_code = currencies.by_code()
    orders = compiled.fetch(Order, "WHERE id = ANY(%s::uuid[])", [list(ids)])
    prefetch_related_objects([order for order in orders if order.shipments_made], "shipments")
    items_of: dict[uuid.UUID, list[OrderItem]] = defaultdict(list)
    for item in compiled.fetch(
        OrderItem, "WHERE order_id = ANY(%s::uuid[]) ORDER BY position", [list(ids)]
    ):
        items_of[item.order_id].append(item)
    documents: dict[str, Document] = {}
    for order in orders:
        currency, items = by_code[order.currency_id], items_of[order.pk]
        documents[str(order.pk)] = {
            "data": serializers.order(order, [item.pk for item in items], currency),
            "included": {"items": serializers.order_items(items, order, currency)},
        }
    return documents


def _shipments(ids: Collection[str]) -> Mapping[str, Document]:
    rows = Shipment.objects.filter(pk__in=ids).prefetch_related("lines__item")
    return {str(row.pk): {"data": unit_serializers.shipment(row)} for row in rows}


def _returns(ids: Collection[str]) -> Mapping[str, Document]:
    rows = Return.objects.filter(pk__in=ids).prefetch_related("lines__item")
    return {str(row.pk): {"data": unit_serializers.returned(row)} for row in rows}
