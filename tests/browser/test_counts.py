"""Counting by file, as a person does it: export, write the counts, upload, apply, take back."""

import csv
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from django.db import connection
from openpyxl import Workbook
from playwright.sync_api import Page, expect

from inventory.models import Sheet
from inventory.services.sheets import processing
from tests.browser.accessibility import obstacles, wider_than_the_screen
from tests.factories import product, stock_of

PHONE = {"width": 390, "height": 844}


@contextmanager
def worker() -> Iterator[None]:
    """Do what the job worker does, a batch at a time, while a browser looks on."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.1):
            for file in Sheet.objects.under_way():
                processing.take_a_batch(file.pk)
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def upload(page: Page, path: Path) -> None:
    page.goto("/admin/inventory/sheet/")
    page.get_by_role("link", name="here").click()
    assert obstacles(page) == []
    page.locator("input[type=file]").set_input_files(path)
    page.get_by_role("button", name="Upload and check").click()


def test_somebody_counts_a_shelf_by_file(browse, tmp_path):
    shirt = product(10, sku="0042", name="Shirt")
    mug = product(5, sku="MUG", name="Mug")
    page = browse("stock clerk")

    # The list of products is the form to fill in.
    page.goto("/admin/inventory/product/")
    with page.expect_download() as downloaded:
        page.get_by_role("link", name="Stock as CSV").click()
    rows = list(csv.DictReader(io.StringIO(downloaded.value.path().read_text("utf-8-sig"))))
    assert {row["sku"]: row["total"] for row in rows} == {"0042": "10", "MUG": "5"}
    for row in rows:
        row["count"] = "8" if row["sku"] == "0042" else ""
    filled = tmp_path / "shelf.csv"
    with filled.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(rows)

    # A short file is checked and applied while they wait.
    upload(page, filled)
    expect(page.get_by_text("Applying it makes 1 change: 0 units more, 2 fewer.")).to_be_visible()
    line = page.get_by_role("row").filter(has_text="Shirt")
    expect(line).to_contain_text("-2")
    assert obstacles(page) == []
    assert stock_of(shirt).total == 10

    page.get_by_role("button", name="Apply 1 change").click()
    expect(page.get_by_text("It made 1 change")).to_be_visible()
    assert (stock_of(shirt).total, stock_of(mug).total) == (8, 5)

    # The same file again.
    upload(page, filled)
    expect(page.get_by_text("This very file was uploaded before")).to_be_visible()
    assert stock_of(shirt).total == 8

    page.get_by_role("button", name="Revert").click()
    expect(page.get_by_text("all taken back")).to_be_visible()
    assert stock_of(shirt).total == 10
    assert obstacles(page) == []


def test_the_bar_moves_while_the_file_is_applied(browse, tmp_path, monkeypatch):
    monkeypatch.setattr(processing, "AT_ONCE", 0)
    slowly = {state: replace(work, batch=1) for state, work in processing._WORK.items()}
    monkeypatch.setattr(processing, "_WORK", slowly)
    shirt = product(100, sku="A")
    path = tmp_path / "changes.csv"
    path.write_text("sku,change\n" + "A,1\n" * 20)
    page = browse("stock clerk")

    upload(page, path)
    expect(page.get_by_text("The file is being checked")).to_be_visible()
    assert obstacles(page) == []
    # Without anybody touching the page.
    with worker():
        expect(page.get_by_role("button", name="Apply 20 changes")).to_be_visible()
    page.get_by_role("button", name="Apply 20 changes").click()
    bar = page.locator("progress")
    expect(bar).to_have_js_property("value", 0)
    # As slowly as the page looks.
    processing.take_a_batch(Sheet.objects.get().pk)
    expect(bar).to_have_js_property("value", 1)
    with worker():
        expect(page.get_by_text("It made 20 changes")).to_be_visible()
    assert stock_of(shirt).total == 120


def test_somebody_says_by_keyboard_what_the_columns_of_a_workbook_are(browse, tmp_path):
    shirt = product(1_300, sku="0042", name="Shirt")
    page = browse("stock clerk", viewport=PHONE)
    book = Workbook()
    for row in (["Nr.", "Gezählt", "Regal"], ["0042", "1.234", "B4"], ["0043", "5x", "B5"]):
        book.active.append(row)
    book.save(tmp_path / "Zählung.xlsx")

    upload(page, tmp_path / "Zählung.xlsx")
    expect(page.get_by_role("heading", name="What are the columns of")).to_be_visible()
    expect(page.get_by_role("row", name="Nr.")).to_contain_text("0042 · 0043")
    assert not wider_than_the_screen(page)
    assert obstacles(page) == []
    page.get_by_label("Nr.").focus()
    page.keyboard.type("SKU")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Gezählt")).to_be_focused()
    # What "gezählt" is, is proposed already.
    for key in ("Tab", "Tab", "Space", "Enter"):
        page.keyboard.press(key)

    expect(page.get_by_text("Applying it makes 1 change: 0 units more, 66 fewer.")).to_be_visible()
    with page.expect_download() as downloaded:
        page.get_by_role("link", name="Download it as CSV").click()
    [refused] = csv.DictReader(io.StringIO(downloaded.value.path().read_text("utf-8-sig")))
    assert refused["Nr."] == "0043"
    assert refused["why refused"] == '"5x" is no whole number.'
    page.get_by_role("link", name="Errors").click()
    expect(page.get_by_text('"5x" is no whole number.')).to_be_visible()
    assert not wider_than_the_screen(page)
    assert obstacles(page) == []
    assert stock_of(shirt).total == 1_300

    page.get_by_role("button", name="Discard").click()
    expect(page.get_by_text("It is discarded.")).to_be_visible()


def test_a_viewer_sees_counts_and_cannot_upload(browse):
    page = browse("viewer")

    page.goto("/admin/inventory/sheet/")

    expect(page.get_by_text("Both begin with")).to_be_visible()
    expect(page.get_by_role("link", name="here")).to_have_count(0)
    assert obstacles(page) == []
