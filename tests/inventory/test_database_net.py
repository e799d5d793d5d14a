"""The database's own net: no statement, from whatever hand, moves a unit without its log."""

import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import psycopg.errors
import pytest
from django.db import IntegrityError, connection, transaction

from api.ids import uuid7
from inventory.models import Action, Location, Stock
from inventory.services import stock as inventory
from tests.factories import MERCHANT, product, stock_of
from tests.roles import as_owner

pytestmark = pytest.mark.django_db(transaction=True)

_INSERT_ENTRY = """
INSERT INTO inventory_stocktransaction
    (id, stock_id, sequence, action, quantity, by_order, available, allocated, held,
     actor_kind, actor_id, actor_name, reason, created_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, 'user', '1', 'psql', '', now())
"""


@pytest.fixture
def stock() -> Stock:
    """Ten units, of which three are set aside by hand: two entries in the log."""
    made = product(10)
    inventory.record(made.pk, Action.ALLOCATE, 3, actor=MERCHANT)
    return stock_of(made)


def _execute(sql: str, *parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def _enter(
    stock: Stock,
    sequence: int,
    action: str,
    quantity: int,
    after: tuple[int, int, int],
    *,
    by_order: bool = False,
    stock_id: uuid.UUID | None = None,
) -> None:
    values = [stock_id or stock.pk, sequence, action, quantity, by_order, *after]
    _execute(_INSERT_ENTRY, uuid7(), *values)


def _set(stock: Stock, assignments: str) -> None:
    _execute(f"UPDATE inventory_stock SET {assignments} WHERE id = %s", stock.pk)


@contextmanager
def _refused(message: str, *, at_commit: bool, constraint: str | None = None) -> Iterator[None]:
    before = _everything()
    refusal, every_statement_passed = None, False
    try:
        with transaction.atomic():
            yield
            every_statement_passed = True
    except IntegrityError as error:
        refusal = error
    assert refusal, "nothing was refused"
    assert message in str(refusal)
    assert every_statement_passed == at_commit
    assert isinstance(refusal.__cause__, psycopg.Error)
    assert refusal.__cause__.diag.constraint_name == constraint
    assert _everything() == before


def _refused_at_commit(message: str) -> AbstractContextManager[None]:
    return _refused(message, at_commit=True)


def _refused_at_once(message: str) -> AbstractContextManager[None]:
    return _refused(message, at_commit=False)


def _violates(constraint: str) -> AbstractContextManager[None]:
    return _refused(constraint, at_commit=False, constraint=constraint)


def _everything() -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM inventory_stock ORDER BY id")
        stocks = cursor.fetchall()
        cursor.execute("SELECT * FROM inventory_stocktransaction ORDER BY stock_id, sequence")
        return [stocks, cursor.fetchall()]


def test_a_movement_with_its_entry_is_let_through(stock):
    with transaction.atomic():
        _set(stock, "available = available - 2, sequence = 3, last_moved_at = now()")
        _enter(stock, 3, "decrement", 2, (5, 3, 3))

    assert stock_of(stock.product).available == 5


def test_two_movements_in_one_transaction_are_let_through(stock):
    with transaction.atomic():
        _set(stock, "available = available - 2, sequence = 3")
        _enter(stock, 3, "decrement", 2, (5, 3, 3))
        _enter(stock, 4, "deallocate", 3, (8, 0, 0))
        after = "available = 8, allocated = 0, held = 0, sequence = 4, last_moved_at = now()"
        _set(stock, after)

    assert stock_of(stock.product).available == 8


@pytest.mark.parametrize(
    "assignment",
    [
        "available = available + 1",
        "available = available - 1",
        "allocated = allocated + 1",
        "held = held - 1",
        "available = available - 1, allocated = allocated + 1",
        "sequence = sequence + 1",
        "sequence = sequence - 1",
        "available = available + 1, sequence = sequence + 1",
    ],
)
def test_stock_that_moves_without_an_entry_is_refused(stock, assignment):
    with _refused_at_commit("changed without its log"):
        _set(stock, assignment)


def test_stock_that_appears_without_an_entry_is_refused(stock):
    empty = product(0)
    Stock.objects.filter(product=empty).delete()

    with _refused_at_commit("changed without its log"):
        Stock.objects.create(product=empty, available=5)


def test_stock_that_appears_with_the_number_of_an_entry_that_is_not_there_is_refused(stock):
    empty = product(0)
    Stock.objects.filter(product=empty).delete()

    with _refused_at_commit("changed without its log"):
        Stock.objects.create(product=empty, sequence=1)


def test_an_entry_that_moved_no_stock_is_refused(stock):
    with _refused_at_commit("moved no stock"):
        _enter(stock, 3, "decrement", 2, (5, 3, 3))


def test_an_entry_without_a_stock_is_refused(stock):
    with _refused_at_commit("moved no stock"):
        _enter(stock, 1, "increment", 2, (2, 0, 0), stock_id=uuid7())


@pytest.mark.parametrize(
    ("action", "quantity", "by_order"),
    [
        ("decrement", 1, False),
        ("decrement", 3, False),
        ("increment", 2, False),
        ("allocate", 2, False),
        ("deallocate", 2, True),
    ],
)
def test_an_entry_that_says_something_else_than_the_stock_is_refused(
    stock, action, quantity, by_order
):
    with _refused_at_commit("changed without its log"):
        _set(stock, "available = available - 2, sequence = 3")
        _enter(stock, 3, action, quantity, (5, 3, 3), by_order=by_order)


def test_an_entry_for_an_order_cannot_change_what_is_set_aside_by_hand(stock):
    with _refused_at_commit("changed without its log"):
        _set(stock, "available = 8, allocated = 2, held = 2, sequence = 3")
        _enter(stock, 3, "deallocate", 1, (8, 2, 2), by_order=True)


@pytest.mark.parametrize("after", [(6, 3, 3), (5, 4, 3), (5, 3, 2)])
def test_an_entry_whose_numbers_afterwards_are_wrong_is_refused(stock, after):
    with _refused_at_commit("changed without its log"):
        _set(stock, "available = available - 2, sequence = 3")
        _enter(stock, 3, "decrement", 2, after)


def test_a_gap_in_the_log_is_refused(stock):
    with _refused_at_commit("changed without its log"):
        _set(stock, "available = available - 2, sequence = 4")
        _enter(stock, 4, "decrement", 2, (5, 3, 3))


def test_a_number_is_given_once(stock):
    with _violates("stock_transaction_numbered"):
        _enter(stock, 2, "allocate", 3, (7, 3, 3))


@pytest.mark.parametrize("of", ["an empty stock", "a stock with a log"])
def test_stock_keeps_its_id(stock, of):
    row = stock_of(product(0)) if of == "an empty stock" else stock

    with _refused_at_commit("changed without its log"):
        _execute("UPDATE inventory_stock SET id = %s WHERE id = %s", uuid7(), row.pk)


def test_stock_stays_with_its_product(stock):
    other = product(0)
    Stock.objects.filter(product=other).delete()

    with _refused_at_commit("changed without its log"):
        Stock.objects.filter(pk=stock.pk).update(product=other)


def test_stock_stays_at_its_location(stock):
    other = Location.objects.create(slug="other", name="Other")

    with _refused_at_commit("changed without its log"):
        Stock.objects.filter(pk=stock.pk).update(location=other)


def test_every_entry_of_a_movement_must_add_up_and_not_only_the_last(stock):
    with _refused_at_commit("changed without its log"):
        _set(stock, "available = available - 2, sequence = 4")
        _enter(stock, 3, "decrement", 1, (99, 3, 3))
        _enter(stock, 4, "decrement", 1, (5, 3, 3))


@pytest.mark.parametrize(
    "change",
    ["quantity = 5", "reason = 'other'", "actor_name = 'somebody else'", "created_at = now()"],
)
def test_f36_no_entry_of_the_log_is_ever_changed(stock, change):
    with as_owner(), _refused_at_once("UPDATE on inventory_stocktransaction is refused"):
        _execute(f"UPDATE inventory_stocktransaction SET {change} WHERE sequence = 2")


def test_f36_no_entry_of_the_log_is_ever_deleted(stock):
    with as_owner(), _refused_at_once("DELETE on inventory_stocktransaction is refused"):
        _execute("DELETE FROM inventory_stocktransaction WHERE sequence = 2")


@pytest.mark.parametrize(
    "tables",
    [
        "inventory_stocktransaction",
        "inventory_stock",
        "inventory_stock, inventory_product CASCADE",
        "orders_orderevent",
        "orders_order CASCADE",
    ],
)
@pytest.mark.usefixtures("stock")
def test_t43_no_table_that_is_kept_is_emptied_at_once(tables):
    with as_owner(), _refused_at_once("is refused: its rows are kept as they are"):
        _execute(f"TRUNCATE {tables}")


def test_stock_with_a_log_cannot_be_deleted(stock):
    with _refused_at_once("DELETE on inventory_stock is refused"):
        _execute("DELETE FROM inventory_stock WHERE id = %s", stock.pk)


def test_stock_that_never_moved_may_be_deleted():
    untouched = stock_of(product(0))

    _execute("DELETE FROM inventory_stock WHERE id = %s", untouched.pk)

    assert not Stock.objects.exists()


@pytest.mark.parametrize(
    ("assignment", "constraint"),
    [
        ("available = -1", "stock_available_not_negative"),
        ("held = 4", "stock_held_within_allocated"),
        ("held = -1", "stock_held_within_allocated"),
        ("allocated = -1, held = -1", "stock_held_within_allocated"),
        ("allocated = 2", "stock_held_within_allocated"),
        ("managed = false", "stock_unmanaged_is_empty"),
    ],
)
def test_numbers_that_cannot_be_are_refused(stock, assignment, constraint):
    with _violates(constraint):
        _set(stock, assignment)


@pytest.mark.parametrize(
    ("sequence", "action", "quantity", "constraint"),
    [
        (3, "increment", 0, "stock_transaction_positive"),
        (3, "increment", -1, "stock_transaction_positive"),
        (0, "increment", 1, "stock_transaction_positive"),
        (3, "create", 1, "stock_transaction_known_action"),
    ],
)
def test_an_entry_that_cannot_be_is_refused(stock, sequence, action, quantity, constraint):
    with _violates(constraint):
        _enter(stock, sequence, action, quantity, (7, 3, 3))


def test_a_product_has_one_stock_in_a_location(stock):
    with _violates("stock_once_a_product_and_location"):
        Stock.objects.create(product=stock.product)
