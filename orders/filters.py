"""What carts and orders can be filtered and sorted by."""

from collections.abc import Callable
from typing import Any

from django.db.models import CharField, Exists, Expression, OuterRef, Q, Value
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Concat, Lower

from api.filtering import (
    COMPARISONS,
    EQ,
    IN,
    LIKE,
    Condition,
    Id,
    ListFilters,
    Moment,
    Number,
    Text,
    compared,
)
from orders.models import OrderItem


def _has_item(column: str) -> Callable[[str, Any], Condition]:
    def condition(lookup: str, value: Any) -> Condition:
        items = OrderItem.objects.filter(order=OuterRef("pk"))
        return Exists(items.filter(**{f"{column}__{lookup}": value}))

    return condition


def _full_name(address: str) -> Expression:
    first, last = KT(f"{address}__first_name"), KT(f"{address}__last_name")
    return Concat(first, Value(" "), last, output_field=CharField())


_OUR_NUMBER = Cast("number", CharField())


def _either_number(lookup: str, value: Any) -> Condition:
    """Match the client's number of the order, or ours: 1001, which people write #1001."""
    our_number = compared(_OUR_NUMBER, lookup, value.removeprefix("#"))
    return Q(**{f"order_number__{lookup}": value}) | our_number


def _email(lookup: str, value: Any) -> Condition:
    """Match an address in any capitals, by the index."""
    return compared(Lower("customer_email", output_field=CharField()), lookup, value.lower())


class CartFilters(ListFilters):
    takes = {
        "id": Text("id", EQ, IN),
        "name": Text("name", EQ, LIKE),
        "created_at": Moment("created_at", EQ, *COMPARISONS),
        "updated_at": Moment("updated_at", EQ, *COMPARISONS),
    }
    sorts = {"created_at": ["created_at"], "updated_at": ["updated_at"]}


class BuyersOrderFilters(ListFilters):
    """For whoever knows a cart: nothing about people, of which one could ask until one knows."""

    takes = {
        "id": Id("id", EQ, IN),
        "status": Text("status", EQ, IN),
        "payment": Text("payment", EQ, IN),
        "shipping": Text("shipping", EQ, IN),
        "created_at": Moment("created_at", EQ, *COMPARISONS),
        "updated_at": Moment("updated_at", EQ, *COMPARISONS),
    }
    sorts = {"created_at": ["created_at"], "updated_at": ["updated_at"]}


class OrderFilters(ListFilters):
    takes = {
        "id": Id("id", EQ, IN),
        "status": Text("status", EQ, IN),
        "payment": Text("payment", EQ, IN),
        "shipping": Text("shipping", EQ, IN),
        "currency": Text("currency_id", EQ),
        "product_id": Id(_has_item("product_id"), EQ),
        "product_sku": Text(_has_item("sku"), EQ),
        "name": Text("customer_name", EQ, LIKE),
        "email": Text(_email, EQ, LIKE),
        "shipping_postcode": Text("shipping_address__postcode", EQ, LIKE),
        "billing_postcode": Text("billing_address__postcode", EQ, LIKE),
        "shipping_name": Text(_full_name("shipping_address"), EQ, LIKE),
        "billing_name": Text(_full_name("billing_address"), EQ, LIKE),
        "external_ref": Text("external_ref", EQ, LIKE),
        "order_number": Text(_either_number, EQ, LIKE),
        # Tax is shown as included or zero, so the two never differ.
        "with_tax": Number("total", *COMPARISONS),
        "without_tax": Number("total", *COMPARISONS),
        "created_at": Moment("created_at", EQ, *COMPARISONS),
        "updated_at": Moment("updated_at", EQ, *COMPARISONS),
    }
    sorts = {
        "created_at": ["created_at"],
        "updated_at": ["updated_at"],
        "payment": ["payment"],
        "shipping": ["shipping"],
        "status": ["status"],
        "with_tax": ["total"],
        # Our order numbers are numbers and come first; a client's are text.
        "order_number": ["order_number", "number"],
    }


class UnitsFilters(ListFilters):
    """For what was done to the units of an order at once, numbered in the order of time."""

    takes = {
        "id": Id("id", EQ, IN),
        "created_at": Moment("created_at", EQ, *COMPARISONS),
    }
    sorts = {"created_at": ["number"]}
