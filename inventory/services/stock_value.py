"""What the stock is worth at cost: of the whole store, and of each category."""

import threading
import time
import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import QuerySet

from api import clock
from inventory.models import DEFAULT_LOCATION_ID, Category, Product
from inventory.services.category_tree import Tree

# How long figures are shown again: they are read from every product there is.
KEPT_SECONDS = 60


@dataclass
class Value:
    """What some products come to. Amounts of different currencies are never added up."""

    products: int = 0
    units: int = 0
    # How many of the products have no cost: their units are worth nothing here.
    without_cost: int = 0
    amounts: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, group: "_Group") -> None:
        self.products += group.products
        self.units += group.units
        if group.currency is None:
            self.without_cost += group.products
        else:
            self.amounts[group.currency] += group.amount


class CategoryValue(NamedTuple):
    category: Category
    level: int
    path: str
    value: Value


@dataclass(frozen=True)
class Figures:
    """Each product counts once in every category above it, and once in the total."""

    at: datetime
    categories: list[CategoryValue]
    no_category: Value
    total: Value

    @property
    def currencies(self) -> list[str]:
        return sorted(self.total.amounts)


class _Group(NamedTuple):
    """What the products come to that are in the same categories and have costs in one currency."""

    categories: list[uuid.UUID] | None
    currency: str | None
    products: int
    units: int
    amount: int


# Products are in few sets of categories, even where each is in several: so what is read is short,
# and no product is counted twice where two of its categories are below one. Of all parts of it each
# is read once, which workers beside each other would not do.
_GROUPS = """
SELECT sets.categories, product.cost_currency, count(*), sum(stock.total),
       coalesce(sum(stock.total::numeric * product.cost), 0)
FROM inventory_stock AS stock
JOIN inventory_product AS product ON product.id = stock.product_id
LEFT JOIN (
    SELECT product_id, array_agg(category_id ORDER BY category_id) AS categories
    FROM inventory_product_categories GROUP BY product_id
) AS sets ON sets.product_id = product.id
WHERE stock.location_id = %s AND stock.total > 0 AND product.archived_at IS NULL
GROUP BY 1, 2
"""
_SERIALLY = """
SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL work_mem = '64MB'; SET LOCAL jit = off
"""


def read() -> Figures:
    """Read what the stock is worth by now: two queries, whatever there is."""
    at, tree = clock.now(), Tree()
    above = {pk: {each.pk for each in tree.above(pk)} for pk in tree.by_id}
    values: dict[uuid.UUID, Value] = defaultdict(Value)
    no_category, total = Value(), Value()
    for group in _groups():
        total.add(group)
        # A category may have been deleted since the tree was read.
        known = [above[each] for each in group.categories or () if each in above]
        for each in set().union(*known):
            values[each].add(group)
        if not known:
            no_category.add(group)
    rows = [
        CategoryValue(category, level, tree.path(category.pk), values[category.pk])
        for category, level in tree.walk()
    ]
    return Figures(at, rows, no_category, total)


def _groups() -> list[_Group]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_SERIALLY)
        cursor.execute(_GROUPS, [DEFAULT_LOCATION_ID])
        return [
            _Group(ids, currency, products, int(units), int(amount))
            for ids, currency, products, units, amount in cursor.fetchall()
        ]


_figures: tuple[float, Figures | None] = (0.0, None)
_reading = threading.Lock()


def latest() -> Figures:
    """Return figures that are a minute old at most. While one thread reads them, others wait."""
    global _figures
    with _reading:
        until, figures = _figures
        if figures is None or until < time.monotonic():
            figures = read()
            _figures = (time.monotonic() + KEPT_SECONDS, figures)
        return figures


def forget() -> None:
    global _figures
    _figures = (0.0, None)


def products_with_units() -> "QuerySet[Product]":
    """The products that count."""
    units = {"stocks__location": DEFAULT_LOCATION_ID, "stocks__total__gt": 0}
    return Product.objects.kept().filter(**units)
