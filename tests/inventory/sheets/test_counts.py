"""Counting by file: what a check promises, what applying and reverting write."""

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from procrastinate.contrib.django.models import ProcrastinateJob

from api import clock
from api.actors import Actor
from api.errors import Moved
from api.fields import UNITS_MAX
from api.idempotency import Answered, Key
from api.ids import uuid7
from inventory import jobs
from inventory.errors import LinesMarked, SheetForbidden, SheetNotReady, SheetUnreadable
from inventory.models import (
    Action,
    CountLine,
    Product,
    Sheet,
    SheetQuerySet,
    Stock,
    StockCount,
    StockTransaction,
)
from inventory.services import products
from inventory.services import stock as inventory
from inventory.services.sheets import processing, reading
from tests.concurrency import PATIENCE_SECONDS, run_together
from tests.factories import MERCHANT, paid_order, product, shipped_order, stock_of, undo_ship
from tests.product_sheets import worked

CLERK = Actor("user", "9", "jonas")
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)

pytestmark = pytest.mark.django_db


@pytest.fixture
def ticking() -> Iterator[None]:
    """A clock that stands at noon and moves on by a second whenever it is looked at."""
    seconds = 0

    def now() -> datetime:
        nonlocal seconds
        seconds += 1
        return NOON + timedelta(seconds=seconds)

    with clock.replaced(now):
        yield


def uploaded(content: str | bytes, name: str = "shelf.csv") -> Sheet:
    raw = content.encode() if isinstance(content, str) else content
    sheet, is_new = processing.upload(name, raw, actor=MERCHANT)
    assert is_new
    return sheet


def checked(content: str | bytes) -> Sheet:
    sheet = worked(uploaded(content))
    assert sheet.state == "checked"
    return sheet


def applied(content: str | bytes) -> Sheet:
    sheet = checked(content)
    processing.apply(sheet.pk, actor=CLERK)
    worked(sheet)
    assert sheet.state == "applied"
    return sheet


def reverted(sheet: Sheet) -> Sheet:
    processing.revert(sheet.pk, actor=CLERK)
    return worked(sheet)


def lines_of(sheet: Sheet) -> list[CountLine]:
    return list(sheet.lines.order_by("number"))


def errors_of(sheet: Sheet) -> dict[int, str]:
    return {line.number: line.error for line in lines_of(sheet) if line.error}


def numbers(made: Product) -> tuple[int, int, int]:
    stock = stock_of(made)
    return stock.total, stock.available, stock.allocated


def entries() -> int:
    return StockTransaction.objects.count()


# Checking.


def test_f39_a_check_says_what_applying_would_do_and_moves_nothing():
    more, fewer, same = product(10, sku="MORE"), product(10, sku="FEWER"), product(10, sku="SAME")

    sheet = checked("sku,count\nMORE,12\nFEWER,7\nSAME,10\nNONE,1\n")

    assert [(line.total_before, line.units, line.change) for line in lines_of(sheet)][:3] == [
        (10, 12, 2),
        (10, 7, -3),
        (10, 10, 0),
    ]
    assert errors_of(sheet) == {5: "No product has this sku."}
    assert (sheet.changed, sheet.unchanged, sheet.refused) == (2, 1, 1)
    assert (sheet.units_added, sheet.units_removed) == (2, 3)
    assert numbers(more) == numbers(fewer) == numbers(same) == (10, 10, 0)
    assert entries() == 3


def test_t39_only_so_many_files_wait(monkeypatch):
    monkeypatch.setattr(processing, "WAITING_MAX", 1)
    product(stock=9, sku="MUG")
    first = checked("sku,count\nMUG,8\n")

    with pytest.raises(SheetUnreadable):
        uploaded("sku,count\nMUG,7\n")

    again, is_new = processing.upload("shelf.csv", b"sku,count\nMUG,8\n", actor=MERCHANT)
    assert (again, is_new) == (first, False)
    processing.discard(first.pk)
    second = checked("sku,count\nMUG,7\n")
    assert second.lines_total == 1
    # What is applied waits no more.
    processing.apply(second.pk, actor=CLERK)
    worked(second)
    assert checked("sku,count\nMUG,6\n").lines_total == 1


def test_products_are_found_by_sku_or_barcode():
    product(1, sku="A", barcode="0012345678905")
    product(1, sku="B", barcode="42")
    product(1, sku="C", barcode="42")
    products.archive(product(0, sku="GONE").pk, actor=MERCHANT)
    product(sku="FREE", managed=False)

    sheet = checked(
        "sku,barcode,count\n,0012345678905,5\n,42,5\nC,42,5\nGONE,,5\nFREE,,5\n,12345678905,5\n"
    )

    assert [line.change for line in lines_of(sheet)][:3] == [4, None, 4]
    assert errors_of(sheet) == {
        3: "2 products have this barcode: write the sku.",
        5: "No product has this sku.",
        6: "The stock of this product is not managed.",
        7: "No product has this barcode.",
    }


def test_a_line_that_cannot_be_read_keeps_no_other_from_being_looked_up():
    product(10, sku="A")
    product(10, sku="B")

    sheet = applied("sku,count\nB,many\nNONE,1\nA,9\n")

    assert [line.number for line in lines_of(sheet) if line.sequence] == [4]
    assert errors_of(sheet)[3] == "No product has this sku."
    assert StockCount.objects.get().units == 9


def test_a_count_may_be_of_the_very_moment_in_which_a_product_was_made():
    with clock.replaced(lambda: NOON):
        product(10, sku="A")

    sheet = checked(f"sku,count,counted_at\nA,8,{NOON.isoformat()}\n")

    assert errors_of(sheet) == {}


@pytest.mark.parametrize("size", [1, 2, 100])
def test_t03_lines_that_count_one_product_are_refused_together(size, monkeypatch):
    monkeypatch.setattr(processing, "_WORK", small_batches(size))
    shirt, mug = product(10, sku="A", barcode="77"), product(10, sku="B")

    sheet = applied("sku,barcode,count\nA,,12\nB,,4\n,77,9\nX,,1\nA,,0\n")

    said = (
        "Lines 2, 4 and 6 count the same product, together 21: write what there is in all into one "
        "line."
    )
    assert errors_of(sheet) == {2: said, 4: said, 5: "No product has this sku.", 6: said}
    assert (numbers(shirt), numbers(mug)) == ((10, 10, 0), (4, 4, 0))
    assert (sheet.changed, sheet.unchanged, sheet.refused) == (1, 0, 4)
    assert (sheet.units_added, sheet.units_removed) == (0, 6)


@pytest.mark.parametrize(
    ("lines", "errors"),
    [
        # What cannot be read says so, and is no reason to believe the other.
        (
            ["A,12", "A,many"],
            [
                "Lines 2 and 3 count the same product: write what there is in all into one line.",
                '"many" is no whole number.',
            ],
        ),
        (
            ["A,1"] * 1_200,
            [
                "Lines 2, 3, 4, 5, 6 and 1,195 more count the same product, together 1,200: write "
                "what there is in all into one line."
            ]
            * 1_200,
        ),
        # A barcode that nothing has does not make it another product's line.
        (
            ["A,12", "A,13,4006381333932"],
            [
                "Lines 2 and 3 count the same product, together 25: write what there is in all "
                "into one line."
            ]
            * 2,
        ),
        # Nor does a sku that nothing has, beside its barcode.
        (
            ["A,12", "AA,13,4006381333931"],
            [
                "Lines 2 and 3 count the same product, together 25: write what there is in all "
                "into one line."
            ]
            * 2,
        ),
        # Without a count nothing is said.
        (["A,12", "A,"], [""]),
    ],
)
def test_lines_that_repeat_a_product_say_which_they_are(lines, errors):
    product(10, sku="A", barcode="4006381333931")

    sheet = checked("sku,count,barcode\n" + "\n".join(lines))

    assert [line.error for line in lines_of(sheet)] == errors


@pytest.mark.parametrize(
    ("others", "sums"),
    [
        ("B,11\nC,9\nD,10\nE,1\n", (3, 1, 1, 1, 100)),
        ("B,11\n", (1, 0, 0, 1, 0)),
        ("C,9\n", (1, 0, 0, 0, 1)),
        ("D,10\n", (0, 1, 0, 0, 0)),
    ],
)
def test_what_is_left_of_a_file_without_its_repeated_lines_is_added_up(others, sums):
    for sku, units in (("A", 10), ("B", 10), ("C", 10), ("D", 10), ("E", 100)):
        product(units, sku=sku)

    sheet = checked(f"sku,count\nA,11\nA,10\nA,1\n{others}")

    names = ("changed", "unchanged", "marked", "units_added", "units_removed")
    assert tuple(getattr(sheet, name) for name in names) == sums
    assert sheet.refused == 3


def test_t04_a_sku_and_a_barcode_of_different_products_are_refused():
    """As when a spreadsheet took the zeros from 0042."""
    product(10, sku="0042", barcode="4006381333931")
    product(10, sku="42")
    product(10, sku="C", barcode="77")
    product(10, sku="D", barcode="77")
    product(10, sku="E")
    product(10, sku="F", barcode="78")

    sheet = applied(
        "sku,barcode,count\n42,4006381333931,49\n43,78,1\nE,4006381333932,1\n"
        "42,77,1\n0042,4006381333931,11\nD,77,12\n"
    )

    assert errors_of(sheet) == {
        2: "The barcode is that of 0042, and not of 42: correct one of the two, or leave it empty.",
        3: "No product has this sku. The barcode is that of F.",
        4: "No product has this barcode: correct it, or leave it empty.",
        5: "The barcode is that of C and 1 more, and not of 42: correct one of the two, or leave "
        "it empty.",
    }
    assert (sheet.changed, sheet.units_added) == (2, 3)


def test_t04_changes_too_name_one_product():
    product(10, sku="0042", barcode="4006381333931")
    product(10, sku="42")

    assert list(errors_of(checked("sku,barcode,change\n42,4006381333931,-9\n"))) == [2]


@pytest.mark.parametrize(
    ("column", "units", "marked"),
    [
        ("count", 499, True),
        ("count", 500, False),
        ("count", 0, True),
        ("count", 5_000, False),
        ("change", -501, True),
        ("change", -500, False),
        ("change", 5_000, False),
    ],
)
def test_t05_a_drop_to_less_than_half_is_marked(column, units, marked):
    product(1_000, sku="A")
    product(11, sku="FEW")

    # Of few units more than half is soon gone.
    sheet = checked(f"sku,{column}\nA,{units}\nFEW,{2 if column == 'count' else -9}\n")

    assert [bool(line.mark) for line in lines_of(sheet)] == [marked, False]
    assert sheet.marked == marked


@pytest.mark.parametrize("size", [1, 100])
def test_t05_changes_that_are_a_great_drop_together_are_marked(size, monkeypatch):
    monkeypatch.setattr(processing, "_WORK", small_batches(size))
    product(100, sku="A")

    sheet = checked("sku,change\nA,-30\nA,-30\nA,5\nA,-6\n")

    said = "From 100 to {}: more than half would be gone."
    assert [line.mark for line in lines_of(sheet)] == ["", said.format(40), "", said.format(39)]


def test_t05_a_line_with_an_error_needs_no_mark():
    product(1_000, sku="A")
    product(1_000, sku="B")

    sheet = checked("sku,count,reason\nA,1,234\nX,1,234\nA,1000,\nB,1,234\n")

    assert list(errors_of(sheet)) == [2, 3, 4]
    assert sheet.marked == 1
    with pytest.raises(LinesMarked, match="1 line looks like a mistake"):
        processing.apply(sheet.pk, actor=CLERK)
    processing.apply(sheet.pk, actor=CLERK, looked_at=True)


def small_batches(size: int) -> dict[Any, Any]:
    return {state: replace(work, batch=size) for state, work in processing._WORK.items()}


@pytest.mark.parametrize("size", [1, 2, 100])
def test_changes_of_a_product_add_up(size, monkeypatch):
    monkeypatch.setattr(processing, "_WORK", small_batches(size))
    shirt = product(10, sku="A")

    sheet = checked("sku,change,reason\nA,-8,broken\nA,-5,\nA,+3,found\n")

    assert [(line.total_before, line.change) for line in lines_of(sheet)] == [
        (10, -8),
        (2, -5),
        (2, 3),
    ]
    assert list(errors_of(sheet)) == [3]
    processing.apply(sheet.pk, actor=CLERK)
    assert [(line.total_before, line.change) for line in lines_of(worked(sheet))][::2] == [
        (10, -8),
        (2, 3),
    ]
    assert numbers(shirt) == (5, 5, 0)


@pytest.mark.parametrize("size", [1, 2, 100])
def test_changes_of_several_products_add_up_each_for_itself(size, monkeypatch):
    monkeypatch.setattr(processing, "_WORK", small_batches(size))
    made = [product(units, sku=sku) for sku, units in (("A", 10), ("B", 20))]

    sheet = applied("sku,change\nA,1\nB,-1\nA,2\nB,1\nA,-1\n")

    before = [(line.total_before, line.change) for line in lines_of(sheet)]
    assert before == [(10, 1), (20, -1), (11, 2), (19, 1), (13, -1)]
    assert [numbers(each)[0] for each in made] == [12, 20]
    assert (sheet.changed, sheet.units_added, sheet.units_removed) == (5, 4, 2)


def test_t25_lines_name_products_in_other_cases_and_by_other_forms_of_a_barcode():
    tin, mug = product(5, sku="TEA-TIN"), product(5, sku="MUG", barcode="012345678905")
    product(5, sku="Cup")
    product(5, sku="cup")

    sheet = checked("sku,barcode,count\n\u200btea-tin ,,6\n,0012345678905,7\nCUP,,8\ncup,,9\n")

    assert [line.product_id for line in lines_of(sheet)][:2] == [tin.pk, mug.pk]
    assert list(errors_of(sheet)) == [4]


# Applying.


def test_counts_become_entries_with_who_and_why():
    shirt, mug = product(10, sku="A"), product(10, sku="B")

    sheet = applied("sku,count,reason\nA,12,\nB,7,Stocktaking\n")

    assert numbers(shirt) == (12, 12, 0)
    assert numbers(mug) == (7, 7, 0)
    more, fewer = (stock_of(made).log.latest("sequence") for made in (shirt, mug))
    assert (more.action, more.quantity, more.actor_name) == ("increment", 2, "jonas")
    assert (fewer.action, fewer.quantity, fewer.by_order) == ("decrement", 3, False)
    assert more.reason.startswith("count of 12 at ")
    assert more.reason.endswith(": shelf.csv, line 2")
    assert fewer.reason.endswith(": Stocktaking (shelf.csv, line 3)")
    assert [line.sequence for line in lines_of(sheet)] == [2, 2]
    assert (sheet.uploaded_by, sheet.applied_by) == ("clerk", "jonas")


def test_changes_carry_their_own_reasons():
    shirt = product(10, sku="A")

    applied('sku,change,reason\nA,-1,"it\'s ""broken"", \\ 壊"\nA,2,\n')

    reasons = list(stock_of(shirt).log.order_by("sequence").values_list("reason", flat=True))[1:]
    assert reasons == ['it\'s "broken", \\ 壊 (shelf.csv, line 2)', "shelf.csv, line 3"]


@pytest.mark.usefixtures("ticking")
def test_what_moved_after_the_count_stays_moved():
    shirt = product(10, sku="A")
    counted_at = clock.now()
    inventory.record(shirt.pk, Action.DECREMENT, 4, actor=MERCHANT)

    sheet = checked(f"sku,count,counted_at\nA,9,{counted_at.isoformat()}\n")
    inventory.record(shirt.pk, Action.INCREMENT, 20, actor=MERCHANT)
    processing.apply(sheet.pk, actor=CLERK)
    worked(sheet)

    [line] = lines_of(sheet)
    assert (line.total_before, line.change) == (10, -1)
    assert numbers(shirt) == (25, 25, 0)


@pytest.mark.usefixtures("ticking")
def test_without_a_moment_the_upload_is_the_moment():
    shirt = product(10, sku="A")

    sheet = checked("sku,count\nA,9\n")
    inventory.record(shirt.pk, Action.DECREMENT, 4, actor=MERCHANT)
    processing.apply(sheet.pk, actor=CLERK)
    worked(sheet)

    assert numbers(shirt) == (5, 5, 0)


@pytest.mark.usefixtures("ticking")
def test_a_count_from_before_there_was_a_product_is_wrong():
    moment = clock.now().isoformat()
    product(10, sku="A")

    sheet = checked(f"sku,count,counted_at\nA,8,{moment}\n")

    assert errors_of(sheet) == {2: "It was counted before there was such a product."}


def test_a_count_that_would_take_allocated_units_is_refused_and_the_rest_goes_on():
    shirt, mug = product(10, sku="A"), product(10, sku="B")
    paid_order({shirt: 6})

    sheet = checked("sku,count\nA,5\nB,5\n")
    processing.apply(sheet.pk, actor=CLERK)
    worked(sheet)

    assert errors_of(sheet) == {2: "5 fewer, but only 4 of 10 are available: 6 are allocated."}
    assert (sheet.changed, sheet.refused) == (1, 1)
    assert numbers(shirt) == (10, 4, 6)
    assert numbers(mug) == (5, 5, 0)


def test_what_was_sold_since_the_check_is_found_when_it_is_applied():
    shirt = product(10, sku="A")
    sheet = checked("sku,change\nA,-8\n")
    paid_order({shirt: 6})

    processing.apply(sheet.pk, actor=CLERK)
    worked(sheet)

    assert errors_of(sheet) == {2: "8 fewer, but only 4 of 10 are available: 6 are allocated."}
    assert numbers(shirt) == (10, 4, 6)


def test_a_product_that_is_managed_no_longer_is_left_alone():
    shirt = product(0, sku="A")
    sheet = checked("sku,count\nA,5\n")
    products.stop_managing(shirt.pk, actor=MERCHANT)

    processing.apply(sheet.pk, actor=CLERK)
    worked(sheet)

    assert errors_of(sheet) == {2: "The stock of this product is not managed."}


def test_a_past_moment_at_which_there_were_more_units_than_can_be_is_no_obstacle(ticking):
    made = product(3, sku="A")
    order = shipped_order({made: 3})
    inventory.record(made.pk, Action.INCREMENT, UNITS_MAX, actor=MERCHANT)
    moment = clock.now()
    inventory.record(made.pk, Action.DECREMENT, UNITS_MAX, actor=MERCHANT)
    undo_ship(order, reason="never left")

    sheet = checked(f"sku,count,counted_at\nA,5,{moment.isoformat()}\n")

    assert "fewer, but only 0 of 3 are available" in errors_of(sheet)[2]


def test_more_units_than_a_product_can_hold_are_refused():
    product(10, sku="A")

    sheet = applied("sku,change\nA,2147483647\n")

    assert errors_of(sheet) == {2: "A product holds at most 2147483647 units."}


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_batches_of_any_size_come_to_the_same(size, monkeypatch):
    monkeypatch.setattr(processing, "_WORK", small_batches(size))
    made = [product(position, sku=f"P{position}") for position in range(10)]
    content = "sku,count\n" + "".join(f"P{position},5\n" for position in range(10)) + "X,1\n"

    sheet = applied(content)

    assert [numbers(each)[0] for each in made] == [5] * 10
    assert (sheet.changed, sheet.unchanged, sheet.refused) == (9, 1, 1)
    assert (sheet.units_added, sheet.units_removed) == (15, 10)
    assert sheet.lines_done == sheet.lines_total == 11


# The same again.


def test_f39_the_same_file_again_changes_nothing_and_is_known():
    shirt = product(10, sku="A")
    first = applied("sku,count\nA,12\n")

    again, is_new = processing.upload("other-name.csv", b"sku,count\nA,12\n", actor=MERCHANT)
    worked(again)

    assert (again.pk, is_new) == (first.pk, False)
    assert numbers(shirt) == (12, 12, 0)
    assert entries() == 2
    assert CountLine.objects.count() == 1


def test_where_no_line_was_refused_nothing_is_tried_again():
    product(10, sku="A")
    sheet = applied("sku,change\nA,5\n")

    with pytest.raises(SheetNotReady, match="No line of it was refused"):
        processing.try_again(sheet.pk, actor=CLERK)


def test_whoever_takes_back_what_the_columns_are_is_told_of_the_file():
    product(10, sku="A")
    sheet = checked("sku,change\nA,5\n")

    processing.change_columns(sheet.pk, actor=CLERK)

    sheet.refresh_from_db()
    assert (sheet.state, sheet.actor, sheet.uploaded_by) == ("mapping", CLERK, "clerk")


def test_applying_again_is_refused():
    product(10, sku="A")
    sheet = applied("sku,change\nA,5\n")

    with pytest.raises(SheetNotReady, match="The file is applied"):
        processing.apply(sheet.pk, actor=CLERK)
    with pytest.raises(SheetNotReady):
        processing.discard(sheet.pk)


def test_a_file_must_be_checked_before_it_is_applied():
    product(10, sku="A")
    sheet = uploaded("sku,change\nA,5\n")

    for service in (processing.apply, processing.revert):
        with pytest.raises(SheetNotReady, match="being checked"):
            service(sheet.pk, actor=CLERK)


def key() -> Key:
    return Key("user:7", "POST", "/", "one", "fingerprint", uuid7())


def with_columns(sheet: Sheet, **options: Any) -> None:
    meant: dict[str, Any] = {"day_first": None, "decimal_comma": None}
    processing.choose_columns(sheet.pk, ["sku", "change"], actor=CLERK, **meant, **options)


def unclear() -> Sheet:
    return uploaded("article,moved\nA,5\n")


# What is done to a file, and a file that it can be done to.
ACTS: dict[str, tuple[Callable[[], Sheet], Callable[..., Any]]] = {
    "choose columns": (unclear, with_columns),
    "change columns": (
        lambda: checked("sku,change\nA,5\n"),
        lambda sheet, **options: processing.change_columns(sheet.pk, actor=CLERK, **options),
    ),
    "apply": (
        lambda: checked("sku,change\nA,5\n"),
        lambda sheet, **options: processing.apply(sheet.pk, actor=CLERK, **options),
    ),
    "revert": (
        lambda: applied("sku,change\nA,5\n"),
        lambda sheet, **options: processing.revert(sheet.pk, actor=CLERK, **options),
    ),
    "discard": (
        lambda: checked("sku,change\nA,5\n"),
        lambda sheet, **options: processing.discard(sheet.pk, **options),
    ),
    "try again": (
        lambda: applied("sku,change\nX,5\n"),
        lambda sheet, **options: processing.try_again(sheet.pk, actor=CLERK, **options),
    ),
}


@pytest.mark.parametrize("what", ACTS)
def test_what_is_sent_twice_was_done_the_first_time(what):
    product(10, sku="A")
    make, act = ACTS[what]
    sheet = make()
    act(sheet, key=key())

    with pytest.raises(Answered) as again:
        act(sheet, key=key())

    assert again.value.record.resource_id == str(sheet.pk)


@pytest.mark.parametrize("what", ACTS)
def test_nothing_is_done_to_a_file_that_is_not_as_it_was_seen(what):
    product(10, sku="A")
    make, act = ACTS[what]
    sheet = make()
    before = Sheet.objects.values().get()

    with pytest.raises(Moved):
        act(sheet, seen={**sheet.standing(), "state": "being checked"})
    assert Sheet.objects.values().get() == before

    act(sheet, seen=sheet.standing())


@pytest.mark.parametrize("what", ACTS)
def test_a_file_that_is_not_there_is_not_ready(what):
    with pytest.raises(SheetNotReady, match="no longer there"):
        ACTS[what][1](Sheet(pk=uuid7()))


def test_a_file_says_who_did_what_with_it_and_when(ticking):
    product(10, sku="A")
    sheet = uploaded("sku,change\nA,5\n", name="s" * 201)
    assert (sheet.name, sheet.uploaded_by, sheet.actor) == ("s" * 200, "clerk", MERCHANT)
    begun = clock.now()
    worked(sheet)
    assert sheet.created_at < begun < sheet.updated_at

    processing.apply(sheet.pk, actor=CLERK)
    worked(sheet)
    assert (sheet.applied_by, sheet.actor, sheet.reverted_at) == ("jonas", CLERK, None)
    applied_at = sheet.applied_at
    assert applied_at
    reverted(sheet)

    assert sheet.uploaded_by == "clerk"
    assert (sheet.applied_by, sheet.reverted_by) == ("jonas", "jonas")
    assert sheet.applied_at == applied_at
    assert sheet.reverted_at
    assert begun < applied_at < sheet.reverted_at < sheet.updated_at


def test_lines_that_said_nothing_are_kept_until_it_is_applied():
    product(10, sku="A")
    sheet = checked("sku,change\nA,5\nB,\n")
    other = checked("sku,change\nA,6\nB,\n")
    assert (sheet.lines_total, sheet.left_out, sheet.rows.count()) == (1, 1, 2)
    assert sheet.refused == 0

    processing.apply(sheet.pk, actor=CLERK)

    assert (worked(sheet).state, sheet.rows.count(), other.rows.count()) == ("applied", 1, 2)


def test_a_file_is_discarded_as_long_as_it_was_not_applied(monkeypatch):
    product(10, sku="A")
    with monkeypatch.context() as large:
        large.setattr(reading, "SMALL", 0)
        large.setattr(reading, "BATCH_TO_COPY", 1)
        unreadable = uploaded("sku,change\nA,5,,,,,,,,,,\n" + '"A')
        read_at = unreadable.created_at + timedelta(hours=1)
        with clock.replaced(lambda: read_at):
            worked(unreadable)
    assert (unreadable.state, unreadable.lines_total) == ("unreadable", 0)
    assert (unreadable.rows.count(), unreadable.updated_at) == (0, read_at)
    assert unreadable.note.startswith("Line 3 cannot be read")

    for sheet in (unreadable, unclear(), checked("sku,change\nA,5\n")):
        processing.discard(sheet.pk)

    assert not Sheet.objects.exists()


def test_what_was_not_made_from_a_file_has_no_columns_to_be_changed():
    sheet = checked("sku,change\nA,5\n")
    Sheet.objects.update(header=[])

    with pytest.raises(SheetNotReady, match="no columns"):
        processing.change_columns(sheet.pk, actor=CLERK)


def test_a_column_that_is_hidden_from_somebody_is_not_written_by_them():
    product(10, sku="A")
    upload = partial(processing.upload, "a.csv", actor=MERCHANT, hidden=["reason", "change"])

    with pytest.raises(SheetForbidden, match="says the change of products"):
        upload(b"sku,change\nA,5\n")
    # Where somebody is asked what the columns are, it can be left out.
    sheet, _ = upload(b"article,change\nA,5\n")
    with pytest.raises(SheetForbidden):
        with_columns(sheet, hidden=["change"])
    with_columns(sheet, hidden=["reason"])


def test_a_small_file_is_done_at_once_and_a_larger_one_is_left_to_its_job(monkeypatch):
    product(10, sku="A")
    small, large = uploaded("sku,change\nA,5\n"), uploaded("sku,change\nA,5\nA,6\n")
    monkeypatch.setattr(processing, "AT_ONCE", 1)

    for sheet in (small, large, Sheet(pk=uuid7())):
        processing.hurry(sheet.pk)

    assert [Sheet.objects.get(pk=each.pk).state for each in (small, large)] == [
        "checked",
        "checking",
    ]


def test_a_file_that_is_read_by_a_job_is_not_hurried(monkeypatch):
    monkeypatch.setattr(reading, "SMALL", 0)
    sheet = uploaded("sku,change\nA,5\n")

    processing.hurry(sheet.pk)

    assert Sheet.objects.get().state == "reading"


def test_refused_lines_are_tried_again_as_they_were_meant(ticking):
    shirt = product(10, sku="A")
    paid_order({shirt: 8})
    sheet = uploaded("article;counted;when\nA;1.000;3/4/2026 10:00\nA;\nB;1;\nA;x\n")
    processing.choose_columns(
        sheet.pk,
        ["sku", "count", "counted_at"],
        day_first=True,
        decimal_comma=False,
        actor=MERCHANT,
    )
    worked(sheet)
    with pytest.raises(SheetNotReady):
        processing.try_again(sheet.pk, actor=CLERK)
    processing.apply(sheet.pk, actor=MERCHANT, looked_at=True)
    worked(sheet)

    jobs_before = ProcrastinateJob.objects.count()
    again = processing.try_again(sheet.pk, actor=CLERK)
    assert ProcrastinateJob.objects.count() == jobs_before + 1

    for name in ("source", "kind", "header", "columns", "delimiter", "day_first", "decimal_comma"):
        assert getattr(again, name) == getattr(sheet, name)
    assert (again.name, again.uploaded_by) == ("Again: shelf.csv", "jonas")
    assert (again.as_of, again.lines_total) == (sheet.created_at, 3)
    assert [line.cells for line in lines_of(again)] == [
        ["A", "1.000", "3/4/2026 10:00"],
        ["B", "1"],
        ["A", "x"],
    ]
    worked(again)
    assert errors_of(again) == errors_of(sheet)
    # While it is in force, there is one.
    assert processing.try_again(sheet.pk, actor=CLERK) == again
    processing.apply(again.pk, actor=MERCHANT, looked_at=True)
    third = processing.try_again(worked(again).pk, actor=CLERK)
    assert third.as_of == sheet.created_at
    assert third not in {again, sheet}


def test_a_discarded_file_leaves_nothing_and_may_come_again():
    shirt = product(10, sku="A")
    processing.discard(checked("sku,change\nA,5\n").pk)

    assert not Sheet.objects.exists()
    assert not CountLine.objects.exists()
    applied("sku,change\nA,5\n")
    assert numbers(shirt) == (15, 15, 0)


# Taking it back.


def test_reverting_writes_the_opposite_entries():
    shirt, mug, cap = product(10, sku="A"), product(10, sku="B"), product(10, sku="C")
    sheet = applied("sku,count\nA,12\nB,7\nC,10\nX,1\n")

    reverted(sheet)

    assert sheet.state == "reverted"
    assert (sheet.reverted, sheet.not_reverted, sheet.reverted_by) == (2, 0, "jonas")
    assert [numbers(made)[0] for made in (shirt, mug, cap)] == [10, 10, 10]
    entry = stock_of(shirt).log.latest("sequence")
    assert (entry.action, entry.quantity) == ("decrement", 2)
    assert (entry.reason, entry.actor_name) == ("Reverted: shelf.csv, line 2", "jonas")
    assert entries() == 7


def test_reverting_happens_once():
    product(10, sku="A")
    sheet = reverted(applied("sku,change\nA,5\n"))

    with pytest.raises(SheetNotReady, match="The file is reverted"):
        processing.revert(sheet.pk, actor=CLERK)


def test_changes_of_one_product_are_taken_back_from_the_last_to_the_first(monkeypatch):
    monkeypatch.setattr(processing, "_WORK", small_batches(2))
    shirt = product(0, sku="A")
    sheet = applied("sku,change\nA,5\nA,-5\nA,3\n")

    reverted(sheet)

    assert sheet.state == "reverted"
    assert numbers(shirt) == (0, 0, 0)


def test_units_that_were_sold_cannot_be_taken_back_until_they_are_there():
    shirt, mug = product(0, sku="A"), product(0, sku="B")
    sheet = applied("sku,change\nA,5\nB,5\n")
    paid_order({shirt: 3})

    reverted(sheet)

    assert (sheet.state, sheet.reverted, sheet.not_reverted) == ("applied", 1, 1)
    assert errors_of(sheet) == {2: "5 fewer, but only 2 of 5 are available: 3 are allocated."}
    assert numbers(mug) == (0, 0, 0)

    inventory.record(shirt.pk, Action.INCREMENT, 3, actor=MERCHANT)
    reverted(sheet)

    assert (sheet.state, sheet.reverted, sheet.not_reverted) == ("reverted", 2, 0)
    assert numbers(shirt) == (3, 0, 3)
    assert errors_of(sheet) == {}


def test_a_count_stands_as_long_as_its_line_was_not_taken_back():
    sold = [product(0, sku=sku) for sku in ("A", "B")]
    mug, cap = product(3, sku="C"), product(3, sku="D")
    sheet = applied("sku,count\nA,5\nB,5\nC,5\nD,3\nX,1\n")
    paid_order(dict.fromkeys(sold, 3))

    reverted(sheet)

    assert (sheet.state, sheet.reverted, sheet.not_reverted) == ("applied", 1, 2)
    stand = StockCount.objects.filter(withdrawn_at=None).order_by("stock__product__sku")
    assert [count.stock.product for count in stand] == sold
    assert [numbers(each)[0] for each in (mug, cap)] == [3, 3]


def test_a_reverted_file_may_come_again():
    shirt = product(10, sku="A")
    first = reverted(applied("sku,change\nA,5\n"))

    second = applied("sku,change\nA,5\n")

    assert first.pk != second.pk
    assert numbers(shirt) == (15, 15, 0)


# Jobs, and what becomes of them.


def test_each_step_leaves_its_job_in_the_transaction():
    product(10, sku="A")
    sheet = checked("sku,change\nA,5\n")
    processing.apply(sheet.pk, actor=CLERK)

    left = ProcrastinateJob.objects.values_list("task_name", "queue_name", "priority", "args")
    assert list(left) == [(processing.JOB, "sheets", -10, {"sheet_id": str(sheet.pk)})] * 2


def test_a_job_that_worked_for_long_leaves_the_rest_to_another(monkeypatch):
    monkeypatch.setattr(processing, "_WORK", small_batches(1))
    monkeypatch.setattr(processing, "SECONDS_A_JOB", 0)
    product(10, sku="A")
    sheet = uploaded("sku,change\nA,5\nA,5\nA,5\n")

    jobs.work_on_sheet(str(sheet.pk))

    sheet.refresh_from_db()
    assert (sheet.state, sheet.lines_done, sheet.percent_done) == ("checking", 1, 33)
    assert ProcrastinateJob.objects.count() == 2


def test_f39_work_broken_off_in_the_middle_goes_on_where_it_was(monkeypatch):
    monkeypatch.setattr(processing, "_WORK", small_batches(2))
    made = [product(0, sku=f"P{position}") for position in range(6)]
    content = "sku,change\n" + "".join(f"P{position},5\n" for position in range(6))
    sheet = checked(content)
    processing.apply(sheet.pk, actor=CLERK)
    processing.take_a_batch(sheet.pk)

    with monkeypatch.context() as dying:
        # It dies with stock and log written, and nothing committed.
        dying.setattr(CountLine, "write", died)
        with pytest.raises(OperationalError):
            processing.take_a_batch(sheet.pk)
    assert [numbers(each)[0] for each in made] == [5, 5, 0, 0, 0, 0]

    jobs.work_on_sheet(str(sheet.pk))
    jobs.work_on_sheet(str(sheet.pk))

    sheet.refresh_from_db()
    assert (sheet.state, sheet.changed) == ("applied", 6)
    assert [numbers(each)[0] for each in made] == [5] * 6


def died(lines: list[CountLine]) -> None:
    raise OperationalError("the connection was lost")


def test_a_file_that_was_left_alone_gets_another_job():
    product(10, sku="A")
    sheet = uploaded("sku,change\nA,5\n")
    ProcrastinateJob.objects.all()._raw_delete("default")

    assert processing.take_up_again() == 0
    with clock.replaced(lambda: sheet.updated_at + timedelta(minutes=2)):
        jobs.take_up_sheets(0)

    assert ProcrastinateJob.objects.get().args == {"sheet_id": str(sheet.pk)}
    worked(sheet)
    with clock.replaced(lambda: sheet.updated_at + timedelta(minutes=2)):
        assert processing.take_up_again() == 0


def test_a_file_at_which_jobs_fail_stands_still_says_so_and_is_tried_once_a_day(
    monkeypatch, admin_client
):
    product(10, sku="A")
    sheet = uploaded("sku,change\nA,5\n")

    def broken(kind: object, sheet: object, lines: object) -> None:
        raise ZeroDivisionError

    def later(days: float) -> AbstractContextManager[None]:
        sheet.refresh_from_db()
        moment = sheet.updated_at + timedelta(days=days)
        return clock.replaced(lambda: moment)

    with monkeypatch.context() as patch:
        working = dict.fromkeys(
            processing._WORK, replace(processing._WORK[Sheet.State.CHECKING], do=broken)
        )
        patch.setattr(processing, "_WORK", working)
        for _ in range(Sheet.FAILURES_MAX):
            with later(0.01):
                assert processing.take_up_again() == 1
                with pytest.raises(ZeroDivisionError):
                    processing.work_on(sheet.pk)
    with later(0.9):
        assert processing.take_up_again() == 0
    page = admin_client.get(f"/admin/inventory/sheet/{sheet.pk}/change/").content.decode()
    with later(1.1):
        assert processing.take_up_again() == 1
        processing.work_on(sheet.pk)

    assert "failed 5 times and stands still" in page
    sheet.refresh_from_db()
    assert (sheet.state, sheet.failures) == ("checked", 0)


def test_a_database_that_is_away_is_no_fault_of_the_file(monkeypatch):
    product(10, sku="A")
    sheet = uploaded("sku,change\nA,5\n")

    def lost(sheet_id: uuid.UUID) -> bool:
        raise OperationalError from psycopg.errors.AdminShutdown()

    monkeypatch.setattr(processing, "take_a_batch", lost)
    with pytest.raises(OperationalError):
        processing.work_on(sheet.pk)

    sheet.refresh_from_db()
    assert sheet.failures == 0


def test_what_somebody_applies_in_that_moment_is_not_forgotten():
    product(10, sku="A")
    done, waiting = applied("sku,change\nA,5\n"), checked("sku,change\nA,6\n")
    later = waiting.updated_at + timedelta(seconds=1)

    # Neither what was applied nor what somebody has just had to do with.
    assert not processing._forget(done.pk, later)
    assert not processing._forget(waiting.pk, waiting.updated_at)
    assert not processing._forget(uuid7(), later)

    assert Sheet.objects.count() == 2


def test_what_nobody_has_applied_for_long_is_forgotten():
    product(10, sku="A")
    done = applied("sku,change\nA,5\n")
    waiting = checked("sku,change\nA,6\n")
    uploaded("sku,cuont\nA,7\n")

    with clock.replaced(lambda: waiting.updated_at + timedelta(days=90)):
        jobs.purge_sheets(0)
    assert Sheet.objects.count() == 3
    with clock.replaced(lambda: waiting.updated_at + timedelta(days=91)):
        jobs.purge_sheets(0)

    assert [sheet.pk for sheet in Sheet.objects.all()] == [done.pk]
    assert CountLine.objects.count() == 1


def test_a_file_that_is_worked_on_gets_no_other_job(monkeypatch):
    monkeypatch.setattr(processing, "_WORK", small_batches(1))
    product(10, sku="A")
    sheet = uploaded("sku,change\nA,5\nA,5\nA,5\n")

    with clock.replaced(lambda: sheet.created_at + timedelta(minutes=2)):
        processing.take_a_batch(sheet.pk)
        assert processing.take_up_again() == 0


def test_a_job_for_a_file_that_is_gone_does_nothing():
    product(10, sku="A")
    sheet = checked("sku,change\nA,5\n")
    processing.discard(sheet.pk)

    jobs.work_on_sheet(str(sheet.pk))


def test_f39_statements_of_a_batch_do_not_grow_with_its_lines():
    for position in range(20):
        product(0, sku=f"P{position}")

    def statements(lines: int, change: int) -> int:
        content = "sku,change\n" + "".join(f"P{line},{change}\n" for line in range(lines))
        sheet = checked(content)
        processing.apply(sheet.pk, actor=CLERK)
        with CaptureQueriesContext(connection) as queries:
            processing.take_a_batch(sheet.pk)
        locks = [query["sql"] for query in queries if "FOR NO KEY UPDATE" in query["sql"]]
        assert ["inventory_sheet" in locks[0], "inventory_stock" in locks[1]] == [True, True]
        assert "ORDER BY id" in locks[1]
        assert len(locks) == 2
        return len(queries)

    assert statements(1, 1) == statements(20, 2)


# Several at once.


@pytest.mark.django_db(transaction=True)
def test_jobs_at_the_same_time_apply_each_line_once(monkeypatch):
    monkeypatch.setattr(processing, "_WORK", small_batches(3))
    made = [product(0, sku=f"P{position}") for position in range(30)]
    content = "sku,change\n" + "".join(f"P{position},5\n" for position in range(30))
    sheet = checked(content)
    processing.apply(sheet.pk, actor=CLERK)

    outcomes = run_together(*[lambda: processing.work_on(sheet.pk)] * 4)

    assert outcomes == [None] * 4
    sheet.refresh_from_db()
    assert (sheet.state, sheet.changed, sheet.lines_done) == ("applied", 30, 30)
    assert all(numbers(each)[0] == 5 for each in made)


@pytest.mark.django_db(transaction=True)
def test_without_the_files_lock_two_jobs_apply_a_line_twice(monkeypatch):
    """If this fails, the test above proves nothing."""
    shirt = product(0, sku="A")
    sheet = checked("sku,change\nA,5\n")
    processing.apply(sheet.pk, actor=CLERK)
    both_have_read = threading.Barrier(2, timeout=PATIENCE_SECONDS)

    def read_only(sheets: SheetQuerySet, sheet_id: uuid.UUID) -> Sheet | None:
        found = sheets.filter(pk=sheet_id).first()
        both_have_read.wait()
        return found

    monkeypatch.setattr(SheetQuerySet, "lock", read_only)
    run_together(*[lambda: processing.take_a_batch(sheet.pk)] * 2)

    assert numbers(shirt) == (10, 10, 0)


@pytest.mark.django_db(transaction=True)
def test_f39_orders_and_a_count_at_the_same_time_lose_nothing(monkeypatch):
    monkeypatch.setattr(processing, "_WORK", small_batches(5))
    made = [product(20, sku=f"P{position}") for position in range(20)]
    content = "sku,change\n" + "".join(f"P{position},5\n" for position in range(20))
    sheet = checked(content)
    processing.apply(sheet.pk, actor=CLERK)

    def buy() -> None:
        for _ in range(3):
            paid_order(dict.fromkeys(reversed(made), 1))

    outcomes = run_together(lambda: processing.work_on(sheet.pk), buy, buy)

    assert outcomes == [None] * 3
    assert all(numbers(each) == (25, 19, 6) for each in made)


@pytest.mark.django_db(transaction=True)
def test_the_same_file_uploaded_at_the_same_time_is_one():
    product(10, sku="A")

    outcomes = run_together(
        *[lambda: processing.upload("a.csv", b"sku,change\nA,5\n", actor=MERCHANT)] * 4
    )

    assert sorted(is_new for _, is_new in outcomes) == [False, False, False, True]
    assert Sheet.objects.count() == CountLine.objects.count() == 1
    assert Stock.objects.get().available == 10


@pytest.mark.django_db(transaction=True)
def test_refused_lines_tried_again_at_the_same_time_are_one_sheet():
    sheet = applied("sku,change\nX,5\nY,6\n")

    outcomes = run_together(*[lambda: processing.try_again(sheet.pk, actor=MERCHANT)] * 4)

    again = Sheet.objects.latest("pk")
    assert {each.pk for each in outcomes} == {again.pk}
    assert (again.lines_total, CountLine.objects.count()) == (2, 4)
