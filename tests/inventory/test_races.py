"""Many at once on one product, on real PostgreSQL.

Each race has a control: the same race with its protection taken away. If a control fails, the race
above it proves nothing.
"""

import os
import random
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg.errors
import pytest
from django.db import OperationalError, connection, transaction

from api.errors import Busy, Conflict
from api.ids import uuid7
from api.transactions import in_transaction
from inventory.errors import (
    ProductNotFound,
    SkuTaken,
    SlugTaken,
    StockExists,
    StockTooLow,
    UnitsAllocated,
)
from inventory.models import EFFECTS, Action, NewEntry, Product, Stock, StockQuerySet
from inventory.services import audit, product_rows, products, writing
from inventory.services import stock as inventory
from inventory.services.writing import RowMoved
from orders.models import Order, OrderItem
from orders.services import orders
from tests.concurrency import PATIENCE_SECONDS, run_together
from tests.factories import MERCHANT, product, stock_of, unpaid_order
from tests.roles import as_owner

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.thorough]

BUYERS = 16

Quantities = Mapping[uuid.UUID, int]


# What happens at once.


@in_transaction
def _allocate(quantities: Quantities) -> None:
    inventory.allocate(quantities, order_id=uuid7(), actor=MERCHANT)


@in_transaction
def _deallocate(quantities: Quantities) -> None:
    inventory.deallocate(quantities, order_id=uuid7(), actor=MERCHANT, reason="order cancelled")


@in_transaction
def _ship(quantities: Quantities) -> None:
    entry_ids = {product_id: (uuid7(), uuid7()) for product_id in quantities}
    inventory.ship(quantities, order_id=uuid7(), actor=MERCHANT, entry_ids=entry_ids)


def _record(made: Product, action: Action, quantity: int) -> uuid.UUID:
    return inventory.record(made.pk, action, quantity, actor=MERCHANT)


def _numbers(made: Product) -> tuple[int, int, int]:
    stock = stock_of(made)
    return stock.total, stock.available, stock.allocated


def _count(outcomes: Sequence[Any]) -> Counter[Any]:
    """Count the kinds of outcomes; None stands for itself."""
    return Counter(None if outcome is None else type(outcome) for outcome in outcomes)


# What protects it, taken away.


def _without_the_lock(monkeypatch: pytest.MonkeyPatch, readers: int) -> None:
    """Only read what should be locked, and let nobody go on before `readers` have read it."""
    all_have_read = threading.Barrier(readers, timeout=PATIENCE_SECONDS)

    def read(rows: StockQuerySet, product_ids: Collection[uuid.UUID]) -> list[Stock]:
        found = list(rows.filter(product_id__in=product_ids).order_by("pk"))
        all_have_read.wait()
        return found

    monkeypatch.setattr(StockQuerySet, "lock", read)


def _without_the_guard_of_the_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a row even if it moved since it was read."""
    guard = " AND stock.sequence = new.read_at_sequence"
    assert guard in writing._WRITE
    monkeypatch.setattr(writing, "_WRITE", writing._WRITE.replace(guard, ""))


def _without_the_guard_of_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Apply an action whether it fits or not."""

    def move(stock: Stock, action: Action, quantity: int, *, by_order: bool) -> NewEntry:
        effect = EFFECTS[action, by_order]
        stock.available += effect.available * quantity
        stock.allocated += effect.allocated * quantity
        stock.held += effect.held * quantity
        stock.sequence += 1
        after = stock.available, stock.allocated, stock.held
        return NewEntry(stock, stock.sequence, action, quantity, by_order, *after)

    monkeypatch.setattr(Stock, "move", move)


@contextmanager
def _without_constraint(table: str, name: str) -> Iterator[None]:
    with as_owner(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s", [name]
        )
        [definition] = cursor.fetchone()
        cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        try:
            yield
        finally:
            # What got in meanwhile may break the constraint.
            for emptied in ("inventory_stocktransaction", "inventory_stock"):
                cursor.execute(f"ALTER TABLE {emptied} DISABLE TRIGGER USER")
                cursor.execute(f"DELETE FROM {emptied}")
                cursor.execute(f"ALTER TABLE {emptied} ENABLE TRIGGER USER")
            cursor.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")


@pytest.fixture
def orders_let_go(books_agree: None) -> Iterator[None]:
    """Give back what orders took: no order stands behind the buyers here, and the books compare."""
    yield
    for stock in Stock.objects.all():
        if stock.for_orders:
            _deallocate({stock.product_id: stock.for_orders})


# F1: the last unit.


@pytest.mark.usefixtures("orders_let_go")
def test_f01_the_last_unit_goes_to_one_buyer():
    made = product(1)

    outcomes = run_together(*[partial(_allocate, {made.pk: 1})] * BUYERS)

    assert _count(outcomes) == {None: 1, StockTooLow: BUYERS - 1}
    assert _numbers(made) == (1, 0, 1)


def test_f01_the_last_unit_goes_to_one_hand():
    made = product(1)
    actions = [Action.ALLOCATE, Action.DECREMENT] * 4

    outcomes = run_together(*[partial(_record, made, action, 1) for action in actions])

    assert _count(outcomes) == {uuid.UUID: 1, StockTooLow: 7}
    assert stock_of(made).available == 0


@pytest.mark.usefixtures("orders_let_go")
def test_f01_control_without_the_lock_a_buyer_meets_an_error_instead_of_a_refusal(monkeypatch):
    made = product(1)

    with monkeypatch.context() as patched:
        _without_the_lock(patched, readers=2)
        outcomes = run_together(*[partial(_allocate, {made.pk: 1})] * 2)

    assert _count(outcomes) == {None: 1, RowMoved: 1}
    assert _numbers(made) == (1, 0, 1)


@pytest.mark.usefixtures("orders_let_go")
def test_f01_control_without_lock_and_guard_the_database_stops_the_second_buyer(monkeypatch):
    made = product(1)

    with monkeypatch.context() as patched:
        _without_the_lock(patched, readers=2)
        _without_the_guard_of_the_write(patched)
        outcomes = run_together(*[partial(_allocate, {made.pk: 1})] * 2)

    assert _count(outcomes) == {None: 1, Conflict: 1}
    assert _numbers(made) == (1, 0, 1)


def test_f01_control_with_every_net_gone_the_last_unit_is_sold_twice(monkeypatch):
    made = product(1)

    with (
        monkeypatch.context() as patched,
        _without_constraint("inventory_stocktransaction", "stock_transaction_numbered"),
    ):
        _without_the_lock(patched, readers=2)
        _without_the_guard_of_the_write(patched)
        outcomes = run_together(*[partial(_allocate, {made.pk: 1})] * 2)

        assert outcomes == [None, None]
        assert stock_of(made).log.filter(action=Action.ALLOCATE).count() == 2
        # Even then the audit names it.
        assert {difference.sku for difference in audit.differences()} == {made.sku}


# F2: many units, many quantities.


@pytest.mark.usefixtures("orders_let_go")
def test_f02_nothing_is_oversold_and_nothing_refused_that_fitted(monkeypatch):
    made = product(100)
    refusals = _note_refusals(monkeypatch)
    wishes = [[random.randint(1, 5) for _ in range(8)] for _ in range(BUYERS)]

    def buy(quantities: Sequence[int]) -> list[int]:
        kept = []
        for position, quantity in enumerate(quantities):
            try:
                _allocate({made.pk: quantity})
            except StockTooLow:
                continue
            # Every third order is cancelled, so that what is available also rises.
            if position % 3 == 2:
                _deallocate({made.pk: quantity})
            else:
                kept.append(quantity)
        return kept

    outcomes = run_together(*[partial(buy, quantities) for quantities in wishes])

    sold = sum(sum(kept) for kept in outcomes)
    assert _numbers(made) == (100, 100 - sold, sold)
    left_after = dict(stock_of(made).log.values_list("sequence", "available"))
    assert min(left_after.values()) >= 0
    assert refusals
    assert [(number, asked) for number, asked in refusals if asked <= left_after[number]] == []


@pytest.mark.usefixtures("orders_let_go")
def test_f02_control_without_the_lock_a_buyer_whose_wish_fits_meets_an_error(monkeypatch):
    made = product(100)

    with monkeypatch.context() as patched:
        _without_the_lock(patched, readers=2)
        outcomes = run_together(partial(_allocate, {made.pk: 5}), partial(_allocate, {made.pk: 3}))

    assert _count(outcomes) == {None: 1, RowMoved: 1}
    assert _numbers(made) in {(100, 95, 5), (100, 97, 3)}


def _note_refusals(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Note of each refusal the newest entry of the log at its moment, and what was asked for."""
    refusals: list[tuple[int, int]] = []
    move = Stock.move

    def noted(stock: Stock, action: Action, quantity: int, *, by_order: bool) -> NewEntry:
        try:
            return move(stock, action, quantity, by_order=by_order)
        except StockTooLow:
            refusals.append((stock.sequence, quantity))
            raise

    monkeypatch.setattr(Stock, "move", noted)
    return refusals


# F4: all products of an order or none.


@pytest.mark.usefixtures("orders_let_go")
def test_f04_buyers_of_two_products_get_both_or_neither():
    plenty, short = product(100), product(3)

    outcomes = run_together(*[partial(_allocate, {plenty.pk: 1, short.pk: 1})] * BUYERS)

    assert _count(outcomes) == {None: 3, StockTooLow: BUYERS - 3}
    assert _numbers(plenty) == (100, 97, 3)
    assert _numbers(short) == (3, 0, 3)


@pytest.mark.usefixtures("orders_let_go")
def test_f04_control_without_the_lock_a_buyer_of_two_products_meets_an_error(monkeypatch):
    plenty, short = product(100), product(3)

    with monkeypatch.context() as patched:
        _without_the_lock(patched, readers=2)
        outcomes = run_together(*[partial(_allocate, {plenty.pk: 1, short.pk: 1})] * 2)

    assert _count(outcomes) == {None: 1, RowMoved: 1}
    assert _numbers(plenty) == (100, 99, 1)
    assert _numbers(short) == (3, 2, 1)


# F5: the order of locks.

# How many pairs of opposite orders; `make torture` asks for many more.
ROUNDS = int(os.environ.get("F05_ROUNDS", "200"))
ORDERS_OF_A_BUYER = ROUNDS * 2 // BUYERS


def test_f05_opposite_line_orders_do_not_deadlock():
    products = [product(1_000_000) for _ in range(12)]
    begun: list[None] = []

    @in_transaction
    def buy(quantities: Quantities) -> None:
        begun.append(None)
        inventory.allocate(quantities, order_id=uuid7(), actor=MERCHANT)

    def go_shopping(number: int) -> None:
        choice = random.Random(number)
        for turn in range(ORDERS_OF_A_BUYER):
            lines = choice.sample(products, choice.randint(2, 12))
            in_order = sorted((made.pk for made in lines), reverse=turn % 2 == number % 2)
            quantities = dict.fromkeys(in_order, 1)
            buy(quantities)
            _deallocate(quantities)

    outcomes = run_together(*[partial(go_shopping, number) for number in range(BUYERS)])

    assert outcomes == [None] * BUYERS
    # Nor was there one that only a second try had to hide.
    assert len(begun) == BUYERS * ORDERS_OF_A_BUYER


def _without_the_order_of_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lock row by row as the caller names them; two buyers wait for each other after the first."""
    both_have_one = threading.Barrier(2, timeout=PATIENCE_SECONDS)
    waiting = [both_have_one, both_have_one]

    def lock_one_by_one(rows: StockQuerySet, product_ids: Collection[uuid.UUID]) -> list[Stock]:
        found: list[Stock] = []
        for product_id in product_ids:
            found += rows.filter(product_id=product_id).select_for_update(no_key=True)
            if waiting:
                waiting.pop().wait()
        return found

    monkeypatch.setattr(StockQuerySet, "lock", lock_one_by_one)


@pytest.fixture
def opposite_orders() -> list[dict[uuid.UUID, int]]:
    shirt, trousers = product(10).pk, product(10).pk
    return [{shirt: 1, trousers: 1}, {trousers: 1, shirt: 1}]


@pytest.mark.usefixtures("orders_let_go")
def test_f05_control_rows_locked_one_by_one_deadlock(opposite_orders, monkeypatch):
    def allocate_without_a_second_try(quantities: Quantities) -> None:
        with transaction.atomic():
            inventory.allocate(quantities, order_id=uuid7(), actor=MERCHANT)

    with monkeypatch.context() as patched:
        _without_the_order_of_locks(patched)
        outcomes = run_together(
            *[partial(allocate_without_a_second_try, order) for order in opposite_orders]
        )

    assert _count(outcomes) == {None: 1, OperationalError: 1}
    [loser] = [outcome for outcome in outcomes if outcome]
    assert isinstance(loser.__cause__, psycopg.errors.DeadlockDetected)


@pytest.mark.usefixtures("orders_let_go")
def test_f05_a_deadlock_that_happens_all_the_same_reaches_nobody(opposite_orders, monkeypatch):
    with monkeypatch.context() as patched:
        _without_the_order_of_locks(patched)
        outcomes = run_together(*[partial(_allocate, order) for order in opposite_orders])

    assert outcomes == [None, None]
    assert [stock.allocated for stock in Stock.objects.all()] == [2, 2]


# F6: everybody at one product.


def test_f06_all_hands_and_orders_at_one_product_lose_no_unit():
    made = product(20)
    succeeded: Counter[str] = Counter()
    write_down = threading.Lock()

    def attempt(name: str, quantity: int, act: Callable[[], object]) -> bool:
        try:
            act()
        except StockTooLow:
            return False
        with write_down:
            succeeded[name] += quantity
            succeeded["entries"] += 2 if name == "ship" else 1
        return True

    def work_by_hand(action: Action, number: int) -> None:
        choice = random.Random(number)
        for _ in range(25):
            quantity = choice.randint(1, 4)
            attempt(action, quantity, partial(_record, made, action, quantity))

    def order(number: int) -> None:
        choice = random.Random(number)
        for turn in range(25):
            quantity = choice.randint(1, 4)
            lines = {made.pk: quantity}
            if attempt("take", quantity, partial(_allocate, lines)):
                ending = ("ship", _ship) if turn % 2 else ("give back", _deallocate)
                assert attempt(ending[0], quantity, partial(ending[1], lines))

    outcomes = run_together(
        *[partial(work_by_hand, action, number) for number, action in enumerate(Action)],
        *[partial(order, number) for number in range(4)],
    )

    assert outcomes == [None] * 8
    total = 20 + succeeded["increment"] - succeeded["decrement"] - succeeded["ship"]
    set_aside = succeeded["allocate"] - succeeded["deallocate"]
    assert succeeded["take"] == succeeded["ship"] + succeeded["give back"]
    assert _numbers(made) == (total, total - set_aside, set_aside)
    assert stock_of(made).sequence == 1 + succeeded["entries"]


@pytest.mark.usefixtures("orders_let_go")
@pytest.mark.parametrize("action", [Action.DECREMENT, Action.ALLOCATE])
def test_f06_control_without_the_lock_a_hand_and_an_order_collide(action, monkeypatch):
    made = product(5)

    with monkeypatch.context() as patched:
        _without_the_lock(patched, readers=2)
        outcomes = run_together(partial(_record, made, action, 1), partial(_allocate, {made.pk: 1}))

    assert sum(isinstance(outcome, RowMoved) for outcome in outcomes) == 1


# F13: each net alone.


@pytest.mark.usefixtures("orders_let_go")
def test_f13_the_guard_alone_never_oversells():
    made = product(5)

    with _without_constraint("inventory_stock", "stock_available_not_negative"):
        outcomes = run_together(*[partial(_allocate, {made.pk: 1})] * BUYERS)
        numbers = _numbers(made)

    assert _count(outcomes) == {None: 5, StockTooLow: BUYERS - 5}
    assert numbers == (5, 0, 5)


@pytest.mark.usefixtures("orders_let_go")
def test_f13_the_check_alone_never_oversells(monkeypatch):
    made = product(5)

    with monkeypatch.context() as patched:
        _without_the_guard_of_the_row(patched)
        outcomes = run_together(*[partial(_allocate, {made.pk: 1})] * BUYERS)

    assert _count(outcomes) == {None: 5, StockTooLow: BUYERS - 5}
    assert _numbers(made) == (5, 0, 5)


def test_f13_control_without_guard_and_check_units_are_sold_that_are_not_there(monkeypatch):
    made = product(5)

    with (
        monkeypatch.context() as patched,
        _without_constraint("inventory_stock", "stock_available_not_negative"),
    ):
        _without_the_guard_of_the_row(patched)
        outcomes = run_together(*[partial(_allocate, {made.pk: 1})] * BUYERS)

        assert outcomes == [None] * BUYERS
        assert _numbers(made) == (5, 5 - BUYERS, BUYERS)


# F29 and F32: whether stock is managed changes meanwhile.


@in_transaction
def _take_units(order: Order) -> None:
    orders.allocate_and_save(Order.objects.lock(order.pk), actor=MERCHANT)


@in_transaction
def _release_units(order: Order) -> None:
    orders.release_and_save(Order.objects.lock(order.pk), actor=MERCHANT, reason="order cancelled")


@pytest.fixture
def unpaid_orders_let_go(books_agree: None) -> Iterator[None]:
    """Give back what orders took: nobody pays for it here, and the books compare."""
    yield
    for order in Order.objects.all():
        _release_units(order)


def _held(order: Order) -> int:
    return OrderItem.objects.get(order=order).allocated


@pytest.mark.usefixtures("unpaid_orders_let_go")
def test_f32_stock_is_given_up_or_allocated_but_never_both():
    for _ in range(8):
        made = product(5)
        order = unpaid_order({made: 2})

        taken, stopped = run_together(
            partial(_take_units, order),
            partial(products.stop_managing, made.pk, actor=MERCHANT),
        )

        assert taken is None
        if stopped is None:
            assert (_numbers(made), _held(order)) == ((0, 0, 0), 0)
        else:
            assert isinstance(stopped, UnitsAllocated)
            assert (_numbers(made), _held(order)) == ((5, 3, 2), 2)


@pytest.mark.usefixtures("unpaid_orders_let_go")
def test_f32_an_order_that_looked_before_stock_was_given_up_looks_again(monkeypatch):
    made = product(5)
    order = unpaid_order({made: 2})
    has_looked, has_stopped = threading.Event(), threading.Event()
    lock = StockQuerySet.lock

    def lock_later(rows: StockQuerySet, product_ids: Collection[uuid.UUID]) -> list[Stock]:
        if threading.current_thread() is buyer[0] and not has_looked.is_set():
            has_looked.set()
            assert has_stopped.wait(PATIENCE_SECONDS)
        return lock(rows, product_ids)

    buyer: list[threading.Thread] = []

    def buy() -> None:
        buyer.append(threading.current_thread())
        _take_units(order)

    def stop() -> None:
        assert has_looked.wait(PATIENCE_SECONDS)
        products.stop_managing(made.pk, actor=MERCHANT)
        has_stopped.set()

    monkeypatch.setattr(StockQuerySet, "lock", lock_later)
    outcomes = run_together(buy, stop)

    assert outcomes == [None, None]
    assert (_numbers(made), _held(order)) == ((0, 0, 0), 0)


def test_f29_an_order_that_took_nothing_gives_nothing_back():
    made = product(managed=False)
    order = unpaid_order({made: 2})
    _take_units(order)
    products.start_managing(made.pk, 5, actor=MERCHANT)

    _release_units(order)

    assert _numbers(made) == (5, 5, 0)
    assert stock_of(made).sequence == 1


@pytest.mark.usefixtures("unpaid_orders_let_go")
def test_f29_stock_that_starts_while_an_order_pays_is_taken_whole_or_not_at_all():
    for _ in range(8):
        made = product(managed=False)
        order = unpaid_order({made: 2})

        outcomes = run_together(
            partial(_take_units, order),
            partial(products.start_managing, made.pk, 5, actor=MERCHANT),
        )

        assert outcomes == [None, None]
        held = _held(order)
        assert held in {0, 2}
        assert _numbers(made) == (5, 5 - held, held)


def test_the_first_stock_of_a_product_is_created_once():
    made = product(managed=False)

    outcomes = run_together(*[partial(products.start_managing, made.pk, 5, actor=MERCHANT)] * 4)

    assert _count(outcomes) == {None: 1, StockExists: 3}
    assert _numbers(made) == (5, 5, 0)


def test_a_sku_goes_to_one_of_two_products_that_want_it():
    outcomes = run_together(*[partial(product, 5, sku="SHIRT", slug=slug) for slug in ("a", "b")])

    assert _count(outcomes) == {Product: 1, SkuTaken: 1}
    assert Stock.objects.count() == 1


@pytest.mark.parametrize("looks", [True, False], ids=["looking", "as if all looked before"])
def test_a_sku_goes_to_what_comes_back_or_to_what_is_new_with_it(looks, monkeypatch):
    if not looks:
        monkeypatch.setattr(products, "require_free", lambda product: None)
    made = product(5, sku="SHIRT", slug="shirt")
    products.archive(made.pk, actor=MERCHANT)
    restore = partial(products.restore, made.pk, sku="SHIRT", slug="shirt", actor=MERCHANT)

    outcomes = run_together(restore, restore, partial(product, 5, sku="SHIRT", slug="new"))

    kept = Product.objects.kept().get()
    assert sum(isinstance(outcome, Product) for outcome in outcomes) == 1
    assert all(isinstance(each, Product | SkuTaken | ProductNotFound) for each in outcomes)
    assert kept.slug == ("new" if isinstance(outcomes[2], Product) else "shirt")


def _look_for_a_slug_together(monkeypatch: pytest.MonkeyPatch, lookers: int) -> None:
    """Let nobody write a product before all have looked once which slug is free."""
    all_have_looked = threading.Barrier(lookers, timeout=PATIENCE_SECONDS)
    thread, free_slugs = threading.local(), product_rows.free_slugs

    def look(products: Sequence[Product]) -> list[str]:
        slugs = free_slugs(products)
        if not hasattr(thread, "has_looked"):
            thread.has_looked = True
            all_have_looked.wait()
        return slugs

    monkeypatch.setattr(product_rows, "free_slugs", look)


def test_products_of_one_name_that_are_made_at_once_get_slugs_of_their_own(monkeypatch):
    _look_for_a_slug_together(monkeypatch, 4)

    outcomes = run_together(*[partial(product, name="Shirt", sku=sku) for sku in "ABCD"])

    assert _count(outcomes) == {Product: 4}
    slugs = set(Product.objects.values_list("slug", flat=True))
    assert slugs - {f"shirt-{letter}" for letter in "abcd"} == {"shirt"}
    assert len(slugs) == 4


def test_control_whoever_does_not_look_again_is_told_of_a_slug_that_nobody_named(monkeypatch):
    _look_for_a_slug_together(monkeypatch, 2)
    monkeypatch.setattr(products, "Stale", SlugTaken)

    outcomes = run_together(*[partial(product, name="Shirt", sku=sku) for sku in "AB"])

    assert _count(outcomes) == {Product: 1, SlugTaken: 1}


# The wait: a lock that is held keeps others out, and only those of the same product.


@contextmanager
def _locked(made: Product) -> Iterator[None]:
    with transaction.atomic():
        Stock.objects.lock([made.pk])
        yield


def _impatiently(function: Callable[[], Any]) -> Any:
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '100ms'")
    return function()


def test_whoever_wants_a_locked_stock_waits():
    made = product(5)

    def want() -> None:
        with transaction.atomic():
            Stock.objects.lock([made.pk])

    with _locked(made):
        [outcome] = run_together(partial(_impatiently, want))

    assert isinstance(outcome, OperationalError)
    assert isinstance(outcome.__cause__, psycopg.errors.LockNotAvailable)


@pytest.mark.parametrize(
    "want",
    [
        lambda made: _allocate({made.pk: 1}),
        lambda made: _record(made, Action.DECREMENT, 1),
        lambda made: products.stop_managing(made.pk, actor=MERCHANT),
        lambda made: products.update(made.pk, actor=MERCHANT, manage_stock=False),
    ],
)
def test_a_service_that_waits_too_long_says_that_the_server_is_busy(want):
    made = product(5)

    with _locked(made):
        [outcome] = run_together(partial(_impatiently, partial(want, made)))

    assert isinstance(outcome, Busy)
    assert _numbers(made) == (5, 5, 0)


def test_a_locked_stock_keeps_nobody_from_other_products_or_from_reading():
    locked, other = product(5), product(5)

    rename = partial(products.update, locked.pk, actor=MERCHANT, name="New")

    with _locked(locked):
        outcomes = run_together(
            partial(_impatiently, partial(_record, other, Action.DECREMENT, 1)),
            partial(_impatiently, partial(_numbers, locked)),
            partial(_impatiently, rename),
            partial(_impatiently, partial(unpaid_order, {locked: 1})),
        )

    assert _count(outcomes) == {uuid.UUID: 1, tuple: 1, Product: 1, Order: 1}
