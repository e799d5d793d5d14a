"""The SQL that writes stock, held against its twin in plain Django."""

import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from api import clock
from api.actors import Actor
from api.ids import uuid7
from inventory.models import BY_HAND, FOR_ORDER, Action, NewEntry, Product, Stock, StockTransaction
from inventory.services import stock as inventory
from inventory.services.writing import Cause, RowMoved, next_moment, write
from tests.factories import MERCHANT, product, stock_of

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
GRACE = Actor("user", "12", 'Grace "O\'Hara" \\ 名前')


def write_plainly(
    entries: Sequence[NewEntry],
    cause: Cause,
    *,
    first_id: uuid.UUID | None = None,
    ids: Sequence[uuid.UUID] | None = None,
    reasons: list[str] | None = None,
    effective_at: Sequence[datetime | None] | None = None,
) -> None:
    """Do what `write` does, row by row in plain Django."""
    before: dict[uuid.UUID, int] = {}
    for entry in entries:
        before.setdefault(entry.stock.pk, entry.sequence - 1)
    moments: dict[uuid.UUID, datetime] = {}
    for stock in {entry.stock.pk: entry.stock for entry in entries}.values():
        moments[stock.pk] = next_moment(stock)
        rows = Stock.objects.filter(pk=stock.pk, sequence=before[stock.pk])
        moved = rows.update(
            available=stock.available,
            allocated=stock.allocated,
            held=stock.held,
            sequence=stock.sequence,
            last_moved_at=moments[stock.pk],
        )
        if not moved:
            raise RowMoved
    each_reason = reasons or [cause.reason] * len(entries)
    each_moment = effective_at or [None] * len(entries)
    ids = ids or [first_id or uuid7(), *(uuid7() for _ in entries[1:])]
    written = zip(ids, entries, each_reason, each_moment, strict=True)
    for entry_id, entry, reason, moment in written:
        row = StockTransaction(
            id=entry_id,
            stock=entry.stock,
            sequence=entry.sequence,
            action=entry.action,
            quantity=entry.quantity,
            by_order=entry.by_order,
            available=entry.available,
            allocated=entry.allocated,
            held=entry.held,
            reason=reason,
            order_id=cause.order_id,
            created_at=moments[entry.stock.pk],
            effective_at=moment,
        )
        row.actor = cause.actor
        row.save(force_insert=True)


BOTH = pytest.mark.parametrize("write", [write, write_plainly])


def _one_line(products: Sequence[Product]) -> None:
    [made] = products
    inventory.record(made.pk, Action.DECREMENT, 3, actor=GRACE, reason="dropped; 'broken'")


def _every_action_by_hand(products: Sequence[Product]) -> None:
    for action in (Action.INCREMENT, Action.ALLOCATE, Action.DEALLOCATE, Action.DECREMENT):
        inventory.record(products[0].pk, action, 2, actor=GRACE)


def _an_order(products: Sequence[Product]) -> None:
    with transaction.atomic():
        inventory.allocate(_quantities(products), order_id=ORDER_ID, actor=GRACE)


def _a_cancelled_order(products: Sequence[Product]) -> None:
    _an_order(products)
    with transaction.atomic():
        inventory.deallocate(
            _quantities(products), order_id=ORDER_ID, actor=GRACE, reason="order cancelled"
        )


def _a_shipped_order(products: Sequence[Product]) -> None:
    _an_order(products)
    with transaction.atomic():
        inventory.ship(
            _quantities(products),
            order_id=ORDER_ID,
            actor=GRACE,
            entry_ids={product.pk: (uuid7(), uuid7()) for product in products},
        )


def _a_clock_set_back(products: Sequence[Product]) -> None:
    with clock.replaced(lambda: NOON - timedelta(days=1)):
        _one_line(products)


ORDER_ID = uuid7()


def _quantities(products: Sequence[Product]) -> dict[Any, int]:
    return {made.pk: position + 1 for position, made in enumerate(products)}


@pytest.mark.parametrize(
    ("lines", "happen"),
    [
        (1, _one_line),
        (1, _every_action_by_hand),
        (1, _a_clock_set_back),
        (1, _a_shipped_order),
        (20, _a_cancelled_order),
        (20, _a_shipped_order),
    ],
)
def test_both_ways_to_write_leave_the_same_rows_and_the_same_log(lines, happen, monkeypatch):
    left_behind = []

    for way in (write, write_plainly):
        with clock.replaced(lambda: NOON):
            monkeypatch.setattr(inventory, "write", way)
            products = [product(100) for _ in range(lines)]
            happen(products)
            left_behind.append([_everything_but_ids(made) for made in products])

    by_sql, plainly = left_behind
    assert by_sql == plainly
    assert len(by_sql) == lines
    assert all(len(log) > 1 for _, log in by_sql)


def _everything_but_ids(made: Product) -> tuple[list[Any], list[list[Any]]]:
    def values(row: Stock | StockTransaction) -> list[Any]:
        own = {"id", "product_id", "stock_id"}
        return [
            getattr(row, field.attname)
            for field in row._meta.concrete_fields
            if field.attname not in own
        ]

    stock = stock_of(made)
    return values(stock), [values(entry) for entry in stock.log.order_by("sequence")]


@BOTH
def test_the_first_entry_takes_the_id_it_is_given(write):
    made = product(10)
    given = uuid7()

    with transaction.atomic():
        [stock] = Stock.objects.lock([made.pk])
        entries = [stock.move(Action.DECREMENT, 1, by_order=BY_HAND) for _ in range(3)]
        write(entries, Cause(MERCHANT), first_id=given)

    ids = list(StockTransaction.objects.order_by("sequence").values_list("pk", flat=True))
    assert ids[1] == given
    assert len(set(ids)) == 4


@BOTH
def test_entries_of_one_statement_may_have_reasons_of_their_own(write):
    made = product(10)

    with transaction.atomic():
        [stock] = Stock.objects.lock([made.pk])
        entries = [stock.move(Action.DECREMENT, 1, by_order=BY_HAND) for _ in range(2)]
        write(entries, Cause(MERCHANT, "both"), reasons=['{"the", first}', ""])

    reasons = stock_of(made).log.order_by("sequence").values_list("reason", flat=True)
    assert list(reasons)[1:] == ['{"the", first}', ""]


def test_nothing_is_written_before_the_moment_from_which_it_counts():
    """Another machine, whose clock is faster, may have named that one."""
    made = product(10)
    ahead = clock.now() + timedelta(minutes=1)

    with transaction.atomic():
        [stock] = Stock.objects.lock([made.pk])
        entries = [stock.move(Action.INCREMENT, 1, by_order=BY_HAND) for _ in range(3)]
        write(entries, Cause(MERCHANT), effective_at=[None, ahead, ahead - timedelta(seconds=1)])

    moments = stock_of(made).log.order_by("sequence").values_list("created_at", flat=True)
    assert list(moments)[1:] == [ahead] * 3
    assert stock_of(made).last_moved_at == ahead


@BOTH
def test_a_row_that_moved_since_it_was_read_is_not_written(write):
    made = product(10)
    read_without_lock = stock_of(made)
    inventory.record(made.pk, Action.DECREMENT, 4, actor=MERCHANT)

    entry = read_without_lock.move(Action.DECREMENT, 10, by_order=BY_HAND)
    with pytest.raises(RowMoved), transaction.atomic():
        write([entry], Cause(MERCHANT))

    assert stock_of(made).available == 6
    assert stock_of(made).log.count() == 2


@BOTH
def test_nothing_is_written_if_one_of_many_rows_moved_since_it_was_read(write):
    products = [product(10) for _ in range(3)]
    read_without_lock = [stock_of(made) for made in products]
    inventory.record(products[1].pk, Action.INCREMENT, 1, actor=MERCHANT)

    entries = [stock.move(Action.ALLOCATE, 1, by_order=FOR_ORDER) for stock in read_without_lock]
    with pytest.raises(RowMoved), transaction.atomic():
        write(entries, Cause(MERCHANT))

    assert [stock_of(made).available for made in products] == [10, 11, 10]
    assert [stock_of(made).log.count() for made in products] == [1, 2, 1]


Way = Callable[..., None]


@BOTH
def test_a_row_that_is_gone_is_not_written(write: Way) -> None:
    made = product(0)
    read = stock_of(made)
    Stock.objects.filter(pk=read.pk).delete()

    entry = read.move(Action.INCREMENT, 1, by_order=BY_HAND)
    with pytest.raises(RowMoved), transaction.atomic():
        write([entry], Cause(MERCHANT))

    assert not StockTransaction.objects.exists()


def test_a_movement_that_leaves_some_touches_no_index():
    made = product(10)

    def moved(quantity: int) -> int:
        """Count the updates that stayed within the table."""
        before = _heap_only_updates()
        inventory.record(made.pk, Action.DECREMENT, quantity, actor=MERCHANT)
        return _heap_only_updates() - before

    assert [moved(quantity) for quantity in (1, 2, 6)] == [1, 1, 1]
    # None are left, which lists are asked for.
    assert moved(1) == 0


def _heap_only_updates() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_get_xact_tuples_hot_updated('inventory_stock'::regclass)")
        [updates] = cursor.fetchone()
    return int(updates)
