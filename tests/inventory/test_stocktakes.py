"""Stocktakes: the list, scans one after the other, and the sheet of counts in which they end."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from api import clock
from api.errors import Moved
from api.idempotency import Answered, Key
from api.ids import uuid7
from api.models import Change
from inventory.errors import (
    CategoryNotFound,
    CodeAmbiguous,
    CodeUnknown,
    LinesMarked,
    ManyUnits,
    NothingToCount,
    SheetUnreadable,
    StocktakeNotReady,
    StocktakeTooLong,
    TooManyUnits,
)
from inventory.models import (
    Action,
    CountLine,
    Sheet,
    StockCount,
    Stocktake,
    StocktakeLine,
    StocktakeQuerySet,
    StockTransaction,
)
from inventory.services import booking, categories, deliveries, products, stocktakes
from inventory.services import stock as inventory
from inventory.services.sheets import processing
from inventory.services.sheets.counts import DELIVERED_SINCE
from inventory.services.stocktakes import IN_BETWEEN, NOT_COUNTED
from tests.concurrency import PATIENCE_SECONDS, run_together
from tests.factories import MERCHANT, delivery, paid_order, product, shipped_order, stock_of
from tests.product_sheets import worked

pytestmark = pytest.mark.django_db

UNITS_MAX = 2**31 - 1


def begun(**options: Any) -> Stocktake:
    return stocktakes.begin("Yearly count", actor=MERCHANT, **options)


def scan(stocktake: Stocktake, code: str, quantity: int = 1, **options: Any) -> StocktakeLine:
    return stocktakes.scan(stocktake.pk, code, quantity, **options).line


def counted(stocktake: Stocktake) -> dict[str, int | None]:
    lines = stocktake.lines.order_by("number")
    return dict(lines.values_list("product__sku", "units"))


def progress(stocktake: Stocktake) -> tuple[int, int]:
    stocktake.refresh_from_db()
    return stocktake.counted, stocktake.products


def at(moment: datetime) -> Any:
    return clock.replaced(lambda: moment)


def ago(**time: int) -> datetime:
    return timezone.now() - timedelta(**time)


def applied(stocktake: Stocktake, **options: Any) -> Sheet:
    """Close it, and have its sheet checked and applied."""
    sheet = stocktakes.close(stocktake.pk, actor=MERCHANT, **options)
    worked(sheet)
    processing.apply(sheet.pk, actor=MERCHANT, looked_at=True)
    return worked(sheet)


# The list.


def test_the_list_has_what_is_managed_and_kept_in_the_order_of_names():
    product(name="Pear", sku="P")
    product(name="Apple", sku="A")
    product(managed=False)
    gone = product(name="Gone")
    products.archive(gone.pk, actor=MERCHANT)

    stocktake = begun()

    assert list(counted(stocktake)) == ["A", "P"]
    assert progress(stocktake) == (0, 2)


def test_a_category_brings_those_below_it_and_its_path_stays_said():
    clothes = categories.create("Clothes", actor=MERCHANT)
    shirts = categories.create("Shirts", parent_id=clothes.pk, actor=MERCHANT)
    shirt = product(sku="SHIRT")
    product(sku="MUG")
    shirt.categories.add(shirts, clothes)

    stocktake = begun(category_id=clothes.pk)

    assert list(counted(stocktake)) == ["SHIRT"]
    assert begun(category_id=shirts.pk).scope == "Clothes > Shirts"
    with pytest.raises(CategoryNotFound):
        begun(category_id=uuid7())


def test_a_stocktake_is_told_by_whom_and_how_it_was_begun_and_ended():
    shirt = product(1, sku="SHIRT")
    shirt.categories.add(categories.create("Clothes", actor=MERCHANT))
    [clothes] = shirt.categories.all()
    closed = begun(category_id=clothes.pk, is_blind=True)
    discarded = begun()
    scan(closed, "SHIRT")

    sheet = stocktakes.close(closed.pk, actor=MERCHANT)
    stocktakes.discard(discarded.pk, actor=MERCHANT)

    for stocktake in (closed, discarded):
        stocktake.refresh_from_db()
    assert (closed.is_blind, closed.scope, closed.sheet) == (True, "Clothes", sheet)
    assert (discarded.is_blind, discarded.scope, discarded.sheet) == (False, "", None)
    assert (sheet.name, sheet.kind, sheet.uploaded_by) == ("Yearly count", "counts", "clerk")
    # A job checks it.
    sheet.refresh_from_db()
    assert (sheet.state, sheet.lines_total, ProcrastinateJob.objects.count()) == ("checking", 1, 1)
    for stocktake, state in ((closed, "closed"), (discarded, "discarded")):
        assert stocktake.state == state
        assert (stocktake.opened_by, stocktake.closed_by) == ("clerk", "clerk")
        assert stocktake.closed_at
        assert stocktake.created_at < stocktake.closed_at <= stocktake.updated_at
    begin, end = Change.objects.filter(thing_id=str(closed.pk)).order_by("pk")
    assert (begin.what, begin.actor_name) == ("created", "clerk")
    assert {each["field"]: each["after"] for each in begin.fields} == {
        "name": "Yearly count",
        "scope": "Clothes",
        "is_blind": True,
        "state": "open",
    }
    assert end.fields == [{"field": "state", "before": "open", "after": "closed"}]
    told = Change.objects.filter(thing_id=str(discarded.pk)).latest("pk")
    assert told.fields == [{"field": "state", "before": "open", "after": "discarded"}]

    processing.discard(worked(sheet).pk)
    stocktakes.reopen(closed.pk, actor=MERCHANT)

    closed.refresh_from_db()
    assert (closed.state, closed.closed_at, closed.closed_by) == ("open", None, "")


def test_only_open_stocktakes_count_towards_the_most_there_may_be(monkeypatch):
    product(1)
    monkeypatch.setattr(stocktakes, "PRODUCTS_MAX", 1)
    monkeypatch.setattr(stocktakes, "OPEN_MAX", 1)

    stocktakes.discard(begun().pk, actor=MERCHANT)
    begun()
    with pytest.raises(StocktakeNotReady, match="1 stocktakes are open"):
        begun()


def test_there_is_no_stocktake_of_nothing_nor_of_too_much(monkeypatch):
    with pytest.raises(NothingToCount):
        begun()
    product(), product()
    monkeypatch.setattr(stocktakes, "PRODUCTS_MAX", 1)
    with pytest.raises(StocktakeTooLong):
        begun()
    monkeypatch.setattr(stocktakes, "OPEN_MAX", 0)
    with pytest.raises(StocktakeNotReady, match="are open"):
        begun()
    assert not Stocktake.objects.exists()


# Scans.


def test_each_scan_adds_to_what_was_counted_and_moves_no_stock():
    product(5, sku="MUG", barcode="4006381333931")
    stocktake = begun()

    scan(stocktake, "mug")
    scan(stocktake, "4006381333931", 12)

    assert (counted(stocktake), progress(stocktake)) == ({"MUG": 13}, (1, 1))
    assert StockTransaction.objects.count() == 1


def test_what_is_scanned_and_cannot_be_counted_is_said():
    product(1, sku="MUG")
    stocktake = begun()
    product(sku="FREE", managed=False)
    product(sku="Tin"), product(sku="TIN")
    products.archive(product(sku="GONE", name="Gone mug").pk, actor=MERCHANT)

    for code, refusal in (
        ("FREE", NothingToCount),
        ("GONE", NothingToCount),
        ("tin", CodeAmbiguous),
        ("NONE", CodeUnknown),
        ("\0", CodeUnknown),
    ):
        with pytest.raises(refusal):
            scan(stocktake, code)
    assert progress(stocktake) == (0, 1)


def test_what_is_not_on_the_list_is_added_to_it_and_leaves_it_with_its_only_scan():
    product(1, sku="CUP", name="Cup")
    product(1, sku="MUG", name="Mug")
    stocktake = begun()
    product(1, sku="NEW")

    line = scan(stocktake, "NEW", 2)
    assert (line.is_added, progress(stocktake)) == (True, (1, 3))

    taken_back = stocktakes.take_back_scan(stocktake.pk, line.pk, 2)
    assert (taken_back.quantity, taken_back.line.units) == (-2, None)
    assert (counted(stocktake), progress(stocktake)) == ({"CUP": None, "MUG": None}, (0, 2))


def test_so_many_units_that_they_may_be_a_barcode_are_asked_about():
    product(1, sku="MUG")
    stocktake = begun()

    with pytest.raises(ManyUnits):
        scan(stocktake, "MUG", 1_001)
    scan(stocktake, "MUG", 1_000)
    scan(stocktake, "MUG", UNITS_MAX - 1_000, confirmed=True)
    with pytest.raises(TooManyUnits):
        scan(stocktake, "MUG")

    assert counted(stocktake) == {"MUG": UNITS_MAX}


def test_the_last_scan_is_taken_back_and_none_beyond_what_there_is():
    product(1, sku="MUG")
    stocktake = begun()
    line = scan(stocktake, "MUG", 3)
    scan(stocktake, "MUG", 2)

    stocktakes.take_back_scan(stocktake.pk, line.pk, 2)
    assert counted(stocktake) == {"MUG": 3}
    with pytest.raises(StocktakeNotReady, match="Only 3"):
        stocktakes.take_back_scan(stocktake.pk, line.pk, 4)

    # In whatever order: nobody has said that there is none.
    stocktakes.take_back_scan(stocktake.pk, line.pk, 2)
    stocktakes.take_back_scan(stocktake.pk, line.pk, 1)
    assert (counted(stocktake), progress(stocktake)) == ({"MUG": None}, (0, 1))
    with pytest.raises(StocktakeNotReady, match="Only 0"):
        stocktakes.take_back_scan(stocktake.pk, line.pk, 1)


def test_a_scan_is_not_taken_out_of_a_number_that_was_typed_after_it():
    product(1, sku="MUG")
    stocktake = begun()
    scan(stocktake, "MUG")
    line = scan(stocktake, "MUG", 3)
    since = str(line.first_at)
    stocktakes.take_back_scan(stocktake.pk, line.pk, 1, since=since)
    stocktakes.count(stocktake.pk, line.pk, 10, seen=3)

    with pytest.raises(StocktakeNotReady, match="MUG anew meanwhile: 10"):
        stocktakes.take_back_scan(stocktake.pk, line.pk, 3, since=since)

    assert counted(stocktake) == {"MUG": 10}


def test_units_are_set_by_hand_also_to_none_by_whoever_saw_what_was_there():
    product(1, sku="MUG")
    stocktake = begun()
    line = scan(stocktake, "MUG", 3)
    set_to = partial(stocktakes.count, stocktake.pk, line.pk)

    with pytest.raises(Moved, match="it is 3 now"):
        set_to(9, seen=None)
    with pytest.raises(ManyUnits):
        set_to(1_001, seen=3)
    set_to(1_001, seen=3, confirmed=True)
    set_to(1_000, seen=1_001)
    set_to(0, seen=1_000)
    assert (counted(stocktake), progress(stocktake)) == ({"MUG": 0}, (1, 1))
    set_to(None, seen=0)
    assert (counted(stocktake), progress(stocktake)) == ({"MUG": None}, (0, 1))
    with pytest.raises(Moved, match="it is not counted now"):
        set_to(9, seen=0)
    # What was added is on the list only while it is counted.
    product(1, sku="NEW")
    new = scan(stocktake, "NEW")
    stocktakes.count(stocktake.pk, new.pk, None, seen=1)
    assert (counted(stocktake), progress(stocktake)) == ({"MUG": None}, (0, 1))


def key() -> Key:
    return Key("user:7", "POST", "/", "once", "same", uuid7())


def test_the_same_sending_of_a_scan_counts_once():
    product(1, sku="MUG")
    stocktake = begun()

    scan(stocktake, "MUG", key=key())
    with pytest.raises(Answered):
        scan(stocktake, "MUG", key=key())

    assert counted(stocktake) == {"MUG": 1}


# Of each a key, and what it is done to: a stocktake with a line of which 3 were counted.
ACTS: dict[str, Callable[[Stocktake, StocktakeLine, Key], Any]] = {
    "count": lambda it, line, key: stocktakes.count(it.pk, line.pk, 2, seen=3, key=key),
    "take back": lambda it, line, key: stocktakes.take_back_scan(it.pk, line.pk, 1, key=key),
    "discard": lambda it, line, key: stocktakes.discard(it.pk, actor=MERCHANT, key=key),
    "close": lambda it, line, key: stocktakes.close(it.pk, actor=MERCHANT, key=key),
}


@pytest.mark.parametrize("what", ACTS)
def test_what_is_sent_twice_was_done_the_first_time(what):
    product(1, sku="MUG")
    stocktake = begun()
    line = scan(stocktake, "MUG", 3)
    ACTS[what](stocktake, line, key())

    with pytest.raises(Answered) as again:
        ACTS[what](stocktake, line, key())

    assert again.value.record.resource_id == str(stocktake.pk)


def test_one_that_is_begun_or_reopened_twice_is_so_once():
    product(1, sku="MUG")
    stocktake = begun(key=key())
    with pytest.raises(Answered) as again:
        begun(key=key())
    assert again.value.record.resource_id == str(stocktake.pk)
    scan(stocktake, "MUG")
    processing.discard(worked(stocktakes.close(stocktake.pk, actor=MERCHANT)).pk)
    once = Key("user:7", "POST", "/reopen", "once", "same", uuid7())
    stocktakes.reopen(stocktake.pk, actor=MERCHANT, key=once)

    with pytest.raises(Answered):
        stocktakes.reopen(stocktake.pk, actor=MERCHANT, key=once)

    assert Stocktake.objects.count() == 1


def test_a_count_is_of_its_last_moment_and_knows_its_first():
    product(1, sku="MUG")
    moments = [ago(hours=hours) for hours in (5, 4, 3, 2, 1)]
    first, second, taken_back, typed, early = moments
    with at(first):
        stocktake = begun()
        line = scan(stocktake, "MUG")

    def times() -> tuple[datetime | None, datetime | None]:
        line.refresh_from_db()
        return line.first_at, line.counted_at

    assert times() == (first, first)
    with at(second):
        scan(stocktake, "MUG")
    assert times() == (first, second)
    with at(taken_back):
        stocktakes.take_back_scan(stocktake.pk, line.pk, 1)
    assert times() == (first, taken_back)
    with at(typed):
        stocktakes.count(stocktake.pk, line.pk, 7, seen=1)
    assert times() == (typed, typed)
    # By a clock that was set back.
    with at(early - timedelta(hours=2)):
        scan(stocktake, "MUG")
    assert times() == (typed, typed)
    stocktakes.count(stocktake.pk, line.pk, None, seen=8)
    assert times() == (None, None)


def test_what_is_added_comes_after_all_others_each_with_a_number_of_its_own():
    product(1, sku="MUG")
    empty, stocktake = begun(), begun()
    for sku in ("ONE", "TWO"):
        product(1, sku=sku, name=f"A {sku}")
        scan(stocktake, sku)

    lines = stocktake.lines.order_by("number").values_list("product__sku", "number", "is_added")
    assert list(lines) == [("MUG", 1, False), ("ONE", 2, True), ("TWO", 3, True)]
    assert progress(empty) == (0, 1)


def test_a_line_of_another_stocktake_is_not_there():
    product(1, sku="MUG")
    one, other = begun(), begun()
    line = scan(one, "MUG", 3)

    with pytest.raises(StocktakeNotReady, match="no longer there"):
        stocktakes.count(other.pk, line.pk, 1, seen=3)

    stocktakes.discard(other.pk, actor=MERCHANT)
    assert counted(one) == {"MUG": 3}


def test_whatever_is_done_to_a_stocktake_is_a_change_that_nobody_has_seen():
    product(1, sku="MUG")
    stocktake = begun()
    revisions = []
    line = scan(stocktake, "MUG", 3)

    for act in (
        lambda: scan(stocktake, "MUG"),
        lambda: stocktakes.count(stocktake.pk, line.pk, 9, seen=4),
        lambda: stocktakes.take_back_scan(stocktake.pk, line.pk, 1),
        lambda: stocktakes.close(stocktake.pk, actor=MERCHANT),
    ):
        act()
        stocktake.refresh_from_db()
        revisions.append(stocktake.revision)

    assert revisions == [2, 3, 4, 5]


def test_a_scan_costs_the_same_on_a_long_list_of_counts(django_assert_num_queries):
    for number in range(12):
        product(1, sku=f"S{number}")
    stocktake = begun()
    scan(stocktake, "S0")
    # The code, whether it is managed, the stocktake's lock, the line and its product, both written;
    # and the transaction, which here is a savepoint.
    with django_assert_num_queries(8):
        scan(stocktake, "S0")
    for number in range(1, 11):
        scan(stocktake, f"S{number}")
    with django_assert_num_queries(8):
        scan(stocktake, "S11")


# The end.


def test_it_ends_in_a_sheet_of_counts_which_is_evidence_and_can_be_taken_back():
    mug, cup, tin = (product(5, sku=sku, name=sku) for sku in ("MUG", "CUP", "TIN"))
    with at(ago(hours=2)):
        moved = product(5, sku="EARLY", name="EARLY")
    with at(ago(hours=1)):
        stocktake = begun()
        scan(stocktake, "EARLY", 5)
    # Sold since, and shipped: that stays moved.
    shipped_order({moved: 2})
    scan(stocktake, "MUG", 3)
    scan(stocktake, "CUP", 5)

    sheet = applied(stocktake)

    assert [stock_of(each).total for each in (mug, cup, tin, moved)] == [3, 5, 5, 3]
    assert (sheet.source, sheet.state, sheet.changed, sheet.unchanged) == (
        "stocktake", "applied", 1, 2,
    )  # fmt: skip
    assert set(StockCount.objects.values_list("counted_at", flat=True)) == set(
        stocktake.lines.exclude(units=None).values_list("counted_at", flat=True)
    )
    assert StockTransaction.objects.latest("created_at").reason.endswith(": Yearly count, line 3")

    processing.revert(sheet.pk, actor=MERCHANT)
    worked(sheet)
    assert (stock_of(mug).total, StockCount.objects.exclude(withdrawn_at=None).count()) == (5, 3)


def test_what_was_not_counted_counts_as_none_only_when_that_is_said_twice():
    mug, cup, sold = (product(5, sku=sku) for sku in ("MUG", "CUP", "SOLD"))
    paid_order({sold: 2})
    stocktake = begun()
    products.stop_managing(product(3, sku="STOPPED").pk, actor=MERCHANT)
    scan(stocktake, "MUG", 5)

    sheet = stocktakes.close(stocktake.pk, actor=MERCHANT, rest_is_none=True)
    worked(sheet)

    marks = dict(CountLine.objects.values_list("sku", "mark"))
    assert marks == {"MUG": "", "CUP": NOT_COUNTED, "SOLD": NOT_COUNTED}
    with pytest.raises(LinesMarked):
        processing.apply(sheet.pk, actor=MERCHANT)
    processing.apply(sheet.pk, actor=MERCHANT, looked_at=True)
    worked(sheet)
    # What an order holds is not taken out.
    assert [stock_of(each).total for each in (mug, cup, sold)] == [5, 0, 5]


def test_a_product_of_which_units_went_between_two_of_its_scans_is_marked():
    with at(ago(hours=2)):
        shirts = [product(9, sku=sku, name=sku) for sku in ("SHIPPED", "HELD", "AFTER", "AGAIN")]
    shipped, held, after, again = shirts
    with at(ago(hours=1)):
        stocktake = begun()
        for each in shirts:
            scan(stocktake, each.sku, 4)
    paid_order({held: 1})
    shipped_order({shipped: 1})
    inventory.record(again.pk, Action.INCREMENT, 1, actor=MERCHANT)
    lines = {each.sku: scan(stocktake, each.sku, 5) for each in shirts}
    shipped_order({after: 1})
    # Whoever counts it anew, in all, does away with the doubt.
    stocktakes.count(stocktake.pk, lines["AGAIN"].pk, 10, seen=9)

    sheet = stocktakes.close(stocktake.pk, actor=MERCHANT)

    marked = CountLine.objects.exclude(mark="").values_list("sku", "mark")
    assert list(marked) == [("SHIPPED", IN_BETWEEN)]
    worked(sheet)
    sheet.refresh_from_db()
    assert sheet.marked == 1


def test_a_line_knows_its_product_whatever_sku_that_has_by_now():
    mug, gone = product(5, sku="MUG"), product(5, sku="GONE")
    paid_order({mug: 3})
    stocktake = begun()
    scan(stocktake, "MUG", 1)
    scan(stocktake, "GONE", 1)
    # Three are held: the line is refused, and tried again later.
    sheet = applied(stocktake)
    products.update(mug.pk, sku="MUG-OLD", actor=MERCHANT)
    products.archive(gone.pk, actor=MERCHANT)
    others = [product(9, sku=sku) for sku in ("MUG", "GONE")]

    again = processing.try_again(sheet.pk, actor=MERCHANT)
    worked(again)

    [line] = again.lines
    assert (line.product_id, line.sku) == (mug.pk, "MUG-OLD")
    processing.apply(again.pk, actor=MERCHANT, looked_at=True)
    worked(again)
    assert [stock_of(each).total for each in others] == [9, 9]


def test_of_a_product_that_was_deleted_meanwhile_nothing_is_counted():
    gone = product(5, sku="GONE")
    stocktake = begun()
    scan(stocktake, "GONE", 2)
    products.archive(gone.pk, actor=MERCHANT)
    other = product(9, sku="GONE")

    sheet = applied(stocktake)

    assert [line.error for line in sheet.lines] == ["This product was deleted."]
    assert stock_of(other).total == 9


def test_what_was_counted_before_its_delivery_was_booked_is_marked():
    delivered = [
        product(5, sku=sku) for sku in ("MORE", "ONE", "SAME", "FEWER", "UNDONE", "BEFORE")
    ]
    before, goods = delivery({}, number="before"), delivery({}, number="since")
    deliveries.scan(before.pk, "BEFORE", 10)
    booking.book(before.pk, actor=MERCHANT)
    stocktake = begun()
    counts = {"MORE": 15, "ONE": 6, "SAME": 5, "FEWER": 4, "UNDONE": 15, "BEFORE": 16}
    for sku, units in counts.items():
        scan(stocktake, sku, units)
    undone = delivery({}, number="undone")
    deliveries.scan(undone.pk, "UNDONE", 10)
    booking.book(undone.pk, actor=MERCHANT)
    booking.undo(undone.pk, actor=MERCHANT)
    for each in delivered[:4]:
        deliveries.scan(goods.pk, each.sku, 10)
    booking.book(goods.pk, actor=MERCHANT)

    sheet = stocktakes.close(stocktake.pk, actor=MERCHANT)
    worked(sheet)

    marked = CountLine.objects.exclude(mark="").order_by("sku").values_list("sku", "mark")
    assert list(marked) == [("MORE", DELIVERED_SINCE), ("ONE", DELIVERED_SINCE)]
    with pytest.raises(LinesMarked):
        processing.apply(sheet.pk, actor=MERCHANT)


def test_nothing_is_closed_that_nobody_has_counted_or_seen(monkeypatch):
    product(5, sku="MUG")
    stocktake = begun()
    with pytest.raises(StocktakeNotReady, match="Nothing was counted"):
        stocktakes.close(stocktake.pk, actor=MERCHANT)
    seen = stocktake.standing()
    scan(stocktake, "MUG")

    for end in (stocktakes.close, stocktakes.discard):
        with pytest.raises(Moved):
            end(stocktake.pk, actor=MERCHANT, seen=seen)
    assert progress(stocktake) == (1, 1)
    monkeypatch.setattr(processing, "WAITING_MAX", 0)
    with pytest.raises(SheetUnreadable):
        stocktakes.close(stocktake.pk, actor=MERCHANT)
    assert not Sheet.objects.exists()


def test_what_is_closed_or_discarded_takes_no_scans_and_closes_once():
    product(5, sku="MUG")
    closed, discarded = begun(), begun()
    line = scan(closed, "MUG")
    scan(discarded, "MUG")
    stocktakes.close(closed.pk, actor=MERCHANT)
    stocktakes.discard(discarded.pk, actor=MERCHANT)

    for stocktake in (closed, discarded, Stocktake(pk=uuid7())):
        for act in (
            partial(scan, stocktake, "MUG"),
            partial(stocktakes.count, stocktake.pk, line.pk, 1, seen=1),
            partial(stocktakes.take_back_scan, stocktake.pk, line.pk, 1),
            partial(stocktakes.close, stocktake.pk, actor=MERCHANT),
            partial(stocktakes.discard, stocktake.pk, actor=MERCHANT),
        ):
            with pytest.raises(StocktakeNotReady):
                act()
    assert Sheet.objects.count() == 1
    assert not discarded.lines.exists()


def test_a_stocktake_goes_on_when_its_sheet_was_discarded():
    product(5, sku="MUG")
    stocktake = begun()
    scan(stocktake, "MUG")
    sheet = stocktakes.close(stocktake.pk, actor=MERCHANT)
    with pytest.raises(StocktakeNotReady, match="Discard them first"):
        stocktakes.reopen(stocktake.pk, actor=MERCHANT)
    worked(sheet)
    processing.discard(sheet.pk)
    with pytest.raises(Moved):
        stocktakes.reopen(stocktake.pk, actor=MERCHANT, seen={"changes made to it": "1"})

    stocktakes.reopen(stocktake.pk, actor=MERCHANT)

    scan(stocktake, "MUG")
    assert applied(stocktake).changed == 1
    assert counted(stocktake) == {"MUG": 2}
    told = Change.objects.filter(thing_id=str(stocktake.pk)).order_by("pk")
    states = [line["after"] for each in told for line in each.fields if line["field"] == "state"]
    assert states == ["open", "closed", "open", "closed"]


# Many at once.


def without_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only read what should be locked, and let nobody go on before both have read it."""
    both_have_read = threading.Barrier(2, timeout=PATIENCE_SECONDS)

    def read(rows: StocktakeQuerySet, stocktake_id: Any) -> Stocktake | None:
        found = rows.filter(pk=stocktake_id).first()
        both_have_read.wait()
        return found

    monkeypatch.setattr(StocktakeQuerySet, "lock", read)


def scans_of_a_mug(count: int) -> tuple[Stocktake, list[Callable[[], Any]]]:
    product(5, sku="MUG")
    stocktake = begun()
    scan(stocktake, "MUG")
    return stocktake, [partial(scan, stocktake, "MUG")] * count


@pytest.mark.django_db(transaction=True)
def test_two_who_scan_one_product_both_count():
    stocktake, scans = scans_of_a_mug(6)

    run_together(*scans)

    assert counted(stocktake) == {"MUG": 7}


@pytest.mark.django_db(transaction=True)
def test_control_without_the_lock_one_of_two_scans_is_lost(monkeypatch):
    stocktake, scans = scans_of_a_mug(2)

    both_have_read = threading.Barrier(2, timeout=PATIENCE_SECONDS)
    count = stocktakes._count

    def count_together(*args: Any, **options: Any) -> None:
        both_have_read.wait()
        count(*args, **options)

    with monkeypatch.context() as patched:
        without_the_lock(patched)
        patched.setattr(stocktakes, "_count", count_together)
        run_together(*scans)

    assert counted(stocktake) == {"MUG": 2}


@pytest.mark.django_db(transaction=True)
def test_a_scan_is_in_the_sheet_or_is_refused():
    stocktake, [one] = scans_of_a_mug(1)

    scanned, closed = run_together(one, partial(stocktakes.close, stocktake.pk, actor=MERCHANT))

    assert isinstance(closed, Sheet)
    in_the_sheet = CountLine.objects.get().units
    assert in_the_sheet == (1 if isinstance(scanned, StocktakeNotReady) else 2)
    assert counted(stocktake) == {"MUG": in_the_sheet}


@pytest.mark.django_db(transaction=True)
def test_control_without_the_lock_a_scan_is_counted_after_the_sheet_was_made(monkeypatch):
    stocktake, [one] = scans_of_a_mug(1)
    written = threading.Event()
    count = stocktakes._count

    def count_late(*args: Any, **options: Any) -> None:
        written.wait(PATIENCE_SECONDS)
        count(*args, **options)

    def close() -> None:
        stocktakes.close(stocktake.pk, actor=MERCHANT)
        written.set()

    with monkeypatch.context() as patched:
        without_the_lock(patched)
        patched.setattr(stocktakes, "_count", count_late)
        run_together(one, close)

    assert (CountLine.objects.get().units, counted(stocktake)) == (1, {"MUG": 2})


@pytest.mark.django_db(transaction=True)
def test_two_who_close_it_make_one_sheet():
    stocktake, _ = scans_of_a_mug(0)

    outcomes = run_together(*[partial(stocktakes.close, stocktake.pk, actor=MERCHANT)] * 2)

    assert sorted(type(each).__name__ for each in outcomes) == ["Sheet", "StocktakeNotReady"]
    assert Sheet.objects.count() == 1
