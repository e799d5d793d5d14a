"""What products and the log can be filtered and sorted by."""

from typing import Any

from django.db.models import Exists, OuterRef, Q

from api.filtering import COMPARISONS, EQ, IN, LIKE, Flag, Id, ListFilters, Moment, Number, Text
from inventory.models import DEFAULT_LOCATION_ID, Product, Stock


def _stock(column: str, lookup: str, value: Any) -> Q:
    return Q(stocks__location_id=DEFAULT_LOCATION_ID, **{f"stocks__{column}__{lookup}": value})


def _managed(lookup: str, value: Any) -> Q:
    return _stock("managed", lookup, value)


# Filters that ask whether any is available. That is indexed, unlike how many are.
_ANY = {
    ("gt", 0): True,
    ("gte", 1): True,
    ("lt", 1): False,
    ("lte", 0): False,
    ("exact", 0): False,
}


def _available(lookup: str, value: Any) -> Q:
    if (lookup, value) in _ANY:
        return _stock("any_available", "exact", _ANY[lookup, value])
    return _stock("available", lookup, value)


def _available_of_stock(lookup: str, value: Any) -> Q:
    if (lookup, value) in _ANY:
        return Q(any_available=_ANY[lookup, value])
    return Q(**{f"available__{lookup}": value})


_IS_MANAGED = Exists(
    Stock.objects.filter(product=OuterRef("pk"), location_id=DEFAULT_LOCATION_ID, managed=True)
)


def _in_category(lookup: str, value: Any) -> Exists:
    placed = Product.categories.through.objects.filter(product=OuterRef("pk"))
    return Exists(placed.filter(**{f"category__{lookup}": value}))


class PublicProductFilters(ListFilters):
    """For a storefront that must not learn how many are left: it could ask until it knows."""

    takes = {
        "id": Id("id", EQ, IN),
        "sku": Text("sku", EQ, LIKE, IN),
        "name": Text("name", EQ, LIKE),
        "slug": Text("slug", EQ, LIKE),
        "status": Text("status", EQ, LIKE),
        "description": Text("description", LIKE),
        "commodity_type": Text("commodity_type", EQ),
        "manage_stock": Flag(_managed, EQ),
        "barcode": Text("barcode", EQ),
        "category.id": Id(_in_category, EQ),
        "created_at": Moment("created_at", EQ, *COMPARISONS),
        "updated_at": Moment("updated_at", EQ, *COMPARISONS),
    }
    sorts = {
        "commodity_type": ["commodity_type"],
        "created_at": ["created_at"],
        "description": ["description"],
        "manage_stock": [_IS_MANAGED],
        "name": ["name"],
        "sku": ["sku"],
        "slug": ["slug"],
        "status": ["status"],
        "updated_at": ["updated_at"],
    }


class ProductFilters(PublicProductFilters):
    takes = {**PublicProductFilters.takes, "stock": Number(_available, EQ, *COMPARISONS)}


class StockFilters(ListFilters):
    """An entry's `id` is its product's, which stock transactions call `product_id`."""

    takes = {
        "id": Id("product_id", EQ, IN),
        "product_id": Id("product_id", EQ, IN),
        "stock_id": Id("id", EQ, IN),
        "sku": Text("product__sku", EQ, LIKE, IN),
        "available": Number(_available_of_stock, EQ, *COMPARISONS),
        "allocated": Number("allocated", EQ, *COMPARISONS),
        "total": Number("total", EQ, *COMPARISONS),
    }
    sorts = {
        "id": ["product_id"],
        "available": ["available"],
        "allocated": ["allocated"],
        "total": ["total"],
    }


class FileFilters(ListFilters):
    takes = {
        "id": Id("id", EQ, IN),
        "file_name": Text("name", EQ, LIKE),
        "file_size": Number("size", EQ, *COMPARISONS),
        "width": Number("width", EQ, *COMPARISONS),
        "height": Number("height", EQ, *COMPARISONS),
        "created_at": Moment("created_at", EQ, *COMPARISONS),
    }
    # The ids are in the order in which they were made.
    sorts = {"created_at": ["pk"]}


class CurrencyFilters(ListFilters):
    takes = {
        "id": Id("id", EQ, IN),
        "code": Text("code", EQ, IN),
        "enabled": Flag("enabled", EQ),
        "default": Flag("default", EQ),
    }
    sorts = {"code": ["code"], "created_at": ["created_at"]}


class StockTransactionFilters(ListFilters):
    # Its entries were written in the order of their numbers.
    sorts = {"created_at": ["sequence"]}
    takes = {
        "id": Id("id", EQ, IN),
        "action": Text("action", EQ, IN),
        "created_at": Moment("created_at", EQ, *COMPARISONS),
    }
