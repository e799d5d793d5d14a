from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import InternalError, connection
from django.test.utils import CaptureQueriesContext

from inventory.models import Action, Product, StockCount, StockTransaction
from inventory.services import audit, products
from inventory.services import stock as inventory
from inventory.services.audit import Difference
from inventory.services.snapshots import snapshot
from orders.models import AuditResult, Order
from orders.services.audit import differences
from payments.management.commands.audit_inventory import Command
from tests.concurrency import run_together
from tests.factories import MERCHANT, holding_order, paid_order, product, stock_of
from tests.tampering import tamper

pytestmark = pytest.mark.django_db(transaction=True)


def _execute(sql: str, *parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


@pytest.fixture
def shirt() -> Product:
    """Five entries; 50 units: 38 available, 3 set aside by hand, 9 held by an order."""
    made = product(40, sku="SHIRT")
    for action, quantity in [
        (Action.INCREMENT, 12),
        (Action.DECREMENT, 2),
        (Action.ALLOCATE, 3),
    ]:
        inventory.record(made.pk, action, quantity, actor=MERCHANT)
    holding_order({made: 9})
    return made


def _of_order(units: int, logged: int) -> str:
    """How the audit says that the shirt's order holds something else than the log says."""
    number = Order.objects.get().number
    return f"the lines of order #{number} hold {units}, the log says {logged}"


def _found() -> list[str]:
    found = differences()
    assert {difference.sku for difference in found} <= {"SHIRT"}
    return [difference.what for difference in found]


def test_an_audit_finds_nothing_in_an_untouched_shop(shirt):
    paid_order({shirt: 2, product(managed=False): 1})
    products.stop_managing(product(5).pk, actor=MERCHANT)

    assert differences() == []


@pytest.mark.tampers_with_the_books
def test_f35_an_entry_whose_quantity_was_changed_is_found_and_named(shirt):
    tamper("UPDATE inventory_stocktransaction SET quantity = 11 WHERE sequence = 2")

    found = differences()

    assert found[0] == Difference(
        stock_of(shirt).pk, "SHIRT", "entry 2 does not end in what the log before it adds up to"
    )
    assert str(found[0]) == f"SHIRT: {found[0].what} (stock {stock_of(shirt).pk})"
    assert found[-1].what == (
        "stock says 38 available, 12 allocated, 3 held after entry 5; "
        "the log says 37, 12, 3 after entry 5"
    )


@pytest.mark.tampers_with_the_books
def test_f35_an_entry_whose_numbers_afterwards_were_changed_is_found_and_named(shirt):
    tamper("UPDATE inventory_stocktransaction SET available = 51 WHERE sequence = 3")

    assert _found() == ["entry 3 does not end in what the log before it adds up to"]


@pytest.mark.tampers_with_the_books
def test_f35_an_entry_that_was_taken_out_of_the_log_is_found_and_named(shirt):
    tamper("DELETE FROM inventory_stocktransaction WHERE sequence = 3")

    assert "entry 4 does not end in what the log before it adds up to" in _found()
    assert any(what.startswith("stock says 38 available") for what in _found())


@pytest.mark.tampers_with_the_books
def test_f35_an_entry_that_is_older_than_the_one_before_it_is_found_and_named(shirt):
    tamper(
        "UPDATE inventory_stocktransaction SET created_at = created_at - interval '1 hour' "
        "WHERE sequence = 3"
    )

    assert _found() == ["entry 3 is older than the one before it"]


@pytest.mark.tampers_with_the_books
def test_f35_the_newest_entry_taken_out_of_the_log_is_found_and_named(shirt):
    tamper("DELETE FROM inventory_stocktransaction WHERE sequence = 5")

    assert _found() == [
        "stock says 38 available, 12 allocated, 3 held after entry 5; "
        "the log says 47, 3, 3 after entry 4",
        _of_order(9, logged=0),
    ]


@pytest.mark.tampers_with_the_books
def test_f35_an_entry_with_another_number_is_found_and_named(shirt):
    tamper("UPDATE inventory_stocktransaction SET sequence = 7 WHERE sequence = 5")

    assert "entry 7 should be entry 5" in _found()


@pytest.mark.tampers_with_the_books
@pytest.mark.parametrize("column", ["available", "allocated", "sequence"])
def test_f35_a_stock_that_was_changed_is_found_and_named(shirt, column):
    tamper(f"UPDATE inventory_stock SET {column} = {column} + 1")

    [difference] = audit.differences()

    assert (difference.row_id, difference.sku) == (stock_of(shirt).pk, "SHIRT")
    assert difference.what.endswith("the log says 38, 12, 3 after entry 5")


@pytest.mark.tampers_with_the_books
def test_a_log_whose_stock_is_gone_is_found_and_named(shirt):
    stock = stock_of(shirt)
    tamper("DELETE FROM inventory_stock")

    assert differences() == [
        Difference(stock.pk, "?", "there is a log but no stock"),
        Difference(Order.objects.get().pk, "SHIRT", _of_order(9, logged=0), "order"),
    ]


@pytest.mark.tampers_with_the_books
def test_orders_that_hold_something_else_than_the_stock_says_are_found_and_named(shirt):
    _execute("UPDATE orders_orderitem SET cancelled = 1, allocated = 8")

    assert _found() == ["orders hold 8 units, the stock says 9", _of_order(8, logged=9)]


@pytest.mark.tampers_with_the_books
def test_an_audit_names_at_most_as_many_differences_of_each_kind_as_asked_for():
    for _ in range(3):
        product(1)
    tamper("UPDATE inventory_stock SET available = 2")

    assert len(audit.differences(limit=2)) == 2


# Counts.


@pytest.mark.tampers_with_the_books
@pytest.mark.parametrize(
    ("rewritten", "says"),
    [
        ("units = units + 1", "49 were counted at {} UTC, the log says 48 of that moment"),
        ("sequence = 4", "48 were counted at {} UTC, the log says 50 of that moment"),
        ("change = -3", "the count of 48 at {} UTC corrected the total by -3, entry 6 did not"),
        (
            "counted_at = counted_at - interval '1 hour'",
            "48 were counted at {} UTC, the log says 0 of that moment",
        ),
    ],
)
def test_f35_a_count_that_the_log_contradicts_is_found_and_named(shirt, rewritten, says):
    inventory.count(shirt.pk, 48, actor=MERCHANT)
    inventory.record(shirt.pk, Action.DECREMENT, 5, actor=MERCHANT)
    assert differences() == []
    tamper(f"UPDATE inventory_stockcount SET {rewritten}")

    assert _found() == [says.format(f"{StockCount.objects.get().counted_at:%Y-%m-%d %H:%M:%S}")]


# The command.


def test_the_command_says_that_all_agrees(shirt):
    output = StringIO()

    call_command("audit_inventory", stdout=output)

    assert output.getvalue() == "Log, stock, orders and payments agree.\n"


@pytest.mark.tampers_with_the_books
def test_the_command_names_what_differs_and_fails(shirt):
    output = StringIO()
    _execute("UPDATE orders_orderitem SET cancelled = 1, allocated = 8")

    with pytest.raises(CommandError, match="2 differences between log, stock, orders and payments"):
        call_command("audit_inventory", stdout=output)

    assert output.getvalue() == (
        f"SHIRT: orders hold 8 units, the stock says 9 (stock {stock_of(shirt).pk})\n"
        f"SHIRT: {_of_order(8, logged=9)} (order {Order.objects.get().pk})\n"
    )


@pytest.mark.tampers_with_the_books
def test_a_shell_learns_of_a_difference_by_the_exit_code(shirt):
    _execute("UPDATE orders_orderitem SET cancelled = 1, allocated = 8")

    with pytest.raises(SystemExit) as exit:
        Command().run_from_argv(["manage.py", "audit_inventory"])

    assert exit.value.code == 1


# The snapshot.


def test_an_audit_writes_what_it_found_only_and_reads_elsewhere(shirt):
    with CaptureQueriesContext(connection) as queries:
        call_command("audit_inventory", stdout=StringIO())

    statements = [captured["sql"].strip() for captured in queries.captured_queries]
    assert (statements[0], statements[-1]) == ("BEGIN", "COMMIT")
    assert not {"BEGIN", "COMMIT"} & {*statements[1:-1]}
    [written] = [each for each in statements[1:-1] if not each.startswith(("SET ", "SELECT "))]
    assert written.startswith('INSERT INTO "orders_auditresult"')
    result = AuditResult.objects.get()
    assert (result.differences, result.example) == (0, "")


def test_a_movement_during_an_audit_is_not_seen_by_halves(shirt):
    def sell() -> None:
        inventory.record(shirt.pk, Action.DECREMENT, 1, actor=MERCHANT)

    with snapshot():
        entries = StockTransaction.objects.count()
        outcomes = run_together(sell)

        assert outcomes == [None]
        assert StockTransaction.objects.count() == entries
        assert differences() == []
    assert StockTransaction.objects.count() == entries + 1


def test_nothing_can_be_written_during_an_audit(shirt):
    with pytest.raises(InternalError, match="read-only transaction"), snapshot():
        _execute("UPDATE inventory_stock SET managed = true")
