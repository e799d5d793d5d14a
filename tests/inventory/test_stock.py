import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from api import clock
from api.actors import Actor
from api.fields import UNITS_MAX
from api.ids import uuid7
from api.transactions import Stale
from inventory.errors import (
    CurrencyUnknown,
    ProductNotFound,
    SkuTaken,
    SlugTaken,
    StockExists,
    StockNotFound,
    StockTooLow,
    StockTransactionNotFound,
    TooManyUnits,
    UnitsAllocated,
)
from inventory.models import Action, Currency, Product, Stock, StockTransaction
from inventory.services import currencies, products
from inventory.services import log as stock_log
from inventory.services import stock as inventory
from inventory.services.products import Money
from tests.factories import MERCHANT, holding_order, product, stock_of

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def _record(made: Product, action: Action, quantity: int, reason: str = "") -> uuid.UUID:
    return inventory.record(made.pk, action, quantity, actor=MERCHANT, reason=reason)


def _numbers(made: Product) -> tuple[int, int, int, int]:
    stock = stock_of(made)
    return stock.total, stock.available, stock.allocated, stock.held


def _log(made: Product) -> list[StockTransaction]:
    return list(StockTransaction.objects.filter(stock__product=made).order_by("sequence"))


def _actions(made: Product) -> list[tuple[str, int, bool]]:
    return [(entry.action, entry.quantity, entry.by_order) for entry in _log(made)]


@contextmanager
def _refused(refusal: type[Exception]) -> Iterator[None]:
    """Expect a refusal that leaves every stock row and the whole log as they were."""

    def everything() -> list[list[object]]:
        rows = Stock.objects.order_by("pk").values_list()
        entries = StockTransaction.objects.order_by("stock_id", "sequence").values_list()
        return [list(rows), list(entries)]

    before = everything()
    with pytest.raises(refusal):
        yield
    assert everything() == before


# By hand.


def test_the_four_actions_move_the_numbers_as_the_documents_say():
    made = product(50)

    _record(made, Action.INCREMENT, 10)
    assert _numbers(made) == (60, 60, 0, 0)
    _record(made, Action.ALLOCATE, 25)
    assert _numbers(made) == (60, 35, 25, 25)
    _record(made, Action.DEALLOCATE, 5)
    assert _numbers(made) == (60, 40, 20, 20)
    _record(made, Action.DECREMENT, 40)
    assert _numbers(made) == (20, 0, 20, 20)


def test_an_entry_of_the_log_says_who_did_what_when_and_why_and_what_was_there_then():
    made = product(50)
    clerk = Actor("user", "12", "grace")
    tomorrow = clock.now() + timedelta(days=1)

    with clock.replaced(lambda: tomorrow):
        entry_id = inventory.record(
            made.pk, Action.ALLOCATE, 8, actor=clerk, reason="for the trade fair"
        )

    entry = StockTransaction.objects.get(pk=entry_id)
    assert (entry.action, entry.quantity, entry.by_order, entry.sequence) == (
        "allocate",
        8,
        False,
        2,
    )
    assert (entry.total, entry.available, entry.allocated, entry.held) == (50, 42, 8, 8)
    assert (entry.actor_kind, entry.actor_id, entry.actor_name) == ("user", "12", "grace")
    assert (entry.reason, entry.order_id) == ("for the trade fair", None)
    assert entry.sequence == stock_of(made).sequence == 2
    assert entry.created_at == stock_of(made).last_moved_at == tomorrow


@pytest.mark.parametrize(
    ("action", "quantity"),
    [(Action.DECREMENT, 8), (Action.ALLOCATE, 8), (Action.DEALLOCATE, 4)],
)
def test_more_than_there_is_is_refused_and_changes_nothing(action, quantity):
    made = product(10)
    _record(made, Action.ALLOCATE, 3)

    with _refused(StockTooLow):
        _record(made, action, quantity)


def test_f33_a_deallocate_by_hand_leaves_the_units_of_orders_alone():
    made = product(10)
    _record(made, Action.ALLOCATE, 2)
    holding_order({made: 3})

    with _refused(StockTooLow):
        _record(made, Action.DEALLOCATE, 3)

    _record(made, Action.DEALLOCATE, 2)
    assert _numbers(made) == (10, 7, 3, 0)


@pytest.mark.parametrize("quantity", [1, UNITS_MAX])
def test_f42_no_stock_grows_past_the_largest_number(quantity):
    made = product(UNITS_MAX)

    with _refused(TooManyUnits):
        _record(made, Action.INCREMENT, quantity)


def test_f42_allocated_units_count_towards_the_largest_number():
    made = product(UNITS_MAX)
    _record(made, Action.ALLOCATE, UNITS_MAX)

    with _refused(TooManyUnits):
        _record(made, Action.INCREMENT, 1)


def test_a_product_without_managed_stock_has_no_movements():
    made = product(managed=False)

    with _refused(StockNotFound):
        _record(made, Action.INCREMENT, 1)


def test_an_unknown_product_has_no_movements():
    with _refused(StockNotFound):
        inventory.record(uuid7(), Action.INCREMENT, 1, actor=MERCHANT)


def test_the_log_never_runs_backwards_even_if_the_clock_does():
    with clock.replaced(lambda: NOON):
        made = product(10)
    with clock.replaced(lambda: NOON - timedelta(hours=1)):
        _record(made, Action.DECREMENT, 1)
    with clock.replaced(lambda: NOON + timedelta(hours=1)):
        _record(made, Action.DECREMENT, 1)

    moments = [entry.created_at for entry in _log(made)]

    assert moments == [NOON, NOON, NOON + timedelta(hours=1)]
    assert stock_of(made).last_moved_at == NOON + timedelta(hours=1)


# For orders. What an order notes of its units is left out, so every test lets them go again.


def _quantities(lines: dict[Product, int]) -> dict[uuid.UUID, int]:
    return {made.pk: quantity for made, quantity in lines.items()}


def _allocate(lines: dict[Product, int], order_id: uuid.UUID) -> None:
    with transaction.atomic():
        inventory.allocate(_quantities(lines), order_id=order_id, actor=MERCHANT)


def _deallocate(lines: dict[Product, int], order_id: uuid.UUID) -> None:
    with transaction.atomic():
        inventory.deallocate(
            _quantities(lines), order_id=order_id, actor=MERCHANT, reason="order cancelled"
        )


def _ship(lines: dict[Product, int], order_id: uuid.UUID) -> None:
    with transaction.atomic():
        inventory.ship(_quantities(lines), order_id=order_id, actor=MERCHANT)


def test_an_order_takes_its_units_and_gives_them_back():
    made = product(10)
    order_id = uuid7()

    _allocate({made: 4}, order_id)
    assert _numbers(made) == (10, 6, 4, 0)
    _deallocate({made: 4}, order_id)
    assert _numbers(made) == (10, 10, 0, 0)

    assert [(e.action, e.quantity, e.by_order, e.order_id, e.reason) for e in _log(made)[1:]] == [
        ("allocate", 4, True, order_id, "payment started"),
        ("deallocate", 4, True, order_id, "order cancelled"),
    ]


def test_a_shipped_order_takes_its_units_out_of_the_total_in_two_entries():
    made = product(10)
    order_id = uuid7()
    _allocate({made: 4}, order_id)

    _ship({made: 4}, order_id)

    assert _numbers(made) == (6, 6, 0, 0)
    assert [
        (e.action, e.quantity, e.available, e.allocated, e.reason, e.order_id)
        for e in _log(made)[2:]
    ] == [
        ("deallocate", 4, 10, 0, "shipped", order_id),
        ("decrement", 4, 6, 0, "shipped", order_id),
    ]


def test_f04_an_order_takes_all_its_products_or_none():
    plenty, short = product(100), product(4)

    with _refused(StockTooLow):
        _allocate({plenty: 10, short: 5}, uuid7())


@pytest.mark.parametrize("move", [_deallocate, _ship])
def test_an_order_cannot_let_go_of_what_was_set_aside_by_hand(move):
    made = product(10)
    _record(made, Action.ALLOCATE, 5)

    with _refused(StockTooLow):
        move({made: 1}, uuid7())


def test_an_order_that_knows_no_longer_what_is_managed_must_look_again():
    managed, unmanaged = product(5), product(managed=False)

    with _refused(Stale):
        _allocate({managed: 1, unmanaged: 1}, uuid7())


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("move", [inventory.allocate, inventory.ship])
def test_an_order_moves_units_only_inside_the_transaction_that_locked_the_order(move):
    made = product(10)

    with _refused(AssertionError):
        move({made.pk: 1}, order_id=uuid7(), actor=MERCHANT)


# What it costs.


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "change",
    [
        lambda made: products.update(made.pk, name="Cap", actor=MERCHANT),
        lambda made: products.change_prices(made.pk, {"USD": 100}),
        lambda made: products.start_managing(made.pk, 5, actor=MERCHANT),
        lambda made: products.archive(made.pk, actor=MERCHANT),
    ],
    ids=["update", "prices", "start managing", "archive"],
)
def test_every_change_of_a_product_begins_with_its_lock(change):
    made = product(0)

    with CaptureQueriesContext(connection) as queries:
        change(made)

    begin, first, *_ = [query["sql"] for query in queries]
    assert begin == "BEGIN"
    assert 'FROM "inventory_product"' in first
    assert "FOR NO KEY UPDATE" in first


def _lock_and_write(queries: CaptureQueriesContext) -> list[str]:
    """Name the statements of a service that moves stock."""
    names = {"SELECT": "lock", "WITH moved AS": "write"}
    return [
        next((name for start, name in names.items() if query.startswith(start)), query)
        for query in (captured["sql"].strip() for captured in queries.captured_queries)
    ]


@pytest.mark.django_db(transaction=True)
def test_a_movement_by_hand_is_one_lock_and_one_write():
    made = product(10)

    with CaptureQueriesContext(connection) as queries:
        _record(made, Action.DECREMENT, 1)

    assert _lock_and_write(queries) == ["BEGIN", "lock", "write", "COMMIT"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("lines", [1, 20])
def test_an_order_costs_one_lock_and_one_write_however_many_lines_it_has(lines):
    order = {product(10): 2 for _ in range(lines)}
    order_id = uuid7()

    for move in (_allocate, _deallocate, _allocate, _ship):
        with CaptureQueriesContext(connection) as queries:
            move(order, order_id)

        assert _lock_and_write(queries) == ["BEGIN", "lock", "write", "COMMIT"]


# Products.


def _create(**fields: Any) -> Product:
    given = {"name": "Navy Shirt", "sku": "NAVY", "manage_stock": True, "actor": MERCHANT}
    return products.create(**{"prices": [Money("USD", 1250)], **given, **fields})


def test_a_new_product_starts_with_its_stock_in_the_log():
    made = _create(initial_stock=50)

    [entry] = _log(made)
    assert (entry.action, entry.quantity, entry.reason) == ("increment", 50, "initial stock")
    assert (entry.actor_kind, entry.actor_name) == (MERCHANT.kind, MERCHANT.name)
    assert _numbers(made) == (50, 50, 0, 0)
    assert made.slug == "navy-shirt"
    assert [(price.currency_id, price.amount) for price in made.prices.all()] == [("USD", 1250)]


def test_a_new_product_without_stock_starts_at_zero_with_an_empty_log():
    made = _create()

    assert _numbers(made) == (0, 0, 0, 0)
    assert stock_of(made).managed
    assert _log(made) == []


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"sku": "TAKEN", "slug": "free"}, SkuTaken),
        ({"sku": "FREE", "slug": "taken"}, SlugTaken),
        ({"prices": [Money("XXX", 1)]}, CurrencyUnknown),
    ],
)
def test_a_product_that_cannot_be_is_refused_and_leaves_nothing(fields, refusal):
    product(sku="TAKEN", slug="taken")

    with pytest.raises(refusal):
        _create(initial_stock=5, **fields)

    assert Product.objects.count() == Stock.objects.count() == 1


def test_a_slug_is_made_of_the_name_unless_another_product_has_it():
    slugs = [_create(sku=sku).slug for sku in ("NAVY", "NAVY-2")]

    assert slugs == ["navy-shirt", "navy-shirt-navy-2"]


@pytest.mark.parametrize("name", ["シャツ", "½" * 200, "x" * 200])
def test_two_products_of_any_one_name_get_slugs_of_their_own(name):
    slugs = {_create(name=name, sku=sku * 50).slug for sku in ("甲", "乙", "A", "B")}

    assert len(slugs) == 4
    assert all(slugs)


def test_a_change_of_a_product_leaves_the_rest_as_it_was():
    made = product(7, price=1250, barcode="4006381333931")

    products.update(made.pk, actor=MERCHANT, name="Blue Shirt")

    changed = Product.objects.get(pk=made.pk)
    assert (changed.name, changed.barcode, changed.sku) == ("Blue Shirt", "4006381333931", made.sku)
    assert changed.updated_at > made.updated_at
    assert [price.amount for price in changed.prices.all()] == [1250]
    assert _numbers(made) == (7, 7, 0, 0)


def test_given_prices_replace_all_prices():
    made = product(price=1250)

    products.update(made.pk, actor=MERCHANT, prices=[Money("USD", 990)])

    assert [price.amount for price in made.prices.all()] == [990]


def test_a_sku_cannot_be_changed_to_one_that_is_taken():
    product(sku="TAKEN")
    made = product(sku="MINE")

    with pytest.raises(SkuTaken):
        products.update(made.pk, actor=MERCHANT, sku="TAKEN", name="New")

    made.refresh_from_db()
    assert (made.sku, made.name) == ("MINE", "Shirt MINE")


def test_an_unknown_product_cannot_be_changed():
    with pytest.raises(ProductNotFound):
        products.update(uuid7(), actor=MERCHANT, name="Ghost")


# Whether stock is managed.


def test_the_first_stock_of_an_unmanaged_product_makes_it_managed():
    made = product(managed=False)

    products.start_managing(made.pk, 30, actor=MERCHANT)

    assert stock_of(made).managed
    assert _numbers(made) == (30, 30, 0, 0)
    assert [entry.reason for entry in _log(made)] == ["initial stock"]


def test_an_untouched_zero_record_may_be_given_its_first_stock():
    made = product(0)

    products.start_managing(made.pk, 30, actor=MERCHANT)

    assert _numbers(made) == (30, 30, 0, 0)


@pytest.mark.parametrize("left", [3, 0])
def test_stock_that_has_moved_cannot_be_created_again(left):
    made = product(3)
    if not left:
        _record(made, Action.DECREMENT, 3)

    with _refused(StockExists):
        products.start_managing(made.pk, 30, actor=MERCHANT)


def test_what_is_available_is_written_off_when_stock_is_no_longer_managed():
    made = product(30)

    products.stop_managing(made.pk, actor=MERCHANT)

    assert not stock_of(made).managed
    assert _numbers(made) == (0, 0, 0, 0)
    assert [(e.action, e.quantity, e.reason) for e in _log(made)] == [
        ("increment", 30, "initial stock"),
        ("decrement", 30, "stock no longer managed"),
    ]


def test_stock_that_is_managed_again_goes_on_with_its_old_log():
    made = product(30)
    products.stop_managing(made.pk, actor=MERCHANT)

    products.start_managing(made.pk, 5, actor=MERCHANT)

    assert _numbers(made) == (5, 5, 0, 0)
    assert [entry.sequence for entry in _log(made)] == [1, 2, 3]


def _stop(made: Product) -> None:
    products.stop_managing(made.pk, actor=MERCHANT)


def _turn_off(made: Product) -> None:
    products.update(made.pk, actor=MERCHANT, manage_stock=False)


def _archive(made: Product) -> None:
    products.archive(made.pk, actor=MERCHANT)


@pytest.mark.parametrize("give_up", [_stop, _turn_off, _archive])
@pytest.mark.parametrize("allocated", ["by hand", "to an order"])
def test_f32_no_stock_is_given_up_while_units_are_allocated(give_up, allocated):
    made = product(10)
    if allocated == "by hand":
        _record(made, Action.ALLOCATE, 1)
    else:
        holding_order({made: 1})

    with _refused(UnitsAllocated):
        give_up(made)

    assert Product.objects.kept().filter(pk=made.pk).exists()


@pytest.mark.parametrize("give_up", [_stop, _turn_off, _archive])
def test_f32_giving_up_stock_writes_off_exactly_what_is_available(give_up):
    made = product(10)
    order = {made: 4}
    _allocate(order, order_id := uuid7())
    _ship(order, order_id)

    give_up(made)

    assert _numbers(made) == (0, 0, 0, 0)
    assert _actions(made)[-1] == ("decrement", 6, False)


def test_f32_managed_off_and_on_again_returns_without_a_negative_number():
    made = product(10)
    _turn_off(made)

    products.update(made.pk, actor=MERCHANT, manage_stock=True)

    assert _numbers(made) == (0, 0, 0, 0)
    with _refused(StockTooLow):
        _allocate({made: 1}, uuid7())


def test_managing_what_is_managed_already_changes_nothing():
    made = product(10)

    products.update(made.pk, actor=MERCHANT, manage_stock=True)

    assert _numbers(made) == (10, 10, 0, 0)
    assert len(_log(made)) == 1


def test_stock_that_is_not_managed_cannot_be_given_up():
    made = product(managed=False)

    with _refused(StockNotFound):
        _stop(made)


def test_an_archived_product_gives_its_sku_and_slug_free_and_keeps_its_log():
    made = product(10, sku="SHIRT", slug="shirt")

    _archive(made)
    successor = product(sku="SHIRT", slug="shirt")

    assert successor.pk != made.pk
    assert len(_log(made)) == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda made: products.update(made.pk, actor=MERCHANT, name="Back"),
        lambda made: products.start_managing(made.pk, 1, actor=MERCHANT),
        lambda made: products.archive(made.pk, actor=MERCHANT),
    ],
)
def test_an_archived_product_is_found_by_nobody(change):
    made = product(10)
    _archive(made)

    with _refused(ProductNotFound):
        change(made)


def test_an_archived_product_has_no_stock_to_move():
    made = product(10)
    _archive(made)

    with _refused(StockNotFound):
        _record(made, Action.INCREMENT, 1)


# Reading.


def test_stock_and_its_entries_are_found_by_their_product():
    made, other = product(10), product(10)
    entry_id = _record(made, Action.DECREMENT, 1)

    assert stock_log.stock_of(made.pk).available == 9
    assert stock_log.stock_transaction_of(made.pk, entry_id).quantity == 1
    with pytest.raises(StockTransactionNotFound):
        stock_log.stock_transaction_of(other.pk, entry_id)
    with pytest.raises(StockNotFound):
        stock_log.stock_of(product(managed=False).pk)


# Currencies.


def _currency(code: str, **fields: Any) -> Currency:
    now = clock.now()
    return Currency.objects.create(code=code, created_at=now, updated_at=now, **fields)


def test_a_currency_is_found_by_its_code_and_the_default_one_without():
    _currency("EUR")

    assert currencies.named("EUR").code == "EUR"
    assert currencies.named("").code == "USD"


@pytest.mark.parametrize("code", ["XXX", "OLD", "usd"])
def test_a_currency_that_the_store_does_not_use_is_refused(code):
    _currency("OLD", enabled=False)

    with pytest.raises(CurrencyUnknown):
        currencies.named(code)
    with pytest.raises(CurrencyUnknown):
        _create(prices=[Money(code, 1250)])


def test_currencies_are_read_once_in_some_seconds(django_assert_num_queries):
    with django_assert_num_queries(1):
        currencies.named("USD")
        currencies.named("")
