"""Carts and orders as the wire spells them."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rest_framework import serializers

from api import clock
from api.bodies import PublishedBody
from api.clock import at
from api.errors import FieldError, Invalid
from api.fields import (
    AMOUNT_MAX,
    Amount,
    Choice,
    Code,
    Email,
    Flag,
    Id,
    Quantity,
    Text,
    WholeNumber,
    storable_json,
)
from api.settings_views import DiscountsChanges, ItemsChanges
from api.views import validated
from inventory.answers import FormattedPrice, Price
from inventory.models import Currency, StockTransaction
from inventory.serializers import actor, formatted_price
from orders import answers
from orders.errors import NegativeAmount, PromotionNotFound, ReorderUnsupported
from orders.models import CART_ID, Cart, Order, OrderItem, Shipment
from orders.services.cart_contents import CartContents, CartLine, defers_inventory_check, expiry
from orders.services.cart_lines import CustomItem, Entry, LineChange, OtherCart, ProductWanted
from orders.services.holders import Holder, Holders
from orders.services.orders import Buyer

CUSTOM_INPUTS_MAX = 10_000
CUSTOM_INPUTS_LEVELS_MAX = 10
# The source API has the first of these, and says nothing of the others.
ATTRIBUTES_MAX = 20
ATTRIBUTE_NAME_MAX = 100
ATTRIBUTE_MAX = 1000
# What a value may be in JSON, by its type.
ATTRIBUTE_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
    "float": (float, int),
}


class CustomInputs(serializers.Field[Any, Any, Any, Any]):
    """What the shopper adds to a line, such as an engraving: any JSON object of limited size."""

    default_error_messages = {"type": "This must be an object of sane size."}

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict) or not storable_json(data, levels=CUSTOM_INPUTS_LEVELS_MAX):
            self.fail("type")
        if len(json.dumps(data)) > CUSTOM_INPUTS_MAX:
            self.fail("type")
        return data


class OptionalText(Text):
    """Text that may be left out, be null or be empty, which are all the same."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_blank=True, allow_null=True, **options)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        return super().run_validation("" if data is None else data)


# Published for some body of carts and orders, and refused wherever there is no field for it: who
# sends one in a wrong place means something by it, too.
_PUBLISHED = frozenset(
    {
        *("account", "bundle_configuration", "contact", "custom_attributes", "external_ref"),
        *("is_quote", "location", "payment_intent_id", "relationships", "shipping_group_id"),
        *("snapshot_date", "subscription_configuration", "tax"),
    }
)


# What a product says of itself, which a call about an item cannot say otherwise.
_OF_THE_PRODUCT = frozenset({"description", "name", "price"})


class ProductBody(PublishedBody):
    not_supported = _PUBLISHED | _OF_THE_PRODUCT

    id = Id(required=False, source="product_id")
    sku = Text(required=False, max_length=100)
    quantity = Quantity()
    custom_inputs = CustomInputs(required=False, allow_null=True)
    location = OptionalText(max_length=128, default="")

    def validate(self, fields: dict[str, Any]) -> dict[str, Any]:
        if ("product_id" in fields) == ("sku" in fields):
            raise serializers.ValidationError({"id": "Name the product by its id or by its sku."})
        return {"entry": ProductWanted(**fields)}


class NotNegativeAmount(WholeNumber):
    """An amount, which is refused as the source API does it if it is negative."""

    def to_internal_value(self, data: Any) -> int:
        amount = super().to_internal_value(data)
        if amount < 0:
            raise NegativeAmount(meta={"value": amount})
        return amount


class CustomPrice(serializers.Serializer[Any]):
    amount = NotNegativeAmount(max_value=AMOUNT_MAX)
    includes_tax = Flag(default=True)
    currency = Text(max_length=3, required=False)


class CustomItemBody(PublishedBody):
    # It lies nowhere, so that it has no location either.
    not_supported = _PUBLISHED

    name = Text(max_length=200)
    quantity = Quantity()
    price = CustomPrice()
    sku = Code(max_length=100, allow_blank=True, default="")
    description = OptionalText(max_length=2000, default="")
    custom_inputs = CustomInputs(required=False, allow_null=True)

    def validate(self, fields: dict[str, Any]) -> dict[str, Any]:
        price = fields.pop("price")
        return {"entry": CustomItem(unit_price=price.pop("amount"), **price, **fields)}


class CartId(Text):
    """Chosen by the client, of characters that are safe in an address."""

    default_error_messages = {"unsafe": "1 to 128 letters, digits, - and _ only."}

    def to_internal_value(self, data: Any) -> str:
        cart_id = super().to_internal_value(data)
        if not re.fullmatch(CART_ID, cart_id):
            self.fail("unsafe")
        return cart_id


class CartAddress(serializers.Serializer[Any]):
    cart_id = CartId(trim_whitespace=False)


class OtherCartBody(PublishedBody):
    not_supported = _PUBLISHED

    cart_id = CartId()

    def validate(self, fields: dict[str, Any]) -> dict[str, Any]:
        return {"entry": OtherCart(**fields)}


class PromotionBody(serializers.Serializer[Any]):
    """There are no promotions, so that no code is known."""

    code = Text(max_length=200)

    def validate(self, fields: dict[str, Any]) -> dict[str, Any]:
        raise PromotionNotFound(meta=fields)


class OrderItemsBody(serializers.Serializer[Any]):
    order_id = Id()

    def validate(self, fields: dict[str, Any]) -> dict[str, Any]:
        raise ReorderUnsupported


# What may be put into a cart, by its `type`.
ENTRIES: dict[str, type[serializers.Serializer[Any]]] = {
    "cart_item": ProductBody,
    "custom_item": CustomItemBody,
    "cart_items": OtherCartBody,
    "promotion_item": PromotionBody,
    "order_items": OrderItemsBody,
}


def entry(data: Any, source: str = "data") -> Entry:
    """Read one entry for a cart: a product, unless its `type` says otherwise.

    Raises: Invalid, NegativeAmount, PromotionNotFound, ReorderUnsupported.
    """
    kind = data.get("type", "cart_item") if isinstance(data, dict) else "cart_item"
    if not isinstance(kind, str):
        raise Invalid(FieldError(f"{source}.type", "type", "This must be a string.", "field_type"))
    if kind not in ENTRIES:
        message = f"This must be one of: {', '.join(ENTRIES)}."
        raise Invalid(FieldError(f"{source}.type", "choice", message, "field_invalid_choice"))
    result: Entry = validated(ENTRIES[kind], data, source)["entry"]
    return result


class CartItemChanges(PublishedBody):
    # An item is what it was made as: another name, sku or price would be another item.
    not_supported = _PUBLISHED | _OF_THE_PRODUCT | {"sku"}

    id = Id(required=False, source="item_id")
    quantity = Quantity(min_value=0, required=False)
    custom_inputs = CustomInputs(required=False, allow_null=True)
    location = OptionalText(max_length=128, required=False)

    def missing(self, data: Mapping[str, Any]) -> set[str]:
        says_something = data.keys() & {"quantity", "custom_inputs", "location"}
        return set() if says_something else {"quantity"}

    def validate_custom_inputs(self, inputs: Any) -> Any:
        """Read null as no inputs; inputs that are left out stay as they are."""
        return inputs or {}


class CartItemChange(CartItemChanges):
    """One of several changes."""

    id = Id(source="item_id")

    def validate(self, fields: dict[str, Any]) -> dict[str, Any]:
        return {"change": LineChange(**fields)}


class AddOptions(serializers.Serializer[Any]):
    add_all_or_nothing = Flag(default=True)


class UpdateOptions(serializers.Serializer[Any]):
    update_all_or_nothing = Flag(default=True)


class InventorySettings(serializers.Serializer[Any]):
    defer_inventory_check = Flag(required=False)


class DiscountSettings(PublishedBody):
    not_supported = DiscountsChanges.not_supported


class ItemSettings(PublishedBody):
    not_supported = ItemsChanges.not_supported


class CustomAttributes(serializers.Field[Any, Any, Any, Any]):
    """What a client keeps with a cart or an order: by name, a type and a value of that type."""

    default_error_messages = {
        "type": "This must be an object of objects, each with a type and a value of that type.",
        "max_length": f"This has at most {ATTRIBUTES_MAX} names of {ATTRIBUTE_NAME_MAX} "
        f"characters, and values of {ATTRIBUTE_MAX}.",
    }

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict) or not storable_json(data, levels=2):
            self.fail("type")
        if not all(map(_is_attribute, data.values())):
            self.fail("type")
        if len(data) > ATTRIBUTES_MAX or not all(map(_is_short, data, data.values())):
            self.fail("max_length")
        return data or None


def _is_attribute(attribute: Any) -> bool:
    if not isinstance(attribute, dict) or attribute.keys() != {"type", "value"}:
        return False
    kind, value = attribute["type"], attribute["value"]
    if not isinstance(kind, str) or type(value) not in ATTRIBUTE_TYPES.get(kind, ()):
        return False
    return not isinstance(value, int) or abs(value) <= AMOUNT_MAX


def _is_short(name: str, attribute: Any) -> bool:
    return 1 <= len(name) <= ATTRIBUTE_NAME_MAX and len(str(attribute["value"])) <= ATTRIBUTE_MAX


class CartBody(PublishedBody):
    not_supported = _PUBLISHED

    name = Text(max_length=200, required=False)
    description = OptionalText(max_length=2000, required=False)
    inventory_settings = InventorySettings(required=False)
    discount_settings = DiscountSettings(required=False)
    item_settings = ItemSettings(required=False)
    custom_attributes = CustomAttributes(required=False, allow_null=True)
    external_ref = OptionalText(max_length=64, required=False)

    def validate(self, fields: dict[str, Any]) -> dict[str, Any]:
        fields.pop("discount_settings", None)
        fields.pop("item_settings", None)
        return {**fields.pop("inventory_settings", {}), **fields}


class NewCartBody(CartBody):
    id = CartId(required=False, source="cart_id")


class Address(serializers.Serializer[Any]):
    first_name = Text(max_length=100)
    last_name = Text(max_length=100)
    company_name = OptionalText(max_length=200, default="")
    line_1 = Text(max_length=200)
    line_2 = OptionalText(max_length=200, default="")
    line_3 = OptionalText(max_length=200, required=False)
    city = OptionalText(max_length=100, default="")
    county = OptionalText(max_length=100, default="")
    region = OptionalText(max_length=100, default="")
    postcode = Text(max_length=20)
    country = Text(max_length=100)

    def validate(self, address: dict[str, Any]) -> dict[str, Any]:
        if not address["county"] and not address["region"]:
            raise serializers.ValidationError({"region": "Name a county or a region."})
        return address


class ShippingAddress(Address):
    phone_number = OptionalText(max_length=50, default="")
    instructions = OptionalText(max_length=500, default="")


class BillingAddress(Address):
    """Published without the last two; kept all the same, since one form often fills both."""

    phone_number = OptionalText(max_length=50, required=False)
    instructions = OptionalText(max_length=500, required=False)


class Customer(PublishedBody):
    not_supported = frozenset({"id"})

    name = Text(max_length=200)
    email = Email(max_length=254)


class CheckoutBody(PublishedBody):
    not_supported = _PUBLISHED

    customer = Customer(required=False)
    # What the members of accounts are called: a customer by another name.
    contact = Customer(required=False)
    billing_address = BillingAddress()
    shipping_address = ShippingAddress(required=False)
    order_number = OptionalText(max_length=64, default="")
    external_ref = OptionalText(max_length=64, default="")
    expected_total = Amount(required=False)

    def missing(self, data: Mapping[str, Any]) -> set[str]:
        return set() if data.keys() & {"contact", "customer"} else {"customer"}

    def validate(self, fields: dict[str, Any]) -> dict[str, Any]:
        customer, contact = fields.pop("customer", None), fields.pop("contact", None)
        buyer = customer or contact
        if contact and buyer != contact:
            raise serializers.ValidationError({"contact": "The customer is somebody else."})
        billing = fields.pop("billing_address")
        shipping = fields.pop(
            "shipping_address", {"phone_number": "", "instructions": "", **billing}
        )
        fields["buyer"] = Buyer(buyer["name"], buyer["email"], billing, shipping)
        return fields


class OrderChanges(PublishedBody):
    """What of an order may change; `status` only to cancelled, `shipping` only to fulfilled."""

    not_supported = _PUBLISHED | {"anonymized", "billing_address", "customer", "payment"}

    status = Choice([Order.Status.CANCELLED.value], required=False)
    shipping = Choice([Order.Shipping.FULFILLED.value], required=False)
    shipping_address = ShippingAddress(required=False)
    order_number = Text(max_length=64, required=False)
    external_ref = OptionalText(max_length=64, required=False)
    custom_attributes = CustomAttributes(required=False, allow_null=True)


# Carts. An empty one has no currency yet.

_NOTHING: FormattedPrice = {"amount": 0, "currency": "", "formatted": "0"}


def _formatted(amount: int, currency: Currency | None) -> FormattedPrice:
    return formatted_price(amount, currency) if currency else _NOTHING


def _untaxed(amount: int, currency: Currency | None) -> answers.TaxedPrice:
    """Show an amount with tax, without tax, and the tax: included, or zero."""
    price, zero = _formatted(amount, currency), _formatted(0, currency)
    return {
        "with_tax": price,
        "without_tax": price,
        "tax": zero,
        "discount": zero,
        "without_discount": price,
    }


def _unit_and_value(unit: int, value: int, currency: Currency) -> answers.UnitAndValue:
    price, zero = _line_price(unit, value, currency), _line_price(0, 0, currency)
    return {
        "with_tax": price,
        "without_tax": price,
        "tax": zero,
        "discount": zero,
        "without_discount": price,
    }


def _line_price(unit: int, value: int, currency: Currency) -> answers.LinePrice:
    return {"unit": formatted_price(unit, currency), "value": formatted_price(value, currency)}


def cart(contents: CartContents, currency: Currency | None, url: str) -> answers.Cart:
    row = contents.cart
    answer: answers.Cart = {
        "id": contents.id,
        "type": "cart",
        "name": row.name if row else "Cart",
        "description": row.description if row else "",
        "discount_settings": {"custom_discounts_enabled": False, "use_rule_promotions": False},
        "inventory_settings": {"defer_inventory_check": defers_inventory_check(row)},
        "links": {"self": url},
        "meta": cart_meta(contents, currency),
        "relationships": {
            "items": {
                "data": [
                    {
                        "type": "cart_item" if line.item.product_id else "custom_item",
                        "id": str(line.item.pk),
                    }
                    for line in contents.lines
                ]
            },
            "customers": {},
        },
    }
    if row and row.custom_attributes:
        answer["custom_attributes"] = row.custom_attributes
    if row and row.external_ref:
        answer["external_ref"] = row.external_ref
    return answer


def cart_meta(contents: CartContents, currency: Currency | None) -> answers.CartMeta:
    # A cart that was never filled is dated as if it were made now.
    now = clock.now()
    row = contents.cart or Cart(created_at=now, updated_at=now, expires_at=expiry(now))
    return {
        "display_price": {
            **_untaxed(contents.total, currency),
            "shipping": _formatted(0, currency),
            "shipping_discount": _formatted(0, currency),
        },
        "timestamps": {
            "created_at": at(row.created_at),
            "updated_at": at(row.updated_at),
            "expires_at": at(row.expires_at),
        },
    }


def cart_item(line: CartLine, currency: Currency) -> answers.CartItem:
    item, offer = line.item, line.offer
    unit_price = offer.unit_price or 0
    answer: answers.CartItem = {
        "id": str(item.pk),
        "type": "cart_item" if item.product_id else "custom_item",
        "name": offer.name,
        "description": offer.description,
        "sku": offer.sku,
        "slug": offer.slug,
        "image": {
            "mime_type": offer.image.mime_type,
            "file_name": offer.image.file_name,
            "href": offer.image.href,
        },
        "quantity": item.quantity,
        "manage_stock": offer.is_managed,
        "unit_price": _price(unit_price, currency, offer.includes_tax),
        "value": _price(line.value, currency, offer.includes_tax),
        "links": {},
        "meta": {
            "display_price": _unit_and_value(unit_price, line.value, currency),
            "timestamps": {
                "created_at": at(item.created_at),
                "updated_at": at(item.updated_at),
            },
        },
    }
    if item.product_id:
        answer["product_id"] = str(item.product_id)
        answer["links"] = {"product": f"/v2/products/{item.product_id}"}
    if item.custom_inputs:
        answer["custom_inputs"] = item.custom_inputs
    if item.location_id:
        answer["location"] = item.location_id
    return answer


def _price(amount: int, currency: Currency, includes_tax: bool) -> Price:
    return {"amount": amount, "currency": currency.code, "includes_tax": includes_tax}


# Orders.


def order(row: Order, item_ids: Iterable[Any], currency: Currency) -> answers.Order:
    timestamps: answers.OrderTimestamps = {
        "created_at": at(row.created_at),
        "updated_at": at(row.updated_at),
    }
    if row.fully_paid_at:
        timestamps["fully_paid_at"] = at(row.fully_paid_at)
    answer: answers.Order = {
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
            "items": {"data": [{"type": "item", "id": str(item_id)} for item_id in item_ids]},
            "shipments": {
                "data": [{"type": "shipment", "id": str(each.pk)} for each in _standing(row)]
            },
        },
    }
    if row.custom_attributes:
        answer["custom_attributes"] = row.custom_attributes
    return answer


def _standing(row: Order) -> list[Shipment]:
    """Return the shipments of an order that were not undone; most orders are read before any."""
    if row.shipments_made == row.shipments_undone:
        return []
    standing = [shipment for shipment in row.shipments.all() if not shipment.undone_at]
    return sorted(standing, key=lambda shipment: shipment.number)


def order_prices(row: Order, currency: Currency) -> answers.OrderPrices:
    return {
        **_untaxed(row.total, currency),
        "shipping": formatted_price(0, currency),
        "shipping_discount": formatted_price(0, currency),
        "balance_owing": formatted_price(row.balance_owing, currency),
        "paid": formatted_price(row.captured, currency),
        "authorized": formatted_price(row.authorized, currency),
    }


def order_item(item: OrderItem, row: Order, currency: Currency) -> answers.OrderItem:
    answer: answers.OrderItem = {
        "type": "order_item",
        "id": str(item.pk),
        "name": item.name,
        "sku": item.sku,
        "quantity": item.quantity,
        "quantity_shipped": item.shipped,
        "quantity_cancelled": item.cancelled,
        "quantity_returned": item.returned,
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
    if item.product_id:
        answer["product_id"] = str(item.product_id)
    if item.is_priced_by_request:
        answer["priced_by_request"] = True
    if item.custom_inputs:
        answer["custom_inputs"] = item.custom_inputs
    if item.location_id:
        answer["location"] = item.location_id
    return answer


def order_items(
    items: Sequence[OrderItem], row: Order, currency: Currency
) -> list[answers.OrderItem]:
    return [order_item(item, row, currency) for item in items]


def holders(product_holders: Holders, orders_url: str) -> answers.StockHolders:
    stock = product_holders.stock
    return {
        "id": str(stock.product_id),
        "type": "stock-holders",
        "total": stock.total,
        "available": stock.available,
        "allocated": stock.allocated,
        "orders": [_holder(holder, orders_url) for holder in product_holders.orders],
        "units_of_more_orders": product_holders.units_of_more_orders,
        "by_hand": [_by_hand(entry) for entry in product_holders.by_hand],
        "units_set_aside_before": product_holders.units_set_aside_before,
    }


def _holder(holder: Holder, orders_url: str) -> answers.OrderHolding:
    order = holder.order
    return {
        "id": str(order.pk),
        "type": "order",
        "order_number": order.order_number or str(order.number),
        "units": holder.units,
        "status": order.status,
        "payment": order.payment,
        "shipping": order.shipping,
        "payment_in_flight": holder.payment_in_flight,
        "since": at(order.allocated_at) if order.allocated_at else None,
        "links": {"self": f"{orders_url}{order.pk}"},
    }


def _by_hand(entry: StockTransaction) -> answers.SetAsideByHand:
    return {
        "id": str(entry.pk),
        "type": "stock-transaction",
        "action": entry.action,
        "units": entry.set_aside,
        "reason": entry.reason,
        "actor": actor(entry.actor),
        "since": at(entry.created_at),
    }
