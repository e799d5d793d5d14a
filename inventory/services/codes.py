"""Which product is meant by a sku, a barcode, or both.

A product is meant by the code as it is written there or, where no product has it so, by one that
reads or scans the same: in other cases, or with the zeros by which one kind of barcode becomes
another. That is compared here and nowhere else.
"""

import uuid
from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from api import codes
from api.fields import storable
from inventory.errors import CodeAmbiguous, CodeUnknown
from inventory.models import Product

# So many zeros before a number are thought of.
ZEROS_MAX = 5


class Named(NamedTuple):
    """The product that is meant, and what is wrong with how it is named."""

    product_id: uuid.UUID | None = None
    made_at: datetime | None = None
    error: str = ""


class Spelled(NamedTuple):
    """A product that has a code, in this spelling or another one."""

    id: uuid.UUID
    made_at: datetime
    name: str
    sku: str
    barcode: str


# By column and code, the products that have the code there in whatever spelling.
_Found = dict[tuple[str, str], list[Spelled]]


def products_named(names: Sequence[tuple[str, str]]) -> list[Named]:
    """Find the product of each sku and barcode, of which one may be empty, in one query.

    Where both are given, both must mean the same product: a sku that lost its zeros in a
    spreadsheet may be another product's.
    """
    skus, barcodes = {sku for sku, _ in names}, {barcode for _, barcode in names}
    found = _spelled_alike(skus=skus, barcodes=barcodes)
    by_sku = {sku: _meant("sku", sku, found) for sku in skus}
    by_barcode = {barcode: _meant("barcode", barcode, found) for barcode in barcodes}
    return [
        _named_by_both(by_sku[sku], by_barcode[barcode] if barcode else None)
        if sku
        else _named_by_barcode(by_barcode[barcode])
        for sku, barcode in names
    ]


def product_scanned(code: str) -> uuid.UUID | None:
    """Return the product that this whole code means: its sku before anybody's barcode."""
    products = _scanned(code)
    return products[0].id if len(products) == 1 else None


def scanned(code: str) -> Spelled:
    """Return the one product that a person has scanned, or say why it is not known.

    Raises: CodeUnknown, CodeAmbiguous.
    """
    products = _scanned(code)
    if not products:
        raise CodeUnknown(code)
    if len(products) > 1:
        raise CodeAmbiguous(code, [product.sku for product in products])
    return products[0]


def _scanned(code: str) -> list[Spelled]:
    if not storable(code):
        return []
    found = _spelled_alike(skus=[code], barcodes=[code])
    for products in (
        _exactly("sku", code, found),
        _exactly("barcode", code, found),
        [product for each in found.values() for product in each],
    ):
        if by_id := {product.id: product for product in products}:
            return list(by_id.values())
    return []


def ids_by_sku(skus: Collection[str]) -> dict[str, uuid.UUID]:
    """Find the products of skus that programs write: as they are, but for signs around them."""
    tidied = {sku: codes.tidied(sku) for sku in skus}
    asked = {*tidied, *tidied.values()}
    known = dict(Product.objects.kept().filter(sku__in=asked).values_list("sku", "pk"))
    ids = {sku: known.get(sku) or known.get(tidied[sku]) for sku in skus}
    return {sku: product_id for sku, product_id in ids.items() if product_id}


def with_zeros(skus: Collection[str]) -> dict[str, str]:
    """Return for numbers the skus that some product has, and that have zeros before them."""
    numbers = [sku for sku in skus if sku.isascii() and sku.isdecimal()]
    padded = {"0" * zeros + sku: sku for sku in numbers for zeros in range(1, ZEROS_MAX + 1)}
    if not padded:
        return {}
    known = Product.objects.kept().filter(sku__in=padded).values_list("sku", flat=True)
    return {padded[sku]: sku for sku in known}


def look_alikes(written: Collection[str], *, besides: uuid.UUID | None = None) -> list[Spelled]:
    """Return the products, but one, with a sku or barcode that reads or scans like one of these."""
    by_id = {product.id: product for found in alike(written).values() for product in found}
    return [product for product in by_id.values() if product.id != besides]


def alike(written: Collection[str]) -> dict[str, list[Spelled]]:
    """Return for each code the products with a sku or barcode that reads or scans like it."""
    found: dict[str, list[Spelled]] = {code: [] for code in written}
    for (_, code), products in _spelled_alike(skus=written, barcodes=written).items():
        found[code].extend(products)
    return found


def taken(written: Collection[str]) -> set[str]:
    """Return those of the codes that somebody could take for a product's sku or barcode."""
    return {code for _, code in _spelled_alike(skus=written, barcodes=written)}


def _meant(column: str, code: str, found: _Found) -> list[Spelled]:
    """Return the products that a code means; several where nothing tells which of them."""
    return _exactly(column, code, found) or found.get((column, code), [])


def _exactly(column: str, code: str, found: _Found) -> list[Spelled]:
    own = {code, codes.tidied(code)}
    return [each for each in found.get((column, code), []) if getattr(each, column) in own]


# Each of the two look-ups has an index of its own.
_SPELLED_ALIKE = """
WITH asked AS (
    SELECT * FROM unnest(%s::text[], %s::text[], %s::text[]) AS asked (kind, code, spelling)
)
SELECT asked.kind, asked.code, product.id, product.created_at, product.name, product.sku,
    product.barcode
FROM asked JOIN inventory_product AS product ON upper(product.sku) = upper(asked.spelling)
WHERE asked.kind = 'sku' AND product.archived_at IS NULL
UNION ALL
SELECT asked.kind, asked.code, product.id, product.created_at, product.name, product.sku,
    product.barcode
FROM asked JOIN inventory_product AS product ON upper(product.barcode) = upper(asked.spelling)
WHERE asked.kind = 'barcode' AND product.archived_at IS NULL AND product.barcode <> ''
ORDER BY sku
"""


def _spelled_alike(*, skus: Collection[str], barcodes: Collection[str]) -> _Found:
    asked = [
        (column, code, spelling)
        for column, written in (("sku", skus), ("barcode", barcodes))
        for code in set(written)
        for spelling in codes.spellings(code)
    ]
    found: dict[tuple[str, str], dict[uuid.UUID, Spelled]] = defaultdict(dict)
    if asked:
        with connection.cursor() as cursor:
            cursor.execute(_SPELLED_ALIKE, [list(each) for each in zip(*asked, strict=True)])
            for column, code, *product in cursor.fetchall():
                found[column, code][product[0]] = Spelled(*product)
    return {key: list(products.values()) for key, products in found.items()}


def _named_by_barcode(products: Sequence[Spelled]) -> Named:
    if not products:
        return Named(error="No product has this barcode.")
    if len(products) > 1:
        return Named(error=f"{len(products)} products have this barcode: write the sku.")
    return Named(products[0].id, products[0].made_at)


def _named_by_both(of_sku: Sequence[Spelled], of_barcode: Sequence[Spelled] | None) -> Named:
    """Compare the product of a sku with those of its barcode, if one was given: None if not."""
    if not of_sku:
        if not of_barcode:
            return Named(error="No product has this sku.")
        error = f"No product has this sku. The barcode is that of {_skus(of_barcode)}."
        if len(of_barcode) > 1:
            return Named(error=error)
        return Named(of_barcode[0].id, of_barcode[0].made_at, error)
    if len(of_sku) > 1:
        return Named(
            error=f"{len(of_sku)} products have this sku in other spellings: write it as one of "
            "them has it."
        )
    [product] = of_sku
    if of_barcode is not None and product not in of_barcode:
        if not of_barcode:
            # It speaks of the sku's product all the same, as no other is named.
            error = "No product has this barcode: correct it, or leave it empty."
            return Named(product.id, product.made_at, error)
        return Named(
            error=f"The barcode is that of {_skus(of_barcode)}, and not of {product.sku}: correct "
            "one of the two, or leave it empty."
        )
    return Named(product.id, product.made_at)


def _skus(products: Sequence[Spelled]) -> str:
    more = f" and {len(products) - 1} more" if len(products) > 1 else ""
    return f"{products[0].sku}{more}"
