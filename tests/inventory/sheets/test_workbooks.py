"""Workbooks of Excel: what their cells say, and what is refused before it can do harm."""

import io
import resource
import time
import zipfile
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from typing import Any

import pytest
from openpyxl import Workbook, load_workbook

from inventory.errors import SheetUnreadable
from inventory.services.sheets import tables, workbooks

SHEET = "xl/worksheets/sheet1.xml"
STRINGS = "xl/sharedStrings.xml"
# Workbooks know no zones.
HALF_PAST_FIVE = datetime(2026, 5, 4, 17, 30)  # noqa: DTZ001
NS = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


def saved(book: Workbook) -> bytes:
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def workbook(*rows: list[Any]) -> bytes:
    book = Workbook()
    for row in rows:
        book.active.append(row)
    return saved(book)


def changed(content: bytes, parts: dict[str, bytes]) -> bytes:
    """Exchange parts of a workbook."""
    changed = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as old,
        zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in {*old.namelist(), *parts}:
            new.writestr(name, parts[name] if name in parts else old.read(name))
    return changed.getvalue()


def read(content: bytes) -> list[list[str]]:
    table = tables.read(content, {"sku", "count"})
    return [table.header, *(cells for _, cells in table.rows)]


def test_cells_become_text_in_one_way():
    book = Workbook()
    sheet = book.active
    values = [
        *("0012", 12, 12.0, 12.5, 0.1 + 0.2, 12345678901234, 1.234, -3, True, None),
        *(date(2026, 5, 4), HALF_PAST_FIVE, HALF_PAST_FIVE - timedelta(microseconds=300)),
        *(time_of_day(9, 5), "#N/A", "=1+1", "a\nb"),
    ]
    sheet.append([f"c{place}" for place in range(len(values) + 1)])
    sheet.append([*values, 42])
    # As people make zeros stay.
    sheet.cell(2, len(values) + 1).number_format = "0000"

    [_, cells] = read(saved(book))

    assert cells == [
        *("0012", "12", "12", "12.5", "0.3", "12345678901234", "1.2340", "-3", "TRUE", ""),
        *("2026-05-04", "2026-05-04 17:30:00", "2026-05-04 17:30:00"),
        *("09:05:00", "#N/A", "", "a\nb", "0042"),
    ]


def test_rows_have_the_numbers_that_the_spreadsheet_shows():
    book = Workbook()
    book.active["B2"] = "Stock on 1 May"
    book.active["A4"], book.active["B4"] = "SKU ", "Count"
    book.active["A9"], book.active["B9"] = "007", 12

    table = tables.read(saved(book), {"sku", "count"})

    assert (table.header, list(table.rows)) == (["SKU", "Count"], [(9, ["007", "12"])])


def test_the_first_visible_sheet_with_rows_is_read_and_the_others_are_named():
    book = Workbook()
    book.active.title = "Cover"
    hidden = book.create_sheet("Lists")
    hidden.append(["x"])
    hidden.sheet_state = "hidden"
    book.create_sheet("Stock").append(["sku", "count"])
    book["Stock"].append(["A", 1])
    book.create_sheet("Prices").append(["sku", "price"])

    table = tables.read(saved(book), {"sku", "count"})

    assert list(table.rows) == [(2, ["A", "1"])]
    assert table.note == "The sheet Stock was read, and not Cover, Prices."


def test_a_cover_with_words_on_it_is_passed_over():
    book = Workbook()
    book.active.append(["Our catalogue", 2026])
    book.create_sheet("Stock").append(["sku", "count"])
    book["Stock"].append(["A", 1])

    assert read(saved(book)) == [["sku", "count"], ["A", "1"]]


def test_signs_that_a_workbook_spells_out_are_read():
    assert read(workbook(["sku", "count"], ["A_x000D_\nB_x005F_x0041_", 1]))[1][0] == (
        "A\r\nB_x0041_"
    )


def test_t08_sheets_of_nothing_are_not_looked_through_to_their_last_row():
    book = Workbook()
    for _ in range(40):
        # A cell with a look, and nothing in it.
        book.create_sheet().cell(1_048_576, 1).number_format = "0.00"
    content = saved(book)
    began = time.process_time()

    with pytest.raises(SheetUnreadable, match="empty"):
        read(content)

    assert time.process_time() - began < 3


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"xl/workbook.bin": b""}, "binary Excel"),
        ({"mimetype": b"application/vnd.oasis.opendocument.spreadsheet"}, "OpenDocument"),
        ({"Index/Document.iwa": b""}, "Numbers"),
        ({"word/document.xml": b""}, "Word"),
        ({"readme.txt": b""}, r"no \.xlsx file"),
        ({"[Content_Types].xml": b"<x/>"}, "cannot be read"),
        ({}, r"no \.xlsx file"),
    ],
)
def test_other_zips_are_named_with_what_to_do(parts, said):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part)

    with pytest.raises(SheetUnreadable, match=said):
        read(content.getvalue())


def rows_of(xml: bytes) -> bytes:
    return f"<worksheet {NS}><sheetData>".encode() + xml + b"</sheetData></worksheet>"


def laughing(where: str) -> bytes:
    entities = "".join(f'<!ENTITY a{level + 1} "{f"&a{level};" * 10}">' for level in range(1, 9))
    declared = f'<!DOCTYPE x [<!ENTITY a1 "{"ha" * 50}">{entities}]>'
    text = "<row><c t='inlineStr'><is><t>&a9;</t></is></c></row>"
    return changed(
        workbook(["sku"]),
        {where: declared.encode() + (rows_of(text.encode()) if where == SHEET else b"<sst/>")},
    )


def external() -> bytes:
    declared = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>'
    row = "<row><c t='inlineStr'><is><t>&a;</t></is></c></row>"
    return changed(workbook(["sku"]), {SHEET: declared.encode() + rows_of(row.encode())})


HARM = {
    "laughing sheet": lambda: laughing(SHEET),
    "laughing types": lambda: laughing("[Content_Types].xml"),
    "external entity": external,
    "many times what was sent": lambda: changed(
        workbook(["sku"]), {SHEET: rows_of(b"<row/>" * 5_000_000)}
    ),
    "one long row": lambda: changed(
        workbook(["sku"]), {SHEET: rows_of(b"<row>" + _random_cells(900_000) + b"</row>")}
    ),
    "one long text": lambda: changed(
        workbook(["sku"]), {SHEET: rows_of(b"<row><c><v>" + _random_cells(900_000)[1::3])}
    ),
    "far cell": lambda: changed(
        workbook(["sku"]),
        {SHEET: rows_of(b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>')},
    ),
    "number of many digits": lambda: changed(
        workbook(["sku"]), {SHEET: rows_of(b"<row><c><v>" + b"9" * 9_000 + b"</v></c></row>")}
    ),
    "cell beyond all": lambda: changed(
        workbook(["sku"]), {SHEET: rows_of(b'<row r="1"><c r="ZZZZ99999999999"/></row>')}
    ),
    "no such text": lambda: changed(
        workbook(["sku"]), {SHEET: rows_of(b'<row><c t="s"><v>77</v></c></row>')}
    ),
    "broken off": lambda: workbook(["sku", "count"], ["A", 1])[:-200],
}


def _random_cells(cells: int) -> bytes:
    """So that they do not unfold to many times their size."""
    return b"".join(b'<c s="%d"/>' % (cell * 7919 % 1_000_003) for cell in range(cells))


@pytest.mark.parametrize("harm", HARM)
def test_t08_a_workbook_that_does_harm_is_refused_soon_and_in_little_memory(harm):
    content = HARM[harm]()
    began, most = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(SheetUnreadable):
        read(content)

    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most
    assert time.process_time() - began < 5
    # In kilobytes.
    assert grown < 200_000


def test_t08_what_hides_how_far_it_is_between_rows_is_refused_before_it_is_opened():
    content = changed(workbook(["sku"]), {SHEET: rows_of(b"<!--<row>-->" + _random_cells(80_000))})

    with pytest.raises(SheetUnreadable, match="cannot be read"):
        read(content)


def test_t08_many_columns_and_long_cells_are_refused_by_their_row():
    wide = workbook([f"c{place}" for place in range(80)], ["x"])
    long = workbook(["sku", "count"], ["A", "x" * 32_000, "y" * 32_000])

    with pytest.raises(SheetUnreadable, match="Line 1 names more columns: at most 50"):
        read(wide)
    with pytest.raises(SheetUnreadable, match="Line 2 is longer than 50,000 letters"):
        read(long)


def test_t08_one_text_shown_in_every_row_counts_each_time(monkeypatch):
    monkeypatch.setattr(tables, "LENGTH_MAX", 10_000)

    with pytest.raises(SheetUnreadable, match="too much text"):
        read(workbook(["sku", "count"], *[["x" * 1_000, 1]] * 11))


def test_a_workbook_as_large_as_people_send_is_looked_through_quickly():
    """What is looked for before it is opened costs little beside opening it."""
    content = workbook(["sku", "count"], *[[f"SHIRT-{line}", line] for line in range(15_000)])
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.getinfo(SHEET).file_size > workbooks.PART_MAX
    began = time.process_time()
    workbooks._require_bounded(content)
    looked = time.process_time() - began
    began = time.process_time()
    rows = load_workbook(io.BytesIO(content), read_only=True).active.rows
    assert sum(1 for _ in rows) == 15_001

    assert looked < (time.process_time() - began) / 5
