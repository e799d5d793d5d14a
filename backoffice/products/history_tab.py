"""The History tab: a product's log with filters, as a chart, as CSV, and at any past moment."""

import json
import uuid
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern
from django.utils import timezone
from django.utils.http import urlencode

from api import clock
from backoffice import movements
from backoffice.base import PER_PAGE, is_number, uuid_of
from backoffice.dates import exact
from backoffice.exports import exported
from backoffice.history import history_of
from backoffice.missing import missing
from backoffice.products.forms import HistoryForm, MomentForm
from backoffice.products.page import ProductPage, may_see_log, may_see_orders, named
from inventory.models import (
    DEFAULT_LOCATION_ID,
    Product,
    ProductLine,
    Stock,
    StockTransaction,
)
from inventory.services import log as stock_log
from orders.models import Order

POINTS = 60
BATCH = 1000
# The others stand on a page of their own.
CHANGES_SHOWN = 5
# How many orders may go by one number.
ORDERS_NAMED_MAX = 25
COLUMNS = [
    *("number", "when", "action", "what", "quantity", "who", "why", "order", "order id"),
    *("total", "available", "allocated", "set aside"),
]


class HistoryTab(ProductPage):
    def get_urls(self) -> list[URLPattern]:
        return [
            self.page(self.stock_history_view, "stock-history/", "stock_history"),
            self.page(self.export_history_view, "stock-history/export/", "stock_history_export"),
            *super().get_urls(),
        ]

    def stock_history_view(self, request: HttpRequest, product_id: uuid.UUID) -> HttpResponse:
        product = self.found_anywhere(request, product_id)
        if product is None:
            return missing(self, request, product_id)
        _require_log_permission(request)
        stock = _stock(product)
        form, moment_form = _asked(request), MomentForm(request.GET)
        found = self._found_entries(stock, form)
        page = keyset_page(found, request.GET.get("before", ""), request.GET.get("after", ""))
        context = {
            "stock": stock,
            "form": form,
            "filters": urlencode(form.filled),
            "log": page,
            "entries": named(request, page.entries, of=product),
            "may_see_orders": may_see_orders(request),
            "chart": chart(stock, form),
            "moment_form": moment_form,
            "then": past(stock, moment_form),
            "history": history_of(
                product, length=CHANGES_SHOWN, hidden=self.hidden_fields(request)
            ),
            "sheets": _sheets_of(request, product),
        }
        return self.drawn(request, product, "History", "history.html", context)

    def export_history_view(self, request: HttpRequest, product_id: uuid.UUID) -> HttpResponseBase:
        product = self.found_anywhere(request, product_id)
        if product is None:
            return missing(self, request, product_id)
        _require_log_permission(request)
        entries = self._found_entries(_stock(product), _asked(request))
        rows = self._rows(request, entries)
        return exported(f"stock-history-{product.slug}.csv", COLUMNS, rows)

    def _found_entries(self, stock: Stock, form: HistoryForm) -> "QuerySet[StockTransaction]":
        """What was asked for. Days are looked up as ranges of the log's own numbers."""
        form.is_valid()
        asked = form.cleaned_data
        conditions = Q()
        if asked.get("movement"):
            conditions &= movements.called(asked["movement"])
        if asked.get("who"):
            conditions &= Q(actor_name__icontains=asked["who"])
        if asked.get("order"):
            conditions &= Q(order_id__in=_orders_named(asked["order"]))
        begin, end = form.period
        if begin:
            conditions &= Q(
                sequence__gt=stock_log.last_number(stock, begin - timedelta(microseconds=1))
            )
        if end:
            conditions &= Q(
                sequence__lte=stock_log.last_number(stock, end - timedelta(microseconds=1))
            )
        return stock.log.filter(conditions)

    def _rows(
        self, request: HttpRequest, entries: "QuerySet[StockTransaction]"
    ) -> Iterator[list[object]]:
        """Read in batches, each beginning after the one before: no transaction stays open."""
        last = 0
        while True:
            batch = list(entries.filter(sequence__gt=last).order_by("sequence")[:BATCH])
            for entry, order, _ in named(request, batch):
                at = timezone.localtime(entry.created_at).isoformat(timespec="seconds")
                yield [
                    *(entry.sequence, at, entry.action, movements.word(entry), entry.quantity),
                    *(entry.actor_name, entry.reason, order, entry.order_id),
                    *(entry.total, entry.available, entry.allocated, entry.held),
                ]
            if len(batch) < BATCH:
                return
            last = batch[-1].sequence


def _sheets_of(request: HttpRequest, product: Product) -> list[ProductLine]:
    """Find the newest sheets that made or changed the product, for whoever may see them."""
    if not request.user.has_perm("inventory.view_sheet"):
        return []
    return list(ProductLine.objects.of_product(product.pk)[:CHANGES_SHOWN])


def _require_log_permission(request: HttpRequest) -> None:
    if not may_see_log(request):
        raise PermissionDenied


def _orders_named(written: str) -> Collection[uuid.UUID]:
    """By number, with or without its #; by the client's own number; or by id."""
    if order_id := uuid_of(written):
        return [order_id]
    number = written.strip().removeprefix("#")
    found = Order.objects.filter(order_number__iexact=written.strip())
    if is_number(number):
        found |= Order.objects.filter(number=int(number))
    return list(found.values_list("pk", flat=True)[:ORDERS_NAMED_MAX])


def _asked(request: HttpRequest) -> HistoryForm:
    return HistoryForm(request.GET, with_orders=may_see_orders(request))


def _stock(product: Product) -> Stock:
    return Stock.objects.get(product_id=product.pk, location_id=DEFAULT_LOCATION_ID)


@dataclass(frozen=True)
class LogPage:
    """A part of the log, newest first: found by its numbers, so that every page costs the same."""

    entries: list[StockTransaction]
    # Where the neighbouring pages begin; None where there is none.
    older: int | None
    newer: int | None


def keyset_page(entries: "QuerySet[StockTransaction]", before: str, after: str) -> LogPage:
    """Return the page of what is older than `before`, or newer than `after`; else the newest."""
    if _is_place(after):
        rows = list(entries.filter(sequence__gt=int(after)).order_by("sequence")[: PER_PAGE + 1])
        is_last = len(rows) <= PER_PAGE
        rows = rows[:PER_PAGE][::-1]
        return LogPage(rows, int(after) + 1, None if is_last or not rows else rows[0].sequence)
    if _is_place(before):
        entries = entries.filter(sequence__lt=int(before))
    rows = list(entries.order_by("-sequence")[: PER_PAGE + 1])
    older = rows[PER_PAGE - 1].sequence if len(rows) > PER_PAGE else None
    newer = int(before) - 1 if _is_place(before) else None
    return LogPage(rows[:PER_PAGE], older, newer)


def _is_place(written: str) -> bool:
    return is_number(written) and written.isascii()


# The numbers of the past.


def past(stock: Stock, form: MomentForm) -> str:
    """Say what the stock was at the moment that was asked for."""
    if not form.is_valid() or not form.cleaned_data["at"]:
        return ""
    at: datetime = form.cleaned_data["at"]
    [then] = stock_log.at_moments(stock, [at])
    if then.moved_at is None and not then.total:
        return f"{exact(at)}: nothing had moved yet."
    return (
        f"{exact(at)}: Total {then.total} = Available {then.available} + Allocated "
        f"{then.allocated} (orders {then.allocated - then.held}, set aside {then.held})"
    )


def chart(stock: Stock, form: HistoryForm) -> dict[str, str] | None:
    """Draw available and total over the days that were asked for, or over the whole log."""
    moments = _moments(stock, form)
    if not moments:
        return None
    points = stock_log.at_moments(stock, moments)
    available, total = [each.available for each in points], [each.total for each in points]
    long = moments[-1] - moments[0] > timedelta(days=POINTS)
    written = "%Y-%m-%d" if long else "%Y-%m-%d %H:%M"
    labels = [timezone.localtime(each).strftime(written) for each in moments]
    # The first one lies on top.
    lines = [
        _line("Available", available, "var(--color-primary-600)"),
        _line("Total", total, "var(--color-base-400)"),
    ]
    return {
        "data": json.dumps({"labels": labels, "datasets": lines}),
        "options": json.dumps(_OPTIONS),
        "told": f"From {labels[0]} to {labels[-1]} available went from {available[0]} to "
        f"{available[-1]}, and total from {total[0]} to {total[-1]}.",
    }


def _moments(stock: Stock, form: HistoryForm) -> list[datetime]:
    """Spread points evenly over the days that were asked for, as far as there is a log."""
    first = stock.log.filter(sequence=1).first()
    if first is None:
        return []
    begin, end = form.period
    begin = max(begin or first.created_at, first.created_at)
    end = min(end or clock.now(), clock.now())
    if begin >= end:
        return []
    return [begin + (end - begin) * step / (POINTS - 1) for step in range(POINTS)]


def _line(label: str, numbers: Sequence[int], colour: str) -> dict[str, Any]:
    return {"label": label, "data": numbers, "borderColor": colour, "stepped": True}


_GREY = "#8b93a1"
_OPTIONS: dict[str, Any] = {
    "animation": False,
    "responsive": True,
    "maintainAspectRatio": False,
    "interaction": {"mode": "index", "intersect": False},
    "datasets": {"line": {"borderWidth": 2, "pointStyle": False}},
    "plugins": {"legend": {"display": False}},
    "scales": {
        "x": {
            "ticks": {"color": _GREY, "maxTicksLimit": 6, "maxRotation": 0},
            "grid": {"display": False},
        },
        "y": {
            "beginAtZero": True,
            "ticks": {"color": _GREY, "precision": 0, "maxTicksLimit": 5},
            "grid": {},
        },
    },
}
