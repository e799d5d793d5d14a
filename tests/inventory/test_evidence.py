"""What was counted stands, also where it agreed; what was taken back was never there."""

import itertools
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from importlib import import_module

import pytest
from django.db import connection

from api import clock
from api.actors import Actor
from inventory.errors import (
    AwayThen,
    CountedLater,
    CountedSinceShipped,
    FoundByCount,
    NotUndoable,
    StockTooLow,
)
from inventory.models import Action, Product, Sheet, StockCount
from inventory.services import evidence, products
from inventory.services import log as stock_log
from inventory.services import stock as inventory
from inventory.services.stock import Whereabouts
from orders.models import Order
from orders.services import shipments
from orders.services.returns import TakenBack
from payments.services import payments
from tests import factories, product_sheets
from tests.factories import MERCHANT, holding_order, paid_order, product, shipped_order, stock_of
from tests.inventory.test_log import (
    LATER,
    NOON,
    applied,
    applied_as_it_is,
    by_file,
    by_hand,
    reverted,
    total,
)
from tests.tampering import tamper

pytestmark = pytest.mark.django_db

BOTH = pytest.mark.parametrize("count", [by_hand, by_file])


@pytest.fixture(autouse=True)
def ticking() -> Iterator[None]:
    """A clock that stands at noon and moves on by a second whenever it is looked at."""
    seconds = itertools.count()
    with clock.replaced(lambda: NOON + timedelta(seconds=next(seconds))):
        yield


def shipped(made: Product, units: int) -> Order:
    return shipped_order({made: units})


def undo_ship(order: Order, whereabouts: Whereabouts | None = None) -> None:
    factories.undo_ship(order, whereabouts=whereabouts)


def put_back(order: Order, units: int) -> None:
    payments.refund(
        order.pk,
        order.payments.get().pk,
        1,
        actor=MERCHANT,
        taken_back=[TakenBack(order.items.get().pk, units, "restocked")],
    )


def numbers(made: Product) -> tuple[int, int, int]:
    stock = stock_of(made)
    return stock.total, stock.available, stock.allocated


def evidence_of(made: Product) -> list[tuple[int, int]]:
    """What was found and by how much it corrected, of the counts that stand."""
    standing = StockCount.objects.filter(stock__product=made, withdrawn_at=None)
    return list(standing.order_by("counted_at", "sequence").values_list("units", "change"))


@pytest.mark.parametrize(
    ("before", "after", "is_great"),
    [
        (10, 0, True),
        (9, 0, False),
        (9, 1, False),
        (20, 10, False),
        (21, 10, True),
        (30, 14, True),
    ],
)
def test_most_of_many_units_is_a_great_drop(before, after, is_great):
    words = f"From {before} to {after}: more than half would be gone."

    assert evidence.words_of_drop(before, after) == (words if is_great else "")


# A movement and what took it back add up to nothing.


def _shipment(made: Product) -> Callable[[], object]:
    order = shipped(made, 3)
    return lambda: undo_ship(order)


def _increment(made: Product) -> Callable[[], object]:
    inventory.record(made.pk, Action.INCREMENT, 3, actor=MERCHANT)
    return lambda: inventory.undo(made.pk, stock_of(made).sequence, actor=MERCHANT)


def _decrement(made: Product) -> Callable[[], object]:
    inventory.record(made.pk, Action.DECREMENT, 3, actor=MERCHANT)
    return lambda: inventory.undo(made.pk, stock_of(made).sequence, actor=MERCHANT)


def _undone_undo(made: Product) -> Callable[[], object]:
    _increment(made)()
    undo = lambda: inventory.undo(made.pk, stock_of(made).sequence, actor=MERCHANT)  # noqa: E731
    undo()
    return undo


def _file_of_changes(made: Product) -> Callable[[], object]:
    file = applied_as_it_is(f"sku,change\n{made.sku},-3\n{made.sku},+1\n")
    return lambda: reverted(file)


def _count_by_hand(made: Product) -> Callable[[], object]:
    by_hand(made, 8, clock.now())
    return lambda: inventory.undo(made.pk, stock_of(made).sequence, actor=MERCHANT)


def _file_of_counts(made: Product) -> Callable[[], object]:
    file = applied(made, 8, clock.now())
    return lambda: reverted(file)


HAPPENINGS = pytest.mark.parametrize(
    "happening",
    [
        _shipment,
        _increment,
        _decrement,
        _undone_undo,
        _file_of_changes,
        _count_by_hand,
        _file_of_counts,
    ],
)


@BOTH
@HAPPENINGS
def test_t01_what_was_taken_back_is_no_part_of_a_count_in_between(happening, count):
    """The shelf has 20 all the time, whatever somebody wrote down and took back."""
    shirt = product(20)

    take_back = happening(shirt)
    in_between = clock.now()
    take_back()

    assert count(shirt, 20, in_between) == ""
    assert total(shirt) == 20
    assert evidence_of(shirt)[-1] == (20, 0)


@HAPPENINGS
def test_t01_what_was_taken_back_is_in_no_reading_of_the_past(happening):
    shirt = product(20)
    holding_order({shirt: 5})
    before = clock.now()

    take_back = happening(shirt)
    in_between = clock.now()
    take_back()

    past = stock_log.at_moments(stock_of(shirt), [before, in_between, clock.now()])
    assert {(each.total, each.available, each.allocated - 5) for each in past} <= {
        (20, 15, 0),
        # Held by the order whose shipment was undone, also in between.
        (20, 12, 3),
    }
    assert past[1][:3] == past[2][:3]


def test_units_set_aside_by_mistake_were_not_set_aside():
    shirt = product(20)
    inventory.record(shirt.pk, Action.ALLOCATE, 4, actor=MERCHANT)
    in_between = clock.now()
    inventory.undo(shirt.pk, stock_of(shirt).sequence, actor=MERCHANT)

    [then] = stock_log.at_moments(stock_of(shirt), [in_between])

    assert (then.available, then.allocated, then.held) == (20, 0, 0)


# What was counted since a movement has seen it.


@BOTH
@pytest.mark.parametrize(("found", "expected"), [(25, 25), (24, 24)])
def test_t01_an_entry_that_was_counted_since_is_not_undone(count, found, expected):
    shirt = product(20)
    inventory.record(shirt.pk, Action.INCREMENT, 5, actor=MERCHANT)
    mistake = stock_of(shirt).sequence
    count(shirt, found, clock.now())

    with pytest.raises((CountedLater, NotUndoable)):
        inventory.undo(shirt.pk, mistake, actor=MERCHANT)

    assert total(shirt) == expected


@BOTH
def test_an_entry_may_be_undone_if_only_an_earlier_moment_was_counted_since(count):
    shirt = product(20)
    before = clock.now()
    inventory.record(shirt.pk, Action.INCREMENT, 5, actor=MERCHANT)
    count(shirt, 20, before)

    inventory.undo(shirt.pk, stock_of(shirt).sequence, actor=MERCHANT)

    assert total(shirt) == 20


@BOTH
def test_t01_a_file_that_was_counted_since_and_found_right_is_not_reverted(count):
    shirt, mug = product(20), product(20)
    file = applied_as_it_is(f"sku,change\n{shirt.sku},5\n{mug.sku},5\n")
    assert count(shirt, 25, clock.now()) == ""

    reverted(file)

    assert (total(shirt), total(mug)) == (25, 20)
    assert (file.reverted, file.not_reverted) == (1, 1)


# What was counted is kept, and stands.


@BOTH
@pytest.mark.parametrize(("found", "change"), [(20, 0), (18, -2), (23, 3)])
def test_what_was_counted_is_kept_with_who_and_when(count, found, change):
    shirt = product(20)
    moment = clock.now()

    count(shirt, found, moment)

    last = evidence.last_count(shirt.pk)
    assert last
    assert (last.units, last.change, last.counted_at) == (found, change, moment)
    assert (last.actor, last.recorded_at > moment) == (MERCHANT, True)
    assert (last.line is not None) == (count is by_file)


@pytest.mark.parametrize("later", [by_hand, by_file])
@pytest.mark.parametrize("older", [by_hand, by_file])
def test_t02_a_count_that_agreed_stands_against_an_older_sheet(later, older):
    shirt = product(20)
    old, new = clock.now(), clock.now()
    assert later(shirt, 20, new) == ""

    assert older(shirt, 18, old).startswith("It was counted later, at 2026-05-04 12:0")

    assert total(shirt) == 20
    assert evidence_of(shirt) == [(20, 0)]


def test_t02_a_file_in_which_all_agrees_can_be_taken_back_too():
    shirt = product(20)
    old, new = clock.now(), clock.now()
    file = applied(shirt, 20, new)

    assert reverted(file).state == Sheet.State.REVERTED

    assert evidence_of(shirt) == []
    assert by_file(shirt, 18, old) == ""
    assert total(shirt) == 18


def test_a_count_that_was_undone_is_evidence_no_longer_until_that_is_undone():
    shirt = product(20)
    by_hand(shirt, 18, clock.now())
    seen = []

    for _ in range(3):
        inventory.undo(shirt.pk, stock_of(shirt).sequence, actor=Actor("user", "8", "boss"))
        seen.append(evidence_of(shirt))

    assert seen == [[], [(18, -2)], []]
    # One that stands again is another one, of whoever has counted.
    counts = StockCount.objects.filter(stock__product=shirt).exclude(change=0).order_by("sequence")
    assert list(counts.values_list("sequence", "withdrawn_sequence", "actor_name")) == [
        (2, 3, MERCHANT.name),
        (4, 5, MERCHANT.name),
    ]


def test_undoing_a_correction_withdraws_that_count_and_no_other():
    shirt = product(50)
    inventory.count(shirt.pk, 48, actor=MERCHANT)
    in_between = clock.now()
    inventory.count(shirt.pk, 49, actor=MERCHANT)
    inventory.count(shirt.pk, 48, actor=MERCHANT, counted_at=in_between)
    without, with_it = [(48, -2), (48, 0)], [(48, -2), (48, 0), (49, 1)]
    assert evidence_of(shirt) == with_it

    for sequence, standing in ((3, without), (4, with_it), (5, without)):
        inventory.undo(shirt.pk, sequence, actor=MERCHANT)
        assert evidence_of(shirt) == standing


def test_the_last_count_is_of_the_latest_moment_and_stands():
    shirt, mug = product(50), product(50)
    earliest, earlier = clock.now(), clock.now()
    inventory.count(shirt.pk, 50, actor=MERCHANT, counted_at=earlier)
    inventory.count(shirt.pk, 48, actor=MERCHANT)
    inventory.count(shirt.pk, 50, actor=MERCHANT, counted_at=earliest)
    inventory.count(mug.pk, 40, actor=MERCHANT)

    def last() -> tuple[int, datetime]:
        count = evidence.last_count(shirt.pk)
        assert count
        return count.units, count.counted_at

    assert last()[0] == 48
    inventory.undo(shirt.pk, 2, actor=MERCHANT)
    assert last() == (50, earlier)


def test_reverting_a_file_withdraws_what_it_said_and_no_more():
    shirt, mug = product(50), product(50)
    inventory.count(shirt.pk, 48, actor=MERCHANT)
    by_file(mug, 40, clock.now())
    file = applied(shirt, 47, clock.now())

    reverted(file)

    assert (evidence_of(shirt), evidence_of(mug)) == ([(48, -2)], [(40, -10)])


def test_counts_from_before_they_were_kept_are_taken_over_as_far_as_the_log_knows_them():
    shirt, mug, cap = product(20), product(20), product(20)
    by_hand(shirt, 20, clock.now())
    by_file(shirt, 18, clock.now())
    inventory.count(shirt.pk, 19, actor=MERCHANT, reason="shelf 4")
    reverted(applied(mug, 18, clock.now()))
    by_hand(cap, 25, clock.now())
    inventory.undo(cap.pk, 2, actor=MERCHANT)
    kept = ("stock", "units", "counted_at", "change", "sequence", "line", "actor_name")
    standing = StockCount.objects.filter(withdrawn_at=None).exclude(change=0).order_by("counted_at")
    expected = list(standing.values_list(*kept))
    tamper("DELETE FROM inventory_stockcount")

    migration = import_module("inventory.migrations.0010_counts_are_evidence")
    with connection.cursor() as cursor:
        cursor.execute(migration.COUNTS_SO_FAR)

    assert list(StockCount.objects.order_by("counted_at").values_list(*kept)) == expected
    assert [row[1] for row in expected] == [18, 19]


def test_a_refused_line_is_no_evidence():
    shirt = product(20)
    paid_order({shirt: 20})

    assert "allocated" in by_file(shirt, 5, clock.now())

    assert evidence.last_count(shirt.pk) is None


# A shipment that is undone after a count: only a person knows where the units were.


@BOTH
@pytest.mark.parametrize(
    ("found", "whereabouts", "expected"),
    [
        # They never left: the count has them.
        (20, Whereabouts.ON_THE_SHELF, 20),
        # They were away, as the books say, and came back.
        (17, Whereabouts.CAME_BACK, 20),
        # Three others were missing.
        (17, Whereabouts.ON_THE_SHELF, 17),
    ],
)
def test_t01_undo_ship_asks_where_the_units_were(count, found, whereabouts, expected):
    shirt = product(20)
    order = shipped(shirt, 3)
    count(shirt, found, clock.now())

    with pytest.raises(CountedSinceShipped, match=rf"{shirt.sku} was counted .* 2026-05-04 12:0"):
        undo_ship(order)
    assert shipments.counted_since(order.shipments.latest("number"))[0][0] == shirt.sku
    undo_ship(order, whereabouts)

    assert numbers(shirt) == (expected, expected - 3, 3)


@BOTH
def test_t01_what_a_count_may_have_found_has_not_come_back_since(count):
    shirt, mug = product(20), product(20)
    order = shipped_order({shirt: 3, mug: 2})
    count(shirt, 20, clock.now())
    count(mug, 18, clock.now())

    with pytest.raises(FoundByCount, match=f"{shirt.sku} .* Count it now"):
        undo_ship(order, Whereabouts.CAME_BACK)
    assert (numbers(shirt), numbers(mug)) == ((20, 20, 0), (18, 18, 0))
    by_hand(mug, 20, clock.now())
    undo_ship(order, Whereabouts.ON_THE_SHELF)
    assert (numbers(shirt), numbers(mug)) == ((20, 17, 3), (20, 18, 2))


def test_of_several_products_each_has_its_own_rule():
    shirt, mug = product(20), product(10)
    order = shipped_order({shirt: 3, mug: 2})
    in_between = clock.now()
    by_hand(shirt, 20, clock.now())

    undo_ship(order, Whereabouts.ON_THE_SHELF)

    assert (numbers(shirt), numbers(mug)) == ((20, 17, 3), (10, 8, 2))
    [shirts], [mugs] = (stock_log.at_moments(stock_of(each), [in_between]) for each in (shirt, mug))
    # Nobody knew then that the shirts were there: the mugs had never been away.
    assert (shirts[:2], mugs[:2]) == ((17, 0), (8, 2))
    assert by_file(mug, 10, in_between) == ""
    assert total(mug) == 10


@BOTH
def test_t01_what_came_back_was_away_also_where_nobody_counted(count):
    shirt, mug = product(20), product(20)
    order = shipped_order({shirt: 3, mug: 3})
    by_hand(shirt, 17, clock.now())
    in_between = clock.now()

    undo_ship(order, Whereabouts.CAME_BACK)

    # The mug's shelf had 17 then, and has 20 now.
    assert count(mug, 17, in_between) == ""
    assert (numbers(shirt), numbers(mug)) == ((20, 17, 3), (20, 17, 3))


def test_what_others_took_of_the_counted_units_is_not_theirs_again():
    shirt, mug = product(3), product(3)
    order = shipped_order({shirt: 3, mug: 3})
    by_hand(shirt, 3, clock.now())
    holding_order({shirt: 1})

    with pytest.raises(StockTooLow, match=f"{shirt.sku}: Only 2 are available; 3 asked for"):
        undo_ship(order, Whereabouts.ON_THE_SHELF)

    assert (numbers(shirt), numbers(mug)) == ((3, 2, 1), (0, 0, 0))
    order.refresh_from_db()
    assert order.shipping == "fulfilled"


@BOTH
def test_the_count_that_an_undone_shipment_relies_on_is_not_taken_back(count):
    shirt = product(20)
    order = shipped(shirt, 3)
    moment = clock.now()
    file = applied(shirt, 20, moment)
    undo_ship(order, Whereabouts.ON_THE_SHELF)

    reverted(file)

    assert file.not_reverted == 1
    assert numbers(shirt) == (20, 17, 3)
    # A better count of that moment or a later one corrects it.
    assert count(shirt, 21, moment) == ""
    assert total(shirt) == 21


def test_what_an_undone_shipment_relies_on_is_the_last_count_that_stands():
    """Of its own products: what was counted of others is not written down again."""
    shirt, cap, mug = product(20), product(20), product(20)
    order = shipped_order({shirt: 3, cap: 3})
    for made, units in ((shirt, 19), (shirt, 20), (cap, 20), (mug, 18)):
        by_hand(made, units, clock.now())
    by_hand(cap, 15, clock.now())
    inventory.undo(cap.pk, stock_of(cap).sequence, actor=MERCHANT)

    undo_ship(order, Whereabouts.ON_THE_SHELF)

    assert evidence_of(shirt) == [(19, 2), (20, 1), (20, 0)]
    assert evidence_of(cap) == [(20, 3), (20, 0)]
    assert evidence_of(mug) == [(18, -2)]


def test_the_count_that_an_undone_shipment_relies_on_stays_that_of_who_counted():
    shirt, clerk = product(20), Actor("user", "9", "jonas")
    order = shipped(shirt, 3)
    inventory.count(shirt.pk, 20, actor=clerk)

    undo_ship(order, Whereabouts.ON_THE_SHELF)

    last = evidence.last_count(shirt.pk)
    assert last
    assert (last.units, last.actor) == (20, clerk)


def test_without_a_count_since_the_shipment_nobody_is_asked():
    shirt = product(20)
    before = clock.now()
    order = shipped(shirt, 3)
    by_hand(shirt, 19, before)

    assert shipments.counted_since(order.shipments.latest("number")) == []
    undo_ship(order)

    assert numbers(shirt) == (19, 16, 3)


def test_the_second_shipment_is_undone_as_of_the_second_one():
    shirt = product(20)
    order = shipped(shirt, 3)
    undo_ship(order)
    by_hand(shirt, 20, clock.now())
    shipments.ship(order.pk, actor=MERCHANT)
    in_between = clock.now()

    undo_ship(order)

    assert by_hand(shirt, 20, in_between) == ""
    assert numbers(shirt) == (20, 17, 3)


# Units that are put back were away: nobody can tell of a moment in between what was on the shelf.


@BOTH
@pytest.mark.parametrize("came_back", ["put back", "ship undone"])
def test_t01_a_count_from_while_units_were_away_is_refused_if_it_differs(count, came_back):
    shirt = product(20)
    order = shipped(shirt, 3)
    away = clock.now()
    if came_back == "put back":
        put_back(order, 3)
    else:
        by_hand(shirt, 17, away - timedelta(microseconds=1))
        undo_ship(order, Whereabouts.CAME_BACK)

    assert count(shirt, 17, away) == ""
    with pytest.raises(AwayThen, match="put back since, at 2026-05-04 12:0"):
        inventory.count(shirt.pk, 20, counted_at=away + timedelta(microseconds=1), actor=MERCHANT)
    assert "Count again now" in by_file(shirt, 20, away + timedelta(microseconds=2))

    assert total(shirt) == 20


@BOTH
def test_a_count_of_another_time_than_while_they_were_away_is_taken(count):
    shirt = product(20)
    before = clock.now()
    order = shipped(shirt, 3)
    put_back(order, 2)

    assert count(shirt, 21, before) == ""
    assert count(shirt, 19, clock.now()) == ""

    assert total(shirt) == 19


@BOTH
def test_t01_what_a_count_may_have_found_is_not_put_back(count):
    shirt = product(20)
    order = shipped(shirt, 3)
    count(shirt, 20, clock.now())

    with pytest.raises(FoundByCount, match=rf"{shirt.sku} was counted .* at 2026-05-04 12:0"):
        put_back(order, 3)

    assert total(shirt) == 20
    assert order.items.get().returned == 0
    assert order.payments.get().refunded_amount == 0


@pytest.mark.parametrize("found", [[14, 17], [20, 17, 18], [18, 18], [12, 14, 13]])
def test_t01_what_came_between_two_counts_may_be_what_is_put_back(found):
    shirt = product(20)
    order = shipped(shirt, 3)
    for units in found:
        by_hand(shirt, units, clock.now())

    with pytest.raises(FoundByCount):
        put_back(order, 3)


@pytest.mark.parametrize("found", [[17], [16], [20, 17], [19, 15]])
def test_what_counts_did_not_find_is_put_back(found):
    """What an earlier count found was not there any more when it was counted last."""
    shirt = product(20)
    order = shipped(shirt, 3)
    for units in found:
        by_hand(shirt, units, clock.now())

    put_back(order, 3)

    assert total(shirt) == found[-1] + 3


# Stock that was not managed for a while begins anew, with what is there then.


def _not_managed_for_a_while(made: Product, units: int) -> None:
    products.stop_managing(made.pk, actor=MERCHANT)
    clock.now()
    products.start_managing(made.pk, units, actor=MERCHANT)


@BOTH
@pytest.mark.parametrize("before", [True, False])
def test_t01_no_sheet_from_before_adds_to_units_that_stock_began_anew_with(count, before):
    made = product(20)
    moment = clock.now() if before else None
    products.stop_managing(made.pk, actor=MERCHANT)
    moment = moment or clock.now()
    products.start_managing(made.pk, 15, actor=MERCHANT)

    assert LATER in count(made, 22, moment)
    assert total(made) == 15


@BOTH
def test_t01_no_sheet_from_before_adds_to_stock_that_a_file_of_products_began_anew(count):
    made = product(20, sku="A")
    moment = clock.now()
    product_sheets.applied("sku | manage_stock\nA | no")
    product_sheets.applied("sku | manage_stock\nA | yes")

    assert LATER in count(made, 22, moment)
    assert total(made) == 0


@BOTH
def test_a_product_is_there_with_its_first_units_and_not_before_them(count):
    made = product(20)

    assert count(made, 20, made.created_at) == ""
    assert total(made) == 20


@BOTH
def test_t01_no_sheet_from_before_adds_to_what_is_left_of_a_wrong_beginning(count):
    made = product(20)
    moment = clock.now()
    _not_managed_for_a_while(made, 15)
    inventory.undo(made.pk, stock_of(made).sequence, actor=MERCHANT)

    assert LATER in count(made, 22, moment)
    assert total(made) == 0


@BOTH
def test_t01_no_sheet_from_before_adds_to_the_units_of_a_first_stock(count):
    made = product()
    moment = clock.now()
    products.start_managing(made.pk, 20, actor=MERCHANT)

    assert LATER in count(made, 20, moment)
    assert total(made) == 20


def test_t01_what_is_taken_back_changes_nothing_of_units_that_stock_began_anew_with():
    made = product(20)
    file = applied_as_it_is(f"sku,change\n{made.sku},5\n")
    order = shipped(made, 3)
    _not_managed_for_a_while(made, 22)

    reverted(file)
    assert file.not_reverted == 1
    with pytest.raises(FoundByCount):
        put_back(order, 3)
    with pytest.raises(CountedSinceShipped):
        undo_ship(order)
    undo_ship(order, Whereabouts.ON_THE_SHELF)
    assert numbers(made) == (22, 19, 3)


def test_a_wrong_number_that_stock_began_anew_with_can_be_undone():
    made = product(20)
    _not_managed_for_a_while(made, 15)

    inventory.undo(made.pk, stock_of(made).sequence, actor=MERCHANT)

    assert (total(made), evidence_of(made)) == (0, [(0, 0)])
