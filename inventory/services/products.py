"""Products, their prices, and whether their stock is managed."""

import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError
from django.db.models import Q

from api import changes, clock
from api.actors import Actor
from api.errors import Moved, Refusal, Standing, refusal_of, require_as_seen
from api.idempotency import Key, claim
from api.ids import uuid7
from api.models import Change
from api.transactions import Stale, in_transaction
from inventory.errors import (
    CurrencyUnknown,
    ProductNotFound,
    SkuTaken,
    SlugTaken,
    StockExists,
    StockNotFound,
    UnitsAllocated,
)
from inventory.models import (
    BY_HAND,
    Action,
    Category,
    Price,
    Product,
    Stock,
)
from inventory.services import categories, currencies, evidence, product_rows
from inventory.services.stock import lock_managed, lock_one, move
from inventory.services.writing import Cause, next_moment

INITIAL_STOCK = "initial stock"
NO_LONGER_MANAGED = "stock no longer managed"


@dataclass(frozen=True)
class Money:
    currency: str
    amount: int
    includes_tax: bool = True


@dataclass(frozen=True)
class NewCost:
    """What a product is to cost the store, and what it did when somebody decided that."""

    cost: Money | None
    seen: Money | None


@in_transaction
def create(
    *,
    prices: Collection[Money],
    manage_stock: bool,
    initial_stock: int = 0,
    cost: Money | None = None,
    category_ids: Collection[uuid.UUID] = (),
    actor: Actor,
    product_id: uuid.UUID | None = None,
    key: Key | None = None,
    **fields: Any,
) -> Product:
    """Create a product with its prices and its stock, in these categories.

    Raises: SkuTaken, SlugTaken, CurrencyUnknown; CategoryNotFound, TooManyCategoriesOfProduct.
    """
    product = Product(id=product_id or uuid7(), **fields)
    claim(key, product.pk)
    if category_ids:
        Category.objects.lock_tree(shared=True)
    product.created_at = product.updated_at = clock.now()
    set_cost(product, cost)
    if product.slug:
        product.save(force_insert=True)
    else:
        _save_with_free_slug(product)
    _set_prices(product, prices)
    if category_ids:
        categories.assign({product.pk: category_ids})
    Stock.objects.create(product=product, managed=manage_stock)
    changes.created(actor, product, _state(product))
    if initial_stock:
        stock = lock_managed(product.pk)
        # There is no moment at which there was the product, and not its units yet.
        _increment_initially(stock, initial_stock, actor, product.created_at)
    return product


def _save_with_free_slug(product: Product) -> None:
    """Raises: Stale if the slug was free when it was looked for and is taken by now."""
    [product.slug] = product_rows.free_slugs([product])
    try:
        product.save(force_insert=True)
    except IntegrityError as error:
        if isinstance(refusal_of(error), SlugTaken):
            raise Stale from error
        raise


@in_transaction
def update(
    product_id: uuid.UUID,
    *,
    actor: Actor,
    prices: Collection[Money] | None = None,
    manage_stock: bool | None = None,
    category_ids: Collection[uuid.UUID] | None = None,
    seen: Mapping[str, Any] | None = None,
    key: Key | None = None,
    **fields: Any,
) -> Product:
    """Change the given fields and leave the rest. `seen` is what stood in some of them before.

    Given prices replace all prices but those in currencies that are disabled at the moment; given
    categories replace all.
    Raises: ProductNotFound, SkuTaken, SlugTaken, CurrencyUnknown, Moved; CategoryNotFound,
    TooManyCategoriesOfProduct; UnitsAllocated if the stock is to become unmanaged while units are
    allocated.
    """
    claim(key, product_id)
    if category_ids is not None:
        Category.objects.lock_tree(shared=True)
    with _changing(product_id, actor) as product:
        require_as_seen(seen, lambda: {name: _now(product, name) for name in seen or {}})
        for name, value in fields.items():
            setattr(product, name, value)
        product.updated_at = clock.now()
        product.save(update_fields=[*fields, "updated_at"])
        if prices is not None:
            _replace_prices(product, prices)
        if category_ids is not None:
            categories.assign({product_id: category_ids})
        if manage_stock is not None:
            stock = lock_one(product_id)
            if manage_stock and not stock.managed:
                _begin_anew(stock, 0, actor)
            elif stock.managed and not manage_stock:
                _write_off(stock, actor)
    return product


def _now(product: Product, name: str) -> Any:
    if name == "category_ids":
        return categories.of([product.pk])[product.pk]
    return getattr(product, name)


@in_transaction
def change_prices(
    product_id: uuid.UUID,
    amounts: Mapping[str, int | None],
    *,
    actor: Actor,
    seen: Mapping[str, int | None] | None = None,
    cost: NewCost | None = None,
) -> None:
    """Change the prices in the given currencies and leave the others; None removes a price.

    `seen` is what some of them were. Without a new cost, that stays as it is.
    Raises: ProductNotFound, Moved, CurrencyUnknown.
    """
    with _changing(product_id, actor) as product:
        product.updated_at = clock.now()
        if cost is not None:
            if cost_of(product) != cost.seen:
                raise Moved
            set_cost(product, cost.cost)
        product.save(update_fields=["cost", "cost_currency", "updated_at"])
        old_prices = {price.currency_id: price for price in product.prices.all()}
        for code, amount in (seen or {}).items():
            if (old_prices[code].amount if code in old_prices else None) != amount:
                raise Moved
        product.prices.filter(currency_id__in=amounts).delete()
        prices = [
            Money(code, amount, code not in old_prices or old_prices[code].includes_tax)
            for code, amount in amounts.items()
            if amount is not None
        ]
        _set_prices(product, prices)


@in_transaction
def start_managing(
    product_id: uuid.UUID,
    quantity: int,
    *,
    actor: Actor,
    seen: Standing | None = None,
    key: Key | None = None,
) -> None:
    """Give a product its first stock, if it is unmanaged or its stock record is still untouched.

    Raises: ProductNotFound; StockExists for any other; Moved.
    """
    claim(key, product_id)
    with _changing(product_id, actor) as product:
        stock = lock_one(product_id, seen=seen)
        if stock.managed and stock.sequence:
            raise StockExists
        if not stock.managed:
            _touch(product)
            _begin_anew(stock, quantity, actor)
        elif quantity:
            _count_initially(stock, quantity, actor)


@in_transaction
def stop_managing(
    product_id: uuid.UUID,
    *,
    actor: Actor,
    seen: Standing | None = None,
    key: Key | None = None,
) -> None:
    """Write off what is available and stop managing the product's stock. The log stays.

    Raises: StockNotFound; UnitsAllocated; Moved.
    """
    claim(key, product_id)
    with _changing(product_id, actor, unknown=StockNotFound) as product:
        stock = lock_one(product_id, seen=seen)
        stock.require_managed()
        _touch(product)
        _write_off(stock, actor)


@in_transaction
def archive(
    product_id: uuid.UUID,
    *,
    actor: Actor,
    seen: Standing | None = None,
    key: Key | None = None,
) -> None:
    """Hide a product from everything but the log and the orders that name it.

    Raises: ProductNotFound; UnitsAllocated; Moved.
    """
    claim(key, product_id)
    with _changing(product_id, actor, Change.What.DELETED) as product:
        product.archived_at = product.updated_at = clock.now()
        product.save(update_fields=["archived_at", "updated_at"])
        stock = lock_one(product_id, seen=seen)
        if stock.managed:
            _write_off(stock, actor)


@in_transaction
def restore(
    product_id: uuid.UUID, *, sku: str, slug: str, actor: Actor, key: Key | None = None
) -> Product:
    """Bring an archived product back, as a draft that people look at before they publish it.

    Its stock stays as archiving left it, not managed: it begins anew with what is found then.
    Raises: ProductNotFound, also if somebody has brought it back; SkuTaken, SlugTaken.
    """
    claim(key, product_id)
    archived = Product.objects.exclude(archived_at=None).select_for_update(no_key=True)
    product = archived.filter(pk=product_id).first()
    if product is None:
        raise ProductNotFound
    with changes.recorded(actor, product, state=lambda: _state(product)):
        product.sku, product.slug = sku, slug
        product.status, product.archived_at = Product.Status.DRAFT, None
        product.updated_at = clock.now()
        require_free(product)
        product.save(update_fields=["sku", "slug", "status", "archived_at", "updated_at"])
    return product


def require_free(product: Product) -> None:
    """Name whoever has the sku or slug of a product that is to come back.

    Somebody may take either in the next moment: then the database says so.
    Raises: SkuTaken, SlugTaken.
    """
    for name, refusal in (("sku", SkuTaken), ("slug", SlugTaken)):
        value = getattr(product, name)
        if other := Product.objects.kept().filter(**{name: value}).exclude(pk=product.pk).first():
            raise refusal(f"{other} has the {name} {value} by now.")


def _write_off(stock: Stock, actor: Actor) -> None:
    if stock.allocated:
        raise UnitsAllocated
    if stock.available:
        written_off = {stock.product_id: stock.available}
        cause = Cause(actor, NO_LONGER_MANAGED)
        move([stock], [Action.DECREMENT], written_off, cause, by_order=BY_HAND)
    _set_managed(stock, False)


def _touch(product: Product) -> None:
    """Whether its stock is managed is told with the product, and is a change of it."""
    product.updated_at = clock.now()
    product.save(update_fields=["updated_at"])


def _set_managed(stock: Stock, managed: bool) -> None:
    stock.managed = managed
    stock.save(update_fields=["managed"])


def _begin_anew(stock: Stock, quantity: int, actor: Actor) -> None:
    """Manage stock that was not, beginning with these units.

    What happened on the shelf before is not known: no older count and no reversal adds to it, even
    if the units turn out to be wrong and are undone.
    """
    _set_managed(stock, True)
    evidence.keep([evidence.of(stock, 0, next_moment(stock), 0, actor=actor)])
    if quantity:
        _count_initially(stock, quantity, actor)


def _count_initially(stock: Stock, quantity: int, actor: Actor) -> None:
    """Begin with units that are there already: a count, to which no older one adds anything."""
    moment = next_moment(stock)
    _increment_initially(stock, quantity, actor, moment)
    evidence.keep([evidence.of(stock, quantity, moment, quantity, actor=actor)])


def _increment_initially(stock: Stock, quantity: int, actor: Actor, moment: datetime) -> None:
    cause, quantities = Cause(actor, INITIAL_STOCK), {stock.product_id: quantity}
    move([stock], [Action.INCREMENT], quantities, cause, by_order=BY_HAND, effective_at=moment)


# What people changed of a product is on record, except for movements: they have the log.


@contextmanager
def _changing(
    product_id: uuid.UUID,
    actor: Actor,
    what: Change.What = Change.What.CHANGED,
    *,
    unknown: type[Refusal] = ProductNotFound,
) -> Iterator[Product]:
    """Lock a product, and put on record what the block changes of it. Raises: `unknown`."""
    product = _lock_product(product_id, unknown)
    with changes.recorded(actor, product, what, state=lambda: _state(product)):
        yield product


def cost_of(product: Product) -> Money | None:
    if product.cost is None or product.cost_currency_id is None:
        return None
    return Money(product.cost_currency_id, product.cost)


def set_cost(product: Product, cost: Money | None) -> None:
    """Set what a unit costs the store, in memory. Raises: CurrencyUnknown."""
    if cost is not None:
        currencies.named(cost.currency)
    product.cost = cost.amount if cost else None
    product.cost_currency_id = cost.currency if cost else None


def _state(product: Product) -> changes.State:
    return product_rows.read([product])[product.pk].state()


def _lock_product(product_id: uuid.UUID, unknown: type[Refusal]) -> Product:
    products = Product.objects.kept().select_for_update(no_key=True)
    product = products.filter(pk=product_id).first()
    if product is None:
        raise unknown
    return product


def _replace_prices(product: Product, prices: Collection[Money]) -> None:
    """Replace all prices but those in disabled currencies, which may come back with their prices.

    Such a price may be given again as it is. Raises: CurrencyUnknown.
    """
    at_rest = {
        Money(price.currency_id, price.amount, price.includes_tax)
        for price in product.prices.filter(currency__enabled=False)
    }
    new_prices = [price for price in prices if price not in at_rest]
    outdated = Q(currency__enabled=True) | Q(
        currency_id__in=[price.currency for price in new_prices]
    )
    product.prices.filter(outdated).delete()
    _set_prices(product, new_prices)


def _set_prices(product: Product, prices: Collection[Money]) -> None:
    for price in prices:
        try:
            currencies.named(price.currency)
        except CurrencyUnknown as unknown:
            raise CurrencyUnknown(source="data.price") from unknown
    Price.objects.bulk_create(
        Price(
            product=product,
            currency_id=price.currency,
            amount=price.amount,
            includes_tax=price.includes_tax,
        )
        for price in prices
    )
