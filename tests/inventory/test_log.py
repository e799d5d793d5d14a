"""Several counts of one shelf, by hand and by file, in whatever order they are written down."""

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from api import clock
from api.ids import uuid7
from inventory.errors import CountedLater, NotUndoable, StockNotFound, StockTransactionNotFound
from inventory.models import Action, Product, Sheet, Stock, StockTransaction
from inventory.services import log as stock_log
from inventory.services import stock as inventory
from inventory.services.log import Then, totals_at
from inventory.services.sheets import processing
from orders.services import shipments
from tests.concurrency import run_together
from tests.factories import MERCHANT, holding_order, paid_order, product, stock_of
from tests.inventory.movements import record
from tests.product_sheets import worked

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
LATER = "It was counted later, at 2026-05-04 12:0"


@pytest.fixture(autouse=True)
def ticking() -> Iterator[None]:
    """A clock that stands at noon and moves on by a second whenever it is looked at."""
    seconds = itertools.count()
    with clock.replaced(lambda: NOON + timedelta(seconds=next(seconds))):
        yield


Count = Callable[[Product, int, datetime], str]


def by_hand(made: Product, counted: int, moment: datetime) -> str:
    """Count; return why that was refused, if it was."""
    try:
        inventory.count(made.pk, counted, counted_at=moment, actor=MERCHANT)
    except CountedLater as refusal:
        return str(refusal)
    return ""


def by_file(made: Product, counted: int, moment: datetime) -> str:
    return str(applied(made, counted, moment).lines.get().error)


def applied(made: Product, counted: int, moment: datetime) -> Sheet:
    # Blank lines, because the same bytes would be the same file.
    blank = "\n" * Sheet.objects.count()
    return applied_as_it_is(
        f"sku,count,counted_at\n{made.sku},{counted},{moment.isoformat()}\n{blank}"
    )


def applied_as_it_is(content: str) -> Sheet:
    file, _ = processing.upload("shelf.csv", content.encode(), actor=MERCHANT)
    worked(file)
    processing.apply(file.pk, actor=MERCHANT, looked_at=True)
    return worked(file)


def reverted(file: Sheet) -> Sheet:
    processing.revert(file.pk, actor=MERCHANT)
    return worked(file)


def total(made: Product) -> int:
    stock = stock_of(made)
    return stock.available + stock.allocated


def last_entry(made: Product) -> StockTransaction:
    return stock_of(made).log.latest("sequence")


TWO_COUNTS = pytest.mark.parametrize(
    ("first", "second"), list(itertools.product([by_hand, by_file], repeat=2))
)


@TWO_COUNTS
def test_two_counts_of_one_moment_correct_a_difference_once(first: Count, second: Count):
    shirt = product(10)
    moment = clock.now()
    inventory.record(shirt.pk, Action.INCREMENT, 5, actor=MERCHANT)

    first(shirt, 8, moment)
    second(shirt, 8, moment)

    assert total(shirt) == 13
    assert stock_of(shirt).sequence == 3
    second(shirt, 9, moment)
    assert total(shirt) == 14


@TWO_COUNTS
def test_a_later_moment_knows_what_was_found_out_about_an_earlier_one(first: Count, second: Count):
    shirt = product(10)
    moment = clock.now()
    inventory.record(shirt.pk, Action.INCREMENT, 5, actor=MERCHANT)
    later = clock.now()
    inventory.record(shirt.pk, Action.INCREMENT, 20, actor=MERCHANT)

    first(shirt, 8, moment)
    assert second(shirt, 12, later) == ""

    assert total(shirt) == 32


@TWO_COUNTS
def test_a_count_of_an_earlier_moment_does_not_correct_again(first: Count, second: Count):
    """Two were missing at the later one, so they were not missing twice."""
    shirt = product(10)
    moment, later = clock.now(), clock.now()

    first(shirt, 8, later)
    refused = second(shirt, 8, moment)

    assert refused.startswith(LATER)
    assert (total(shirt), stock_of(shirt).sequence) == (8, 2)


@TWO_COUNTS
def test_a_count_of_an_earlier_moment_may_agree_with_the_log(first: Count, second: Count):
    shirt = product(10)
    moment, later = clock.now(), clock.now()

    first(shirt, 8, later)

    assert second(shirt, 10, moment) == ""
    assert (total(shirt), stock_of(shirt).sequence) == (8, 2)


@pytest.mark.parametrize("count", [by_hand, by_file])
def test_a_count_that_is_as_old_as_its_entry_is_a_later_one_too(count):
    shirt = product(10)
    moment = clock.now()

    inventory.count(shirt.pk, 8, actor=MERCHANT)

    assert count(shirt, 8, moment).startswith(LATER)
    assert total(shirt) == 8
    entry = last_entry(shirt)
    assert entry.effective_at is not None
    assert moment < entry.effective_at <= entry.created_at


@pytest.mark.parametrize("count", [by_hand, by_file])
def test_a_count_by_hand_that_was_undone_counts_no_longer(count):
    shirt = product(10)
    moment, later = clock.now(), clock.now()

    for wrong in (moment, later):
        by_hand(shirt, 4, wrong)
        inventory.undo(shirt.pk, stock_of(shirt).sequence, actor=MERCHANT)
        assert (total(shirt), last_entry(shirt).effective_at) == (10, wrong)

    assert count(shirt, 8, moment) == ""
    assert total(shirt) == 8


@pytest.mark.parametrize("count", [by_hand, by_file])
def test_a_count_by_file_that_was_reverted_counts_no_longer(count):
    shirt = product(10)
    moment, later = clock.now(), clock.now()

    for wrong in (moment, later):
        assert reverted(applied(shirt, 4, wrong)).state == "reverted"
        assert (total(shirt), last_entry(shirt).effective_at) == (10, wrong)

    assert count(shirt, 8, moment) == ""
    assert total(shirt) == 8


def test_an_undo_that_is_undone_lets_the_count_stand_again():
    shirt = product(10)
    moment = clock.now()
    by_hand(shirt, 8, moment)

    for _ in range(2):
        inventory.undo(shirt.pk, stock_of(shirt).sequence, actor=MERCHANT)

    by_file(shirt, 8, moment)
    assert total(shirt) == 8


def test_what_a_file_wrote_is_taken_back_with_the_file_and_not_twice():
    shirt = product(10)
    file = applied(shirt, 8, clock.now())

    with pytest.raises(NotUndoable, match="revert the file"):
        inventory.undo(shirt.pk, stock_of(shirt).sequence, actor=MERCHANT)
    reverted(file)
    with pytest.raises(NotUndoable, match="revert the file"):
        inventory.undo(shirt.pk, stock_of(shirt).sequence, actor=MERCHANT)

    assert total(shirt) == 10


@pytest.mark.parametrize("columns", ["sku,count\n{},100\n", "sku,change\n{},90\n"])
@pytest.mark.parametrize("count", [by_hand, by_file])
def test_reverting_leaves_alone_what_was_counted_since(columns, count):
    """The wrong file was noticed on one shelf, and made good there."""
    shirt, mug = product(10), product(10)
    content = columns.format(shirt.sku) + columns.format(mug.sku).partition("\n")[2]
    file = applied_as_it_is(content)
    count(shirt, 9, clock.now())

    reverted(file)

    assert (total(shirt), total(mug)) == (9, 10)
    assert (file.state, file.reverted, file.not_reverted) == ("applied", 1, 1)
    line = file.lines.exclude(error="").get()
    assert (line.product, line.error.startswith(LATER)) == (shirt, True)


@pytest.mark.parametrize("count", [by_hand, by_file])
def test_reverting_leaves_alone_what_a_better_count_of_the_same_moment_corrected(count):
    shirt = product(10)
    moment = clock.now()
    wrong = applied(shirt, 8, moment)
    count(shirt, 9, moment)

    reverted(wrong)

    assert (total(shirt), wrong.not_reverted) == (9, 1)


def test_what_was_corrected_by_a_count_that_is_taken_back_itself_can_be_reverted():
    shirt = product(10)
    moment = clock.now()
    first, second = applied(shirt, 8, moment), applied(shirt, 9, moment)

    for file in (first, second, first):
        reverted(file)

    assert (total(shirt), first.state, second.state) == (10, "reverted", "reverted")


@pytest.mark.parametrize("count", [by_hand, by_file])
def test_what_orders_moved_since_stays_moved_however_often_it_is_counted(count):
    shirt = product(10)
    moment = clock.now()
    shipments.ship(paid_order({shirt: 3}).pk, actor=MERCHANT)

    for _ in range(3):
        count(shirt, 8, moment)

    assert total(shirt) == 5


def test_what_is_no_count_and_takes_nothing_back_counts_from_when_it_is_written():
    shirt = product(10)
    inventory.record(shirt.pk, Action.DECREMENT, 1, actor=MERCHANT)
    paid_order({shirt: 3})

    log = stock_of(shirt).log.exclude(sequence=1)
    assert set(log.values_list("effective_at", flat=True)) == {None}


@pytest.mark.parametrize("count", [by_hand, by_file])
def test_what_was_then_is_asked_under_the_lock(count):
    shirt = product(10)
    moment = clock.now()
    inventory.record(shirt.pk, Action.INCREMENT, 5, actor=MERCHANT)

    with CaptureQueriesContext(connection) as queries:
        count(shirt, 8, moment)

    told = [query["sql"] for query in queries]

    def last(*words: str) -> int:
        return max(place for place, sql in enumerate(told) if all(word in sql for word in words))

    locked = last('"inventory_stock"', "ORDER BY id", "FOR NO KEY UPDATE")
    assert locked < last("asked.position") < last("WITH moved AS")


@pytest.mark.django_db(transaction=True)
def test_a_past_moment_that_eight_people_counted_is_corrected_once():
    """Found out before the lock, the difference would be corrected eight times."""
    shirt = product(50)
    moment = clock.now()
    inventory.record(shirt.pk, Action.INCREMENT, 20, actor=MERCHANT)

    counted = partial(inventory.count, shirt.pk, 45, counted_at=moment, actor=MERCHANT)
    outcomes = run_together(*[counted] * 8)

    assert sorted(outcomes) == [-5, 0, 0, 0, 0, 0, 0, 0]
    assert total(shirt) == 65


def test_of_many_stocks_at_many_moments_all_is_told_at_once(django_assert_num_queries):
    shirt, mug, cap = product(10), product(20), product(30)
    moment = clock.now()
    for made, counted in ((shirt, 8), (mug, 19)):
        by_hand(made, counted, moment)
    later = clock.now()
    by_hand(mug, 17, later)
    stocks = [stock_of(made) for made in (cap, shirt, mug, mug)]
    moments = [moment, moment, moment, later]

    with django_assert_num_queries(1):
        known = totals_at(list(zip(stocks, moments, strict=True)))

    assert known == [Then(30), Then(8), Then(19, later), Then(17)]


def test_a_worker_whose_clock_is_behind_applies_what_was_uploaded_just_now():
    shirt = product(10)
    content = f"sku,count\n{shirt.sku},8\n".encode()
    with clock.replaced(lambda: NOON + timedelta(hours=1)):
        file, _ = processing.upload("shelf.csv", content, actor=MERCHANT)
    worked(file)

    processing.apply(file.pk, actor=MERCHANT)

    assert (worked(file).state, total(shirt)) == ("applied", 8)
    assert by_hand(shirt, 8, NOON).startswith("It was counted later, at 2026-05-04 13:00:0")


def test_no_entry_counts_from_later_than_it_was_written():
    stock = stock_of(product(10))

    with (
        pytest.raises(IntegrityError, match="stock_transaction_effective_by_then"),
        transaction.atomic(),
    ):
        StockTransaction.objects.create(
            stock=stock,
            id=uuid7(),
            sequence=2,
            action="increment",
            quantity=1,
            by_order=False,
            available=11,
            allocated=0,
            held=0,
            created_at=NOON,
            effective_at=NOON + timedelta(seconds=1),
        )


@pytest.mark.parametrize("seed", range(20))
def test_true_counts_in_any_order_end_at_what_was_on_the_shelf(seed):
    """Things are sold, delivered, stolen and counted; afterwards the counts are written down."""
    dice = Random(seed)
    shirt, shelf = product(20), 20
    counts = []
    for _ in range(12):
        match dice.choice(["moved", "stolen", "counted"]):
            case "moved":
                action = dice.choice([Action.INCREMENT, Action.DECREMENT])
                inventory.record(shirt.pk, action, 1, actor=MERCHANT)
                shelf += 1 if action == Action.INCREMENT else -1
            case "stolen":
                shelf -= 1
            case "counted":
                counts.append((shelf, clock.now()))
    counts.append((shelf, clock.now()))
    inventory.record(shirt.pk, Action.INCREMENT, 5, actor=MERCHANT)

    for counted, moment in dice.sample(counts, len(counts)):
        dice.choice([by_hand, by_file])(shirt, counted, moment)
        inventory.record(shirt.pk, Action.INCREMENT, 1, actor=MERCHANT)

    assert total(shirt) == shelf + 5 + len(counts)


def test_a_page_of_the_log_is_a_range_of_its_numbers_from_either_end():
    shirt = product(10)
    for _ in range(4):
        inventory.record(shirt.pk, Action.INCREMENT, 1, actor=MERCHANT)

    def numbers(offset: int, *, newest_first: bool = False) -> list[int]:
        page = stock_log.page(stock_of(shirt), offset, 2, newest_first=newest_first)
        return [entry.sequence for entry in page]

    assert [numbers(offset) for offset in (0, 1, 4, 5)] == [[1, 2], [2, 3], [5], []]
    from_the_end = [numbers(offset, newest_first=True) for offset in (0, 1, 4, 5)]
    assert from_the_end == [[5, 4], [4, 3], [1], []]


def test_what_is_set_aside_is_told_by_the_entries_since_nothing_was():
    shirt = product(50)

    def told(stock: Stock, limit: int = 9) -> list[tuple[str, int]]:
        return [(entry.action, entry.quantity) for entry in stock_log.set_aside(stock, limit)]

    for action, quantity in (
        (Action.ALLOCATE, 5),
        (Action.DEALLOCATE, 5),
        (Action.ALLOCATE, 4),
        (Action.DECREMENT, 1),
    ):
        inventory.record(shirt.pk, action, quantity, actor=MERCHANT)
    holding_order({shirt: 2})
    inventory.record(shirt.pk, Action.DEALLOCATE, 1, actor=MERCHANT)
    looked_at = stock_of(shirt)
    inventory.record(shirt.pk, Action.DEALLOCATE, 3, actor=MERCHANT)

    assert told(looked_at) == [("deallocate", 1), ("allocate", 4)]
    assert told(looked_at, limit=1) == [("deallocate", 1)]
    assert told(stock_of(shirt)) == []


def test_before_its_first_entry_a_log_has_no_last_number():
    with clock.replaced(lambda: NOON):
        shirt = product(10)
        inventory.record(shirt.pk, Action.INCREMENT, 1, actor=MERCHANT)

    moments = (NOON - timedelta(seconds=1), NOON)
    assert [stock_log.last_number(stock_of(shirt), moment) for moment in moments] == [0, 2]


def test_stock_and_its_entries_are_found_by_their_product():
    made, other = product(10), product(10)
    entry_id = record(made, Action.DECREMENT, 1)

    assert stock_log.stock_of(made.pk).available == 9
    assert stock_log.stock_transaction_of(made.pk, entry_id).quantity == 1
    with pytest.raises(StockTransactionNotFound):
        stock_log.stock_transaction_of(other.pk, entry_id)
    with pytest.raises(StockNotFound):
        stock_log.stock_of(product(managed=False).pk)
