"""The page of what the stock is worth at cost, as a list of categories, and as CSV files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from backoffice import dates
from backoffice.exports import EXPORT_ROWS, exported
from backoffice.history import NOTHING
from backoffice.products.page import ProductPage
from inventory.models import Currency
from inventory.services import categories, currencies, stock_value
from inventory.services.stock_value import Figures, Value

MAY_SEE = ("inventory.view_cost", "inventory.view_stock")
NO_CATEGORY, TOTAL = "No category", "Total"
COLUMNS = ["products", "units", "products without a cost"]
PRODUCT_COLUMNS = ["sku", "name", "categories", "units", "cost", "currency", "value"]


@dataclass(frozen=True)
class Row:
    """A line of the page as people read it: a category, or what is in none."""

    name: str
    level: int
    products: str
    without_cost: str
    units: str
    # In each currency.
    amounts: list[str]


class StockValuePage(ProductPage):
    def get_urls(self) -> list[URLPattern]:
        views = {
            "": self.stock_value_view,
            "export": self.value_of_categories_view,
            "products": self.value_of_products_view,
        }
        return [
            *(
                path(
                    f"stock-value/{name}/" if name else "stock-value/",
                    self.admin_site.admin_view(view),
                    name=f"inventory_stock_value_{name}".rstrip("_"),
                )
                for name, view in views.items()
            ),
            *super().get_urls(),
        ]

    def stock_value_view(self, request: HttpRequest) -> HttpResponse:
        self._require_costs_seen(request)
        figures = stock_value.latest()
        store = currencies.by_code()
        used = [store[code] for code in figures.currencies]
        rows = [
            _row(each.category.name, each.level, each.value, used)
            for each in figures.categories
            if each.value.products
        ]
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Stock value",
            "currencies": [currency.code for currency in used],
            "rows": [*rows, _row(NO_CATEGORY, 1, figures.no_category, used)] if rows else [],
            "listed": reverse("admin:inventory_product_changelist"),
            "total": _row(TOTAL, 1, figures.total, used),
            "figures": figures,
            "zone": timezone.get_current_timezone_name(),
        }
        return TemplateResponse(request, "admin/inventory/product/stock_value.html", context)

    def value_of_categories_view(self, request: HttpRequest) -> HttpResponseBase:
        self._require_costs_seen(request)
        figures = stock_value.latest()
        codes = figures.currencies
        columns = ["category", *COLUMNS, *(f"value in {code}" for code in codes)]
        return exported(f"stock-value-{_day()}.csv", columns, _category_rows(figures))

    def value_of_products_view(self, request: HttpRequest) -> HttpResponseBase:
        self._require_costs_seen(request)
        return exported(f"stock-value-products-{_day()}.csv", PRODUCT_COLUMNS, _product_rows())

    def _require_costs_seen(self, request: HttpRequest) -> None:
        """Raises: PermissionDenied."""
        if not self.has_view_permission(request) or not request.user.has_perms(MAY_SEE):
            raise PermissionDenied


def _row(name: str, level: int, value: Value, used: Sequence[Currency]) -> Row:
    amounts = [
        currency.formatted(value.amounts[currency.code])
        if currency.code in value.amounts
        else NOTHING
        for currency in used
    ]
    without_cost = f"{value.without_cost:,}" if value.without_cost else NOTHING
    return Row(name, level, f"{value.products:,}", without_cost, f"{value.units:,}", amounts)


def _day() -> str:
    return str(dates.today())


def _category_rows(figures: Figures) -> Iterator[Sequence[Any]]:
    store = currencies.by_code()
    named = [(each.path, each.value) for each in figures.categories]
    for name, value in [*named, (NO_CATEGORY, figures.no_category), (TOTAL, figures.total)]:
        amounts = [
            store[code].in_major_units(value.amounts.get(code, 0)) for code in figures.currencies
        ]
        yield [name, value.products, value.units, value.without_cost, *amounts]


def _product_rows() -> Iterator[Sequence[Any]]:
    store = currencies.by_code()
    found = stock_value.products_with_units().order_by("name", "pk")
    values: Any = found.values_list("pk", "sku", "name", "stocks__total", "cost", "cost_currency")
    rows = values.iterator(EXPORT_ROWS)
    while batch := list(islice(rows, EXPORT_ROWS)):
        texts = categories.texts([row[0] for row in batch])
        for pk, sku, name, units, cost, code in batch:
            money = (
                ("", "", "")
                if cost is None
                else (
                    store[code].in_major_units(cost),
                    code,
                    store[code].in_major_units(cost * units),
                )
            )
            yield [sku, name, texts[pk], units, *money]
