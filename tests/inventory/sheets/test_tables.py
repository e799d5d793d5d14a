"""Files as tables, however they were written; and what is too much of them."""

import tracemalloc

import pytest
from procrastinate.contrib.django.models import ProcrastinateJob

from inventory.errors import SheetUnreadable
from inventory.models import Sheet
from inventory.services.sheets import processing, tables
from inventory.services.sheets.tables import Row
from tests.factories import MERCHANT
from tests.inventory.sheets.test_workbooks import workbook

KNOWN = {"sku", "count", "reason"}


def read(content: bytes) -> list[Row]:
    return list(tables.read(content, KNOWN).rows)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b"sku,count\n", "no line below the names"),
        (b"sku,count\n , \n", "no line below the names"),
        (b'sku,count\n"A,1\n', "Line 2 cannot be read"),
        (b"PK\x03\x04\x00\x00xl/workbook", "cannot be read. Open it in a spreadsheet"),
        (b"sku,count\nA,\x00\x01\xff\xfe\xfd", "no CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), r"old Excel file \(.xls\)"),
        (b"%PDF-1.7", "is a PDF"),
        (b'<?xml version="1.0"?>\n<Workbook/>', "is an XML file"),
        (b"\x89PNG\r\n", "is a picture"),
        (b"  <!DOCTYPE html><table>", "is a web page"),
    ],
)
@pytest.mark.django_db
def test_f39_what_is_no_such_file_is_refused_whole(content, said):
    with pytest.raises(SheetUnreadable, match=said):
        processing.upload("x.csv", content, actor=MERCHANT)

    assert not Sheet.objects.exists()
    assert not ProcrastinateJob.objects.exists()


def test_a_file_too_large_is_refused_with_its_size(monkeypatch):
    monkeypatch.setattr(tables, "BYTES_MAX", 3_000_000)
    monkeypatch.setattr(tables, "LINES_MAX", 2)

    with pytest.raises(SheetUnreadable, match=r"4 MB.*at most 3 MB"):
        read(b"x" * 4_000_000)
    with pytest.raises(SheetUnreadable, match="more than 2 lines"):
        read(b"sku,count\nA,1\nB,1\nC,1\n")


MANY = 200_000


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"sku," * MANY, "Line 1 is longer than 50,000 letters"),
        (b"\n\n" + b"x;" * MANY, "Line 3 is longer"),
        (b"x," * 4_000 + b"\nA,1\n", "Line 1 names 4,000 columns: at most 50 are read"),
        (b"sku,count\n" + b"x," * MANY, "Line 2 is longer"),
        # A quotation mark without an end, and cells of two lines each.
        (b'sku,count\n"' + b"A,1\n" * MANY, "Line 12501 is longer"),
        (b"sku,count\n" + b'"x\n",' * MANY, "Line 10002 is longer"),
        (b"sku,count\nA," + b"9" * 60_000, "Line 2 is longer"),
    ],
    ids=["header", "late header", "columns", "cells", "quotation", "quoted lines", "cell"],
)
def test_t08_what_has_no_end_is_refused_before_anything_is_made_of_it(content, said):
    tracemalloc.start()
    try:
        with pytest.raises(SheetUnreadable, match=said):
            read(content)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    # Of the file there is a copy of at most one piece.
    assert most < 1_000_000


def test_t08_a_good_file_is_never_in_memory_as_a_whole():
    content = b"sku,count,reason\n" + b"SHIRT-NAVY-M,12,shelf four in the back\n" * 10_000
    tracemalloc.start()
    try:
        lines = sum(1 for _ in tables.read(content, KNOWN).rows)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert (lines, most < 1_000_000) == (10_000, True)


@pytest.mark.parametrize(
    ("limit", "most", "content", "said"),
    [
        ("BYTES_MAX", 16, b"sku,count\nA,12345", "Split it"),
        ("ROW_LENGTH_MAX", 12, b"sku,count\nA,1234567890\n", "Line 2 is longer than"),
        ("LENGTH_MAX", 6, b"sku,count\nA,1\nB,23\nC,4", "too much text"),
        ("LINES_MAX", 2, b"sku,count\nA,1\n\nB,1\nC,1\n", "more than 2 lines"),
        ("COLUMNS_MAX", 3, b"sku,count,x,y\nA,1\n", "Line 1 names more columns"),
        ("ROWS_MAX", 3, b"sku,count\nA,1\nB,2\n\n", "more than 200,000 lines"),
    ],
)
def test_t08_as_much_as_may_be_is_read_and_one_more_is_not(limit, most, content, said, monkeypatch):
    monkeypatch.setattr(tables, limit, most)

    with pytest.raises(SheetUnreadable, match=said):
        read(content)
    monkeypatch.setattr(tables, limit, most + 1)
    read(content)


@pytest.mark.parametrize("titles", [9, 10])
def test_names_are_looked_for_in_the_first_few_rows_that_say_something(titles):
    content = b"\n" * 9 + b"Our stock;of today\n" * titles + b"sku;count\nA;1\n"

    table = tables.read(content, KNOWN)

    assert table.header == (["sku", "count"] if titles == 9 else ["Our stock", "of today"])
    # All that stands below is read, also what was looked at.
    assert [cells for _, cells in table.rows][-1] == ["A", "1"]


@pytest.mark.parametrize("names", [b"sep=;", b"SEP=;"])
def test_where_a_line_names_the_delimiter_nothing_is_guessed(names):
    table = tables.read(names + b"\r\nArticle;a, b, c\r\nA;1, 2, 3\r\n", KNOWN)

    assert (table.delimiter, table.header) == (";", ["Article", "a, b, c"])


def test_a_line_that_names_the_delimiter_is_a_line():
    table = tables.read(b"sep=|\r\nsku|count\r\nA;B|1\r\n", KNOWN)

    assert (table.delimiter, table.header) == ("|", ["sku", "count"])
    assert list(table.rows) == [(3, ["A;B", "1"])]


@pytest.mark.parametrize(
    "content",
    [
        b"sku;name, in full, in capitals, of it;count\nA;;1\n",
        b"Stock, of today, of shelf, four\nsku;;count\nA;;1\n",
    ],
)
def test_what_splits_a_row_into_known_names_is_the_delimiter(content):
    assert [cells for _, cells in tables.read(content, KNOWN).rows] == [["A", "", "1"]]


def test_the_lines_of_a_file_are_numbered_by_where_they_begin():
    content = b'title\n\nsku,count,reason\nA,1,"two\nlines"\n , \nB,2,\n'

    assert read(content) == [(4, ["A", "1", "two\nlines"]), (7, ["B", "2"])]


def test_a_sign_that_the_database_does_not_know_is_left_out():
    assert read(workbook(["sku", "count"], ["A_x0000_B", 1])) == [(2, ["AB", "1"])]


@pytest.mark.parametrize("rows", [b"\n", b",\n", b" ,\t\n"])
def test_t08_rows_of_nothing_come_to_an_end(rows, monkeypatch):
    monkeypatch.setattr(tables, "ROWS_MAX", 20)
    header = b"sku,count\n"

    assert read(header + rows * 18 + b"A,1\n") == [(20, ["A", "1"])]
    for content in (rows * 21, header + rows * 20):
        with pytest.raises(SheetUnreadable, match="more than 200,000 lines"):
            read(content)


@pytest.mark.parametrize("content", [b'""\n', b",,\n , \n", b"\xef\xbb\xbf", b"\t\n\n"])
def test_a_file_of_nothing_is_empty(content):
    with pytest.raises(SheetUnreadable, match="The file is empty"):
        read(content)


@pytest.mark.parametrize(
    "content",
    [
        b"sku,count\n007,12\n",
        b"sku|count\n007|12\n",
        b"sep=;\r\nsku;count\r\n007;12\r\n",
        b"sku;count;;\r\n007;12;;\r\n",
        "sku,count\n007,12".encode("utf-16-le"),
        "sku\tcount\r\n007\t12".encode("utf-16-be"),
        "\ufeffsku\tcount\r\n007\t12".encode("utf-16"),
        "\ufeffsku\tcount\r\n007\t12".encode("utf-16-be"),
        b"Stock on 1 May, shelf 4\n\nsku,count\n007,12\n",
    ],
)
def test_t06_files_of_all_sorts_have_the_same_header_and_rows(content):
    table = tables.read(content, KNOWN)

    assert table.header == ["sku", "count"]
    assert [cells for _, cells in table.rows] == [["007", "12"]]


def test_a_first_row_without_a_known_name_is_the_header_and_split_by_what_splits_it_most():
    table = tables.read(b"Artikel;Lager, in Stk;Ort\n007;12;B4\n", KNOWN)

    assert (table.delimiter, table.header) == (";", ["Artikel", "Lager, in Stk", "Ort"])


@pytest.mark.parametrize(
    "content",
    [
        b"Price list\r\n\r\nArt;VK\r\nA;12,50\r\n",
        b"Price list;;\r\n26 November;;\r\nArt;VK;\r\nA;12,50;\r\n",
        workbook(["Price list"], [], ["Art", "VK"], ["A", "12,50"]),
    ],
    ids=["alone", "wide", "workbook"],
)
def test_a_title_is_no_header_where_no_name_is_known_either(content):
    table = tables.read(content, KNOWN)

    assert table.header == ["Art", "VK"]
    assert [cells for _, cells in table.rows] == [["A", "12,50"]]


def test_where_no_row_has_several_cells_the_first_is_the_header():
    table = tables.read(b"Article\nA\nB\n", KNOWN)

    assert (table.header, list(table.rows)) == (["Article"], [(2, ["A"]), (3, ["B"])])


def test_what_only_begins_like_a_workbook_is_text():
    assert tables.read(b"PK,count\nA,1\n", KNOWN).header == ["PK", "count"]


def test_of_cells_beyond_the_columns_few_are_kept_and_one_that_says_something():
    content = b"sku,count\nA,1" + b"," * 200 + b"far\n"

    [(_, cells)] = read(content)

    assert cells == ["A", "1", "", "", "", "", "far"]
