"""What makes up a figure, row by row: each list has as many as the figure says."""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from django import forms
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils import timezone

from backoffice import movements
from backoffice.base import PER_PAGE, number_of
from backoffice.dates import for_a_file, moment
from backoffice.exports import EXPORT_ROWS
from backoffice.figures import sums
from backoffice.figures.days import (
    CANCELLED,
    REFUNDED,
    SHIPPED,
    SOLD,
    TAKEN,
    Period,
    why_of_entry,
)
from backoffice.figures.periods import PeriodForm, query_of
from backoffice.figures.tables import Cell, Column, Row, formatted, plain
from backoffice.products.page import page_of
from inventory.models import REASON_LENGTH_MAX, Action, StockTransaction
from inventory.services import currencies
from orders.models import Order, OrderItem, Shipment, ShipmentLine
from payments.models import Attempt, Payment

MONEY_SEEN = ("orders.view_order", "payments.view_payment")
STOCK_SEEN = ("inventory.view_stock", "inventory.view_stocktransaction")
MOVED, ORDERED = "moved", "ordered"
# Whatever is no product, such as gift wrapping.
NO_PRODUCT = "none"
LONGEST = 366
PAGES_MAX = 400


class ListForm(PeriodForm):
    """Which list is asked for: its address is made by `listed`, and nobody types into it."""

    currency = forms.CharField(max_length=3, required=False)
    product = forms.CharField(max_length=36, required=False)
    reason = forms.CharField(max_length=REASON_LENGTH_MAX, required=False, strip=False)
    action = forms.ChoiceField(choices=[("", "Any"), *Action.choices], required=False)
    page = forms.IntegerField(min_value=1, max_value=PAGES_MAX, required=False)

    def __init__(self, data: Any) -> None:
        super().__init__(data, longest=LONGEST)
        more = {name: data[name] for name in self.fields if data.get(name)}
        self.data = {**self.data, **more}

    def clean_currency(self) -> str:
        code: str = self.cleaned_data["currency"]
        if code and code not in currencies.by_code():
            raise forms.ValidationError("There is no such currency.")
        return code

    def clean_product(self) -> uuid.UUID | str:
        written: str = self.cleaned_data["product"]
        if written in ("", NO_PRODUCT):
            return written
        try:
            return uuid.UUID(written)
        except ValueError as error:
            raise forms.ValidationError("There is no such product.") from error


@dataclass(frozen=True)
class Asked:
    period: Period
    currency: str
    # Empty, NO_PRODUCT, or a product's id.
    product: uuid.UUID | str
    reason: str
    action: str

    @property
    def product_id(self) -> uuid.UUID | None:
        return self.product if isinstance(self.product, uuid.UUID) else None

    @property
    def actions(self) -> Sequence[str]:
        return [self.action] if self.action else Action.values


def asked_by(form: ListForm) -> Asked:
    typed = form.cleaned_data
    return Asked(form.period, typed["currency"], typed["product"], typed["reason"], typed["action"])


def listed(kind: str, period: Period, **more: str) -> str:
    """Return where the list of a figure is."""
    return f"{reverse(f'admin:figures_{kind}')}?{query_of(period, **more)}"


class Kind(NamedTuple):
    title: str
    # What one of them is, and several.
    nouns: tuple[str, str]
    permissions: Sequence[str]
    # Which of what is asked it needs.
    needs: Sequence[str]
    columns: Sequence[Column]
    file_columns: Sequence[str]
    # How many there are on each day, and what they come to.
    counted: Callable[[Asked], Mapping[date, sums.Sum]]
    # Those of a part of the period, the newest first.
    found: Callable[[Asked, tuple[datetime, datetime]], QuerySet[Any]]
    shown: Callable[[Any, Asked], Row]
    written: Callable[[sums.Sum, Asked], str]


def page_of_list(kind: Kind, asked: Asked, number: int) -> list[Any]:
    """Read a page of it from those days alone that it lies in: as fast as any other page."""
    counts = kind.counted(asked)
    skipped, first = 0, (number - 1) * PER_PAGE
    days: list[date] = []
    for day in sorted(counts, reverse=True):
        if first >= skipped + counts[day].number and not days:
            skipped += counts[day].number
            continue
        days.append(day)
        if sum(counts[each].number for each in days) >= first - skipped + PER_PAGE:
            break
    if not days:
        return []
    rows = kind.found(asked, Period(days[-1], days[0]).bounds)
    return list(rows[first - skipped : first - skipped + PER_PAGE])


def file_rows(kind: Kind, asked: Asked) -> Iterator[Sequence[Any]]:
    """Write all of it, a day at a time."""
    for day in sorted(kind.counted(asked), reverse=True):
        for row in kind.found(asked, Period(day, day).bounds).iterator(EXPORT_ROWS):
            yield kind.shown(row, asked).written


# Money.


def _money_counted(kind: str) -> Callable[[Asked], Mapping[date, sums.Sum]]:
    def counted(asked: Asked) -> Mapping[date, sums.Sum]:
        return {
            day: each
            for (day, currency, of), each in sums.money(asked.period).items()
            if (currency, of) == (asked.currency, kind)
        }

    return counted


def _taken(asked: Asked, bounds: tuple[datetime, datetime]) -> QuerySet[Payment]:
    since, until = bounds
    found = Payment.objects.filter(captured_at__gte=since, captured_at__lt=until, late=False)
    return (
        found.filter(currency=asked.currency)
        .select_related("order")
        .order_by("-captured_at", "-pk")
    )


def _shown_taken(payment: Payment, asked: Asked) -> Row:
    at, amount = payment.captured_at, payment.captured_amount
    assert at
    return _row(at, payment.order, payment.gateway, amount, asked.currency)


def _refunded(asked: Asked, bounds: tuple[datetime, datetime]) -> QuerySet[Attempt]:
    since, until = bounds
    found = Attempt.objects.filter(
        updated_at__gte=since,
        updated_at__lt=until,
        status=Attempt.Status.SUCCEEDED,
        kind=Attempt.Kind.REFUND,
    )
    return (
        found.filter(payment__late=False, payment__currency=asked.currency)
        .select_related("payment__order")
        .order_by("-updated_at", "-pk")
    )


def _shown_refunded(attempt: Attempt, asked: Asked) -> Row:
    order, why = attempt.payment.order, attempt.reason
    return _row(attempt.updated_at, order, why, attempt.amount, asked.currency)


def _sold(asked: Asked, bounds: tuple[datetime, datetime]) -> QuerySet[Order]:
    since, until = bounds
    found = Order.objects.filter(fully_paid_at__gte=since, fully_paid_at__lt=until)
    return found.filter(currency_id=asked.currency).order_by("-fully_paid_at", "-pk")


def _shown_sold(order: Order, asked: Asked) -> Row:
    assert order.fully_paid_at
    return _row_of_order(order.fully_paid_at, order, asked.currency)


def _cancelled(asked: Asked, bounds: tuple[datetime, datetime]) -> QuerySet[Order]:
    since, until = bounds
    found = Order.objects.filter(cancelled_at__gte=since, cancelled_at__lt=until)
    return found.filter(currency_id=asked.currency).order_by("-cancelled_at", "-pk")


def _shown_cancelled(order: Order, asked: Asked) -> Row:
    assert order.cancelled_at
    return _row_of_order(order.cancelled_at, order, asked.currency)


def _shipped(asked: Asked, bounds: tuple[datetime, datetime]) -> QuerySet[Any]:
    since, until = bounds
    found = Shipment.objects.filter(created_at__gte=since, created_at__lt=until, undone_at=None)
    lines = ShipmentLine.objects.filter(shipment=OuterRef("pk")).order_by().values("shipment")
    value = lines.annotate(value=Sum(F("quantity") * F("item__unit_price"))).values("value")
    return (
        found.filter(order__currency_id=asked.currency)
        .annotate(value=Coalesce(Subquery(value), 0))
        .select_related("order")
        .order_by("-created_at", "-pk")
    )


def _shown_shipped(shipment: Any, asked: Asked) -> Row:
    sent = " ".join(filter(None, [shipment.carrier, shipment.tracking])) or str(shipment)
    return _row(shipment.created_at, shipment.order, sent, shipment.value, asked.currency)


def _row_of_order(at: datetime, order: Order, currency: str) -> Row:
    """Name its customer on the page, and not in a file: see orders.export_customers."""
    shown = _row(at, order, order.customer_name, order.total, currency)
    written = [cell if place != 2 else "" for place, cell in enumerate(shown.written)]
    return Row(shown.cells, written)


def _row(at: datetime, order: Order, note: str, amount: int, currency: str) -> Row:
    cells = [Cell(moment(at)), _order_cell(order), Cell(note), _number(formatted(amount, currency))]
    return Row(cells, [for_a_file(at), order.number, note, plain(amount, currency), currency])


def _number(text: str) -> Cell:
    return Cell(text, is_number=True)


def _order_cell(order: Order) -> Cell:
    return Cell(str(order), reverse("admin:orders_order_change", args=[order.pk]))


# Orders that had a product.


def _product_counted(asked: Asked) -> Mapping[date, sums.Sum]:
    return sums.sales_by_day(asked.period, asked.product_id, asked.currency)


def _product_sold(asked: Asked, bounds: tuple[datetime, datetime]) -> QuerySet[Any]:
    lines = OrderItem.objects.filter(_product(asked.product_id), order=OuterRef("pk"))
    of_order = lines.order_by().values("order")
    return (
        _sold(asked, bounds)
        .filter(Exists(lines))
        .annotate(
            units=Subquery(of_order.annotate(units=Sum("quantity")).values("units")),
            amount=Subquery(
                of_order.annotate(amount=Sum(F("quantity") * F("unit_price"))).values("amount")
            ),
        )
    )


def _product(product_id: uuid.UUID | None) -> Q:
    return Q(product__isnull=True) if product_id is None else Q(product=product_id)


def _shown_product_sold(order: Any, asked: Asked) -> Row:
    amount = formatted(order.amount, asked.currency)
    cells = [
        Cell(moment(order.fully_paid_at)),
        _order_cell(order),
        _number(f"{order.units:,}"),
        _number(amount),
    ]
    written = plain(order.amount, asked.currency)
    return Row(
        cells,
        [for_a_file(order.fully_paid_at), order.number, order.units, written, asked.currency],
    )


# Entries of the log.


def _moved_counted(asked: Asked) -> Mapping[date, sums.Sum]:
    return sums.entries_by_day(asked.period, asked.reason, asked.actions)


def _entries(bounds: tuple[datetime, datetime]) -> QuerySet[StockTransaction]:
    since, until = bounds
    found = StockTransaction.objects.filter(created_at__gte=since, created_at__lt=until)
    return found.select_related("stock__product").order_by("-created_at", "-pk")


def _moved(asked: Asked, bounds: tuple[datetime, datetime]) -> QuerySet[StockTransaction]:
    of_reason = _entries(bounds).annotate(why=why_of_entry()).filter(why=asked.reason)
    return of_reason.filter(action__in=asked.actions)


def _shown_moved(entry: StockTransaction, asked: Asked) -> Row:
    product = entry.stock.product
    cells = [
        Cell(moment(entry.created_at)),
        Cell(product.name, page_of(product), note=product.sku),
        Cell(movements.word(entry)),
        _number(f"{entry.quantity:,}"),
        Cell(entry.reason),
        Cell(entry.actor_name),
    ]
    written = [for_a_file(entry.created_at), product.sku, entry.action, entry.quantity]
    return Row(cells, [*written, entry.reason, entry.actor_name])


def _ordered_counted(asked: Asked) -> Mapping[date, sums.Sum]:
    """Count one product's entries, by its own index."""
    counts: dict[date, sums.Sum] = {}
    found = _ordered(asked, asked.period.bounds)
    for at, action, quantity in found.values_list("created_at", "action", "quantity"):
        day = timezone.localtime(at).date()
        counts[day] = counts.get(day, sums.Sum()) + sums.Sum(1, _taken_by(action, quantity))
    return counts


def _taken_by(action: str, quantity: int) -> int:
    return quantity if action in {Action.ALLOCATE, Action.DECREMENT} else -quantity


def _ordered(asked: Asked, bounds: tuple[datetime, datetime]) -> QuerySet[StockTransaction]:
    return _entries(bounds).filter(stock__product=asked.product_id, by_order=True)


def _shown_ordered(entry: StockTransaction, asked: Asked) -> Row:
    taken = _taken_by(entry.action, entry.quantity)
    cells = [
        Cell(moment(entry.created_at)),
        Cell(entry.reason),
        _number(f"{taken:+,}"),
        Cell(entry.actor_name),
    ]
    return Row(cells, [for_a_file(entry.created_at), entry.reason, taken, entry.actor_name])


def _amount_written(each: sums.Sum, asked: Asked) -> str:
    return formatted(each.amount, asked.currency)


def _units_written(each: sums.Sum, asked: Asked) -> str:
    return number_of(each.amount, "unit")


def _product_written(each: sums.Sum, asked: Asked) -> str:
    return f"{number_of(each.units, 'unit')} for {formatted(each.amount, asked.currency)}"


def _of_money(
    title: str,
    nouns: tuple[str, str],
    kind: str,
    note: str,
    *,
    found: Callable[[Asked, tuple[datetime, datetime]], QuerySet[Any]],
    shown: Callable[[Any, Asked], Row],
) -> Kind:
    """Describe a list of amounts, each of an order and with a note under this heading."""
    return Kind(
        title=title,
        nouns=nouns,
        permissions=MONEY_SEEN,
        needs=["currency"],
        columns=[Column("When"), Column("Order"), Column(note), Column("Amount", is_number=True)],
        file_columns=("when", "order", "note", "amount", "currency"),
        counted=_money_counted(kind),
        found=found,
        shown=shown,
        written=_amount_written,
    )


_ORDERS = ("order", "orders")
_ENTRIES = ("entry", "entries")
PRODUCT_SOLD = "product-sold"
KINDS: Mapping[str, Kind] = {
    TAKEN: _of_money(
        "Taken", ("payment", "payments"), TAKEN, "Through", found=_taken, shown=_shown_taken
    ),
    REFUNDED: _of_money(
        "Refunded", ("refund", "refunds"), REFUNDED, "Why", found=_refunded, shown=_shown_refunded
    ),
    SOLD: _of_money(
        "Orders paid in full", _ORDERS, SOLD, "Customer", found=_sold, shown=_shown_sold
    ),
    CANCELLED: _of_money(
        "Orders cancelled", _ORDERS, CANCELLED, "Customer", found=_cancelled, shown=_shown_cancelled
    ),
    SHIPPED: _of_money(
        "Shipped", ("shipment", "shipments"), SHIPPED, "By", found=_shipped, shown=_shown_shipped
    ),
    PRODUCT_SOLD: Kind(
        title="Sold in orders paid in full",
        nouns=_ORDERS,
        permissions=MONEY_SEEN,
        needs=["currency", "product"],
        columns=[
            Column("When"),
            Column("Order"),
            Column("Units", is_number=True),
            Column("Amount", is_number=True),
        ],
        file_columns=("when", "order", "units", "amount", "currency"),
        counted=_product_counted,
        found=_product_sold,
        shown=_shown_product_sold,
        written=_product_written,
    ),
    MOVED: Kind(
        title="Moved",
        nouns=_ENTRIES,
        permissions=STOCK_SEEN,
        needs=[],
        columns=[
            Column("When"),
            Column("Product"),
            Column("Movement"),
            Column("Units", is_number=True),
            Column("Why"),
            Column("Who"),
        ],
        file_columns=("when", "sku", "action", "units", "why", "who"),
        counted=_moved_counted,
        found=_moved,
        shown=_shown_moved,
        written=_units_written,
    ),
    ORDERED: Kind(
        title="Taken by orders",
        nouns=_ENTRIES,
        permissions=STOCK_SEEN,
        needs=["product"],
        columns=[Column("When"), Column("Why"), Column("Units", is_number=True), Column("Who")],
        file_columns=("when", "why", "units", "who"),
        counted=_ordered_counted,
        found=_ordered,
        shown=_shown_ordered,
        written=_units_written,
    ),
}
