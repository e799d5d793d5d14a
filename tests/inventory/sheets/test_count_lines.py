"""What the lines of a file of counts say, in whatever way it was written."""

from datetime import UTC, datetime
from typing import Any

import pytest

from api import store
from api.ids import uuid7
from inventory.models import CountLine, Sheet
from inventory.services.sheets import columns, count_lines, tables
from inventory.services.sheets.registry import KINDS
from tests.factories import MERCHANT

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def read(content: str | bytes, **meant: bool) -> list[CountLine]:
    """Read a file's lines as a check does, but for those that are left out."""
    raw = content.encode() if isinstance(content, str) else content
    table = tables.read(raw, columns.names_known(KINDS))
    guess = columns.guess(table.header, KINDS)
    sheet = Sheet(
        kind=guess.kind,
        header=table.header,
        columns=guess.columns,
        delimiter=table.delimiter,
        created_at=NOON,
        **meant,
    )
    lines = [CountLine(number=number, cells=cells) for number, cells in table.rows]
    count_lines.read(sheet, lines)
    return [line for line in lines if not line.left_out]


@pytest.mark.parametrize(
    "content",
    [
        "sku,count\n007,12\n",
        "sku;count\r\n007;12\r\n",
        "SKU\tCount\n007\t12",
        '\ufeff"sku","count"\n"007","12"\n',
        "Name , COUNT,sku\nGin,12 ,007\n",
        "count;barcode;sku\n12;;007\n",
        "sku,count\n\n , \n007,+012\n",
        "\r\n\r\nsku;count\r\n007;12\r\n",
        '"sku";"name";"count"\r"007";"a ""b""\nc; d";"12"\r',
    ],
)
def test_files_of_all_sorts_say_the_same(content):
    [line] = read(content)

    assert (line.sku, line.units, line.counted_at, line.error) == ("007", 12, NOON, "")


def test_a_line_says_which_product_it_means_and_why_it_was_counted():
    content = "sku,barcode,count,reason\n A ,4006381333931,5, found \n,42,6,\n"

    lines = read(content)

    said = [(line.sku, line.barcode, line.units, line.reason) for line in lines]
    assert said == [("A", "4006381333931", 5, "found"), ("", "42", 6, "")]


@pytest.mark.parametrize(
    ("column", "most", "said"), [("reason", 500, "The reason is longer"), ("barcode", 100, "long")]
)
def test_what_is_too_long_is_wrong_and_its_beginning_is_kept(column, most, said):
    content = f"sku,count,{column}\nA,5,{'x' * most}\nB,5,{'x' * (most + 1)}\n"

    lines = read(content)

    assert [getattr(line, column) for line in lines] == ["x" * most] * 2
    assert [said in line.error for line in lines] == [False, True]


def test_what_was_read_by_other_columns_is_forgotten():
    sheet = Sheet(
        kind="counts", header=["a", "b", "c"], columns=["sku", "", "count"], created_at=NOON
    )
    texts = dict.fromkeys(("sku", "barcode", "reason", "error", "mark"), "before")
    numbers: dict[str, Any] = {"units": 8, "total_before": 1, "change": 2}
    before = {**texts, **numbers, "counted_at": NOON, "product_id": uuid7()}
    rows = [["A", "8", ""], ["A", "8", "9"], ["A", "8", ""]]
    lines = [CountLine(number=number, cells=row, **before) for number, row in enumerate(rows, 2)]

    count_lines.read(sheet, lines)

    assert ([line.left_out for line in lines], sheet.left_out) == ([True, False, True], 2)
    for line, said in zip(lines, ("", "A", ""), strict=True):
        assert [getattr(line, name) for name in texts] == [said, "", "", "", ""]
        assert (line.units, line.counted_at) == ((9, NOON) if said else (None, None))
        assert (line.product_id, line.total_before, line.change) == (None, None, None)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_letters_survive_what_spreadsheets_write(encoding):
    content = "sku,count\nMÜTZE,1\n".encode(encoding)

    [line] = read(content)

    assert line.sku == "MÜTZE"


def test_lines_are_numbered_as_an_editor_numbers_them():
    content = b'sku,name,count\nA,"two\nlines",1\n\nB,,2\n'

    lines = read(content)

    assert [(line.number, line.sku) for line in lines] == [(2, "A"), (5, "B")]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("A,,2026-05-04 10:00", "missing"),
        (",5", "no sku"),
        ("A,5x", '"5x" is no whole number'),
        ("A,1.5", "no whole number"),
        ("A,1 00", "no whole number"),
        ("A,-1", "below zero"),
        ("A,٣", "no whole number"),
        ("A,2147483648", "more than a product can hold"),
        (f"A,{'9' * 5000}", "more than a product can hold"),
        ("A,5,,9", "more cells than columns"),
        ("A,5,2026-05-04", "no date with a time"),
        ("A,5,yesterday", "no date with a time"),
        ("A,5,2026-02-30 10:00", "no date with a time"),
        ("A,5,05/04/2026 10:00", "tell the day from the month"),
        ("A,5,31.02.2026 10:00", "no date with a time"),
        ("A,5,2026-05-04 12:01", "in the future"),
        ("A,5,9999-12-31 23:59-05:00", "in the future"),
        ("A,5,1969-12-31 23:00", "too long ago"),
        ("A,5,0001-01-01 00:00+14:00", "too long ago"),
        (f"{'A' * 101},5", "so long a code"),
    ],
)
def test_f39_what_is_wrong_with_a_line_stands_at_the_line(line, said):
    content = f"sku,count,counted_at\n{line}\nB,7\n"

    wrong, right = read(content)

    assert said in wrong.error
    assert (right.units, right.error) == (7, "")


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-05-04 10:30", datetime(2026, 5, 4, 8, 30, tzinfo=UTC)),
        ("2026-05-04T10:30:15", datetime(2026, 5, 4, 8, 30, 15, tzinfo=UTC)),
        ("2026-05-04T10:30:00Z", datetime(2026, 5, 4, 10, 30, tzinfo=UTC)),
        ("2026-05-04 10:30+05:00", datetime(2026, 5, 4, 5, 30, tzinfo=UTC)),
        ("04.05.2026 10:30", datetime(2026, 5, 4, 8, 30, tzinfo=UTC)),
        ("4.5.2026 10:30 AM", datetime(2026, 5, 4, 8, 30, tzinfo=UTC)),
        ("11/26/2025 6:30 PM", datetime(2025, 11, 26, 17, 30, tzinfo=UTC)),
        ("26/11/2025 18:30", datetime(2025, 11, 26, 17, 30, tzinfo=UTC)),
        ("04.05.2026 10:30:15", datetime(2026, 5, 4, 8, 30, 15, tzinfo=UTC)),
    ],
)
def test_moments_are_of_the_stores_time_zone_unless_they_name_one(written, moment):
    store.change(time_zone="Europe/Berlin", actor=MERCHANT)

    content = f"sku,count,counted_at\nA,5,{written}\n"
    [line] = read(content)

    assert line.counted_at == moment


@pytest.mark.parametrize(
    ("written", "why"), [("2026-03-29 02:30", "There was no"), ("2025-10-26 02:30", "there twice")]
)
def test_t07_a_line_of_a_time_that_was_not_there_once_is_wrong(written, why):
    store.change(time_zone="Europe/Berlin", actor=MERCHANT)

    [line] = read(f"sku,count,counted_at\nA,5,{written}\n")

    assert (why in line.error, line.counted_at) == (True, None)


@pytest.mark.parametrize(
    ("content", "marked"),
    [
        ("sku,count,reason\nA,1,234\n", True),
        ("sku,count,reason\nA,12,000\n", True),
        ("sku,change,reason\nA,-1,234\n", True),
        ("sku,count,name,reason\nA,1,234,567\n", True),
        ("count,sku,barcode\n1,234,A\n", True),
        ("sku,change,reason\nA,1,234.00\n", True),
        ("sku,count,reason,name\nA,1,00,000\n", True),
        ("sku,count,reason\nA,1234,567\n", False),
        ("sku,count,reason\nA,1,23\n", False),
        ("sku,count,reason,name\nA,1,23,Shirt\n", False),
        ("sku,count,reason\nA,1,234 g\n", False),
        ("sku,count,reason\nA,1,shelf 234\n", False),
        ("sku,count,reason\nA,0,234\n", False),
        ("sku,reason,count\nA,234,1\n", False),
        # Numbers that may well stand there, and no comma that could have split one.
        ("sku,count,total\nA,50,120\n", False),
        ("sku;count;reason\nA;1;234\n", False),
    ],
)
def test_t05_a_comma_that_may_have_split_a_number_is_marked(content, marked):
    [line] = read(content)

    assert (line.error, bool(line.mark)) == ("", marked)


def test_a_mark_says_which_number_may_have_been_meant():
    [line] = read("sku,count,reason,name\nA,1,00,000\n")

    assert line.mark == "1 is read, and 00,000 stands in the next cell: was it 100000?"


@pytest.mark.parametrize(
    ("line", "units", "moment"),
    [
        ("A,2147483647,", 2**31 - 1, NOON),
        ("A,0,", 0, NOON),
        ("A,1,2026-05-04 12:00Z", 1, NOON),
        ("A,1,1970-01-01 00:00Z", 1, datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_count_may_be_as_large_as_early_and_as_late_as_this(line, units, moment):
    [line] = read(f"sku,count,counted_at\n{line}\n")

    assert (line.error, line.units, line.counted_at) == ("", units, moment)


def test_lines_that_say_nothing_of_their_product_are_left_out():
    content = "sku,name,count\nA,Shirt,\nB,Mug,3\nC,Cap\n\n,,\n"

    assert [line.sku for line in read(content)] == ["B"]


@pytest.mark.parametrize(
    ("cell", "units", "mark"),
    [
        ("12.0", 12, ""),
        ("12,00", 12, ""),
        ("1 000", 1000, ""),
        ("1\u202f234", 1234, ""),
        ("(5)", -5, ""),
        ("\u22125", -5, ""),
        ("1,234", 1234, ""),
        ("12.000", 12, "12.000 is read as 12: was it 12000?"),
    ],
)
def test_t06_whatever_can_be_read_in_one_way_only_is_read(cell, units, mark):
    [line] = read(f'sku;change;reason\nA;"{cell}";\n')

    assert (line.units, line.error, line.mark) == (units, "", mark)


@pytest.mark.parametrize(("cell", "units"), [("12.000", 12_000), ("1.234", 1234), ("12,0", 12)])
def test_t06_points_part_groups_where_somebody_said_so(cell, units):
    [line] = read(f"sku;count\nA;{cell}\n", decimal_comma=True)

    assert (line.units, line.mark) == (units, "")


@pytest.mark.parametrize(
    ("day_first", "day"),
    [
        (True, datetime(2026, 4, 3, 18, 30, tzinfo=UTC)),
        (False, datetime(2026, 3, 4, 18, 30, tzinfo=UTC)),
    ],
)
def test_t06_dates_are_read_as_somebody_said(day_first, day):
    [line] = read("sku,count,counted_at\nA,5,3/4/2026 6:30 PM\n", day_first=day_first)

    assert line.counted_at == day


def test_cells_that_a_formula_has_broken_are_an_error():
    [line] = read("sku,count\nA,#REF!\n")

    assert line.error == "#REF! stands there: a formula of the spreadsheet came to nothing."
