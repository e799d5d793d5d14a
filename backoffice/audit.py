"""The page of what the last comparison of log, stock and orders found."""

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.timesince import timesince

from api import clock
from backoffice.base import ReadOnlyAdmin, uuid_of
from backoffice.products.page import page_of
from inventory.models import Product, Stock
from orders.models import AuditResult
from payments.services import audit

# The worker compares every hour, and the whole once a day.
OVERDUE = timedelta(hours=2)
WHOLE_OVERDUE = timedelta(hours=26)


# How the audit ends what it says of one stock, or of one order.
_ABOUT = re.compile(r"\((stock|order) ([0-9a-f-]{36})\)$")


@dataclass(frozen=True)
class Told:
    """A difference in words, and the page of what differs, if it has one."""

    words: str
    url: str


def told(found: Sequence[str]) -> list[Told]:
    about = [match.groups() if (match := _ABOUT.search(words)) else ("", "") for words in found]
    stocks = {uuid_of(row_id) for kind, row_id in about if kind == "stock"}
    products = _products(row_id for row_id in stocks if row_id)
    return [
        Told(words, _page(kind, uuid_of(row_id), products))
        for words, (kind, row_id) in zip(found, about, strict=True)
    ]


def _products(stock_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID | None, Product]:
    stocks = Stock.objects.filter(pk__in=list(stock_ids)).select_related("product")
    return {stock.pk: stock.product for stock in stocks}


def _page(kind: str, row_id: uuid.UUID | None, products: Mapping[uuid.UUID | None, Product]) -> str:
    if kind == "order" and row_id:
        return reverse("admin:orders_order_change", args=[row_id])
    product = products.get(row_id)
    return page_of(product) if product else ""


@dataclass(frozen=True)
class Compared:
    result: AuditResult
    age: timedelta
    is_overdue: bool

    @property
    def ago(self) -> str:
        checked_at = self.result.checked_at
        is_new = self.age < timedelta(minutes=1)
        return "just now" if is_new else f"{timesince(checked_at, checked_at + self.age)} ago"

    @property
    def what(self) -> str:
        return "All of it" if self.result.is_whole else "What was new"

    @property
    def compared(self) -> str:
        """Say how much was looked at."""
        stocks, entries = self.result.stocks, self.result.entries
        products = f"{stocks:,} product{'' if stocks == 1 else 's'} with stock"
        return f"{products} and {entries:,} movement{'' if entries == 1 else 's'} of them"

    @property
    def orders(self) -> str:
        orders = self.result.orders
        return f"{orders:,} order{'' if orders == 1 else 's'}"


def last(found: Sequence[Compared]) -> Compared | None:
    """Choose the comparison that tells how things stand; None before there is any.

    What differed when it was compared stands until the same is compared again.
    """
    differing = [compared for compared in found if compared.result.differences]
    return next(iter([*differing, *found]), None)


def each() -> list[Compared]:
    """The last comparison of each kind, the newest first."""
    now = clock.now()
    ages = {
        result: now - result.checked_at for result in AuditResult.objects.order_by("-checked_at")
    }
    is_overdue = any(age > WHOLE_OVERDUE for result, age in ages.items() if result.is_whole) or (
        # To compare all of it is to compare what is new, too.
        min(ages.values(), default=timedelta()) > OVERDUE
    )
    return [Compared(result, age, is_overdue) for result, age in ages.items()]


@admin.register(AuditResult)
class AuditAdmin(ReadOnlyAdmin):
    def get_urls(self) -> list[URLPattern]:
        views = {"": self.page_view, "compare-now/": self.compare_now_view}
        names = {"": "changelist", "compare-now/": "compare_now"}
        return [
            path(at, self.admin_site.admin_view(view), name=f"orders_auditresult_{names[at]}")
            for at, view in views.items()
        ]

    def page_view(self, request: HttpRequest) -> HttpResponse:
        self._require_seen(request)
        found = each()
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Audit",
            "audit": last(found),
            "each": found,
            "differing": [told(each.result.found) for each in found],
            "is_under_way": audit.is_under_way(),
        }
        return TemplateResponse(request, "admin/orders/audit.html", context)

    def compare_now_view(self, request: HttpRequest) -> HttpResponse:
        """Leave it to the worker: it reads the whole log."""
        self._require_seen(request)
        if request.method == "POST":
            is_new = audit.ask()
            told = "The worker compares now." if is_new else "It is being compared already."
            messages.info(request, f"{told} Load this page again to see what it finds.")
        return redirect("admin:orders_auditresult_changelist")

    def _require_seen(self, request: HttpRequest) -> None:
        """Raises: PermissionDenied."""
        if not self.has_view_permission(request):
            raise PermissionDenied
