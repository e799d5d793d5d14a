"""What the columns of a file are taken for, what is asked about them, and what is remembered."""

from typing import Any

import pytest
from django.db import connection

from inventory.errors import ColumnsUnclear, SheetForbidden, SheetNotReady, SheetUnreadable
from inventory.models import Sheet, SheetContent, SheetLayout
from inventory.services.sheets import columns, processing, reading, workbooks
from inventory.services.sheets.kinds import normalised
from inventory.services.sheets.registry import KINDS
from tests.factories import MERCHANT, product
from tests.inventory.sheets.test_workbooks import workbook

pytestmark = pytest.mark.django_db


def uploaded(content: str) -> Sheet:
    sheet, _ = processing.upload("shelf.csv", content.encode(), actor=MERCHANT)
    return sheet


def chosen(sheet: Sheet, *names: str, **meant: bool | None) -> Sheet:
    answers: dict[str, Any] = {"day_first": None, "decimal_comma": None, **meant}
    processing.choose_columns(sheet.pk, names, actor=MERCHANT, **answers)
    sheet.refresh_from_db()
    return sheet


@pytest.mark.parametrize(
    ("header", "kind", "found", "is_sure"),
    [
        ("SKU , Counted at,COUNT", "counts", ["sku", "counted_at", "count"], True),
        ("sku;change;reason", "changes", ["sku", "change", "reason"], True),
        ("sku,name,total,count", "counts", ["sku", "", "", "count"], True),
        ("sku,,count", "counts", ["sku", "", "count"], True),
        ("sku,count,why refused", "counts", ["sku", "count", ""], True),
        # What other programs call them is proposed.
        ("Artikelnummer;Menge", "counts", ["sku", "count"], False),
        ("SKU,On hand", "counts", ["sku", "count"], False),
        ("EAN,Adjustment", "changes", ["barcode", "change"], False),
        # What nobody knows, or what there is twice, is not read unasked.
        ("sku,cuont", None, ["sku", ""], False),
        ("sku,count,Count", "counts", ["sku", "count", ""], False),
        ("sku,count,change", "counts", ["sku", "count", ""], False),
        ("count,reason", "counts", ["count", "reason"], False),
        ("A,1", None, ["", ""], False),
    ],
)
def test_t06_headers_are_known_by_their_names(header, kind, found, is_sure):
    delimiter = ";" if ";" in header else ","

    guess = columns.guess(header.split(delimiter), KINDS)

    assert (guess.columns, guess.is_sure) == (found, is_sure)
    assert kind in {guess.kind, None}


@pytest.mark.parametrize(
    ("cells", "asked", "answer"),
    [
        (["1.234"], True, None),
        (["1,234"], True, None),
        (["12.000", "12.5"], True, False),
        (["1.234", "12,5"], True, True),
        (["1.234", "0,125"], True, True),
        (["1,234", "1.234.567"], True, True),
        (["1.234", "1,00,000.00"], True, False),
        (["1.234", "12.5", "12,5"], True, None),
        (["12,50", "7"], False, None),
        (["-1.234"], True, None),
    ],
)
def test_t06_numbers_are_asked_about_where_the_other_lines_do_not_tell(cells, asked, answer):
    sheet = uploaded("sku;change\n" + "".join(f"A;{cell}\n" for cell in cells))

    doubt = columns.doubts(sheet, sheet.columns, KINDS).decimal_comma

    assert (bool(doubt.cells), doubt.answer) == (asked, answer)
    assert sheet.state == ("mapping" if asked and answer is None else "checking")


@pytest.mark.parametrize(
    ("dates", "answer", "state"),
    [
        (["03/04/2026", "13/04/2026"], True, "checking"),
        (["03/04/2026", "4/13/2026"], False, "checking"),
        (["3-4-2026"], None, "mapping"),
        (["03.04.2026", "2026-04-03"], None, "checking"),
    ],
)
def test_t06_dates_are_asked_about_where_the_other_lines_do_not_tell(dates, answer, state):
    lines = "".join(f"A,1,{date} 10:00\n" for date in dates)

    sheet = uploaded(f"sku,count,counted_at\n{lines}")

    assert (sheet.day_first, sheet.state) == (answer, state)


def test_what_was_said_of_a_file_is_remembered_for_its_like_and_for_its_refused_lines():
    chosen(uploaded("Nr;Da\nA;1.234\n"), "sku", "count", decimal_comma=True)

    again = uploaded("NR;da\nB;5.678\n")
    refused = uploaded("Nr,Da,counted_at,why refused\nC,9.012,2026-05-04 10:00,wrong\n")

    assert (again.state, again.columns, again.decimal_comma) == ("checking", ["sku", "count"], True)
    assert (refused.state, refused.columns) == ("checking", ["sku", "count", "counted_at", ""])
    assert refused.decimal_comma


@pytest.mark.parametrize(
    ("rows", "said", "meant"),
    [
        # What nobody has said, the other cells say.
        (["A;1.234;3/4/2026 10:00", "B;12,5;13/4/2026 10:00"], None, True),
        (["A;1.234;3/4/2026 10:00", "B;12.5;4/13/2026 10:00"], None, False),
        # Whoever has seen them knows better.
        (["A;1.234;3/4/2026 10:00", "B;12,5;13/4/2026 10:00"], False, False),
        (["A;1.234;3/4/2026 10:00"], True, True),
        # Where it makes no difference, nothing is said.
        (["A;1;2026-04-03 10:00"], True, None),
    ],
)
def test_numbers_and_dates_are_meant_as_somebody_or_other_cells_say(rows, said, meant):
    sheet = uploaded("\n".join(["x;y;z", *rows]))

    chosen(sheet, "sku", "count", "counted_at", day_first=said, decimal_comma=said)

    assert (sheet.day_first, sheet.decimal_comma) == (meant, meant)
    assert sheet.state == "checking"
    with pytest.raises(SheetNotReady):
        chosen(sheet, "sku", "count", "counted_at", day_first=said, decimal_comma=said)


def test_other_lines_tell_more_than_what_was_said_of_an_earlier_file():
    chosen(uploaded("Nr;Da\nA;1.234\n"), "sku", "count", decimal_comma=True)

    sheet = uploaded("Nr;Da\nB;5.678\nC;1.5\n")

    assert (sheet.state, sheet.decimal_comma) == ("checking", False)


def test_only_so_many_files_are_remembered(monkeypatch):
    monkeypatch.setattr(columns, "LAYOUTS_MAX", 2)
    for name in "abc":
        chosen(uploaded(f"Nr;{name}\nA;1\n"), "sku", "count")

    assert SheetLayout.objects.count() == 2
    assert uploaded("Nr;c\nB;1\n").state == "checking"
    assert uploaded("Nr;a\nB;1\n").state == "mapping"


def test_a_row_of_names_is_told_by_own_names_others_and_those_of_what_is_not_read():
    known = columns.names_known(KINDS)

    assert {"sku", "counted_at", "on_hand", "artikelnummer", "available", "total"} <= known
    assert known.isdisjoint({"", "cuont"})


def test_what_was_said_last_of_a_file_is_remembered():
    chosen(uploaded("Nr;Da\nA;1\n"), "sku", "change")
    again = uploaded("Nr;Da\nA;2\n")
    processing.hurry(again.pk)
    processing.change_columns(again.pk, actor=MERCHANT)
    chosen(again, "sku", "count")

    third = uploaded("Nr;Da\nA;3\n")

    assert (third.kind, third.columns, third.state) == ("counts", ["sku", "count"], "checking")
    assert SheetLayout.objects.count() == 1


def test_columns_that_are_no_longer_there_are_asked_about_anew():
    chosen(uploaded("Nr;Da\nA;1\n"), "sku", "count")
    SheetLayout.objects.update(columns=["sku", "price_xyz"])

    assert uploaded("Nr;Da\nA;2\n").state == "mapping"


def test_a_column_is_shown_by_what_its_first_rows_say():
    rows = ["A;;", "B; 1 ;x", f"C;2;{'y' * 61}", "D;3;z", "E;4;z"]
    sheet = uploaded("Nr;Da;Wo;\n" + "\n".join(rows))
    uploaded("Nr;Da;Wo\nOTHER;5;5\n")

    assert columns.samples(sheet) == [["A", "B", "C"], ["1", "2", "3"], ["x", "y" * 60, "z"]]


def test_only_what_could_be_read_in_two_ways_is_asked_about_and_by_some_of_its_cells():
    cells = ["1.234", " 2.345 ", "3.456", "4.567", "12"]
    sheet = uploaded("sku;count;reason\n" + "".join(f"A;{cell};5.678\n" for cell in cells))
    uploaded("sku;count\nB;9.876\n")

    doubts = columns.doubts(sheet, sheet.columns, KINDS)

    assert (len(doubts.decimal_comma.cells), doubts.day_first.cells) == (3, [])
    assert {*doubts.decimal_comma.cells} < {"1.234", "2.345", "3.456", "4.567"}
    with pytest.raises(ColumnsUnclear, match="Say how this is meant: "):
        chosen(sheet, "sku", "count", "reason")
    # Where nothing is read of it, nothing is asked.
    assert chosen(sheet, "sku", "", "change", decimal_comma=False).decimal_comma is False


def test_rows_become_lines_of_the_kind_that_their_columns_say():
    other = uploaded("x;y\nB;2\n")
    sheet = uploaded("a;b\nA;1\n")
    model = sheet.rows.model

    chosen(sheet, "sku", "name")

    assert (sheet.kind, sheet.rows.model is model) == ("products", False)
    assert [(line.number, line.cells) for line in sheet.rows] == [(2, ["A", "1"])]
    assert [line.sheet_id for line in model._default_manager.all()] == [other.pk]


@pytest.mark.parametrize(("size", "is_small"), [(200_000, True), (200_001, False)])
def test_a_small_file_is_read_while_somebody_waits(size, is_small, monkeypatch):
    assert reading.is_small(b"x" * size) is is_small
    content = workbook(["sku", "count"], ["A", 1])
    unfolded = workbooks.unfolded_size(content)
    monkeypatch.setattr(reading, "SMALL_UNFOLDED", unfolded - (not is_small))
    assert reading.is_small(content) is is_small


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Counted at", "counted_at"),
        (" SKU ", "sku"),
        ("Qty (on-hand)", "qty_on_hand"),
        ("EAN / UPC: [code].", "ean_upc_code"),
        ('\ufeff"sku"', "sku"),
        ("price_usd", "price_usd"),
        ("__", ""),
    ],
)
def test_a_columns_name_is_known_however_it_is_written(written, name):
    assert normalised(written) == name


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["sku", "sku"], "Only one column can be: SKU"),
        (["sku", ""], "Say which column is: "),
        (["", "count"], "Say which column is: SKU or Barcode"),
        (["count", "change"], "Say which column is"),
        (["sku", "price_xyz"], "no such column any more: price_xyz"),
        (["sku"], "Say of each column"),
    ],
)
def test_columns_that_do_not_do_change_nothing(names, said):
    sheet = uploaded("x,y\nA,1\n")

    with pytest.raises(ColumnsUnclear, match=said):
        chosen(sheet, *names)

    sheet.refresh_from_db()
    assert sheet.state == "mapping"
    assert not SheetLayout.objects.exists()


def test_counts_and_changes_do_not_go_together():
    with pytest.raises(ColumnsUnclear, match="does not say this too: Counted at"):
        chosen(uploaded("x,y,z\nA,1,2\n"), "sku", "change", "counted_at")


def test_a_file_of_a_kind_that_somebody_may_not_apply_is_refused():
    with pytest.raises(SheetForbidden, match="a file of counts"):
        processing.upload("a.csv", b"sku,count\nA,1\n", actor=MERCHANT, may=[Sheet.Kind.CHANGES])

    assert not Sheet.objects.exists()
    sheet = uploaded("x,y\nA,1\n")
    with pytest.raises(SheetForbidden):
        processing.choose_columns(
            *(sheet.pk, ["sku", "count"]),
            day_first=None,
            decimal_comma=None,
            actor=MERCHANT,
            may=[Sheet.Kind.CHANGES],
        )


def test_columns_of_an_applied_file_are_not_changed_any_more():
    product(10, sku="A")
    sheet = uploaded("sku,count\nA,8\n")
    processing.hurry(sheet.pk)
    processing.apply(sheet.pk, actor=MERCHANT)

    with pytest.raises(SheetNotReady):
        processing.change_columns(sheet.pk, actor=MERCHANT)


def test_reading_that_was_broken_off_begins_again(monkeypatch):
    monkeypatch.setattr(reading, "SMALL", 0)
    monkeypatch.setattr(reading, "BATCH_TO_COPY", 2)
    product(10, sku="A")
    sheet = uploaded("sku,change\n" + "A,1\n" * 5)
    copy, copied = reading._copy_batch, []

    def dies(sheet: Sheet, rows: Any) -> None:
        copied.append(rows)
        if len(copied) == 2:
            raise KeyboardInterrupt
        copy(sheet, rows)

    with monkeypatch.context() as dying:
        dying.setattr(reading, "_copy_batch", dies)
        with pytest.raises(KeyboardInterrupt):
            processing.work_on(sheet.pk)
    assert (Sheet.objects.get().state, sheet.lines.count()) == ("reading", 0)

    processing.work_on(sheet.pk)

    sheet.refresh_from_db()
    assert (sheet.state, sheet.lines_total, sheet.changed) == ("checked", 5, 5)
    assert not SheetContent.objects.exists()


def test_of_several_large_files_each_is_read_and_no_other_is_lost(monkeypatch):
    monkeypatch.setattr(reading, "SMALL", 0)
    monkeypatch.setattr(reading, "BATCH_TO_COPY", 2)
    product(10, sku="A")
    one, other = uploaded("sku,change\nA,1\nA,2\nA,3\n"), uploaded("sku,change\nA,4\n")

    processing.work_on(one.pk)
    assert [content.sheet_id for content in SheetContent.objects.all()] == [other.pk]
    processing.work_on(other.pk)

    for sheet, units in ((one, [1, 2, 3]), (other, [4])):
        sheet.refresh_from_db()
        assert (sheet.state, sheet.lines_total) == ("checked", len(units))
        assert [line.units for line in sheet.lines.order_by("number")] == units


def test_a_workbook_may_take_long_to_its_first_row(monkeypatch):
    monkeypatch.setattr(reading, "SMALL", 0)
    sheet = uploaded("sku,change\nA,1\n")
    shown = []
    read = reading.read

    def looked_at(*args: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SHOW idle_in_transaction_session_timeout")
            shown.append(cursor.fetchone())
        read(*args)

    monkeypatch.setattr(reading, "read", looked_at)
    processing.work_on(sheet.pk)

    assert shown == [("10min",)]


def test_a_large_file_that_is_none_at_its_beginning_is_refused_at_once(monkeypatch):
    monkeypatch.setattr(reading, "SMALL", 0)

    for content, said in ((b"%PDF-1.7 ...", "is a PDF"), (b"PK\x03\x04...", "cannot be read")):
        with pytest.raises(SheetUnreadable, match=said):
            processing.upload("shelf.csv", content, actor=MERCHANT)

    assert not Sheet.objects.exists()
