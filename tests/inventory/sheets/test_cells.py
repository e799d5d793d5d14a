"""What people write into cells, read in one way or not at all."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from api import store
from inventory.models import CountLine, Sheet
from inventory.services.sheets import cells
from inventory.services.sheets.cells import Wrong
from tests.factories import MERCHANT


@pytest.mark.parametrize(
    ("cell", "points_part_decimals", "commas_do"),
    [
        *[("12", "12", "12"), (" +12 ", "12", "12"), ("007", "7", "7")],
        *[("-12", "-12", "-12"), ("- 12", "-12", "-12"), ("\u22120,5", "-0.5", "-0.5")],
        *[("(12)", "-12", "-12"), ("( 1,50 )", "-1.50", "-1.50")],
        # Groups of three digits, and in India of two before the last.
        *[("1,234", "1234", "1.234"), ("1.234", "1.234", "1234")],
        *[("1,234,567", "1234567", "1234567"), ("1.234.567", "1234567", "1234567")],
        *[("1,00,000.00", "100000.00", "100000.00"), ("12.345,6", "12345.6", "12345.6")],
        *[("1 234", "1234", "1234"), ("1\u202f234\u00a0567,8", "1234567.8", "1234567.8")],
        *[("1'234.50", "1234.50", "1234.50"), ("12\u2009345", "12345", "12345")],
        # What follows the sign is no group.
        *[("12,5", "12.5", "12.5"), ("12.50", "12.50", "12.50"), ("1234,5", "1234.5", "1234.5")],
        *[("1234.5678", "1234.5678", "1234.5678"), ("0,125", "0.125", "0.125")],
        *[(".5", "0.5", "0.5"), (",5", "0.5", "0.5"), ("0.125", "0.125", "0.125")],
        ("1234.567", "1234.567", None),
        ("1234,567", None, "1234.567"),
        *[(cell, None, None) for cell in ("", "-", "()", "(12", "12)", "--1", "+-1", "1e5", "x")],
        *[(cell, None, None) for cell in ("1,23,45", "0,123,456", "12 34", "1 2345", "1.2.3")],
        *[(cell, None, None) for cell in ("12.", "1,234,56.7", "1.234,567.8", "\u0663")],
    ],
)
def test_a_number_is_read_as_its_signs_say(cell, points_part_decimals, commas_do):
    meant: tuple[tuple[bool | None, str | None], ...]
    meant = ((None, points_part_decimals), (False, points_part_decimals), (True, commas_do))
    for decimal_comma, number in meant:
        if number is None:
            with pytest.raises(Wrong, match="is no number"):
                cells.number(cell, decimal_comma=decimal_comma)
        else:
            assert cells.number(cell, decimal_comma=decimal_comma) == Decimal(number)


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        *[("12", 12), ("-12", -12), ("12.0", 12), ("12,00", 12), ("1,234", 1234), ("(3)", -3)],
        *[("9" * 40, int("9" * 40)), ("9" * 41, 6), ("-" + "9" * 40, 6)],
        *[("12.5", None), ("x", None), ("", None), ("1" * 40 + ".0", None)],
    ],
)
def test_a_whole_number_is_read_as_far_as_anybody_needs_it(cell, number):
    if number is None:
        with pytest.raises(Wrong, match="is no whole number"):
            cells.whole(cell, decimal_comma=None, most=5)
    else:
        assert cells.whole(cell, decimal_comma=None, most=5) == number


def test_of_a_long_cell_the_beginning_is_repeated():
    for read in (
        lambda cell: cells.number(cell, decimal_comma=None),
        lambda cell: cells.whole(cell, decimal_comma=None, most=5),
    ):
        with pytest.raises(Wrong, match=f'^"{"x" * 40}" is no'):
            read("x" * 41)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("cell", "day_first", "moment"),
    [
        ("2026-05-04 9:05", None, (5, 4, 9, 5)),
        ("2026-05-04, 12:30 AM", None, (5, 4, 0, 30)),
        ("2026-05-04 12:30 p.m.", None, (5, 4, 12, 30)),
        ("2026-05-04 1:30PM", None, (5, 4, 13, 30)),
        ("2026-05-04 11:30 am", None, (5, 4, 11, 30)),
        # There is no such hour by a clock of twelve.
        ("2026-05-04 13:30 PM", None, None),
        ("2026-05-04 0:30 AM", None, None),
        # After a dotted date nobody asks.
        ("3.4.2026 10:00", False, (4, 3, 10, 0)),
        ("3.4.2026 10:00", None, (4, 3, 10, 0)),
        ("4.13.2026 10:00", False, None),
        ("3/4/2026 10:00", True, (4, 3, 10, 0)),
        ("3-4-2026 10:00", False, (3, 4, 10, 0)),
        ("3/4/2026 10:00", None, None),
        *[("12/3/2026 10:00", False, (12, 3, 10, 0)), ("12/3/2026 10:00", True, (3, 12, 10, 0))],
        *[("3/12/2026 10:00", False, (3, 12, 10, 0)), ("3/12/2026 10:00", True, (12, 3, 10, 0))],
        *[("12/3/2026 10:00", None, None), ("3/12/2026 10:00", None, None)],
        # Where it cannot be told otherwise, it is what it must be.
        ("13/4/2026 10:00", None, (4, 13, 10, 0)),
        ("13/4/2026 10:00", False, (4, 13, 10, 0)),
        ("4/13/2026 10:00", None, (4, 13, 10, 0)),
        ("4/13/2026 10:00", True, (4, 13, 10, 0)),
        ("12/12/2026 10:00", None, None),
        ("13/13/2026 10:00", None, None),
        ("3/4-2026 10:00", True, None),
    ],
)
def test_a_moment_is_read_where_there_is_one_way_to(cell, day_first, moment):
    if moment is None:
        with pytest.raises(Wrong):
            cells.moment(cell, day_first=day_first)
    else:
        month, day, hour, minute = moment
        read = cells.moment(f" {cell} ", day_first=day_first)
        assert read == datetime(2026, month, day, hour, minute, tzinfo=UTC)


@pytest.mark.django_db
def test_a_moment_is_of_the_zone_that_it_names_or_of_the_stores():
    store.change(time_zone="Asia/Tokyo", actor=MERCHANT)

    local = cells.moment("4.5.2026 17:30:15", day_first=None)
    named = cells.moment("2026-05-04T17:30:00Z", day_first=None)

    assert local == datetime(2026, 5, 4, 8, 30, 15, tzinfo=UTC)
    assert named == datetime(2026, 5, 4, 17, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cell", "text"),
    [('="0012"', "0012"), (' ="a ""b""" ', 'a "b"'), ("'=B", "=B"), ("=B", "=B"), ("", "")],
)
def test_what_was_put_around_a_text_for_spreadsheets_is_taken_away(cell, text):
    assert cells.text_of(cell) == text


def test_cells_have_the_names_of_the_columns_that_are_read():
    sheet = Sheet(columns=["sku", "", "count"])

    def said(*row: str) -> dict[str, str]:
        return cells.by_name(sheet, CountLine(cells=[*row]))

    assert said(" A ", "not read", '="07"') == {"sku": "A", "count": "07"}
    assert said("A") == {"sku": "A"}
    assert said("A", "#REF!", "1", " ", "") == {"sku": "A", "count": "1"}
    with pytest.raises(Wrong, match="more cells than columns"):
        said("A", "", "1", "", "x")
    with pytest.raises(Wrong, match="#N/A stands there"):
        said("A", "", "#N/A")


@pytest.mark.parametrize(
    ("row", "says_nothing"),
    [(["A"], True), (["A", "x", " "], True), (["A", "", "0"], False), (["", "", "1"], False)],
)
def test_a_row_says_something_in_the_columns_that_are_for_it(row, says_nothing):
    sheet = Sheet(columns=["sku", "", "count"])

    assert cells.says_nothing(sheet, CountLine(cells=row), ["count", "reason"]) is says_nothing
