"""Orders as CSV files: a row for each order, or a row for each of its lines.

Money stands there as plain numbers, which spreadsheets add up.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path

from backoffice.dates import for_a_file
from backoffice.exports import EXPORT_ROWS, ExportingAdmin
from backoffice.order_states import payment_words, state_of
from inventory.models import Currency
from orders.models import Order, OrderItem, Shipment

# What an address may hold, as it is sent to the API and as a file heads it.
_ADDRESS = {
    "first_name": "first name",
    "last_name": "last name",
    "company_name": "company",
    "line_1": "line 1",
    "line_2": "line 2",
    "line_3": "line 3",
    "postcode": "postcode",
    "city": "city",
    "county": "county",
    "region": "region",
    "country": "country",
    "phone_number": "phone",
}
_ADDRESSES = [
    *(f"billing {name}" for name in _ADDRESS.values()),
    *(f"shipping {name}" for name in _ADDRESS.values()),
    "shipping instructions",
]
_ORDER = ["number", "placed", "state", "status", "payment", "shipping", "currency"]
_CUSTOMER = ["customer", "email"]
_SENT = ["shipped", "tracking", "reference"]
COLUMNS = [
    *(*_ORDER, "total", "captured", "refunded"),
    *(*_CUSTOMER, "items", "units", *_SENT, *_ADDRESSES),
]
LINE_COLUMNS = [
    *(*_ORDER, "line", "sku", "name", "quantity", "unit price", "value"),
    *("units shipped", "units cancelled", "units returned"),
    *(*_CUSTOMER, *_SENT, *_ADDRESSES),
]


class OrderExports(ExportingAdmin):
    export_name = "orders"
    export_columns = COLUMNS
    export_permissions = ("orders.view_orderitem", "orders.export_customers")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.export_lines_view)
        lines = path("export-lines/", view, name="orders_order_export_lines")
        return [lines, *super().get_urls()]

    def export_lines_view(self, request: HttpRequest) -> HttpResponseBase:
        return self.export_as(request, "order-lines", LINE_COLUMNS, line_rows)

    def export_rows(self, listed: QuerySet[Order]) -> Iterator[Sequence[Any]]:
        return (_row(order) for order in _whole(listed))


def line_rows(listed: QuerySet[Order]) -> Iterator[Sequence[Any]]:
    return (
        [
            *_of_order(order),
            *_of_line(item, order.currency),
            *_of_customer(order),
            *_of_sending(order),
            *_addresses(order),
        ]
        for order in _whole(listed)
        for item in order.items.all()
    )


def _whole(listed: QuerySet[Order]) -> Iterator[Order]:
    items = Prefetch("items", OrderItem.objects.order_by("position"))
    sent = Prefetch("shipments", Shipment.objects.filter(undone_at=None).order_by("number"))
    orders = listed.prefetch_related(None).prefetch_related(items, sent)
    return orders.select_related("currency").iterator(EXPORT_ROWS)


def _row(order: Order) -> Sequence[Any]:
    items = list(order.items.all())
    amounts = (order.total, order.captured, order.refunded)
    return [
        *_of_order(order),
        *(order.currency.in_major_units(amount) for amount in amounts),
        *_of_customer(order),
        "; ".join(f"{item.quantity} x {item.label}" for item in items),
        sum(item.quantity for item in items),
        *_of_sending(order),
        *_addresses(order),
    ]


def _of_order(order: Order) -> Sequence[Any]:
    return [
        order.number,
        for_a_file(order.created_at),
        state_of(order).words,
        order.status,
        payment_words(order).lower(),
        order.shipping,
        order.currency_id,
    ]


def _of_line(item: OrderItem, currency: Currency) -> Sequence[Any]:
    return [
        item.position + 1,
        item.sku,
        item.name,
        item.quantity,
        currency.in_major_units(item.unit_price),
        currency.in_major_units(item.value),
        item.shipped,
        item.cancelled,
        item.returned,
    ]


def _of_customer(order: Order) -> Sequence[Any]:
    return [order.customer_name, order.customer_email]


def _of_sending(order: Order) -> Sequence[Any]:
    shipped = for_a_file(order.shipped_at) if order.shipped_at else ""
    tracking = "; ".join(sent.tracking for sent in order.shipments.all() if sent.tracking)
    return [shipped, tracking, order.order_number or order.external_ref]


def _addresses(order: Order) -> list[Any]:
    billing, shipping = order.billing_address, order.shipping_address
    return [*_cells(billing), *_cells(shipping), shipping.get("instructions", "")]


def _cells(address: Mapping[str, Any]) -> list[Any]:
    return [address.get(name, "") for name in _ADDRESS]
