"""Carts and orders as the wire spells them."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from rest_framework import serializers

from api.fields import Amount, Choice, Email, Id, Quantity, Text, storable_json
from inventory.models import Currency
from inventory.serializers import at, price_shown
from orders.models import Order, OrderItem
from orders.services import Buyer, CartContents, CartLine

CUSTOM_INPUTS_MAX = 10_000
CUSTOM_INPUTS_LEVELS_MAX = 10


class CustomInputs(serializers.Field[Any, Any, Any, Any]):
    """What the shopper adds to a line, such as an engraving: any JSON object of a sane size."""

    default_error_messages = {"type": "This must be an object of sane size."}

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict) or not storable_json(data, levels=CUSTOM_INPUTS_LEVELS_MAX):
            self.fail("type")
        if len(json.dumps(data)) > CUSTOM_INPUTS_MAX:
            self.fail("type")
        return data


class CartItemBody(serializers.Serializer[Any]):
    id = Id(required=False, source="product_id")
    sku = Text(required=False, max_length=100)
    quantity = Quantity()
    custom_inputs = CustomInputs(required=False, allow_null=True)

    def validate(self, fields: dict[str, Any]) -> dict[str, Any]:
        if ("product_id" in fields) == ("sku" in fields):
            raise serializers.ValidationError({"id": "Name the product by its id or by its sku."})
        return fields


class CartItemChanges(serializers.Serializer[Any]):
    quantity = Quantity(min_value=0)


class CartBody(serializers.Serializer[Any]):
    name = Text(max_length=200, required=False)
    description = Text(max_length=2000, allow_blank=True, required=False)


class Address(serializers.Serializer[Any]):
    first_name = Text(max_length=100)
    last_name = Text(max_length=100)
    company_name = Text(max_length=200, allow_blank=True, default="")
    line_1 = Text(max_length=200)
    line_2 = Text(max_length=200, allow_blank=True, default="")
    city = Text(max_length=100, allow_blank=True, default="")
    county = Text(max_length=100, allow_blank=True, default="")
    region = Text(max_length=100, allow_blank=True, default="")
    postcode = Text(max_length=20)
    country = Text(max_length=100)

    def validate(self, address: dict[str, Any]) -> dict[str, Any]:
        if not address["county"] and not address["region"]:
            raise serializers.ValidationError({"region": "Name a county or a region."})
        return address


class ShippingAddress(Address):
    phone_number = Text(max_length=50, allow_blank=True, default="")
    instructions = Text(max_length=500, allow_blank=True, default="")


class Customer(serializers.Serializer[Any]):
    name = Text(max_length=200)
    email = Email(max_length=254)


class CheckoutBody(serializers.Serializer[Any]):
    customer = Customer()
    billing_address = Address()
    shipping_address = ShippingAddress(required=False)
    order_number = Text(max_length=64, allow_blank=True, default="")
    external_ref = Text(max_length=64, allow_blank=True, default="")
    expected_total = Amount(required=False)

    def validate(self, fields: dict[str, Any]) -> dict[str, Any]:
        customer, billing = fields.pop("customer"), fields.pop("billing_address")
        shipping = fields.pop(
            "shipping_address", {**billing, "phone_number": "", "instructions": ""}
        )
        fields["buyer"] = Buyer(customer["name"], customer["email"], billing, shipping)
        return fields


class OrderChanges(serializers.Serializer[Any]):
    """What of an order may change; `status` only to cancelled, `shipping` only to fulfilled."""

    status = Choice([Order.Status.CANCELLED.value], required=False)
    shipping = Choice([Order.Shipping.FULFILLED.value], required=False)
    shipping_address = ShippingAddress(required=False)
    order_number = Text(max_length=64, required=False)
    external_ref = Text(max_length=64, allow_blank=True, required=False)


# Carts. An empty one has no currency yet.

_NOTHING = {"amount": 0, "currency": "", "formatted": "0"}


def _shown(amount: int, currency: Currency | None) -> dict[str, Any]:
    return price_shown(amount, currency) if currency else _NOTHING


def _untaxed(amount: int, currency: Currency | None) -> dict[str, Any]:
    """Show an amount with tax, without tax, and the tax: included, or zero."""
    shown, nothing = _shown(amount, currency), _shown(0, currency)
    return {
        "with_tax": shown,
        "without_tax": shown,
        "tax": nothing,
        "discount": nothing,
        "without_discount": shown,
    }


def _unit_and_value(unit: int, value: int, currency: Currency) -> dict[str, Any]:
    units, values = _untaxed(unit, currency), _untaxed(value, currency)
    return {name: {"unit": units[name], "value": values[name]} for name in units}


def cart(contents: CartContents, currency: Currency | None, url: str) -> dict[str, Any]:
    row = contents.cart
    return {
        "id": contents.id,
        "type": "cart",
        "name": row.name if row else "Cart",
        "description": row.description if row else "",
        "discount_settings": {"custom_discounts_enabled": False, "use_rule_promotions": False},
        "inventory_settings": {"defer_inventory_check": False},
        "links": {"self": url},
        "meta": cart_meta(contents, currency),
        "relationships": {
            "items": {
                "data": [{"type": "cart_item", "id": str(line.item.pk)} for line in contents.lines]
            },
            "customers": {},
        },
    }


def cart_meta(contents: CartContents, currency: Currency | None) -> dict[str, Any]:
    meta: dict[str, Any] = {
        "display_price": {
            **_untaxed(contents.total, currency),
            "shipping": _shown(0, currency),
        }
    }
    if contents.cart:
        meta["timestamps"] = {
            "created_at": at(contents.cart.created_at),
            "updated_at": at(contents.cart.updated_at),
            "expires_at": at(contents.cart.expires_at),
        }
    return meta


def cart_item(line: CartLine, currency: Currency) -> dict[str, Any]:
    item, offer = line.item, line.offer
    unit_price = offer.unit_price or 0
    shown: dict[str, Any] = {
        "id": str(item.pk),
        "type": "cart_item",
        "product_id": str(item.product_id),
        "name": offer.name,
        "description": offer.description,
        "sku": offer.sku,
        "slug": offer.slug,
        "image": {"mime_type": "", "file_name": "", "href": offer.image_url},
        "quantity": item.quantity,
        "manage_stock": offer.is_managed,
        "unit_price": _price(unit_price, currency, offer.includes_tax),
        "value": _price(line.value, currency, offer.includes_tax),
        "links": {"product": f"/v2/products/{item.product_id}"},
        "meta": {
            "display_price": _unit_and_value(unit_price, line.value, currency),
            "timestamps": {
                "created_at": at(item.created_at),
                "updated_at": at(item.updated_at),
            },
        },
    }
    if item.custom_inputs:
        shown["custom_inputs"] = item.custom_inputs
    return shown


def _price(amount: int, currency: Currency, includes_tax: bool) -> dict[str, Any]:
    return {"amount": amount, "currency": currency.code, "includes_tax": includes_tax}


# Orders.


def order(row: Order, item_ids: Iterable[Any], currency: Currency) -> dict[str, Any]:
    timestamps = {"created_at": at(row.created_at), "updated_at": at(row.updated_at)}
    if row.fully_paid_at:
        timestamps["fully_paid_at"] = at(row.fully_paid_at)
    return {
        "type": "order",
        "id": str(row.pk),
        "order_number": row.order_number or str(row.number),
        "external_ref": row.external_ref,
        "status": row.status,
        "payment": row.payment,
        "shipping": row.shipping,
        "anonymized": False,
        "customer": {"name": row.customer_name, "email": row.customer_email},
        "shipping_address": row.shipping_address,
        "billing_address": row.billing_address,
        "links": {},
        "meta": {"display_price": order_prices(row, currency), "timestamps": timestamps},
        "relationships": {
            "items": {"data": [{"type": "item", "id": str(item_id)} for item_id in item_ids]}
        },
    }


def order_prices(row: Order, currency: Currency) -> dict[str, Any]:
    return {
        **_untaxed(row.total, currency),
        "shipping": price_shown(0, currency),
        "balance_owing": price_shown(row.balance_owing, currency),
        "paid": price_shown(row.captured, currency),
        "authorized": price_shown(row.authorized, currency),
    }


def order_item(item: OrderItem, row: Order, currency: Currency) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "type": "order_item",
        "id": str(item.pk),
        "product_id": str(item.product_id),
        "name": item.name,
        "sku": item.sku,
        "quantity": item.quantity,
        "unit_price": _price(item.unit_price, currency, item.includes_tax),
        "value": _price(item.value, currency, item.includes_tax),
        "links": {},
        "meta": {
            "display_price": _unit_and_value(item.unit_price, item.value, currency),
            "timestamps": {"created_at": at(row.created_at), "updated_at": at(row.created_at)},
        },
        "relationships": {
            "cart_item": {"data": {"type": "cart_item", "id": str(item.cart_item_id)}}
        },
    }
    if item.custom_inputs:
        shown["custom_inputs"] = item.custom_inputs
    return shown


def order_items(items: Sequence[OrderItem], row: Order, currency: Currency) -> list[dict[str, Any]]:
    return [order_item(item, row, currency) for item in items]
