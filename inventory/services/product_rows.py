"""Products with all that belongs to them, many at once: prices, categories, pictures, stock.

Every function makes a fixed number of statements, however many products there are. The locks and
the transaction are the caller's.
"""

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, connection
from django.utils.text import slugify

from api import changes, clock, compiled
from api.actors import Actor
from api.errors import Refusal
from api.models import Change
from api.transactions import Stale, assert_in_transaction
from inventory.errors import SkuTaken, SlugTaken
from inventory.models import (
    DEFAULT_LOCATION_ID,
    Parent,
    Picture,
    Price,
    Product,
    ProductPicture,
    Stock,
)
from inventory.services import categories, currencies, pictures
from inventory.services.category_tree import OTHER

SLUG_LENGTH_MAX = 200
ARCHIVED = "archived"
PRICE = "price_"


@dataclass
class Whole:
    """A product and what belongs to it, in memory.

    Its values, by field, are of JSON: prices are amounts in the smallest unit, a cost is an amount
    and its currency, categories are their paths in one text, a picture is the name of the main one;
    None and "" stand for nothing.
    """

    product: Product
    prices: dict[str, Price] = field(default_factory=dict)
    # Certain only of a stock that is locked.
    managed: bool = True
    categories: str = ""
    # The main one first. Read only where they are asked for.
    pictures: list[Picture] = field(default_factory=list)
    # Set by whoever has locked it, or has made it.
    stock: Stock | None = None
    # The fields that were set, and what was on record before the first of them was.
    touched: set[str] = field(default_factory=set)
    before: changes.State = field(default_factory=dict)

    def value(self, name: str) -> Any:
        product = self.product
        if name.startswith(PRICE):
            price = self.prices.get(name.removeprefix(PRICE))
            return price.amount if price else None
        match name:
            case "status":
                return ARCHIVED if product.archived_at else product.status
            case "manage_stock":
                return self.managed
            case "cost":
                return None if product.cost is None else [product.cost, product.cost_currency_id]
            case "categories":
                return self.categories
            case "picture":
                return self.pictures[0].name if self.pictures else ""
        return getattr(product, name)

    def set(self, name: str, value: Any) -> None:
        """Set a field, in memory. A picture is among the product's own already."""
        if not self.touched:
            self.before = self.state()
        self.touched.add(name)
        product = self.product
        if name.startswith(PRICE):
            self._set_price(name.removeprefix(PRICE), value)
            return
        match name:
            case "status":
                product.archived_at = clock.now() if value == ARCHIVED else None
                product.status = product.status if value == ARCHIVED else value
            case "manage_stock":
                self.managed = value
            case "cost":
                product.cost, code = value or (None, None)
                product.cost_currency = currencies.by_code()[code] if code else None
            case "categories":
                self.categories = value
            case "picture":
                if value:
                    self.pictures.sort(key=lambda picture: picture.name != value)
                else:
                    del self.pictures[:1]
            case _:
                setattr(product, name, value)

    def _set_price(self, code: str, amount: int | None) -> None:
        if amount is None:
            del self.prices[code]
        elif code in self.prices:
            self.prices[code].amount = amount
        else:
            currency = currencies.by_code()[code]
            self.prices[code] = Price(product=self.product, currency=currency, amount=amount)

    def state(self) -> changes.State:
        """What of it is on record. Pictures have entries of their own."""
        prices = [self.prices[code] for code in sorted(self.prices)]
        return state_of(self.product, prices, self.managed, self.categories)


def state_of(
    product: Product, prices: Iterable[Price], managed: bool, its_categories: str
) -> changes.State:
    """Write a product with what belongs to it as it stays on record."""
    return {
        **changes.fields_of(product),
        # One thing to people: an amount in its currency.
        "cost": product.written_cost(),
        "cost_currency": None,
        "parent": product.parent and product.parent.name,
        "options": product.variant,
        "categories": its_categories,
        **{f"price_in_{price.currency_id}": price.written() for price in prices},
        "stock_managed": managed,
    }


# Reading.


def lock(product_ids: Collection[uuid.UUID]) -> list[Product]:
    """Lock products, archived ones too, in key order."""
    locked = Product.objects.select_for_update(no_key=True)
    return list(locked.filter(pk__in=product_ids).order_by("pk")) if product_ids else []


def read(products: Collection[Product], *, with_pictures: bool = False) -> dict[uuid.UUID, Whole]:
    """Read what belongs to these products."""
    if not products:
        return {}
    ids = [product.pk for product in products]
    by_code = currencies.by_code()
    wholes = {product.pk: Whole(product) for product in products}
    for price in Price.objects.filter(product__in=ids):
        price.currency = by_code[price.currency_id]
        wholes[price.product_id].prices[price.currency_id] = price
    here = Stock.objects.filter(product__in=ids, location=DEFAULT_LOCATION_ID)
    for product_id, managed in here.values_list("product_id", "managed"):
        wholes[product_id].managed = managed
    for product_id, text in categories.texts(ids).items():
        wholes[product_id].categories = text
    parent_ids = {product.parent_id for product in products if product.parent_id}
    parents = Parent.objects.in_bulk(parent_ids) if parent_ids else {}
    for product in products:
        product.parent = parents.get(product.parent_id) if product.parent_id else None
        code = product.cost_currency_id
        product.cost_currency = by_code[code] if code else None
    if with_pictures:
        shown = ProductPicture.objects.filter(product__in=ids).select_related("picture")
        for row in shown.order_by("product", "position"):
            wholes[row.product_id].pictures.append(row.picture)
    return wholes


def free_slugs(products: Sequence[Product], taken: Collection[str] = ()) -> list[str]:
    """Make slugs of the products' names or, where those are taken, of their names and skus.

    `taken` are those that others get at the same time.
    """
    made = [
        [slugify(name)[:SLUG_LENGTH_MAX].rstrip("-") for name in _names_of(product)]
        for product in products
    ]
    kept = Product.objects.kept().filter(slug__in={slug for slugs in made for slug in slugs})
    not_free = {"", *taken, *kept.values_list("slug", flat=True)}
    free = []
    for product, slugs in zip(products, made, strict=True):
        free.append(next((slug for slug in slugs if slug not in not_free), product.pk.hex))
        not_free.add(free[-1])
    return free


def give_slugs(products: Sequence[Product], slugs_taken: Collection[str] = ()) -> None:
    """Give those without a slug one that is free, in memory; one query."""
    unnamed = [product for product in products if not product.slug]
    taken = {product.slug for product in products if product.slug}.union(slugs_taken)
    for product, slug in zip(unnamed, free_slugs(unnamed, taken), strict=True):
        product.slug = slug


def _names_of(product: Product) -> tuple[str, str]:
    return product.name, f"{product.name[: SLUG_LENGTH_MAX // 2]} {product.sku}"


# Writing.


def save(wholes: Iterable[Whole], *, category_ids: Mapping[str, uuid.UUID], actor: Actor) -> None:
    """Write what was set of products that are locked, and put it on record.

    The stock is written by whoever has locked it. `category_ids` has every path that was set.
    Raises: Stale, if somebody has taken a slug since it was free.
    """
    touched = [whole for whole in wholes if whole.touched]
    if not touched:
        return
    now = clock.now()
    for whole in touched:
        whole.product.updated_at = now
    try:
        _update([whole.product for whole in touched])
    except IntegrityError as error:
        raise Stale from error
    _save_parts(touched, category_ids, actor)
    entries = [
        entry
        for whole in touched
        for entry in changes.entries(
            actor, _what(whole), [(whole.product, whole.before, whole.state())]
        )
    ]
    changes.record(entries)


def _what(whole: Whole) -> Change.What:
    archived = whole.product.archived_at and "status" in whole.touched
    return Change.What.DELETED if archived else Change.What.CHANGED


def insert(
    wholes: Sequence[Whole],
    *,
    category_ids: Mapping[str, uuid.UUID],
    actor: Actor,
    slugs_taken: Collection[str] = (),
) -> dict[uuid.UUID, Refusal]:
    """Write new products with their stock, still without units, and put them on record.

    Those whose sku or slug somebody has by now are refused one by one; the others are there.
    `slugs_taken` are those that others get in the same transaction.
    """
    if not wholes:
        return {}
    products = {whole.product.pk: whole.product for whole in wholes}
    unnamed = [product for product in products.values() if not product.slug]
    give_slugs(list(products.values()), slugs_taken)
    there = _insert(products.values())
    refused: dict[uuid.UUID, Refusal] = {}
    if missing := [product for pk, product in products.items() if pk not in there]:
        refused = _refused(missing, unnamed)
        again = [product for product in missing if product.pk not in refused]
        for product in again:
            product.slug = product.pk.hex
        if len(_insert(again)) < len(again):
            raise Stale
    made = [whole for whole in wholes if whole.product.pk not in refused]
    for whole in made:
        whole.stock = Stock(
            product=whole.product,
            managed=whole.managed,
            available=0,
            allocated=0,
            held=0,
            sequence=0,
        )
    Stock.objects.bulk_create(whole.stock for whole in made if whole.stock)
    _save_parts(made, category_ids, actor)
    states = [(whole.product, categories.NOTHING, whole.state()) for whole in made]
    changes.record(changes.entries(actor, Change.What.CREATED, states))
    return refused


def _insert(products: Iterable[Product]) -> set[uuid.UUID]:
    """Insert products, but for those whose sku or slug somebody has; return who is there.

    In the order of their skus, in which two who write the same do not wait for each other.
    """
    assert_in_transaction()
    new = sorted(products, key=lambda product: product.sku)
    return {product.pk for product in compiled.insert_unless_there(new)}


def _refused(missing: Sequence[Product], unnamed: Collection[Product]) -> dict[uuid.UUID, Refusal]:
    kept = Product.objects.kept().filter(sku__in=[product.sku for product in missing])
    skus = set(kept.values_list("sku", flat=True))
    return {
        product.pk: SkuTaken() if product.sku in skus else SlugTaken()
        for product in missing
        if product.sku in skus or product not in unnamed
    }


def _save_parts(
    wholes: Collection[Whole], category_ids: Mapping[str, uuid.UUID], actor: Actor
) -> None:
    _save_prices(wholes)
    placed = {
        whole.product.pk: [category_ids[path] for path in paths_in(whole.categories)]
        for whole in wholes
        if "categories" in whole.touched
    }
    if placed:
        categories.assign(placed)
    shown = {
        whole.product: [picture.pk for picture in whole.pictures]
        for whole in wholes
        if "picture" in whole.touched
    }
    if shown:
        pictures.show(shown, actor)


def paths_in(text: str) -> list[str]:
    """Return the paths of a product's categories."""
    return [path.strip() for path in text.split(OTHER) if path.strip()]


def _save_prices(wholes: Iterable[Whole]) -> None:
    set_prices, gone = [], []
    for whole in wholes:
        for name in whole.touched:
            code = name.removeprefix(PRICE)
            if name.startswith(PRICE) and code in whole.prices:
                set_prices.append(whole.prices[code])
            elif name.startswith(PRICE):
                gone.append((whole.product.pk, code))
    with connection.cursor() as cursor:
        if gone:
            cursor.execute(_REMOVE_PRICES, [list(each) for each in zip(*gone, strict=True)])
        if set_prices:
            names = ("product_id", "currency_id", "amount", "includes_tax")
            columns = [[getattr(price, name) for price in set_prices] for name in names]
            cursor.execute(_SET_PRICES, columns)


_REMOVE_PRICES = """
DELETE FROM inventory_price AS price USING unnest(%s::uuid[], %s::text[]) AS gone (product, code)
WHERE price.product_id = gone.product AND price.currency = gone.code
"""
_SET_PRICES = """
INSERT INTO inventory_price (product_id, currency, amount, includes_tax)
SELECT * FROM unnest(%s::uuid[], %s::text[], %s::bigint[], %s::bool[])
ON CONFLICT (product_id, currency)
    DO UPDATE SET amount = excluded.amount, includes_tax = excluded.includes_tax
"""


def _update(products: Collection[Product]) -> None:
    assert_in_transaction()
    columns = [[getattr(product, name) for product in products] for name in _COLUMNS]
    with connection.cursor() as cursor:
        cursor.execute(_UPDATE, columns)


_COLUMNS = (
    *("pk", "name", "slug", "description", "status", "commodity_type", "barcode", "image_url"),
    *("low_stock_threshold", "cost", "cost_currency_id", "archived_at", "updated_at"),
)
_UPDATE = """
UPDATE inventory_product AS product
SET name = new.name, slug = new.slug, description = new.description, status = new.status,
    commodity_type = new.commodity_type, barcode = new.barcode, image_url = new.image_url,
    low_stock_threshold = new.low_stock_threshold, cost = new.cost,
    cost_currency = new.cost_currency, archived_at = new.archived_at, updated_at = new.updated_at
FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
            %s::text[], %s::int[], %s::bigint[], %s::text[], %s::timestamptz[], %s::timestamptz[])
    AS new (id, name, slug, description, status, commodity_type, barcode, image_url,
            low_stock_threshold, cost, cost_currency, archived_at, updated_at)
WHERE product.id = new.id
"""
