"""What is read from a file of counts, in whatever way it was written."""

from datetime import UTC, datetime

import pytest
from procrastinate.contrib.django.models import ProcrastinateJob

from api import store
from inventory.errors import CountFileUnreadable
from inventory.models import CountFile
from inventory.services import count_csv, counts
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

    lines = count_csv.read(content, now=NOON).lines

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
    with pytest.raises(CountFileUnreadable, match=said):
        counts.upload("x.csv", content, actor=MERCHANT)

    assert not CountFile.objects.exists()
    assert not ProcrastinateJob.objects.exists()


def test_a_file_too_large_is_refused_with_its_size(monkeypatch):
    monkeypatch.setattr(count_csv, "BYTES_MAX", 3_000_000)
    monkeypatch.setattr(count_csv, "LINES_MAX", 2)

    with pytest.raises(CountFileUnreadable, match=r"4 MB.*at most 3 MB"):
        count_csv.read(b"x" * 4_000_000, now=NOON)
    with pytest.raises(CountFileUnreadable, match="more than 2 lines"):
        count_csv.read(b"sku,count\nA,1\nB,1\nC,1\n", now=NOON)


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
    store.change(time_zone="Europe/Berlin")

    content = f"sku,count,counted_at\nA,5,{written}\n"
    [line] = count_csv.read(content.encode(), now=NOON).lines

    assert line.counted_at == moment


def test_lines_that_say_nothing_of_their_product_are_left_out():
    content = "sku,name,count\nA,Shirt,\nB,Mug,3\nC,Cap\n\n,,\n"

    sheet = count_csv.read(content.encode(), now=NOON)

    assert [line.sku for line in sheet.lines] == ["B"]
    assert sheet.left_out == 2
