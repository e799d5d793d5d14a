"""The audit in its two kinds: the whole of all books, and what was written since they agreed."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.test import Client

from api import clock, health
from benchmarks import audit_data
from inventory.models import Action, Product, StockCheckpoint, StockTransaction
from inventory.services import checkpoints, snapshots
from inventory.services import stock as inventory
from orders.models import AuditResult, Order
from payments import jobs
from payments.services import audit
from tests.concurrency import run_together
from tests.factories import MERCHANT, paid_order, product, stock_of
from tests.roles import as_owner
from tests.tampering import tamper

pytestmark = pytest.mark.django_db(transaction=True)
tampered = pytest.mark.tampers_with_the_books


def _execute(sql: str, *parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


@pytest.fixture
def shirt() -> Product:
    """Beside a mug: four entries; 48 units, of which an order holds 9."""
    product(7, sku="MUG")
    made = product(40, sku="SHIRT")
    inventory.record(made.pk, Action.INCREMENT, 10, actor=MERCHANT)
    inventory.record(made.pk, Action.DECREMENT, 2, actor=MERCHANT)
    paid_order({made: 9})
    return made


_OF_SHIRT = "stock_id = (SELECT stock_id FROM inventory_stocktransaction WHERE sequence = 4)"
_SHIRT = _OF_SHIRT.replace("stock_id =", "id =", 1)
TAMPERING = {
    "a quantity": f"UPDATE inventory_stocktransaction SET quantity = 11 WHERE {_OF_SHIRT} "
    "AND sequence = 2",
    "numbers afterwards": "UPDATE inventory_stocktransaction SET available = 51 "
    f"WHERE {_OF_SHIRT} AND sequence = 3",
    "what is set aside": "UPDATE inventory_stocktransaction SET by_order = false "
    "WHERE sequence = 4",
    "an entry less": f"DELETE FROM inventory_stocktransaction WHERE {_OF_SHIRT} AND sequence = 2",
    "the last one less": "DELETE FROM inventory_stocktransaction WHERE sequence = 4",
    "another number": "UPDATE inventory_stocktransaction SET sequence = 5 WHERE sequence = 4",
    "an older one": "UPDATE inventory_stocktransaction SET created_at = created_at - "
    f"interval '1 day' WHERE {_OF_SHIRT} AND sequence = 2",
    "stock": f"UPDATE inventory_stock SET available = available + 1 WHERE {_SHIRT}",
    "stock's numbers, exchanged": "UPDATE inventory_stock SET available = allocated, "
    f"allocated = available WHERE {_SHIRT}",
    "the last numbers afterwards, exchanged": "UPDATE inventory_stocktransaction "
    "SET available = allocated, allocated = available WHERE sequence = 4",
    "stock of another number": f"UPDATE inventory_stock SET sequence = 3 WHERE {_SHIRT}",
    "when stock moved": "UPDATE inventory_stock SET last_moved_at = last_moved_at "
    f"- interval '1 second' WHERE {_SHIRT}",
    "no stock": "DELETE FROM inventory_stock",
}


@tampered
@pytest.mark.parametrize("what", TAMPERING)
def test_f35_the_whole_audit_finds_what_an_entry_by_entry_replay_finds(shirt, what):
    tamper(TAMPERING[what])

    told: list[tuple[int, int]] = []
    result, found = audit.compare(whole=True, tell=lambda *parts: told.append(parts))

    assert told == [(part, 7) for part in range(1, 8)]
    assert set(found) == set(audit.differences())
    assert "SHIRT" in str(found) or what == "no stock"
    assert (result.kind, result.differences) == ("whole", len(found))


def test_the_first_audit_is_a_whole_one_and_the_next_one_reads_what_is_new(shirt):
    first, _ = audit.compare()
    inventory.record(shirt.pk, Action.INCREMENT, 1, actor=MERCHANT)
    new = product(5)
    second, _ = audit.compare()
    third, _ = audit.compare()

    assert (first.kind, first.stocks, first.entries, first.orders) == ("whole", 2, 5, 1)
    assert (second.kind, second.stocks, second.entries) == ("incremental", 2, 2)
    assert (third.stocks, third.entries) == (0, 0)
    kept = StockCheckpoint.objects.get(pk=stock_of(new).pk)
    assert (kept.sequence, kept.available) == (1, 5)
    assert AuditResult.objects.count() == 2


@tampered
@pytest.mark.parametrize("what", [what for what in TAMPERING if what != "no stock"])
def test_f35_an_incremental_audit_finds_what_was_tampered_with_since(shirt, what):
    tamper("DELETE FROM inventory_stockcheckpoint")
    audit.compare()
    # As if all of the shirt's log had come since.
    tamper(f"DELETE FROM inventory_stockcheckpoint WHERE {_OF_SHIRT}")
    tamper(TAMPERING[what])

    result, found = audit.compare()

    assert result.kind == "incremental"
    assert set(found) == set(audit.differences())


@tampered
@pytest.mark.parametrize(
    ("tampering", "says"),
    [
        (f"UPDATE inventory_stock SET held = 1, allocated = 10 WHERE {_SHIRT}", "1 held after"),
        ("DELETE FROM inventory_stocktransaction WHERE sequence = 4", "48, 0, 0 after entry 3"),
        (
            "UPDATE inventory_stocktransaction SET available = 1 WHERE sequence = 4",
            "entry 4 does not end in",
        ),
        (
            "UPDATE inventory_stocktransaction SET sequence = 5 WHERE sequence = 4",
            "entry 5 should be entry 4",
        ),
        ("DELETE FROM inventory_stock", "there was stock until entry 4, and is none"),
    ],
)
def test_an_incremental_audit_sees_that_what_did_not_move_is_as_it_was(shirt, tampering, says):
    audit.compare()
    tamper(tampering)

    result, found = audit.compare()

    assert result.kind == "incremental"
    assert any(says in each.what for each in found)


@tampered
def test_only_the_whole_audit_sees_that_an_old_entry_was_rewritten(shirt):
    audit.compare()
    tamper(TAMPERING["a quantity"])

    assert audit.compare()[1] == []
    assert "entry 2 does not end in" in audit.compare(whole=True)[1][0].what


@tampered
def test_after_a_whole_audit_that_found_something_each_is_whole_until_all_agrees(shirt):
    audit.compare()
    tamper(TAMPERING["a quantity"])

    kinds = [audit.compare(whole=True)[0].kind, audit.compare()[0].kind]
    tamper(TAMPERING["a quantity"].replace("quantity = 11", "quantity = 10"))
    kinds += [audit.compare()[0].kind, audit.compare()[0].kind]

    assert kinds == ["whole", "whole", "whole", "incremental"]


@tampered
def test_what_an_incremental_audit_found_it_finds_again(shirt):
    """Also when the order was changed before the audit that found it, by more than the margin."""
    audit.compare()
    order = Order.objects.get()
    Order.objects.update(refunds_open=1, updated_at=clock.now() + timedelta(minutes=10))
    inventory.record(shirt.pk, Action.INCREMENT, 1, actor=MERCHANT)
    tamper("UPDATE inventory_stocktransaction SET quantity = 2 WHERE sequence = 5")

    for hours in (2, 4):
        with clock.replaced(partial(clock.now().__add__, timedelta(hours=hours))):
            result, found = audit.compare()

        assert result.kind == "incremental"
        assert {each.sku for each in found} == {"SHIRT", f"#{order.number}"}


@tampered
def test_log_and_stock_that_were_rewritten_together_contradict_the_checkpoint(shirt):
    audit.compare()
    tamper(
        f"UPDATE inventory_stocktransaction SET quantity = 41 WHERE {_OF_SHIRT} AND sequence = 1;"
        f"UPDATE inventory_stocktransaction SET available = available + 1 WHERE {_OF_SHIRT};"
        f"UPDATE inventory_stock SET available = available + 1 WHERE {_SHIRT}"
    )

    assert audit.differences() == []
    [incremental] = audit.compare()[1]
    [whole] = audit.compare(whole=True)[1]

    assert incremental.row_id == whole.row_id == stock_of(shirt).pk
    assert incremental.what == (
        "its log agrees, but not with what the last audit saw: some of it was rewritten"
    )
    assert "saw that entry 4 of " in whole.what
    assert "ended in 39 available, 9 allocated, 0 held; it is of" in whole.what
    assert whole.what.endswith(" UTC and ends in 40, 9, 0")


@tampered
@pytest.mark.parametrize(
    ("rewritten", "says"),
    [
        ("allocated = 8, held = 0", "ends in 39, 8, 0"),
        ("held = 1", "ends in 39, 9, 1"),
        ("created_at = created_at + interval '1 hour'", "ends in 39, 9, 0"),
        ("sequence = 5", "there was an entry 4, and is none"),
    ],
)
def test_of_what_an_audit_saw_at_the_end_of_a_log_nothing_is_rewritten(shirt, rewritten, says):
    """Also where all else that the whole audit compares agrees with it."""
    audit.compare()
    tamper(f"UPDATE inventory_stocktransaction SET {rewritten} WHERE {_OF_SHIRT} AND sequence = 4")

    [difference] = checkpoints.rewritten()

    assert (difference.row_id, difference.sku) == (stock_of(shirt).pk, "SHIRT")
    assert difference.what.endswith(says)


@tampered
def test_whoever_owns_the_tables_may_say_that_what_was_rewritten_is_right(shirt):
    audit.compare()
    tamper(
        f"UPDATE inventory_stocktransaction SET quantity = 41 WHERE {_OF_SHIRT} AND sequence = 1;"
        f"UPDATE inventory_stocktransaction SET available = available + 1 WHERE {_OF_SHIRT};"
        f"UPDATE inventory_stock SET available = available + 1 WHERE {_SHIRT}"
    )
    kept = [audit.compare(whole=True)[0].differences, audit.compare()[0].kind]

    tamper(f"DELETE FROM inventory_stockcheckpoint WHERE {_OF_SHIRT}")

    assert kept == [1, "whole"]
    assert [audit.compare()[1], audit.compare()[0].kind] == [[], "incremental"]


def test_a_movement_during_an_audit_is_left_to_the_next_one(shirt, monkeypatch):
    """A checkpoint has what the snapshot saw, whatever was committed when it is written."""

    def sell() -> None:
        inventory.record(shirt.pk, Action.DECREMENT, 1, actor=MERCHANT)

    keep = checkpoints.keep

    def keep_later() -> None:
        assert run_together(sell) == [None]
        keep()

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "keep", keep_later)
        audit.compare()

    assert StockCheckpoint.objects.get(pk=stock_of(shirt).pk).sequence == 4
    assert stock_of(shirt).sequence == 5
    result, found = audit.compare()
    assert (result.stocks, result.entries, found) == (1, 1, [])


def test_the_worker_compares_the_whole_once_a_day(shirt):
    kinds = []
    for hours in (0, 1, 22, 23.5, 24.5):
        with clock.replaced(partial(MIDNIGHT.__add__, timedelta(hours=hours))):
            jobs.audit_inventory(timestamp=0)
            newest = AuditResult.objects.latest("checked_at")
            kinds.append(newest.kind)

    assert kinds == ["whole", "incremental", "incremental", "whole", "incremental"]


MIDNIGHT = clock.now() + timedelta(days=1)


@tampered
def test_when_a_clock_was_put_back_all_is_compared_anew(shirt):
    with clock.replaced(lambda: MIDNIGHT):
        audit.compare()
    Order.objects.update(refunds_open=1, updated_at=clock.now())

    assert audit.is_whole_due()
    result, found = audit.compare()

    assert (result.kind, len(found)) == ("whole", 1)


@contextmanager
def _somebody_compares() -> Iterator[None]:
    other = connection.copy()
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [audit._COMPARING])
        yield
    finally:
        other.close()


def test_two_do_not_compare_at_once(shirt):
    with _somebody_compares():
        with pytest.raises(CommandError, match="compared already") as stopped:
            call_command("audit_inventory")
        jobs.audit_inventory(timestamp=0)

    assert stopped.value.returncode == 2
    assert not AuditResult.objects.exists()


def _others_may_compare() -> bool:
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [audit._COMPARING])
            found: bool = cursor.fetchone()[0]
    finally:
        other.close()
    return found


def test_nobody_else_compares_from_before_the_moment_that_is_read_until_it_is_told(
    shirt, monkeypatch
):
    """Else a comparison of an earlier moment could take the place of a later one's result."""
    seen = []

    def seeing(step: str) -> None:
        do = getattr(audit, step)

        def see_and_do(*arguments: Any) -> Any:
            seen.append((step, _others_may_compare()))
            return do(*arguments)

        monkeypatch.setattr(audit, step, see_and_do)

    for step in ("_agreed", "snapshot", "write", "_keep"):
        seeing(step)

    audit.compare()

    assert seen == [(step, False) for step in ("_agreed", "snapshot", "write", "_keep")]
    assert _others_may_compare()


def test_nothing_is_told_by_whom_the_database_has_lost(shirt, monkeypatch):
    """Whoever does not hold the lock any more may have been overtaken."""
    keep = audit._keep

    def keep_too_late(result: AuditResult) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            [pid] = cursor.fetchone()
        other = connection.copy()
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
        other.close()
        keep(result)

    monkeypatch.setattr(audit, "_keep", keep_too_late)

    with pytest.raises(OperationalError):
        audit.compare()

    assert not AuditResult.objects.exists()


def test_whoever_waits_for_the_readers_is_not_hung_up_on(shirt, monkeypatch):
    limits = []

    def look(work: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SHOW idle_in_transaction_session_timeout")
            limits.extend(cursor.fetchone())
        return snapshots.apart(work)

    monkeypatch.setattr(audit, "apart", look)
    audit.compare()

    assert limits == ["0"]


def test_a_reader_that_fails_fails_the_audit(shirt, monkeypatch):
    def fail() -> None:
        raise OperationalError("no more connections")

    monkeypatch.setattr(snapshots, "joined", lambda name: fail())

    with pytest.raises(CommandError, match="no more connections") as stopped:
        call_command("audit_inventory")

    assert stopped.value.returncode == 2


@tampered
def test_the_command_tells_programs_what_it_found(shirt):
    agreeing, differing = StringIO(), StringIO()
    call_command("audit_inventory", "--json", stdout=agreeing)
    Order.objects.update(refunds_open=1)

    with pytest.raises(CommandError) as stopped:
        call_command("audit_inventory", "--whole", "--json", stdout=differing)

    told = json.loads(agreeing.getvalue())
    assert told.pop("started") == told.pop("checkpoint")
    assert told.pop("seconds") >= 0
    assert told == {"kind": "whole", "stocks": 2, "entries": 5, "orders": 1, "differences": []}
    told = json.loads(differing.getvalue())
    order = Order.objects.get()
    assert (stopped.value.returncode, told["checkpoint"]) == (1, None)
    assert told["differences"] == [
        {
            "of": "order",
            "id": str(order.pk),
            "name": f"#{order.number}",
            "what": "the order says 0 attempts and 1 refunds open; its payments say 0 and 0",
        }
    ]


# Who is told.


@tampered
def test_a_monitoring_system_reads_of_each_kind_what_it_found_and_when(shirt):
    audit.compare()
    with clock.replaced(lambda: MIDNIGHT):
        Order.objects.update(refunds_open=1, updated_at=MIDNIGHT)
        audit.compare()
    AuditResult.objects.update(seconds=1.5)
    with clock.replaced(lambda: MIDNIGHT + timedelta(seconds=30)):
        told = Client().get("/metrics").content.decode()
        ready = Client().get("/health/ready")

    assert 'holdfast_audit_differences{kind="whole"} 0.0' in told
    assert 'holdfast_audit_differences{kind="incremental"} 1.0' in told
    assert 'holdfast_audit_age_seconds{kind="incremental"} 30.0' in told
    assert 'holdfast_audit_seconds{kind="whole"} 1.5' in told
    # It is ready all the same.
    told = ready.json()
    assert (ready.status_code, told["status"]) == (200, "ok")
    assert told["audit"] == {"differences": 1, "age_seconds": 30}


def test_readiness_does_not_depend_on_the_audit(monkeypatch, django_assert_num_queries):
    audit.compare()
    # One of its own, and one for each detail.
    with django_assert_num_queries(3):
        assert "audit" in Client().get("/health/ready").json()

    def fail() -> None:
        raise OperationalError

    monkeypatch.setitem(health._details, "audit", fail)
    answer = Client().get("/health/ready")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.thorough
def test_a_log_is_compared_without_a_temporary_file_however_long_it_is(monkeypatch):
    """16,000 entries, and no room for so many or their orders.

    To sort them takes two megabytes, and by what it takes pages to cost it would sort them.
    """
    costs = [each for each in snapshots._READING if "page_cost" in each]
    others = [each for each in snapshots._READING if each not in costs]
    monkeypatch.setattr(snapshots, "_READING", [*others, "SET LOCAL random_page_cost = 40"])
    monkeypatch.setattr(snapshots, "WORK_MEMORY", "256kB")
    monkeypatch.setattr(audit, "ORDERS_AT_ONCE", 400)
    with as_owner():
        audit_data.insert(products=200, rounds=8)
        # As autovacuum does: else it goes by what other tests had in these tables.
        _execute(f"ANALYZE {', '.join(audit_data.TABLES)}")
    before = _temporary_bytes()

    whole, found = audit.compare()
    tamper("DELETE FROM inventory_stockcheckpoint WHERE sequence > 79")
    incremental, _ = audit.compare()

    assert found == []
    assert (whole.entries, incremental.stocks) == (StockTransaction.objects.count(), 190)
    assert _temporary_bytes() == before


def _temporary_bytes() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT temp_bytes FROM pg_stat_database WHERE datname = current_database()")
        found: int = cursor.fetchone()[0]
    return found
