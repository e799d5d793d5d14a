"""Which product is meant by a sku, a barcode, or both."""

import uuid
from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from inventory.models import Product


class Named(NamedTuple):
    """The product that is meant, or why none is."""

    product_id: uuid.UUID | None = None
    made_at: datetime | None = None
    error: str = ""


class _Product(NamedTuple):
    id: uuid.UUID
    made_at: datetime
    sku: str


def products_named(names: Sequence[tuple[str, str]]) -> list[Named]:
    """Find the product of each sku and barcode, of which one may be empty, in two queries.

    Where both are given, both must mean the same product: a sku that lost its zeros in a
    spreadsheet may be another product's.
    """
    by_sku = _products_by("sku", {sku for sku, _ in names})
    by_barcode = _products_by("barcode", {barcode for _, barcode in names})
    return [
        _named_by_both(by_sku.get(sku, []), by_barcode.get(barcode, []) if barcode else None)
        if sku
        else _named_by_barcode(by_barcode.get(barcode, []))
        for sku, barcode in names
    ]


def _products_by(column: str, codes: Collection[str]) -> dict[str, list[_Product]]:
    by_code: dict[str, list[_Product]] = defaultdict(list)
    asked = [code for code in codes if code]
    products = Product.objects.kept().filter(**{f"{column}__in": asked}).order_by("sku")
    for code, *product in products.values_list(column, "pk", "created_at", "sku") if asked else []:
        by_code[code].append(_Product(*product))
    return by_code


def _named_by_barcode(products: Sequence[_Product]) -> Named:
    if not products:
        return Named(error="No product has this barcode.")
    if len(products) > 1:
        return Named(error=f"{len(products)} products have this barcode: write the sku.")
    return Named(products[0].id, products[0].made_at)


def _named_by_both(of_sku: Sequence[_Product], of_barcode: Sequence[_Product] | None) -> Named:
    """Compare the product of a sku with those of its barcode, if one was given: None if not."""
    if not of_sku:
        others = f" The barcode is that of {_skus(of_barcode)}." if of_barcode else ""
        return Named(error=f"No product has this sku.{others}")
    [product] = of_sku
    if of_barcode is not None and product not in of_barcode:
        if not of_barcode:
            return Named(error="No product has this barcode: correct it, or leave it empty.")
        return Named(
            error=f"The barcode is that of {_skus(of_barcode)}, and not of {product.sku}: correct "
            "one of the two, or leave it empty."
        )
    return Named(product.id, product.made_at)


def _skus(products: Sequence[_Product]) -> str:
    more = f" and {len(products) - 1} more" if len(products) > 1 else ""
    return f"{products[0].sku}{more}"
