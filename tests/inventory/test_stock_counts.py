"""Counting the shelf, taking a mistake back, and what the stock was at a past moment."""

import itertools
import threading
import uuid
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta, timezone
from functools import partial

import pytest

from api import clock
from api.actors import Actor
from api.idempotency import Answered, Key
from api.ids import uuid7
from inventory.errors import (
    CountedTooEarly,
    CountTooLow,
    NotUndoable,
    StockMoved,
    StockNotFound,
    TooManyUnits,
)
from inventory.models import Action, Product, Stock, StockQuerySet, StockTransaction
from inventory.services import log as stock_log
from inventory.services import stock as inventory
from inventory.services.log import Then, totals_at
from inventory.services.writing import RowMoved
from orders.services import shipments
from tests.concurrency import PATIENCE_SECONDS, run_together
from tests.factories import MERCHANT, holding_order, paid_order, product, stock_of
from tests.http import administrator, shopper, statements

pytestmark = pytest.mark.django_db

NINE = datetime(2026, 5, 4, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def from_nine():
    """Let the clock strike nine, and go on a minute whenever it is looked at."""
    minutes = itertools.count()
    with clock.replaced(lambda: NINE + next(minutes) * MINUTE):
        yield


def numbers(made: Product) -> tuple[int, int, int, int]:
    stock = stock_of(made)
    return stock.total, stock.available, stock.allocated, stock.held


def move(made: Product, action: Action, quantity: int, reason: str = "") -> StockTransaction:
    inventory.record(made.pk, action, quantity, actor=MERCHANT, reason=reason)
    return last_entry(made)


def last_entry(made: Product) -> StockTransaction:
    return StockTransaction.objects.filter(stock__product=made).latest("sequence")


# Counting.


@pytest.mark.parametrize(
    ("counted", "after", "action", "quantity"),
    [(47, 47, "decrement", 3), (52, 52, "increment", 2), (0, 0, "decrement", 50)],
)
def test_a_count_writes_by_how_much_it_differs(counted, after, action, quantity):
    shirt = product(50)

    difference = inventory.count(shirt.pk, counted, actor=MERCHANT)

    assert difference == after - 50
    assert numbers(shirt) == (after, after, 0, 0)
    entry = last_entry(shirt)
    assert (entry.action, entry.quantity, entry.by_order) == (action, quantity, False)
    assert entry.reason == f"count of {counted}"
    assert entry.actor_name == MERCHANT.name


def test_a_count_that_agrees_writes_nothing():
    shirt = product(50)

    assert inventory.count(shirt.pk, 50, actor=MERCHANT) == 0
    assert stock_of(shirt).sequence == 1


def test_what_orders_hold_is_on_the_shelf_and_is_counted_with_the_rest():
    shirt = product(50)
    paid_order({shirt: 9})

    inventory.count(shirt.pk, 48, actor=MERCHANT)

    assert numbers(shirt) == (48, 39, 9, 0)


def test_what_moved_since_the_count_stays_moved(from_nine):
    shirt = product(50)
    order = paid_order({shirt: 3})
    counted_at = clock.now()
    shipments.ship(order.pk, actor=MERCHANT)
    move(shirt, Action.INCREMENT, 20)

    difference = inventory.count(
        shirt.pk, 45, actor=MERCHANT, counted_at=counted_at, reason="shelf 4"
    )

    assert difference == -5
    assert numbers(shirt) == (62, 62, 0, 0)
    assert last_entry(shirt).reason == f"count of 45 at {counted_at:%Y-%m-%d %H:%M:%S} UTC: shelf 4"


def test_nothing_was_counted_before_there_was_such_a_product(from_nine):
    shirt = product(5)

    with pytest.raises(CountedTooEarly):
        inventory.count(shirt.pk, 5, actor=MERCHANT, counted_at=NINE - MINUTE)


def test_how_old_other_products_are_makes_no_difference_to_a_count(from_nine):
    shirt = product(5)
    counted_at = clock.now()
    product(5)

    assert inventory.count(shirt.pk, 5, actor=MERCHANT, counted_at=counted_at) == 0


def test_the_moment_of_a_count_is_told_in_utc(from_nine):
    shirt = product(5)
    counted_at = clock.now().astimezone(timezone(timedelta(hours=2)))

    inventory.count(shirt.pk, 4, actor=MERCHANT, counted_at=counted_at)

    assert last_entry(shirt).reason == f"count of 4 at 2026-05-04 09:{counted_at:%M}:00 UTC"


def test_a_count_with_a_key_counts_once():
    shirt = product(50)
    key = Key("user:7", "POST", "/", "one", "fingerprint", uuid7())

    inventory.count(shirt.pk, 49, actor=MERCHANT, key=key)
    with pytest.raises(Answered):
        inventory.count(shirt.pk, 48, actor=MERCHANT, key=key)

    assert numbers(shirt) == (49, 49, 0, 0)


def test_a_count_of_units_that_are_allocated_is_refused_and_changes_nothing():
    shirt = product(50)
    paid_order({shirt: 40})

    with pytest.raises(CountTooLow) as refused:
        inventory.count(shirt.pk, 39, actor=MERCHANT)

    assert str(refused.value) == (
        "11 fewer than the log says, but only 10 of 50 are available: 40 are allocated."
    )
    assert numbers(shirt) == (50, 10, 40, 0)


def test_f37_a_count_begun_before_the_stock_moved_says_so_and_changes_nothing():
    shirt = product(49)
    opened = move(shirt, Action.INCREMENT, 1).sequence
    paid_order({shirt: 3})

    with pytest.raises(StockMoved) as refused:
        inventory.count(shirt.pk, 50, actor=MERCHANT, seen=opened)

    assert str(refused.value) == (
        "The stock moved since this form was opened: it was 50 = 50 available + 0 allocated, "
        "and is 50 = 47 available + 3 allocated now."
    )
    assert numbers(shirt) == (50, 47, 3, 0)


def test_f37_a_count_begun_before_there_was_a_log_says_so():
    shirt = product()
    move(shirt, Action.INCREMENT, 5)

    with pytest.raises(StockMoved, match="it was nothing, and is 5 = 5 available"):
        inventory.count(shirt.pk, 5, actor=MERCHANT, seen=0)


def test_a_count_passes_while_the_log_stands_still():
    shirt = product(50)

    inventory.count(shirt.pk, 51, actor=MERCHANT, seen=stock_of(shirt).sequence)

    assert numbers(shirt) == (51, 51, 0, 0)


def test_f42_no_count_makes_more_than_the_largest_number(from_nine):
    shirt, moment = product(), clock.now()
    inventory.record(shirt.pk, Action.INCREMENT, 2**31 - 1, actor=MERCHANT)

    with pytest.raises(TooManyUnits):
        inventory.count(shirt.pk, 1, actor=MERCHANT, counted_at=moment)


@pytest.mark.parametrize("act", [inventory.count, inventory.undo])
def test_stock_that_is_not_managed_is_not_counted(act):
    with pytest.raises(StockNotFound):
        act(product(managed=False).pk, 1, actor=MERCHANT)


def test_a_count_costs_one_lock_one_look_back_one_write_and_its_evidence():
    shirt = product(50)

    # BEGIN and COMMIT are a savepoint here, each with its release.
    assert statements(lambda: inventory.count(shirt.pk, 40, actor=MERCHANT)) == 6


# Undo.


@pytest.mark.parametrize("action", Action)
def test_undo_writes_the_opposite_with_its_reason(action):
    shirt = product(50)
    move(shirt, Action.ALLOCATE, 10)
    before = numbers(shirt)
    mistake = move(shirt, action, 4, "wrong shelf")

    undone = inventory.undo(shirt.pk, mistake.sequence, actor=Actor("user", "8", "boss"))

    assert undone == mistake
    assert numbers(shirt) == before
    entry = last_entry(shirt)
    assert (entry.sequence, entry.quantity) == (mistake.sequence + 1, 4)
    assert (entry.reason, entry.actor_name) == ("undo: wrong shelf", "boss")


def test_only_the_last_entry_is_undone():
    shirt = product(50)
    mistake = move(shirt, Action.INCREMENT, 4)
    move(shirt, Action.INCREMENT, 1)

    with pytest.raises(NotUndoable):
        inventory.undo(shirt.pk, mistake.sequence, actor=MERCHANT)

    assert numbers(shirt) == (55, 55, 0, 0)


def test_the_entry_of_another_product_is_not_undone():
    shirt, mug = product(50), product(50)
    of_mug, of_shirt = move(mug, Action.INCREMENT, 7), move(shirt, Action.DECREMENT, 4)
    assert of_mug.sequence == of_shirt.sequence

    assert inventory.undo(shirt.pk, of_shirt.sequence, actor=MERCHANT) == of_shirt
    assert inventory.undo(mug.pk, of_mug.sequence, actor=MERCHANT) == of_mug


def test_an_entry_that_there_is_not_is_not_undone():
    shirt = product(50)

    with pytest.raises(NotUndoable):
        inventory.undo(shirt.pk, 3, actor=MERCHANT)


def test_what_an_order_moved_is_not_undone_by_hand():
    shirt = product(50)
    holding_order({shirt: 2})

    with pytest.raises(NotUndoable):
        inventory.undo(shirt.pk, stock_of(shirt).sequence, actor=MERCHANT)


def test_the_longest_reason_can_be_undone():
    shirt = product(50)
    mistake = move(shirt, Action.INCREMENT, 4, "x" * 500)

    inventory.undo(shirt.pk, mistake.sequence, actor=MERCHANT)

    assert len(last_entry(shirt).reason) == 500


# Many at once.


@pytest.mark.django_db(transaction=True)
def test_a_mistake_undone_by_eight_people_is_undone_once():
    shirt = product(50)
    mistake = move(shirt, Action.INCREMENT, 4)

    outcomes = run_together(
        *[partial(inventory.undo, shirt.pk, mistake.sequence, actor=MERCHANT)] * 8
    )

    assert sorted(type(outcome).__name__ for outcome in outcomes) == [
        *["NotUndoable"] * 7,
        "StockTransaction",
    ]
    assert numbers(shirt) == (50, 50, 0, 0)


@pytest.mark.django_db(transaction=True)
def test_a_count_by_eight_people_counts_once():
    """Each has counted 45. Added up as differences known before the lock, it would be 10."""
    shirt = product(50)

    outcomes = run_together(*[partial(inventory.count, shirt.pk, 45, actor=MERCHANT)] * 8)

    assert sorted(outcomes) == [-5, 0, 0, 0, 0, 0, 0, 0]
    assert numbers(shirt) == (45, 45, 0, 0)


@pytest.mark.django_db(transaction=True)
def test_without_the_lock_counts_collide(monkeypatch):
    """The control: the race above proves something only if it can be lost."""
    shirt = product(50)
    all_have_read = threading.Barrier(8, timeout=PATIENCE_SECONDS)

    def read(rows: StockQuerySet, product_ids: Collection[uuid.UUID]) -> list[Stock]:
        return list(rows.filter(product_id__in=product_ids))

    def look_back(moments: Sequence[tuple[Stock, datetime]]) -> list[Then]:
        then = totals_at(moments)
        all_have_read.wait()
        return then

    monkeypatch.setattr(StockQuerySet, "lock", read)
    monkeypatch.setattr(inventory, "totals_at", look_back)

    outcomes = run_together(*[partial(inventory.count, shirt.pk, 45, actor=MERCHANT)] * 8)

    assert sum(isinstance(outcome, RowMoved) for outcome in outcomes) == 7


# The stock at a past moment.


def test_the_stock_of_a_past_moment_is_told(from_nine):
    shirt = product(50)
    move(shirt, Action.ALLOCATE, 5)
    allocated_at = last_entry(shirt).created_at
    then = clock.now()
    move(shirt, Action.DECREMENT, 10)
    back_office = administrator()

    told = back_office.get(
        f"/v2/inventories/{shirt.pk}?at={then.isoformat().replace('+', '%2B')}"
    ).json()["data"]

    now = back_office.get(f"/v2/inventories/{shirt.pk}").json()["data"]
    assert told == {
        **now,
        "meta": {**now["meta"], "updated_at": f"{allocated_at:%Y-%m-%dT%H:%M:%S}Z"},
        "total": 50,
        "available": 45,
        "allocated": 5,
        "at": f"{then:%Y-%m-%dT%H:%M:%S}Z",
    }
    assert (now["total"], "at" in now) == (40, False)


def test_more_may_have_been_promised_at_a_past_moment_than_there_was(from_nine):
    shirt = product(20)
    counted_at = clock.now()
    move(shirt, Action.ALLOCATE, 18)
    then = clock.now()
    move(shirt, Action.DEALLOCATE, 18)
    inventory.count(shirt.pk, 15, counted_at=counted_at, actor=MERCHANT)

    told = administrator().get(
        f"/v2/inventories/{shirt.pk}?at={then.isoformat().replace('+', '%2B')}"
    )

    numbers_then = told.json()["data"]
    assert [numbers_then[name] for name in ("total", "available", "allocated")] == [15, -3, 18]


def test_an_entry_counts_from_its_own_moment_on(from_nine):
    shirt = product(50)
    first = last_entry(shirt)
    move(shirt, Action.INCREMENT, 1)
    entry = last_entry(shirt)
    moments = [entry.created_at - timedelta(microseconds=1), entry.created_at]

    before, then = stock_log.at_moments(entry.stock, moments)

    assert (before.total, before.moved_at) == (50, first.created_at)
    assert (then.total, then.moved_at) == (51, entry.created_at)
    assert [stock_log.last_number(entry.stock, moment) for moment in moments] == [1, 2]


def test_the_units_that_a_product_is_made_with_are_there_as_soon_as_it_is():
    shirt = product(50)
    moments = [shirt.created_at - timedelta(microseconds=1), shirt.created_at]

    before, then = stock_log.at_moments(stock_of(shirt), moments)

    assert (before.total, then.total) == (0, 50)


def test_of_entries_of_one_moment_the_last_one_counts():
    with clock.replaced(lambda: NINE):
        shirt = product(50)
        move(shirt, Action.DECREMENT, 1)

    assert stock_log.at_moments(stock_of(shirt), [NINE])[0].total == 49
    assert stock_log.last_number(stock_of(shirt), NINE) == 2


def test_a_past_moment_costs_the_same_however_long_the_log_is():
    shirt = product(1)
    back_office = administrator()
    path = f"/v2/inventories/{shirt.pk}?at=2026-01-01T00:00:00Z"
    back_office.get(path)
    costs = [statements(lambda: back_office.get(path))]
    for _ in range(30):
        move(shirt, Action.INCREMENT, 1)

    costs.append(statements(lambda: back_office.get(path)))

    assert costs == [2, 2]


@pytest.mark.parametrize("at", ["", "yesterday", "2026-13-01", "9999-01-01", "2026-01-01T00:00:00"])
def test_a_moment_that_is_none_or_is_still_to_come_is_refused(at):
    shirt = product(1)

    answer = administrator().get(f"/v2/inventories/{shirt.pk}?at={at}")

    assert answer.status_code == 400
    assert [entry["source"] for entry in answer.json()["errors"]] == ["at"]


def test_the_past_is_for_administrators_and_for_managed_stock():
    shirt, gift = product(1), product(managed=False)
    at = "at=2026-01-01T00:00:00Z"

    assert shopper().get(f"/v2/inventories/{shirt.pk}?{at}").status_code == 403
    assert administrator().get(f"/v2/inventories/{gift.pk}?{at}").status_code == 404
