"""`audit_inventory --repair` sets a stock to what its log says, if somebody wants it, on record."""

import os
import sys
import threading
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, OperationalError, connection, transaction

from api.actors import COMMAND_LINE
from api.models import Change
from inventory.models import Action, Product, Stock
from inventory.services import repairing
from inventory.services import stock as inventory
from payments.services import audit
from tests.concurrency import PATIENCE_SECONDS, run_together, wait_until_somebody_waits
from tests.database import ROLE
from tests.factories import MERCHANT, paid_order, product, stock_of
from tests.roles import as_owner
from tests.tampering import tamper

pytestmark = pytest.mark.django_db(transaction=True)


def _change(of: Product, sql: str) -> None:
    tamper(f"UPDATE inventory_stock SET {sql} WHERE product_id = %s", of.pk)


@pytest.fixture
def shirt() -> Product:
    """Twelve units in two entries, of which an order holds two; the stock says one more."""
    made = product(10, sku="SHIRT")
    inventory.record(made.pk, Action.INCREMENT, 2, actor=MERCHANT)
    paid_order({made: 2})
    _change(made, "available = 11, last_moved_at = NULL")
    return made


def _repair(monkeypatch: pytest.MonkeyPatch, *arguments: str, typed: str = "") -> str:
    output = StringIO()
    monkeypatch.setattr(sys, "stdin", StringIO(typed))
    with as_owner():
        call_command("audit_inventory", "--repair", *arguments, stdout=output, stderr=output)
    return output.getvalue()


@pytest.mark.parametrize("options", [[], ["--repair"], ["--repair", "SHIRT"]])
def test_where_no_database_answers_a_sentence_says_so(options, monkeypatch):
    def nobody(parameters: object) -> None:
        raise OperationalError("nobody listens there")

    connection.close()
    monkeypatch.setattr(connection, "get_new_connection", nobody)

    with pytest.raises(CommandError, match="not be compared: nobody listens there") as stopped:
        call_command("audit_inventory", *options)

    assert stopped.value.returncode == 2
    # What the fixture compares afterwards needs one.
    monkeypatch.undo()


def test_whoever_types_the_sku_has_the_stock_set_to_what_its_log_says(shirt, monkeypatch):
    other = product(3, sku="MUG")
    _change(other, "available = 4")

    told = _repair(monkeypatch, "SHIRT", typed="SHIRT\n")

    assert "SHIRT: stock says 11 available, 2 allocated, 0 held after entry 3; the log" in told
    assert "Repaired." in told
    stock = stock_of(shirt)
    assert (stock.available, stock.allocated, stock.sequence) == (10, 2, 3)
    assert stock.last_moved_at == stock.log.get(sequence=3).created_at
    assert stock_of(other).available == 4
    change = Change.objects.latest("pk")
    assert (change.kind, change.thing_id) == ("inventory.product", str(shirt.pk))
    assert change.actor == COMMAND_LINE
    moved_at = f"{stock_of(shirt).last_moved_at}"
    assert change.fields == [
        {"field": "stock: available", "before": 11, "after": 10},
        {"field": "stock: moment of the last movement", "before": None, "after": moved_at},
    ]
    _change(other, "available = 3")


@pytest.mark.tampers_with_the_books
@pytest.mark.parametrize("typed", ["", "MUG\n", "yes\n"])
def test_whoever_types_anything_else_leaves_it_as_it_is(shirt, monkeypatch, typed):
    with pytest.raises(CommandError, match="1 of 1 left"):
        _repair(monkeypatch, typed=typed)

    assert stock_of(shirt).available == 11


def test_all_that_differ_are_repaired_without_asking_if_that_is_wanted(shirt, monkeypatch):
    _change(product(3, sku="MUG"), "available = 4")

    told = _repair(monkeypatch, "--yes")

    assert told.count("Repaired.") == 2
    assert audit.differences() == []
    assert "No stock differs from its log." in _repair(monkeypatch, "--yes")


@pytest.mark.tampers_with_the_books
def test_what_differs_is_told_of_one_sku_or_of_all_as_far_as_there_is_a_stock(shirt):
    mug = product(3, sku="MUG")
    _change(mug, "available = 4")

    both = repairing.differing()
    assert {each.product: each.stock_id for each in both} == {
        each: stock_of(each).pk for each in (shirt, mug)
    }
    assert [each.product for each in repairing.differing("MUG")] == [mug]
    assert len(repairing.differing(limit=1)) == 1
    # A log alone is nothing that could be set.
    tamper("DELETE FROM inventory_stock WHERE product_id = %s", shirt.pk)
    assert [each.product for each in repairing.differing()] == [mug]


def test_whoever_mistypes_the_sku_is_not_told_that_all_agrees(monkeypatch):
    with pytest.raises(CommandError, match="No product has the sku SHIRTS"):
        _repair(monkeypatch, "SHIRTS")


@pytest.mark.tampers_with_the_books
@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE inventory_stocktransaction SET quantity = 4 WHERE sequence = 2",
        "UPDATE inventory_stocktransaction SET sequence = 5 WHERE sequence = 3",
        "UPDATE inventory_stocktransaction SET created_at = created_at - interval '1 day' "
        "WHERE sequence = 2",
    ],
)
def test_where_the_log_is_broken_nothing_is_repaired(shirt, monkeypatch, tampering):
    tamper(tampering)

    with pytest.raises(CommandError, match="1 of 1 left"):
        _repair(monkeypatch, "--yes")

    assert stock_of(shirt).available == 11


@pytest.mark.tampers_with_the_books
def test_nothing_is_repaired_into_what_no_stock_may_be(shirt, monkeypatch):
    _change(shirt, "managed = false, available = 0, allocated = 0")

    with pytest.raises(CommandError, match="1 of 1 left"):
        _repair(monkeypatch, "--yes")


def test_the_triggers_are_back_when_it_is_repaired(shirt, monkeypatch):
    _repair(monkeypatch, "--yes")

    with pytest.raises(IntegrityError, match="changed without its log"):
        Stock.objects.update(available=5)


@pytest.mark.tampers_with_the_books
@pytest.mark.skipif(not os.environ.get(ROLE), reason="this server has one role only")
def test_the_role_that_serves_is_told_who_may_repair(shirt):
    said = StringIO()

    with pytest.raises(CommandError, match="1 of 1 left"):
        call_command("audit_inventory", "--repair", "--yes", stdout=StringIO(), stderr=said)

    assert said.getvalue() == (
        "Not repaired: only the owner of the tables may, by its own DATABASE_URL.\n"
    )
    assert stock_of(shirt).available == 11


def test_only_the_owner_of_the_tables_may_repair():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT grantee::regrole::text FROM pg_proc, aclexplode(proacl) "
            "WHERE proname = 'inventory_repair_stock'"
        )
        may = [role for (role,) in cursor.fetchall()]
        cursor.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'inventory_stock'")
        assert may == [cursor.fetchone()[0]]


def test_whoever_moves_stock_is_waited_for_and_may_lock_more(shirt):
    """Who has written a row may want this one, too: so nothing is locked while one waits."""
    mug = product(3)
    has_written = threading.Event()

    def move() -> None:
        with transaction.atomic():
            for each in Stock.objects.lock([mug.pk]):
                each.save(update_fields=["managed"])
            has_written.set()
            wait_until_somebody_waits()
            Stock.objects.lock([shirt.pk])

    def repair() -> bool:
        assert has_written.wait(PATIENCE_SECONDS)
        with as_owner():
            return repairing.repair(stock_of(shirt).pk, actor=MERCHANT)

    assert run_together(move, repair) == [None, True]
    assert stock_of(shirt).available == 10
