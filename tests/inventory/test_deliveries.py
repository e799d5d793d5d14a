"""Deliveries: expecting, scanning, booking in one go, and taking that back."""

import re
import threading
import uuid
from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from api import clock
from api.errors import Conflict, Moved
from api.fields import UNITS_MAX
from api.idempotency import Answered, Key
from api.ids import uuid7
from api.models import Change
from inventory.errors import (
    BookedAnew,
    CodeAmbiguous,
    CodeUnknown,
    DeliveryNotReady,
    DeliveryNotUndoable,
    DeliveryNumberTaken,
    DeliveryTooLong,
    LinesNotBookable,
    ManyUnits,
    NotUndoable,
    TooManyUnits,
)
from inventory.models import Action, Delivery, DeliveryLine, DeliveryQuerySet, Product
from inventory.services import booking, deliveries, products
from inventory.services import stock as inventory
from inventory.services.sheets import processing
from tests.concurrency import PATIENCE_SECONDS, run_together
from tests.factories import MERCHANT, delivery, paid_order, product, stock_of
from tests.inventory.movements import refused
from tests.stock import entries, numbers

pytestmark = pytest.mark.django_db


def line_of(made: Delivery, wanted: Product) -> tuple[int, int]:
    """What is expected, and what was received."""
    line = DeliveryLine.objects.get(delivery=made, product=wanted)
    return line.expected, line.received


def received(made: Delivery, *wanted: Product, units: int) -> None:
    for each in wanted:
        deliveries.scan(made.pk, each.sku, units)


def book(made: Delivery, **options: Any) -> Delivery | None:
    return booking.book(made.pk, actor=MERCHANT, **options)


def undo(made: Delivery, **options: Any) -> None:
    booking.undo(made.pk, actor=MERCHANT, **options)


def key(name: str = "one") -> Key:
    return Key("user:7", "POST", "/", name, "fingerprint", uuid7())


# As such.


def test_numbers_are_proposed_one_after_the_other():
    assert deliveries.next_number() == "D-1001"

    delivery(number="D-1009")
    delivery(number="D-1007")
    for number in ("PO 4711", "D-1007-2", "XD-9", "D-" + "9" * 10):
        delivery(number=number)

    assert deliveries.next_number() == "D-1008"


def test_a_number_is_given_once_in_whatever_case():
    delivery(number="D-1001")

    with pytest.raises(DeliveryNumberTaken):
        delivery(number="d-1001")


def test_what_somebody_else_changed_is_not_overwritten():
    made = delivery(supplier="Harbour Mills")
    deliveries.change(made.pk, actor=MERCHANT, supplier="Weavers")

    seen = {"supplier": "Harbour Mills"}
    with pytest.raises(Moved):
        deliveries.change(made.pk, actor=MERCHANT, supplier="Mine", seen=seen)

    made.refresh_from_db()
    assert made.supplier == "Weavers"


def test_what_is_written_on_a_delivery_and_by_whom_is_kept_and_on_record():
    written: dict[str, Any] = {
        "supplier": "Weavers",
        "note": "Ring twice",
        "expected_on": date(2026, 12, 1),
    }
    wanted_id = uuid7()

    made = delivery(delivery_id=wanted_id, **written)
    deliveries.change(made.pk, actor=MERCHANT, note="", number="D-7")
    deliveries.delete(made.pk, actor=MERCHANT)

    assert made.pk == wanted_id
    assert (made.supplier, made.note, made.expected_on) == tuple(written.values())
    assert (made.made_by, made.is_open) == (MERCHANT.name, True)
    set_to = {"number": "D-1001", "supplier": "Weavers", "expected_on": "2026-12-01"}
    assert on_record(made) == [
        ("created", {**set_to, "note": "Ring twice"}),
        ("changed", {"number": "D-7", "note": ""}),
        ("deleted", dict.fromkeys([*set_to, "state", "revision", "made_by"])),
    ]


def on_record(made: Delivery) -> list[tuple[str, dict[str, Any]]]:
    """What was done to a delivery, and what each of its fields was after that."""
    told = Change.objects.filter(thing_id=str(made.pk)).order_by("pk")
    return [(each.what, {f["field"]: f["after"] for f in each.fields}) for each in told]


def test_only_an_open_delivery_that_is_there_is_changed():
    shirt = product()
    booked, gone = delivery({shirt: 1}), Delivery(pk=uuid7())
    line = deliveries.scan(booked.pk, shirt.sku).line
    book(booked)

    for made in (booked, gone):
        for act in (
            partial(deliveries.change, made.pk, actor=MERCHANT, note="Ring twice"),
            partial(deliveries.correct, made.pk, line.pk, received=2),
            partial(deliveries.take_back_scan, made.pk, line.pk, 1),
            partial(deliveries.remove_line, made.pk, line.pk),
        ):
            with refused(DeliveryNotReady):
                act()

    assert line_of(booked, shirt) == (1, 1)


# Of each a key, and what it is done to: a delivery with one unit of a line received.
ACTS: dict[str, Callable[[Delivery, DeliveryLine, Key], Any]] = {
    "delete": lambda made, line, key: deliveries.delete(made.pk, actor=MERCHANT, key=key),
    "correct": lambda made, line, key: deliveries.correct(made.pk, line.pk, received=2, key=key),
    "take back": lambda made, line, key: deliveries.take_back_scan(made.pk, line.pk, 1, key=key),
    "remove": lambda made, line, key: deliveries.remove_line(made.pk, line.pk, key=key),
    "book": lambda made, line, key: booking.book(made.pk, actor=MERCHANT, key=key),
}


@pytest.mark.parametrize("what", ACTS)
def test_what_is_sent_twice_was_done_the_first_time(what):
    shirt = product()
    made = delivery({shirt: 3})
    line = deliveries.scan(made.pk, shirt.sku).line
    ACTS[what](made, line, key())

    with pytest.raises(Answered) as again:
        ACTS[what](made, line, key())

    assert again.value.record.resource_id == str(made.pk)


def test_no_delivery_is_made_twice_nor_over_another_one():
    made = delivery(key=key())

    with pytest.raises(Answered):
        delivery(number="D-1002", key=key())
    with pytest.raises(Conflict):
        delivery(number="D-1002", delivery_id=made.pk)

    assert Delivery.objects.get().number == "D-1001"


# Scanning.


def test_scans_add_up_whatever_the_code_and_what_nobody_expected_is_added():
    shirt, mug = product(barcode="4006381333931"), product()
    made = delivery({shirt: 3})

    deliveries.scan(made.pk, shirt.sku.lower())
    deliveries.scan(made.pk, "4006381333931", 2)
    scanned = deliveries.scan(made.pk, mug.sku)

    assert (line_of(made, shirt), line_of(made, mug)) == ((3, 3), (0, 1))
    assert scanned.is_new
    # Nothing is there before it is booked.
    assert numbers(shirt) == (0, 0, 0)


def test_a_scan_that_is_sent_twice_counts_once():
    shirt = product()
    made = delivery({shirt: 3})
    deliveries.scan(made.pk, shirt.sku, key=key())

    with pytest.raises(Answered):
        deliveries.scan(made.pk, shirt.sku, key=key())

    assert line_of(made, shirt) == (3, 1)


def test_an_unknown_code_and_one_of_several_products_are_refused_by_name():
    product(sku="A", barcode="4006381333931")
    product(sku="B", barcode="4006381333931")
    made = delivery()

    with refused(CodeUnknown):
        deliveries.scan(made.pk, "no such code")
    with pytest.raises(CodeAmbiguous, match="2 products: A, B"):
        deliveries.scan(made.pk, "4006381333931")


@pytest.mark.parametrize(
    ("expected", "units", "asks"),
    [(0, 1_000, False), (0, 1_001, True), (500, 5_000, False), (500, 5_001, True)],
)
def test_so_many_units_at_once_that_they_may_be_a_barcode_are_asked_about(expected, units, asks):
    shirt = product()
    made = delivery({shirt: expected} if expected else {})

    if asks:
        with refused(ManyUnits):
            deliveries.scan(made.pk, shirt.sku, units)
    deliveries.scan(made.pk, shirt.sku, units, confirmed=asks)
    # One more is one more.
    deliveries.scan(made.pk, shirt.sku)

    assert line_of(made, shirt) == (expected, units + 1)


def test_no_line_holds_more_units_than_a_stock():
    shirt = product()
    made = delivery()
    deliveries.scan(made.pk, shirt.sku, UNITS_MAX, confirmed=True)

    with refused(TooManyUnits):
        deliveries.scan(made.pk, shirt.sku)


def test_a_delivery_has_so_many_lines_and_no_more(monkeypatch):
    monkeypatch.setattr(deliveries, "LINES_MAX", 1)
    shirt, mug = product(), product()
    made = delivery({shirt: 1})

    with refused(DeliveryTooLong):
        deliveries.scan(made.pk, mug.sku)


def test_the_last_scan_is_taken_back_and_with_it_a_line_that_it_made():
    shirt, mug = product(), product()
    made = delivery({shirt: 3})
    one = deliveries.scan(made.pk, shirt.sku, 2).line
    other = deliveries.scan(made.pk, mug.sku).line

    assert deliveries.take_back_scan(made.pk, one.pk, 2) is not None
    assert deliveries.take_back_scan(made.pk, other.pk, 1) is None

    assert line_of(made, shirt) == (3, 0)
    assert made.lines.count() == 1
    with refused(DeliveryNotReady):
        deliveries.take_back_scan(made.pk, one.pk, 1)


def test_a_line_is_corrected_by_hand_unless_somebody_scanned_meanwhile():
    shirt = product()
    made = delivery({shirt: 3})
    line = deliveries.scan(made.pk, shirt.sku).line

    deliveries.correct(made.pk, line.pk, expected=4, received=2, seen={"received": 1})
    with refused(Moved):
        deliveries.correct(made.pk, line.pk, received=9, seen={"received": 1})

    assert line_of(made, shirt) == (4, 2)


def test_what_is_expected_and_what_was_received_are_counted_apart():
    shirt, mug = product(), product()
    made = delivery()

    deliveries.scan(made.pk, shirt.sku, 3, expecting=True)
    line = deliveries.scan(made.pk, shirt.sku, 2, expecting=True).line
    assert line_of(made, shirt) == (5, 0)
    deliveries.scan(made.pk, shirt.sku, 2)
    deliveries.take_back_scan(made.pk, line.pk, 3, expecting=True)
    assert line_of(made, shirt) == (2, 2)
    deliveries.correct(made.pk, line.pk, received=4)
    assert line_of(made, shirt) == (2, 4)
    deliveries.correct(made.pk, line.pk, expected=0)
    assert line_of(made, shirt) == (0, 4)
    # To be expected is a reason to stay on it.
    other = deliveries.scan(made.pk, mug.sku, expecting=True).line
    deliveries.scan(made.pk, mug.sku)
    assert deliveries.take_back_scan(made.pk, other.pk, 1) is not None
    with pytest.raises(DeliveryNotReady, match=r"Only 1 of .* are expected by now"):
        deliveries.take_back_scan(made.pk, other.pk, 2, expecting=True)


def test_a_line_that_was_booked_once_stays_without_units():
    shirt, mug = product(), product()
    made = delivery()
    line = deliveries.scan(made.pk, shirt.sku).line
    deliveries.scan(made.pk, mug.sku)
    book(made)
    undo(made)

    assert deliveries.take_back_scan(made.pk, line.pk, 1) is not None

    assert line_of(made, shirt) == (0, 0)
    assert booking.of_entries(shirt.pk, [2, 3]) == {1: made, 2: made}
    assert booking.of_entries(product().pk, [2, 3]) == {}


def test_a_line_is_removed_by_whoever_saw_what_was_there():
    shirt, mug = product(), product()
    made, other = delivery({shirt: 3, mug: 1}), delivery({shirt: 1}, number="other")
    line = made.lines.get(product=shirt)

    with refused(Moved):
        deliveries.remove_line(made.pk, line.pk, seen={"expected": 2})
    # As from a form that somebody has tampered with.
    with refused(Moved):
        deliveries.remove_line(made.pk, line.pk, seen={"shelf": 1})
    with refused(DeliveryNotReady):
        deliveries.remove_line(other.pk, line.pk)
    deliveries.remove_line(made.pk, line.pk, seen={"expected": 3, "received": 0})

    assert [each.product for each in made.lines.all()] == [mug]
    assert other.lines.exists()


def test_a_correction_to_so_many_that_they_may_be_a_barcode_is_asked_about():
    shirt = product()
    made = delivery({shirt: 100})
    line = made.lines.get()
    correct = partial(deliveries.correct, made.pk, line.pk)

    with refused(ManyUnits):
        correct(received=1_001)
    correct(received=1_001, confirmed=True)
    # Ten times what is the smaller of the two.
    with refused(ManyUnits):
        correct(expected=10_111)
    correct(expected=10_110)
    with refused(TooManyUnits):
        correct(received=UNITS_MAX + 1, confirmed=True)

    assert line_of(made, shirt) == (10_110, 1_001)


def test_whatever_is_done_to_a_delivery_is_a_change_that_nobody_has_seen():
    shirt = product()
    made = delivery({shirt: 3})
    line = made.lines.get()
    revisions = []

    for act in (
        lambda: deliveries.scan(made.pk, shirt.sku),
        lambda: deliveries.correct(made.pk, line.pk, received=2),
        lambda: deliveries.take_back_scan(made.pk, line.pk, 1),
        lambda: deliveries.change(made.pk, actor=MERCHANT, note="Ring twice"),
        lambda: book(made),
        lambda: undo(made),
        lambda: deliveries.remove_line(made.pk, line.pk),
    ):
        act()
        made.refresh_from_db()
        revisions.append(made.revision)
        assert made.updated_at > made.created_at

    assert revisions == [1, 2, 3, 4, 5, 6, 7]


def test_a_delivery_is_added_up():
    lines = {"short": (9, 4), "over": (1, 5), "right": (3, 3), "new": (0, 7), "few": (0, 1)}
    made, empty = delivery(), delivery(number="empty")
    for sku, (expected, came) in {**lines, "late": (2, 0)}.items():
        line = DeliveryLine(delivery=made, product=product(sku=sku), expected=expected)
        line.received = came
        line.save()

    assert set(vars(deliveries.totals(empty)).values()) == {0}
    assert deliveries.totals(made) == deliveries.Totals(
        lines_all=6,
        lines_short=2,
        lines_over=1,
        lines_unexpected=2,
        lines_received=5,
        units_expected=15,
        units_received=20,
        short=7,
        over=12,
    )


def test_what_is_due_is_open_and_expected_by_then_the_latest_first():
    days = {name: date(2026, 12, day) for day, name in enumerate(["late", "today", "booked"], 1)}
    shirt = product()
    for number, day in reversed(days.items()):
        delivery({shirt: 1}, number=number, expected_on=day)
    delivery(number="some day")
    delivery(number="tomorrow", expected_on=date(2026, 12, 4))
    for number, delivery_id in sorted([("0", uuid7()), ("1", uuid7())], reverse=True):
        delivery(number=number, delivery_id=delivery_id, expected_on=date(2026, 12, 3))
    booked = Delivery.objects.get(number="booked")
    received(booked, shirt, units=1)
    book(booked)

    assert [each.number for each in deliveries.due(date(2026, 12, 3))] == [
        *("late", "today", "0", "1"),
    ]
    assert [each.number for each in deliveries.due(days["late"])] == ["late"]


# Booking.


def test_booking_adds_all_that_was_received_with_the_delivery_as_the_reason():
    shirt, mug, cap = product(2), product(), product()
    made = delivery({shirt: 3, cap: 1}, supplier="Harbour Mills")
    received(made, shirt, mug, units=2)

    assert book(made) is None

    assert entries(shirt) == [("increment", 2, "Delivery D-1001 from Harbour Mills")]
    assert (numbers(shirt), numbers(mug), numbers(cap)) == ((4, 4, 0), (2, 2, 0), (0, 0, 0))
    made.refresh_from_db()
    assert (made.state, made.booked_by) == ("booked", MERCHANT.name)
    with refused(DeliveryNotReady):
        book(made)
    with refused(DeliveryNotReady):
        deliveries.scan(made.pk, shirt.sku)


def test_booking_is_the_same_few_statements_for_however_many_lines():
    def statements(lines: int) -> int:
        made = delivery({product(): 1 for _ in range(lines)}, number=f"of {lines}")
        received(made, *[line.product for line in made.lines.select_related("product")], units=1)
        with CaptureQueriesContext(connection) as captured:
            book(made)
        return len(captured)

    assert statements(1) == statements(5)


def test_the_delivery_is_locked_before_stock_and_stock_in_key_order():
    made = delivery({product(): 1})
    received(made, *[line.product for line in made.lines.select_related("product")], units=1)

    with CaptureQueriesContext(connection) as captured:
        book(made)

    locks = [query["sql"] for query in captured if "FOR NO KEY UPDATE" in query["sql"]]
    assert [re.findall(r"inventory_\w+", lock)[0] for lock in locks] == [
        *("inventory_delivery", "inventory_stock"),
    ]
    assert all("ORDER BY" in lock for lock in locks)


@pytest.mark.parametrize("what", ["unmanaged", "too many"])
def test_a_line_that_the_stock_does_not_take_keeps_all_of_it_back(what):
    shirt, mug = product(sku="SHIRT"), product(sku="MUG", stock=5)
    made = delivery({shirt: 1, mug: 1})
    received(made, shirt, mug, units=1)
    if what == "unmanaged":
        products.stop_managing(shirt.pk, actor=MERCHANT)
    else:
        inventory.record(shirt.pk, Action.INCREMENT, UNITS_MAX, actor=MERCHANT)

    with pytest.raises(LinesNotBookable, match="SHIRT"):
        book(made)

    assert numbers(mug) == (5, 5, 0)
    made.refresh_from_db()
    assert made.is_open


def test_nothing_received_is_nothing_to_book():
    made = delivery({product(): 5})

    with refused(DeliveryNotReady):
        book(made)


def test_nobody_books_what_they_have_not_seen():
    shirt = product()
    made = delivery({shirt: 2})
    received(made, shirt, units=1)
    seen = Delivery.objects.get().standing()
    received(made, shirt, units=1)

    with refused(Moved):
        book(made, seen=seen)

    book(made, seen=Delivery.objects.get().standing())
    assert numbers(shirt) == (2, 2, 0)


def test_the_rest_is_expected_by_a_delivery_of_its_own():
    shirt, mug = product(), product()
    made = delivery({shirt: 5, mug: 1}, supplier="Harbour Mills")
    received(made, shirt, mug, units=2)

    rest = book(made, expect_rest=True)

    assert rest
    assert (rest.number, rest.supplier) == ("D-1001-2", "Harbour Mills")
    assert [(line.product, line.expected) for line in rest.lines.all()] == [(shirt, 3)]
    received(rest, shirt, units=1)
    last = book(rest, expect_rest=True)
    assert last
    assert last.number == "D-1001-3"


@pytest.mark.parametrize(
    ("number", "others", "rest_of_it"),
    [
        # No other part of anything, whatever it looks like.
        ("PO-2", [], "PO-2-2"),
        ("D-1001", ["d-1001-2", "D-1001-3"], "D-1001-4"),
        ("D" * 100, [], "D" * 94 + "-2"),
    ],
)
def test_the_rest_gets_the_next_number_that_is_free(number, others, rest_of_it):
    for other in others:
        delivery(number=other)
    made = delivery({product(sku="A"): 5}, number=number)
    deliveries.scan(made.pk, "A")

    rest = book(made, expect_rest=True)

    assert rest
    assert (rest.number, rest.follows) == (rest_of_it, made)


def test_where_nothing_is_short_no_rest_is_expected():
    shirt = product()
    made = delivery({shirt: 1})
    received(made, shirt, units=2)

    assert book(made, expect_rest=True) is None
    assert list(Delivery.objects.all()) == [made]


def test_what_cannot_be_booked_is_known_beforehand():
    shirt, mug = product(sku="SHIRT"), product(sku="MUG")
    made = delivery({shirt: 1, mug: 1})

    with pytest.raises(DeliveryNotReady, match="Nothing was received"):
        booking.require_bookable(made)
    received(made, shirt, units=1)
    products.stop_managing(mug.pk, actor=MERCHANT)
    # Of it nothing was received.
    booking.require_bookable(made)
    received(made, mug, units=1)
    for says_so in (booking.require_bookable, book):
        with pytest.raises(LinesNotBookable, match="stock of MUG is not managed"):
            says_so(made)
    products.archive(shirt.pk, actor=MERCHANT)
    for says_so in (booking.require_bookable, book):
        with pytest.raises(LinesNotBookable, match=r"^SHIRT: deleted"):
            says_so(made)
    with pytest.raises(DeliveryNotReady, match="The delivery is booked"):
        booking.require_bookable(Delivery(state="booked"))


def test_counts_that_may_have_found_it_already_are_told():
    shirt, mug, cap, tin = (product(3, sku=sku) for sku in ("SHIRT", "MUG", "CAP", "TIN"))
    inventory.count(shirt.pk, 4, actor=MERCHANT)
    made = delivery({mug: 1})
    received(made, shirt, cap, tin, units=1)
    # Of the mug nothing was received; of the cap fewer were there.
    for each, units in ((mug, 9), (cap, 2), (tin, 5), (shirt, 5)):
        inventory.count(each.pk, units, actor=MERCHANT)
    inventory.undo(tin.pk, stock_of(tin).sequence, actor=MERCHANT)

    assert [(each.stock.product, each.units) for each in booking.found_already(made)] == [
        (shirt, 5)
    ]


def test_what_is_short_is_expected_until_it_is_booked():
    shirt = product()
    late = delivery({shirt: 5}, number="late", expected_on=date(2026, 12, 1))
    soon = delivery({shirt: 2}, number="soon", expected_on=date(2026, 11, 1))
    ids = sorted([uuid7(), uuid7()])
    then, some_day = (
        delivery({shirt: 1}, number=f"some day {number}", delivery_id=ids[number])
        for number in (1, 0)
    )
    received(late, shirt, units=1)
    received(delivery({shirt: 1}, number="all there"), shirt, units=1)
    delivery({product(): 1}, number="of another product")

    found = deliveries.expected_of(shirt.pk)

    assert [(each.delivery, each.units) for each in found] == [
        *[(soon, 2), (late, 4), (some_day, 1), (then, 1)],
    ]
    book(late)
    assert [each.delivery for each in deliveries.expected_of(shirt.pk)] == [soon, some_day, then]


# Taking it back.


def test_undone_as_if_it_never_had_been_and_booked_again():
    shirt, mug, late = product(1), product(), product(3)
    made = delivery({late: 2, shirt: 2, mug: 2})
    received(made, shirt, mug, units=2)
    book(made)

    undo(made)

    assert (numbers(shirt), numbers(mug), numbers(late)) == ((1, 1, 0), (0, 0, 0), (3, 3, 0))
    assert entries(shirt)[-1] == ("decrement", 2, "undo: Delivery D-1001")
    log = stock_of(shirt).log.order_by("-sequence")
    assert log[0].effective_at == log[1].created_at
    with refused(DeliveryNotReady):
        undo(made)
    deliveries.correct(made.pk, made.lines.get(product=shirt).pk, received=1)
    book(made)
    assert numbers(shirt) == (2, 2, 0)
    undo(made)
    assert numbers(shirt) == (1, 1, 0)


def test_a_delivery_says_who_booked_it_and_who_took_that_back():
    shirt = product()
    made = delivery({shirt: 1})
    received(made, shirt, units=1)

    def told() -> tuple[str, bool, str, bool]:
        made.refresh_from_db()
        booked, undone = made.booked_at is not None, made.undone_at is not None
        return made.booked_by, booked, made.undone_by, undone

    book(made)
    assert told() == (MERCHANT.name, True, "", False)
    undo(made)
    assert told() == ("", False, MERCHANT.name, True)
    book(made)
    assert told() == (MERCHANT.name, True, "", False)


def test_a_booking_is_taken_back_once_and_by_whoever_saw_how_it_stood():
    shirt = product()
    made = delivery({shirt: 1})
    seen = Delivery.objects.get().standing()
    received(made, shirt, units=1)
    book(made)

    with refused(Moved):
        undo(made, seen=seen)
    undo(made, seen=Delivery.objects.get().standing(), key=key())
    with pytest.raises(Answered):
        undo(made, key=key())

    assert numbers(shirt) == (0, 0, 0)


def test_nothing_is_taken_out_of_stock_that_is_not_managed_any_more():
    shirt, mug = product(sku="SHIRT"), product(sku="MUG")
    made = delivery({shirt: 1, mug: 1})
    received(made, shirt, mug, units=1)
    book(made)
    inventory.record(mug.pk, Action.DECREMENT, 1, actor=MERCHANT)
    products.stop_managing(mug.pk, actor=MERCHANT)

    with pytest.raises(DeliveryNotUndoable, match="stock of MUG is not managed any more"):
        undo(made)

    assert numbers(shirt) == (1, 1, 0)


def test_a_count_from_before_it_was_booked_again_is_taken_only_if_it_agrees():
    with clock.replaced(lambda: timezone.now() - timedelta(hours=1)):
        shirt, cap = product(5, sku="SHIRT"), product(5, sku="CAP")
        before = clock.now()
        made = delivery({shirt: 10, cap: 10})
        received(made, shirt, cap, units=12)
        book(made)
        in_between = clock.now()
        undo(made)
        for line in made.lines.all():
            deliveries.correct(made.pk, line.pk, received=10)
        book(made)
        counts = partial(inventory.count, actor=MERCHANT)

        # What came stood on the shelf, or had not come yet.
        with pytest.raises(BookedAnew, match="Count again now"):
            counts(shirt.pk, 15, counted_at=in_between)
        assert counts(cap.pk, 5, counted_at=in_between) == 0
        assert counts(shirt.pk, 4, counted_at=before) == -1
        assert counts(shirt.pk, 15) == 1

    assert (numbers(shirt), numbers(cap)) == ((15, 15, 0), (15, 15, 0))


def test_units_that_are_gone_and_counts_since_keep_all_of_it_booked():
    shirt, mug, cap = product(sku="SHIRT"), product(sku="MUG"), product(sku="CAP")
    made = delivery({shirt: 2, mug: 2, cap: 2})
    received(made, shirt, mug, cap, units=2)
    book(made)
    paid_order({mug: 1})
    for each in (shirt, cap):
        inventory.count(each.pk, 2, actor=MERCHANT)

    with pytest.raises(DeliveryNotUndoable) as refusal:
        undo(made)
    for said in ("SHIRT: It was counted", "MUG: Only 1 is available", "CAP: It was counted"):
        assert said in str(refusal.value)

    assert numbers(shirt) == (2, 2, 0)


def test_the_rest_goes_with_it_unless_somebody_worked_on_that():
    shirt = product()
    made = delivery({shirt: 5})
    received(made, shirt, units=2)
    rest = book(made, expect_rest=True)
    assert rest

    undo(made)

    assert list(Delivery.objects.all()) == [made]
    assert [what for what, _ in on_record(rest)] == ["created", "deleted"]
    rest = book(made, expect_rest=True)
    assert rest
    received(rest, shirt, units=1)
    with pytest.raises(DeliveryNotUndoable, match="D-1001-2"):
        undo(made)


def test_an_entry_of_a_delivery_is_undone_by_the_delivery_only():
    shirt = product()
    made = delivery({shirt: 1})
    received(made, shirt, units=1)
    book(made)
    last = stock_of(shirt).sequence

    with pytest.raises(NotUndoable, match="delivery"):
        inventory.undo(shirt.pk, last, actor=MERCHANT)

    assert booking.of_entries(shirt.pk, [last]) == {last: made}
    assert booking.of_entries(shirt.pk, [last + 1]) == {}


def test_an_entry_is_undone_that_no_delivery_wrote_though_one_wrote_others():
    shirt, mug = product(), product()
    made = delivery({shirt: 2})
    received(made, shirt, units=2)
    book(made)
    inventory.record(mug.pk, Action.INCREMENT, 1, actor=MERCHANT)
    assert stock_of(mug).sequence == stock_of(shirt).sequence

    inventory.record(shirt.pk, Action.INCREMENT, 1, actor=MERCHANT)
    for each in (mug, shirt):
        inventory.undo(each.pk, stock_of(each).sequence, actor=MERCHANT)

    assert (numbers(shirt), numbers(mug)) == ((2, 2, 0), (0, 0, 0))


def test_a_delivery_is_deleted_while_it_is_open():
    shirt = product()
    made = delivery({shirt: 1})
    other = delivery({shirt: 1}, number="other")
    received(other, shirt, units=1)
    book(other)

    with refused(Moved):
        deliveries.delete(made.pk, actor=MERCHANT, seen={"state": "booked"})
    deliveries.delete(made.pk, actor=MERCHANT, seen=made.standing())
    with refused(DeliveryNotReady):
        deliveries.delete(other.pk, actor=MERCHANT)

    assert list(Delivery.objects.all()) == [other]


# Many at once. Each race has a control: the same without the lock of the delivery.

races = pytest.mark.django_db(transaction=True)


def _without_the_lock(monkeypatch: pytest.MonkeyPatch, readers: int) -> None:
    """Only read what should be locked, and let nobody go on before `readers` have read it."""
    all_have_read = threading.Barrier(readers, timeout=PATIENCE_SECONDS)

    def read(rows: DeliveryQuerySet, delivery_id: uuid.UUID) -> list[Delivery]:
        found = list(rows.filter(pk=delivery_id))
        all_have_read.wait()
        return found

    monkeypatch.setattr(DeliveryQuerySet, "lock", read)


Race = Callable[[Delivery, Product], list[Callable[[], Any]]]


def _two_scanners(made: Delivery, shirt: Product) -> list[Callable[[], Any]]:
    return [partial(deliveries.scan, made.pk, shirt.sku)] * 2


def _booked_twice(made: Delivery, shirt: Product) -> list[Callable[[], Any]]:
    return [partial(book, made)] * 2


def _raced(race: Race) -> tuple[tuple[int, int], tuple[int, int, int], list[Any]]:
    shirt = product()
    made = delivery({shirt: 5})
    made.lines.update(received=1)
    outcomes = run_together(*race(made, shirt))
    return line_of(made, shirt), numbers(shirt), outcomes


@races
def test_two_people_scan_one_product_at_once_and_both_count():
    line, _, outcomes = _raced(_two_scanners)

    assert line == (5, 3), outcomes


@races
def test_control_without_the_lock_a_scan_is_lost(monkeypatch):
    _without_the_lock(monkeypatch, 2)
    both_have_counted = threading.Barrier(2, timeout=PATIENCE_SECONDS)
    require_sane = deliveries._require_sane

    def wait_for_the_other(*args: Any) -> None:
        require_sane(*args)
        both_have_counted.wait()

    monkeypatch.setattr(deliveries, "_require_sane", wait_for_the_other)

    line, _, _ = _raced(_two_scanners)

    assert line == (5, 2)


@races
def test_a_delivery_that_is_booked_twice_at_once_is_booked_once():
    _, there, outcomes = _raced(_booked_twice)

    assert there == (1, 1, 0)
    assert [type(each) for each in outcomes if each] == [DeliveryNotReady]


@races
def test_control_without_the_lock_it_is_booked_twice(monkeypatch):
    _without_the_lock(monkeypatch, 2)

    _, there, _ = _raced(_booked_twice)

    assert there == (2, 2, 0)


def _scanned_while_booked(made: Delivery, shirt: Product) -> list[Callable[[], Any]]:
    return [partial(book, made), partial(deliveries.scan, made.pk, shirt.sku)]


@races
def test_a_scan_while_it_is_booked_is_booked_or_refused():
    line, there, outcomes = _raced(_scanned_while_booked)

    assert line == (5, there[0])
    was_refused = isinstance(outcomes[1], DeliveryNotReady)
    assert there[0] == (1 if was_refused else 2)


@races
def test_control_without_the_lock_only_the_database_refuses_a_scan_of_what_is_booked(monkeypatch):
    _without_the_lock(monkeypatch, 2)
    is_booked = threading.Event()

    def book_first(made: Delivery) -> None:
        book(made)
        is_booked.set()

    save = DeliveryLine.save

    def save_later(line: DeliveryLine, **options: Any) -> None:
        """Let the scan take longer than the booking, which has read the line by then."""
        assert is_booked.wait(PATIENCE_SECONDS)
        save(line, **options)

    monkeypatch.setattr(DeliveryLine, "save", save_later)

    line, there, outcomes = _raced(
        lambda made, shirt: [
            partial(book_first, made),
            partial(deliveries.scan, made.pk, shirt.sku),
        ]
    )

    assert (line, there) == ((5, 1), (1, 1, 0))
    assert [type(each) for each in outcomes if each] == [IntegrityError]


@races
@pytest.mark.thorough
def test_a_booking_among_sales_and_a_file_of_counts_waits_and_adds_up():
    made_of = [product(10) for _ in range(5)]
    made = delivery(dict.fromkeys(made_of, 1))
    received(made, *made_of, units=1)
    counted = "\n".join(["sku,count", *(f"{each.sku},9" for each in made_of)])
    sheet, _ = processing.upload("shelf.csv", counted.encode(), actor=MERCHANT)
    processing.work_on(sheet.pk)
    processing.apply(sheet.pk, actor=MERCHANT)
    sales = [partial(paid_order, {one: 1, other: 1}) for one, other in pairwise(made_of[::-1])]

    outcomes = run_together(partial(book, made), partial(processing.work_on, sheet.pk), *sales)

    assert not [each for each in outcomes if isinstance(each, BaseException)]
    # One was missing, one came, and of all but the outer two of them two were sold.
    assert [stock_of(each).available for each in made_of] == [9, 8, 8, 8, 9]
