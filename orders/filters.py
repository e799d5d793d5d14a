"""What carts and orders can be filtered and sorted by."""

import re
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
from orders.models import Order, OrderItem


def _has_item(column: str) -> Callable[[str, Any], Condition]:
    def condition(lookup: str, value: Any) -> Condition:
        items = OrderItem.objects.filter(order=OuterRef("pk"))
        return Exists(items.filter(**{f"{column}__{lookup}": value}))

    return condition


def _full_name(address: str) -> Expression:
    first, last = KT(f"{address}__first_name"), KT(f"{address}__last_name")
    return Concat(first, Value(" "), last, output_field=CharField())


_OUR_NUMBER = Cast("number", CharField())
_A_NUMBER = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)


def _either_number(lookup: str, value: Any) -> Condition:
    """Match the client's number of the order, or ours: 1001, which people write #1001."""
    theirs, ours = Q(**{f"order_number__{lookup}": value}), value.removeprefix("#")
    if lookup != "exact":
        return theirs | compared(_OUR_NUMBER, lookup, ours)
    # As a number it is found by its index.
    return theirs | Q(number=int(ours)) if _A_NUMBER.fullmatch(ours) else theirs


def _status(lookup: str, value: Any) -> Condition:
    """Match a status, and say what else goes with it, by which there is an index."""
    wanted, status = {value} if lookup == "exact" else {*value}, Q(**{f"status__{lookup}": value})
    if wanted <= {Order.Status.INCOMPLETE, Order.Status.PROCESSING}:
        return status & Q(fully_paid_at=None, cancelled_at=None)
    if wanted == {Order.Status.CANCELLED}:
        return status & Q(cancelled_at__isnull=False)
    return status


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
        "status": Text(_status, EQ, IN),
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
