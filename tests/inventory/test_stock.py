from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from api import clock
from api.actors import Actor
from api.fields import UNITS_MAX
from api.idempotency import Answered, Key
from api.ids import uuid7
from api.transactions import Stale
from inventory.errors import StockMoved, StockNotFound, StockTooLow, TooManyUnits
from inventory.models import Action, StockTransaction
from inventory.services import products
from inventory.services import stock as inventory
from tests.factories import MERCHANT, holding_order, product, stock_of
from tests.inventory.movements import (
    allocate,
    deallocate,
    log_of,
    numbers_of,
    record,
    refused,
    ship,
)

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


# By hand.


def test_the_four_actions_move_the_numbers_as_the_documents_say():
    made = product(50)

    record(made, Action.INCREMENT, 10)
    assert numbers_of(made) == (60, 60, 0, 0)
    record(made, Action.ALLOCATE, 25)
    assert numbers_of(made) == (60, 35, 25, 25)
    record(made, Action.DEALLOCATE, 5)
    assert numbers_of(made) == (60, 40, 20, 20)
    record(made, Action.DECREMENT, 40)
    assert numbers_of(made) == (20, 0, 20, 20)


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
    record(made, Action.ALLOCATE, 3)

    with refused(StockTooLow):
        record(made, action, quantity)


def test_f33_a_deallocate_by_hand_leaves_the_units_of_orders_alone():
    made = product(10)
    record(made, Action.ALLOCATE, 2)
    holding_order({made: 3})

    with refused(StockTooLow):
        record(made, Action.DEALLOCATE, 3)

    record(made, Action.DEALLOCATE, 2)
    assert numbers_of(made) == (10, 7, 3, 0)


@pytest.mark.parametrize("quantity", [1, UNITS_MAX])
def test_f42_no_stock_grows_past_the_largest_number(quantity):
    made = product(UNITS_MAX)

    with refused(TooManyUnits):
        record(made, Action.INCREMENT, quantity)


def test_f42_allocated_units_count_towards_the_largest_number():
    made = product(UNITS_MAX)
    record(made, Action.ALLOCATE, UNITS_MAX)

    with refused(TooManyUnits):
        record(made, Action.INCREMENT, 1)


def test_the_same_as_somebody_recorded_meanwhile_may_be_a_second_click():
    made = product(50)
    opened = stock_of(made).sequence
    again = partial(inventory.record, made.pk, Action.DECREMENT, 3, actor=MERCHANT)

    again(seen=opened, reason="broken")
    with pytest.raises(StockMoved, match=r"the same 3 \(broken\): it is 47 = 47 available"):
        again(seen=opened)
    again(seen=stock_of(made).sequence)
    with pytest.raises(StockMoved, match="the same 3: it is 44 = 44 available"):
        again(seen=opened)

    assert numbers_of(made) == (44, 44, 0, 0)


def test_what_somebody_else_recorded_meanwhile_is_no_second_click():
    made = product(50)
    seen = stock_of(made).sequence
    record(made, Action.DECREMENT, 3)
    record(made, Action.INCREMENT, 4)
    holding_order({made: 5})

    for action, quantity in ((Action.DECREMENT, 4), (Action.INCREMENT, 3), (Action.ALLOCATE, 5)):
        inventory.record(made.pk, action, quantity, actor=MERCHANT, seen=seen)

    assert numbers_of(made) == (50, 40, 10, 5)


def test_a_movement_with_a_key_is_recorded_once():
    made = product(50)
    key = Key("user:7", "POST", "/", "one", "fingerprint", uuid7())

    inventory.record(made.pk, Action.DECREMENT, 3, actor=MERCHANT, key=key)
    with pytest.raises(Answered):
        inventory.record(made.pk, Action.DECREMENT, 3, actor=MERCHANT, key=key)

    assert numbers_of(made) == (47, 47, 0, 0)


def test_a_product_without_managed_stock_has_no_movements():
    made = product(managed=False)

    with refused(StockNotFound):
        record(made, Action.INCREMENT, 1)


def test_an_unknown_product_has_no_movements():
    with refused(StockNotFound):
        inventory.record(uuid7(), Action.INCREMENT, 1, actor=MERCHANT)


def test_the_log_never_runs_backwards_even_if_the_clock_does():
    with clock.replaced(lambda: NOON):
        made = product(10)
    with clock.replaced(lambda: NOON - timedelta(hours=1)):
        record(made, Action.DECREMENT, 1)
    with clock.replaced(lambda: NOON + timedelta(hours=1)):
        record(made, Action.DECREMENT, 1)

    moments = [entry.created_at for entry in log_of(made)]

    assert moments == [NOON, NOON, NOON + timedelta(hours=1)]
    assert stock_of(made).last_moved_at == NOON + timedelta(hours=1)


# For orders. What an order notes of its units is left out, so every test lets them go again.


def test_an_order_takes_its_units_and_gives_them_back():
    made = product(10)
    order_id = uuid7()

    allocate({made: 4}, order_id)
    assert numbers_of(made) == (10, 6, 4, 0)
    deallocate({made: 4}, order_id)
    assert numbers_of(made) == (10, 10, 0, 0)

    assert [(e.action, e.quantity, e.by_order, e.order_id, e.reason) for e in log_of(made)[1:]] == [
        ("allocate", 4, True, order_id, "payment started"),
        ("deallocate", 4, True, order_id, "order cancelled"),
    ]


def test_a_shipped_order_takes_its_units_out_of_the_total_in_two_entries():
    made = product(10)
    order_id = uuid7()
    allocate({made: 4}, order_id)

    ship({made: 4}, order_id)

    assert numbers_of(made) == (6, 6, 0, 0)
    assert [
        (e.action, e.quantity, e.available, e.allocated, e.reason, e.order_id)
        for e in log_of(made)[2:]
    ] == [
        ("deallocate", 4, 10, 0, "shipped", order_id),
        ("decrement", 4, 6, 0, "shipped", order_id),
    ]


def test_units_of_a_shipment_that_the_log_does_not_know_come_back_from_now_on():
    undone, put_back = product(10), product(10)
    known: dict[str, Any] = {"order_id": uuid7(), "actor": MERCHANT, "reason": "who knows"}

    with transaction.atomic():
        inventory.undo_ship({undone.pk: 4}, **known, entry_ids=[])
        inventory.put_back({put_back.pk: 4}, **known, entry_ids=[], to_inspect={}, inspected_as="")

    assert (numbers_of(undone), numbers_of(put_back)) == ((14, 10, 4, 0), (14, 14, 0, 0))
    entries = [*log_of(undone)[1:], *log_of(put_back)[1:]]
    assert {(entry.reason, entry.effective_at) for entry in entries} == {("who knows", None)}
    deallocate({undone: 4}, known["order_id"])


def test_f04_an_order_takes_all_its_products_or_none():
    plenty, short = product(100), product(4)

    with refused(StockTooLow):
        allocate({plenty: 10, short: 5}, uuid7())


@pytest.mark.parametrize("move", [deallocate, ship])
def test_an_order_cannot_let_go_of_what_was_set_aside_by_hand(move):
    made = product(10)
    record(made, Action.ALLOCATE, 5)

    with refused(StockTooLow):
        move({made: 1}, uuid7())


@pytest.mark.parametrize(
    ("written_off", "actions"), [(True, ["deallocate", "decrement"]), (False, ["deallocate"])]
)
def test_what_an_order_let_go_of_for_good_is_told_with_its_order(written_off, actions):
    torn, inspected = product(10), product(10)
    known: dict[str, Any] = {"order_id": uuid7(), "actor": MERCHANT, "reason": "torn"}
    allocate({torn: 4}, known["order_id"])
    record(inspected, Action.ALLOCATE, 4)

    with transaction.atomic():
        inventory.write_off({torn.pk: 4}, **known)
        inventory.settle_inspected(inspected.pk, 4, **known, write_off=written_off)

    by_order, by_hand = (
        [(e.action, e.by_order, e.order_id, e.reason) for e in log_of(each)[2:]]
        for each in (torn, inspected)
    )
    gone = ["deallocate", "decrement"]
    assert by_order == [(each, True, known["order_id"], "torn") for each in gone]
    assert by_hand == [(each, False, known["order_id"], "torn") for each in actions]


def test_it_is_told_of_which_products_the_stock_is_managed():
    managed, _another, unmanaged = product(1), product(1), product(managed=False)

    assert inventory.managed_among([managed.pk, unmanaged.pk]) == {managed.pk}


def test_an_order_that_knows_no_longer_what_is_managed_must_look_again():
    managed, unmanaged = product(5), product(managed=False)

    with refused(Stale):
        allocate({managed: 1, unmanaged: 1}, uuid7())
    with refused(Stale), transaction.atomic():
        inventory.undo_ship(
            {managed.pk: 1, unmanaged.pk: 1},
            order_id=uuid7(),
            actor=MERCHANT,
            reason="mistake",
            entry_ids=[],
        )


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("move", [inventory.allocate, partial(inventory.ship, entry_ids={})])
def test_an_order_moves_units_only_inside_the_transaction_that_locked_the_order(move):
    made = product(10)

    with refused(AssertionError):
        move({made.pk: 1}, order_id=uuid7(), actor=MERCHANT)


# What it costs.


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "change",
    [
        lambda made: products.update(made.pk, name="Cap", actor=MERCHANT),
        lambda made: products.change_prices(made.pk, {"USD": 100}, actor=MERCHANT),
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
        record(made, Action.DECREMENT, 1)

    assert _lock_and_write(queries) == ["BEGIN", "lock", "write", "COMMIT"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("lines", [1, 20])
def test_an_order_costs_one_lock_and_one_write_however_many_lines_it_has(lines):
    order = {product(10): 2 for _ in range(lines)}
    order_id = uuid7()

    for move in (allocate, deallocate, allocate, ship):
        with CaptureQueriesContext(connection) as queries:
            move(order, order_id)

        assert _lock_and_write(queries) == ["BEGIN", "lock", "write", "COMMIT"]
