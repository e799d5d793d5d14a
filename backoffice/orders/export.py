"""Orders as lines of a CSV file. Money stands there as plain numbers, which spreadsheets add up."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from django.db.models import Prefetch, QuerySet
from django.utils import timezone

from backoffice.exports import EXPORT_ROWS
from inventory.models import Currency
from orders.models import Order, OrderItem

COLUMNS = [
    *("number", "placed", "status", "payment", "shipping", "currency", "total", "captured"),
    *("refunded", "customer", "email", "items", "units", "shipped", "reference"),
]


def rows(listed: QuerySet[Order]) -> Iterator[Sequence[Any]]:
    items = Prefetch("items", OrderItem.objects.order_by("position"))
    orders = listed.prefetch_related(None).prefetch_related(items).select_related("currency")
    return (_row(order) for order in orders.iterator(EXPORT_ROWS))


def _row(order: Order) -> Sequence[Any]:
    items = list(order.items.all())
    return [
        order.number,
        timezone.localtime(order.created_at).isoformat(" ", "seconds"),
        order.status,
        order.payment,
        order.shipping,
        order.currency_id,
        *(
            _number(amount, order.currency)
            for amount in (order.total, order.captured, order.refunded)
        ),
        order.customer_name,
        order.customer_email,
        "; ".join(f"{item.quantity} x {item.label}" for item in items),
        sum(item.quantity for item in items),
        timezone.localtime(order.shipped_at).isoformat(" ", "seconds") if order.shipped_at else "",
        order.order_number or order.external_ref,
    ]


def _number(amount: int, currency: Currency) -> Decimal:
    """Write an amount in major units: 123456 is 1234.56, however the store writes money."""
    return Decimal(amount).scaleb(-currency.decimal_places)
