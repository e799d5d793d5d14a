"""Products that are made many at once, with a fixed number of statements."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import IntegrityError

from api import changes, clock
from api.actors import Actor
from api.errors import refusal_of
from api.models import Change
from api.transactions import Stale, assert_in_transaction
from inventory.errors import SlugTaken
from inventory.models import BY_HAND, Action, Category, Price, Product, Stock
from inventory.services import categories, currencies
from inventory.services.product_rows import give_slugs, state_of
from inventory.services.products import INITIAL_STOCK, Money
from inventory.services.stock import move
from inventory.services.writing import Cause


@dataclass(frozen=True)
class NewProduct:
    """A product to be, not saved yet, with what belongs to it. Without a slug it gets one."""

    product: Product
    prices: Collection[Money]
    manage_stock: bool = True
    initial_stock: int = 0
    category_ids: Collection[UUID] = ()


def create_all(new: Sequence[NewProduct], *, actor: Actor) -> None:
    """Create products as `products.create` does each of them, in the caller's transaction.

    Locks the tree of categories, shared, then the stock of those that begin with units.
    Raises: SkuTaken, SlugTaken, CurrencyUnknown; CategoryNotFound, TooManyCategoriesOfProduct;
    Stale if a slug that was free when it was looked for is taken by now.
    """
    assert_in_transaction()
    in_categories = {each.product.pk: each.category_ids for each in new if each.category_ids}
    if in_categories:
        Category.objects.lock_tree(shared=True)
    by_code = {price.currency for each in new for price in each.prices}
    known = {code: currencies.named(code) for code in by_code}
    now = clock.now()
    for each in new:
        each.product.created_at = each.product.updated_at = now
    _save([each.product for each in new])
    prices = {
        each.product.pk: [
            Price(
                product=each.product,
                currency=known[price.currency],
                amount=price.amount,
                includes_tax=price.includes_tax,
            )
            for price in each.prices
        ]
        for each in new
    }
    Price.objects.bulk_create(price for each in prices.values() for price in each)
    if in_categories:
        categories.assign(in_categories)
    Stock.objects.bulk_create(
        Stock(product=each.product, managed=each.manage_stock) for each in new
    )
    texts = categories.texts([each.product.pk for each in new])
    states = [
        (
            each.product,
            categories.NOTHING,
            state_of(
                each.product, prices[each.product.pk], each.manage_stock, texts[each.product.pk]
            ),
        )
        for each in new
    ]
    changes.record(changes.entries(actor, Change.What.CREATED, states))
    if quantities := {each.product.pk: each.initial_stock for each in new if each.initial_stock}:
        stocks = Stock.objects.lock(quantities)
        # There is no moment at which there were the products, and not their units yet.
        cause = Cause(actor, INITIAL_STOCK)
        move(stocks, [Action.INCREMENT], quantities, cause, by_order=BY_HAND, effective_at=now)


def _save(products: Sequence[Product]) -> None:
    without_slug = [product for product in products if not product.slug]
    give_slugs(products)
    try:
        Product.objects.bulk_create(products)
    except IntegrityError as error:
        if without_slug and isinstance(refusal_of(error), SlugTaken):
            raise Stale from error
        raise
