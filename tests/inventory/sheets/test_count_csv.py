"""What is read from a file of counts, in whatever way it was written."""

import tracemalloc
from datetime import UTC, datetime

import pytest
from procrastinate.contrib.django.models import ProcrastinateJob

from api import store
from inventory.errors import SheetUnreadable
from inventory.models import Sheet
from inventory.services.sheets import count_csv, processing
from tests.factories import MERCHANT

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


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
    [line] = count_csv.read(content.encode(), now=NOON).lines

    assert (line.sku, line.units, line.counted_at, line.error) == ("007", 12, NOON, "")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_letters_survive_what_spreadsheets_write(encoding):
    content = "sku,count\nMÜTZE,1\n".encode(encoding)

    [line] = count_csv.read(content, now=NOON).lines

    assert line.sku == "MÜTZE"


def test_lines_are_numbered_as_an_editor_numbers_them():
    content = b'sku,name,count\nA,"two\nlines",1\n\nB,,2\n'

    lines = list(count_csv.read(content, now=NOON).lines)

    assert [(line.number, line.sku) for line in lines] == [(2, "A"), (5, "B")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b"sku,cuont\nA,1\n", 'Unknown columns: "cuont"'),
        (b"A,1\nB,2\n", "Unknown columns"),
        (b"sku,count,,\nA,1\n", "without a name"),
        (b"sku\nA\n", "no column count"),
        (b"count\n1\n", "no column sku"),
        (b"sku,count,change\nA,1,1\n", "counts or changes"),
        (b"sku,count,Count\nA,1,1\n", "twice: count"),
        (b"sku,change,counted_at\nA,1,2026-05-04 10:00\n", "goes with counts"),
        (b"sku,count\n", "No line says anything under count"),
        (b"sku,count\n,\nA,\nB\n", "No line says anything under count"),
        (b"sku,change\nA,\n", "No line says anything under change"),
        (b'sku,count\n"A,1\n', "Line 2 cannot be read"),
        (b"PK\x03\x04\x00\x00xl/workbook", "no CSV"),
        ("sku,count\nA,1".encode("utf-16-le"), "no CSV"),
    ],
)
def test_f39_what_is_no_such_file_is_refused_whole(content, said):
    with pytest.raises(SheetUnreadable, match=said):
        processing.upload("x.csv", content, actor=MERCHANT)

    assert not Sheet.objects.exists()
    assert not ProcrastinateJob.objects.exists()


def test_a_file_too_large_is_refused_with_its_size(monkeypatch):
    monkeypatch.setattr(count_csv, "BYTES_MAX", 3_000_000)
    monkeypatch.setattr(count_csv, "LINES_MAX", 2)

    with pytest.raises(SheetUnreadable, match=r"4 MB.*at most 3 MB"):
        count_csv.read(b"x" * 4_000_000, now=NOON)
    with pytest.raises(SheetUnreadable, match="more than 2 lines"):
        list(count_csv.read(b"sku,count\nA,1\nB,1\nC,1\n", now=NOON).lines)


MANY = 200_000


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"sku," * MANY, "Line 1 is longer than 10,000 letters"),
        (b"\n\n" + b"x;" * MANY, "Line 3 is longer"),
        (b"x," * 4_000 + b"\nA,1\n", "The first line names 4,001 columns: at most 50 are read"),
        (b"sku,count\n" + b"x," * MANY, "Line 2 is longer"),
        # A quotation mark without an end, and cells of two lines each.
        (b'sku,count\n"' + b"A,1\n" * MANY, "Line 2501 is longer"),
        (b"sku,count\n" + b'"x\n",' * MANY, "Line 2002 is longer"),
        (b"sku,count\nA," + b"9" * 20_000, "Line 2 is longer"),
    ],
    ids=["header", "late header", "columns", "cells", "quotation", "quoted lines", "cell"],
)
def test_t08_what_has_no_end_is_refused_before_anything_is_made_of_it(content, said):
    tracemalloc.start()
    try:
        with pytest.raises(SheetUnreadable, match=said):
            list(count_csv.read(content, now=NOON).lines)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    # Of the file there is a copy of at most one piece.
    assert most < 1_000_000


def test_t08_a_good_file_is_never_in_memory_as_a_whole():
    content = b"sku,count,reason\n" + b"SHIRT-NAVY-M,12,shelf four in the back\n" * 10_000
    tracemalloc.start()
    try:
        lines = sum(1 for _ in count_csv.read(content, now=NOON).lines)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert (lines, most < 1_000_000) == (10_000, True)


@pytest.mark.parametrize("rows", [b"\n", b",\n", b" ,\t\n"])
def test_t08_rows_of_nothing_come_to_an_end(rows, monkeypatch):
    monkeypatch.setattr(count_csv, "ROWS_MAX", 20)
    header = b"sku,count\n"

    [line] = count_csv.read(header + rows * 18 + b"A,1\n", now=NOON).lines
    assert (line.number, line.sku) == (20, "A")
    for content in (rows * 21, header + rows * 20):
        with pytest.raises(SheetUnreadable, match="more than 200,000 lines"):
            list(count_csv.read(content, now=NOON).lines)


@pytest.mark.parametrize("content", [b'""\n', b",,\n , \n", b"\xef\xbb\xbf", b"\t\n\n"])
def test_a_file_of_nothing_is_empty(content):
    with pytest.raises(SheetUnreadable, match="The file is empty"):
        count_csv.read(content, now=NOON)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("A,,2026-05-04 10:00", "missing"),
        (",5", "no sku"),
        ("A,5x", '"5x" is no whole number'),
        ("A,1.5", "no whole number"),
        ('A,"1,000"', "no whole number"),
        ("A,-1", "below zero"),
        ("A,٣", "no whole number"),
        ("A,2147483648", "more than a product can hold"),
        (f"A,{'9' * 5000}", "more than a product can hold"),
        ("A,5,,9", "more cells than columns"),
        ("A,5,2026-05-04", "no date with a time"),
        ("A,5,yesterday", "no date with a time"),
        ("A,5,2026-02-30 10:00", "no date with a time"),
        ("A,5,05/04/2026 10:00", "no date with a time"),
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

    wrong, right = count_csv.read(content.encode(), now=NOON).lines

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
        ("04.05.2026 10:30:15", datetime(2026, 5, 4, 8, 30, 15, tzinfo=UTC)),
    ],
)
def test_moments_are_of_the_stores_time_zone_unless_they_name_one(written, moment):
    store.change(time_zone="Europe/Berlin", actor=MERCHANT)

    content = f"sku,count,counted_at\nA,5,{written}\n"
    [line] = count_csv.read(content.encode(), now=NOON).lines

    assert line.counted_at == moment


@pytest.mark.parametrize(
    ("written", "why"), [("2026-03-29 02:30", "There was no"), ("2025-10-26 02:30", "there twice")]
)
def test_t07_a_line_of_a_time_that_was_not_there_once_is_wrong(written, why):
    store.change(time_zone="Europe/Berlin", actor=MERCHANT)

    [line] = count_csv.read(f"sku,count,counted_at\nA,5,{written}\n".encode(), now=NOON).lines

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
    [line] = count_csv.read(content.encode(), now=NOON).lines

    assert (line.error, bool(line.mark)) == ("", marked)


def test_lines_that_say_nothing_of_their_product_are_left_out():
    content = "sku,name,count\nA,Shirt,\nB,Mug,3\nC,Cap\n\n,,\n"

    sheet = count_csv.read(content.encode(), now=NOON)

    assert [line.sku for line in sheet.lines] == ["B"]
    assert sheet.left_out == 2
