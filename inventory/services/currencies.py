"""Every movement of stock. All of it goes through `_move`: one ordered lock, one write, commit.

House rule for locks: Cart, then Order, then Stock; in primary-key order; one query each; once a
transaction; as late as possible. Whoever changes a product locks it just before its stock.
"""

import functools
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ParamSpec, TypeVar

from django.conf import settings
from django.db import IntegrityError, connection
from django.db.models import ProtectedError, Q
from django.utils.text import slugify

from api import clock
from api.actors import Actor
from api.errors import refusal_of
from api.idempotency import Key, claim
from api.ids import uuid7
from api.transactions import Stale, assert_in_transaction, in_transaction
from inventory.errors import (
    CountedLater,
    CountTooLow,
    CurrencyInUse,
    CurrencyIsDefault,
    CurrencyNotEnabled,
    CurrencyNotFound,
    CurrencyTaken,
    CurrencyUnknown,
    NotUndoable,
    ProductNotFound,
    SlugTaken,
    StockExists,
    StockMoved,
    StockNotFound,
    StockTransactionNotFound,
    TooManyCurrencies,
    UnitsAllocated,
)
from inventory.models import (
    BY_HAND,
    FOR_ORDER,
    OPPOSITES,
    REASON_LENGTH_MAX,
    Action,
    CountLine,
    Currency,
    Price,
    Product,
    Stock,
    StockTransaction,
)
from inventory.services.log import totals_at
from inventory.services.writing import Cause, moment_of, write

P = ParamSpec("P")
R = TypeVar("R")

CURRENCIES_MAX = 10
SLUG_LENGTH_MAX = 200
INITIAL_STOCK = "initial stock"
NO_LONGER_MANAGED = "stock no longer managed"


def _move(
    stocks: Sequence[Stock],
    actions: Sequence[Action],
    quantities: Mapping[uuid.UUID, int],
    cause: Cause,
    *,
    by_order: bool,
    first_id: uuid.UUID | None = None,
    counted_at: datetime | None = None,
) -> None:
    """Apply the actions, each with the product's quantity, to locked rows: all of them or none."""
    steps = [
        stock.move(action, quantities[stock.product_id], by_order=by_order)
        for stock in stocks
        for action in actions
    ]
    moments = [counted_at] * len(steps) if counted_at else None
    write(steps, cause, first_id=first_id, counted_at=moments)


# By hand: in the admin and at /v2/inventories.


@in_transaction
def record(
    product_id: uuid.UUID,
    action: Action,
    quantity: int,
    *,
    actor: Actor,
    reason: str = "",
    key: Key | None = None,
) -> uuid.UUID:
    """Increment, decrement, allocate or deallocate stock by hand; return the id of the log's entry.

    Raises: StockNotFound; StockTooLow, having changed nothing; TooManyUnits.
    """
    entry_id = uuid7()
    claim(key, entry_id)
    stock = _lock_managed(product_id)
    cause = Cause(actor, reason)
    _move([stock], [action], {product_id: quantity}, cause, by_order=BY_HAND, first_id=entry_id)
    return entry_id


@in_transaction
def count(
    product_id: uuid.UUID,
    counted: int,
    *,
    actor: Actor,
    counted_at: datetime | None = None,
    seen: int | None = None,
    reason: str = "",
    key: Key | None = None,
) -> int:
    """Bring the total to what was counted, and return by how much that moved it.

    What is written is what was counted less the total at that moment, which is now if it is not
    given: so whatever moved since then stays moved. `seen` is the number of the log's last entry
    that whoever counted knew of. Where the log agrees, nothing is written.

    Raises: StockNotFound; StockMoved if the log has gone on since `seen`; CountedLater if a count
    of a later moment has corrected the total; CountTooLow if fewer units would be left than are
    allocated; TooManyUnits.
    """
    claim(key, product_id)
    stock = _lock_managed(product_id)
    if seen is not None and seen != stock.sequence:
        raise StockMoved(_since(stock, seen))
    moment = counted_at or moment_of(stock)
    [then] = totals_at([(stock, moment)])
    difference = counted - then.total
    if difference and then.counted_later_at:
        raise CountedLater(then.counted_later_at)
    if stock.available + difference < 0:
        raise CountTooLow(
            f"{-difference} fewer than the log says, but only {stock.available} of {stock.total} "
            f"{'is' if stock.available == 1 else 'are'} available: {stock.allocated} "
            f"{'is' if stock.allocated == 1 else 'are'} allocated."
        )
    if difference:
        action = Action.INCREMENT if difference > 0 else Action.DECREMENT
        cause = Cause(actor, words_of_count(counted, counted_at, reason))
        quantities = {product_id: abs(difference)}
        _move([stock], [action], quantities, cause, by_order=BY_HAND, counted_at=moment)
    return difference


def _since(stock: Stock, seen: int) -> str:
    before = stock.log.filter(sequence=seen).first()
    was = before.numbers if before else "nothing"
    return f"The stock moved since this form was opened: it was {was}, and is {stock} now."


def words_of_count(counted: int, counted_at: datetime | None, reason: str) -> str:
    at = f" at {counted_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if counted_at else ""
    words = f"count of {counted}{at}" + (f": {reason}" if reason else "")
    return words[:REASON_LENGTH_MAX]


@in_transaction
def undo(product_id: uuid.UUID, sequence: int, *, actor: Actor) -> StockTransaction:
    """Write the opposite of an entry made by hand, if it is still the log's last; return that one.

    Raises: StockNotFound; NotUndoable, also if a file wrote it, which would not know of it.
    """
    # Entries never change: only whether it is the last must be asked under the lock.
    entry = StockTransaction.objects.filter(stock__product_id=product_id, sequence=sequence).first()
    from_file = entry is not None and is_from_file(product_id, entry)
    stock = _lock_managed(product_id)
    if entry is None or entry.by_order or entry.sequence != stock.sequence:
        raise NotUndoable
    if from_file:
        raise NotUndoable("A file of counts wrote this entry: revert the file, or count again.")
    cause = Cause(actor, f"undo: {entry.reason}"[:REASON_LENGTH_MAX])
    opposite, quantities = OPPOSITES[Action(entry.action)], {product_id: entry.quantity}
    _move([stock], [opposite], quantities, cause, by_order=BY_HAND, counted_at=entry.counted_at)
    return entry


def is_from_file(product_id: uuid.UUID, entry: StockTransaction) -> bool:
    """Tell whether a file of counts or changes wrote the entry, or took one back by it."""
    return CountLine.objects.wrote(product_id, entry.sequence).exists()


def _lock_managed(product_id: uuid.UUID) -> Stock:
    stock = _lock_one(product_id)
    stock.require_managed()
    return stock


def _lock_one(product_id: uuid.UUID) -> Stock:
    stocks = Stock.objects.lock([product_id])
    if not stocks:
        raise StockNotFound
    return stocks[0]


# For orders: inside the transaction of whoever has locked the order.


def allocate(quantities: Mapping[uuid.UUID, int], *, order_id: uuid.UUID, actor: Actor) -> None:
    """Take units for an order: every product of `quantities`, which are all managed, or none.

    Raises: StockTooLow; Stale if a product stopped being managed since the caller looked.
    """
    stocks = _lock_for_order(quantities)
    if len(stocks) < len(quantities) or not all(stock.managed for stock in stocks):
        raise Stale
    cause = Cause(actor, "payment started", order_id)
    _move(stocks, [Action.ALLOCATE], quantities, cause, by_order=FOR_ORDER)


def deallocate(
    quantities: Mapping[uuid.UUID, int], *, order_id: uuid.UUID, actor: Actor, reason: str
) -> None:
    """Give back the units that an order holds."""
    stocks = _lock_for_order(quantities)
    cause = Cause(actor, reason, order_id)
    _move(stocks, [Action.DEALLOCATE], quantities, cause, by_order=FOR_ORDER)


def ship(quantities: Mapping[uuid.UUID, int], *, order_id: uuid.UUID, actor: Actor) -> None:
    """Take the units that an order holds out of the total.

    Two entries a product, so that the log replays by its public meaning alone.
    """
    stocks = _lock_for_order(quantities)
    cause = Cause(actor, "shipped", order_id)
    _move(stocks, [Action.DEALLOCATE, Action.DECREMENT], quantities, cause, by_order=FOR_ORDER)


def undo_ship(
    quantities: Mapping[uuid.UUID, int], *, order_id: uuid.UUID, actor: Actor, reason: str
) -> None:
    """Bring back the units that an order took out of the total, and let it hold them again.

    Raises: StockNotFound if one of the products is no longer managed; TooManyUnits.
    """
    stocks = _lock_managed_for_order(quantities)
    cause = Cause(actor, reason, order_id)
    _move(stocks, [Action.INCREMENT, Action.ALLOCATE], quantities, cause, by_order=FOR_ORDER)


def put_back(
    quantities: Mapping[uuid.UUID, int], *, order_id: uuid.UUID, actor: Actor, reason: str
) -> None:
    """Make units of a shipped order, which came back, available again.

    Raises: StockNotFound if one of the products is no longer managed; TooManyUnits.
    """
    stocks = _lock_managed_for_order(quantities)
    cause = Cause(actor, reason, order_id)
    _move(stocks, [Action.INCREMENT], quantities, cause, by_order=FOR_ORDER)


def _lock_managed_for_order(quantities: Mapping[uuid.UUID, int]) -> list[Stock]:
    stocks = _lock_for_order(quantities)
    if not all(stock.managed for stock in stocks):
        raise StockNotFound("The stock of one of these products is no longer managed.")
    return stocks


def _lock_for_order(quantities: Mapping[uuid.UUID, int]) -> list[Stock]:
    assert_in_transaction()
    assert quantities
    return Stock.objects.lock(quantities)


# Products, and whether their stock is managed.


@dataclass(frozen=True)
class Money:
    currency: str
    amount: int
    includes_tax: bool = True


@in_transaction
def create_product(
    *,
    prices: Collection[Money],
    manage_stock: bool,
    initial_stock: int = 0,
    actor: Actor,
    product_id: uuid.UUID | None = None,
    key: Key | None = None,
    **fields: Any,
) -> Product:
    """Create a product with its prices and its stock.

    Raises: SkuTaken, SlugTaken, CurrencyUnknown.
    """
    product = Product(id=product_id or uuid7(), **fields)
    claim(key, product.pk)
    product.created_at = product.updated_at = clock.now()
    if product.slug:
        product.save(force_insert=True)
    else:
        _save_with_free_slug(product)
    _set_prices(product, prices)
    Stock.objects.create(product=product, managed=manage_stock)
    if initial_stock:
        stock = _lock_managed(product.pk)
        _increment_initially(stock, initial_stock, actor)
    return product


def _save_with_free_slug(product: Product) -> None:
    """Raises: Stale if somebody has taken the slug that was free when it was looked for."""
    product.slug = _free_slug(product)
    try:
        product.save(force_insert=True)
    except IntegrityError as error:
        if isinstance(refusal_of(error), SlugTaken):
            raise Stale from error
        raise


def _free_slug(product: Product) -> str:
    """Make the product's part of an address: of its name or, if that is taken, of its sku too."""
    names = (product.name, f"{product.name[: SLUG_LENGTH_MAX // 2]} {product.sku}")
    for slug in (slugify(name)[:SLUG_LENGTH_MAX].rstrip("-") for name in names):
        if slug and not Product.objects.kept().filter(slug=slug).exists():
            return slug
    return product.pk.hex


@in_transaction
def update_product(
    product_id: uuid.UUID,
    *,
    actor: Actor,
    prices: Collection[Money] | None = None,
    manage_stock: bool | None = None,
    key: Key | None = None,
    **fields: Any,
) -> Product:
    """Change what is given and leave the rest.

    Given prices replace all prices but those in currencies that are disabled at the moment.
    Raises: ProductNotFound, SkuTaken, SlugTaken, CurrencyUnknown; UnitsAllocated if stock is to be
    no longer managed while units are allocated.
    """
    claim(key, product_id)
    product = _lock_product(product_id)
    for name, value in fields.items():
        setattr(product, name, value)
    product.updated_at = clock.now()
    product.save(update_fields=[*fields, "updated_at"])
    if prices is not None:
        _replace_prices(product, prices)
    if manage_stock is not None:
        stock = _lock_one(product_id)
        if manage_stock and not stock.managed:
            _set_managed(stock, True)
        elif stock.managed and not manage_stock:
            _write_off(stock, actor)
    return product


@in_transaction
def change_prices(product_id: uuid.UUID, amounts: Mapping[str, int | None]) -> None:
    """Change the prices in the currencies that are named, None taking one away; leave the others.

    Raises: ProductNotFound, CurrencyUnknown.
    """
    product = _lock_product(product_id)
    product.updated_at = clock.now()
    product.save(update_fields=["updated_at"])
    before = {price.currency_id: price for price in product.prices.all()}
    product.prices.filter(currency_id__in=amounts).delete()
    prices = [
        Money(code, amount, code not in before or before[code].includes_tax)
        for code, amount in amounts.items()
        if amount is not None
    ]
    _set_prices(product, prices)


@in_transaction
def start_managing(
    product_id: uuid.UUID, quantity: int, *, actor: Actor, key: Key | None = None
) -> None:
    """Give a product its first stock: an unmanaged one, or one whose record is still untouched.

    Raises: ProductNotFound; StockExists for any other.
    """
    claim(key, product_id)
    _lock_product(product_id)
    stock = _lock_one(product_id)
    if stock.managed and stock.sequence:
        raise StockExists
    _set_managed(stock, True)
    if quantity:
        _increment_initially(stock, quantity, actor)


@in_transaction
def stop_managing(product_id: uuid.UUID, *, actor: Actor) -> None:
    """Write off what is available and manage the product's stock no longer. The log stays.

    Raises: StockNotFound; UnitsAllocated.
    """
    _write_off(_lock_managed(product_id), actor)


@in_transaction
def archive_product(product_id: uuid.UUID, *, actor: Actor) -> None:
    """Delete a product for everybody but the log and the orders that name it.

    Raises: ProductNotFound; UnitsAllocated.
    """
    product = _lock_product(product_id)
    product.archived_at = product.updated_at = clock.now()
    product.save(update_fields=["archived_at", "updated_at"])
    stock = _lock_one(product_id)
    if stock.managed:
        _write_off(stock, actor)


def _write_off(stock: Stock, actor: Actor) -> None:
    if stock.allocated:
        raise UnitsAllocated
    if stock.available:
        written_off = {stock.product_id: stock.available}
        cause = Cause(actor, NO_LONGER_MANAGED)
        _move([stock], [Action.DECREMENT], written_off, cause, by_order=BY_HAND)
    _set_managed(stock, False)


def _set_managed(stock: Stock, managed: bool) -> None:
    stock.managed = managed
    stock.save(update_fields=["managed"])


def _increment_initially(stock: Stock, quantity: int, actor: Actor) -> None:
    cause = Cause(actor, INITIAL_STOCK)
    _move([stock], [Action.INCREMENT], {stock.product_id: quantity}, cause, by_order=BY_HAND)


def _lock_product(product_id: uuid.UUID) -> Product:
    kept = Product.objects.kept().select_for_update(no_key=True)
    product = kept.filter(pk=product_id).first()
    if product is None:
        raise ProductNotFound
    return product


def _replace_prices(product: Product, prices: Collection[Money]) -> None:
    """A disabled currency may come back, and its prices with it: given again they may be as well.

    Raises: CurrencyUnknown.
    """
    at_rest = {
        Money(price.currency_id, price.amount, price.includes_tax)
        for price in product.prices.filter(currency__enabled=False)
    }
    given = [price for price in prices if price not in at_rest]
    replaced = Q(currency__enabled=True) | Q(currency_id__in=[price.currency for price in given])
    product.prices.filter(replaced).delete()
    _set_prices(product, given)


def _set_prices(product: Product, prices: Collection[Money]) -> None:
    for price in prices:
        try:
            currency_named(price.currency)
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


# Reading.


def stock_of(product_id: uuid.UUID) -> Stock:
    """Raises: StockNotFound for a product that is unknown or unmanaged."""
    stocks = Stock.objects.filter(product_id=product_id, managed=True).select_related("product")
    stock = stocks.first()
    if stock is None:
        raise StockNotFound
    return stock


def stock_transaction_of(product_id: uuid.UUID, entry_id: uuid.UUID) -> StockTransaction:
    """Raises: StockTransactionNotFound."""
    entries = StockTransaction.objects.select_related("stock")
    entry = entries.filter(pk=entry_id, stock__product_id=product_id).first()
    if entry is None:
        raise StockTransactionNotFound
    return entry


def log_page(
    stock: Stock, *, offset: int, limit: int, newest_first: bool = False
) -> list[StockTransaction]:
    """Read a page of the log as a range of its numbers, which have no gaps: never OFFSET."""
    if newest_first:
        last = stock.sequence - offset
        numbers, order = (last - limit + 1, last), "-sequence"
    else:
        numbers, order = (offset + 1, offset + limit), "sequence"
    return list(stock.log.filter(sequence__range=numbers).order_by(order))


def set_aside(stock: Stock, limit: int) -> list[StockTransaction]:
    """Read what people allocated and deallocated since nothing was set aside, newest first.

    Added up, they are what is `held`, unless there are more than `limit`.
    """
    if not stock.held:
        return []
    by_hand = stock.log.filter(
        by_order=BY_HAND,
        action__in=[Action.ALLOCATE, Action.DEALLOCATE],
        sequence__lte=stock.sequence,
    )
    parts = []
    for entry in by_hand.order_by("-sequence")[:limit]:
        parts.append(entry)
        if entry.held == entry.set_aside:
            break
    return parts


def entry_at(stock: Stock, moment: datetime) -> StockTransaction | None:
    """Find the entry that made the numbers of a past moment: one look-up in an index.

    None before the log begins, when there was nothing.
    """
    until = stock.log.filter(created_at__lte=moment)
    return until.order_by("-created_at", "-sequence").first()


# Currencies.


def _known_anew(service: Callable[P, R]) -> Callable[P, R]:
    """Let this process see at once what the service has committed."""

    @functools.wraps(service)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        done = service(*args, **kwargs)
        forget_currencies()
        return done

    return run


@_known_anew
@in_transaction
def create_currency(
    *, currency_id: uuid.UUID | None = None, key: Key | None = None, **fields: Any
) -> Currency:
    """Raises: CurrencyTaken, CurrencyAmbiguous, CurrencyNotEnabled, TooManyCurrencies."""
    currency = Currency(id=currency_id or uuid7(), created_at=clock.now())
    claim(key, currency.pk)
    known = Currency.objects.lock_all()
    if len(known) >= CURRENCIES_MAX:
        raise TooManyCurrencies
    _write_currency(currency, known, fields)
    return currency


@_known_anew
@in_transaction
def change_currency(currency_id: uuid.UUID, *, key: Key | None = None, **fields: Any) -> Currency:
    """Change what is given and leave the rest. Another default takes the place of the one before.

    Raises: CurrencyNotFound, CurrencyTaken, CurrencyAmbiguous, CurrencyNotEnabled;
    CurrencyIsDefault if there would be none; CurrencyInUse if amounts would come to mean others.
    """
    claim(key, currency_id)
    known = Currency.objects.lock_all()
    currency = _currency_of(currency_id, known)
    if currency.default and not (fields.get("default", True) and fields.get("enabled", True)):
        raise CurrencyIsDefault
    means_other = any(
        fields.get(name, getattr(currency, name)) != getattr(currency, name)
        for name in ("code", "decimal_places")
    )
    if means_other and currency.is_in_use():
        raise CurrencyInUse
    _write_currency(currency, known, fields)
    if means_other:
        _require_unreferenced()
    return currency


@_known_anew
@in_transaction
def delete_currency(currency_id: uuid.UUID) -> None:
    """Raises: CurrencyNotFound, CurrencyIsDefault, CurrencyInUse."""
    currency = _currency_of(currency_id, Currency.objects.lock_all())
    if currency.default:
        raise CurrencyIsDefault
    if currency.is_in_use():
        raise CurrencyInUse
    try:
        currency.delete()
    except ProtectedError as error:
        raise CurrencyInUse from error
    _require_unreferenced()


def _require_unreferenced() -> None:
    """Look for whoever has begun to use the currency meanwhile: now, rather than at the commit.

    Raises: CurrencyInUse.
    """
    try:
        connection.check_constraints()
    except IntegrityError as error:
        raise CurrencyInUse from error


def _currency_of(currency_id: uuid.UUID, known: Sequence[Currency]) -> Currency:
    for currency in known:
        if currency.pk == currency_id:
            return currency
    raise CurrencyNotFound


def _write_currency(
    currency: Currency, known: Sequence[Currency], fields: Mapping[str, Any]
) -> None:
    for name, value in fields.items():
        setattr(currency, name, value)
    currency.require_unambiguous()
    if currency.default and not currency.enabled:
        raise CurrencyNotEnabled
    if any(other.code == currency.code and other.pk != currency.pk for other in known):
        raise CurrencyTaken
    currency.updated_at = clock.now()
    if currency.default:
        Currency.objects.exclude(pk=currency.pk).update(default=False)
    currency.save()


# Currency rows change about never, and every answer with money in it needs one: each process looks
# again after some seconds.
class _Currencies(dict[str, Currency]):
    """By code. What was made since is looked up; what is gone is written as most currencies are."""

    def __missing__(self, code: str) -> Currency:
        # Kept by nobody: another thread may be reading this dictionary from end to end.
        return Currency.objects.filter(code=code).first() or Currency(code=code, enabled=False)


_currencies: tuple[float, _Currencies] = (0.0, _Currencies())


def currencies() -> Mapping[str, Currency]:
    """Return the store's currencies by code."""
    global _currencies
    until, known = _currencies
    if until < time.monotonic():
        known = _Currencies(Currency.objects.in_bulk(field_name="code"))
        _currencies = (time.monotonic() + settings.CLIENT_CACHE_SECONDS, known)
    return known


def forget_currencies() -> None:
    global _currencies
    _currencies = (0.0, _Currencies())


def currency_named(code: str) -> Currency:
    """Return the enabled currency, or the store's default for "". Raises: CurrencyUnknown."""
    for known in (currencies, _currencies_anew):
        for currency in known().values():
            if currency.enabled and (currency.code == code or (not code and currency.default)):
                return currency
    raise CurrencyUnknown(source="X-MOLTIN-CURRENCY")


def _currencies_anew() -> Mapping[str, Currency]:
    """Look again for what another process may just have made."""
    forget_currencies()
    return currencies()
