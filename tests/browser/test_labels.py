"""Labels as a person prints them: in their real size, and read by a scanner."""

import io
import re
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from backoffice.labels.papers import PAPERS
from tests.browser.accessibility import obstacles, wider_than_the_screen
from tests.factories import product

MM = 96 / 25.4
# As large as a printer of 300 dots an inch prints it.
SHARP = {"device_scale_factor": 300 / 96}
EAN = "4006381333931"


class Lying(NamedTuple):
    """Where labels lie on a sheet, as its maker says it, in millimetres."""

    sheet: tuple[float, float]
    columns: int
    first: tuple[float, float] = (0, 0)
    next: tuple[float, float] = (0, 0)


SHEETS = {
    "a4-24": Lying((210, 297), 3, (0, 0.5), (70, 37)),
    "a4-21": Lying((210, 297), 3, (7.25, 15.15), (66, 38.1)),
    "a4-40": Lying((210, 297), 4, (0, 0), (52.5, 29.7)),
    "a4-65": Lying((210, 297), 5, (4.75, 10.7), (40.6, 21.2)),
    "letter-30": Lying((215.9, 279.4), 3, (4.7625, 12.7), (69.85, 25.4)),
    "single-57": Lying((57, 32), 1),
    "single-62": Lying((62, 29), 1),
    "single-50": Lying((50, 25), 1),
}


def read(of: Locator) -> list[str]:
    """Scan what a part of a page shows."""
    picture = Image.open(io.BytesIO(of.screenshot())).convert("L")
    return sorted(found.text for found in zxingcpp.read_barcodes(picture))


def box(of: Locator, sheet: Locator) -> list[float]:
    """Where something lies on a sheet, and how large it is, in millimetres."""
    inner, outer = of.bounding_box(), sheet.bounding_box()
    assert inner
    assert outer
    place = (inner["x"] - outer["x"], inner["y"] - outer["y"], inner["width"], inner["height"])
    return [length / MM for length in place]


def near(*lengths: float) -> Any:
    """Within a tenth of a millimetre, which no printer is."""
    return pytest.approx(lengths, abs=0.1)


def printed(page: Page) -> tuple[int, tuple[float, float]]:
    """Print to a file: how many pages, and how large in millimetres."""
    pdf = page.pdf(prefer_css_page_size=True)
    [size, *_] = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", pdf)
    width, height = (float(points) / 72 * 25.4 for points in size)
    return len(re.findall(rb"/Type /Page\b(?!s)", pdf)), (width, height)


def test_labels_are_chosen_looked_at_and_printed(browse):
    shirt = product(2, sku="SHIRT-NAVY-M", name="Shirt, navy, M", barcode=EAN, price=1250)
    size = product(1, sku="Gr\xf6\xdfe-42")
    page = browse("stock clerk", **SHARP)

    page.goto(f"/admin/inventory/product/labels/?ids={shirt.pk}&ids={size.pk}")
    assert obstacles(page) == []
    page.get_by_label("Code", exact=True).select_option("barcode")
    page.get_by_label("Paper").select_option("a4-65")
    page.get_by_label("How many").select_option("available")
    page.get_by_label("Begin at label").fill("3")
    page.get_by_label("Price", exact=True).check()
    page.get_by_role("button", name="Look at the choice first").click()
    told = page.get_by_role("row", name=size.sku)
    expect(told).to_contain_text("It has no barcode: its SKU is printed. Code 128 has no such")
    assert obstacles(page) == []
    page.get_by_role("button", name="Show them for printing").click()

    sheet = page.locator(".paper")
    expect(sheet).to_have_count(1)
    assert obstacles(page) == []
    assert not wider_than_the_screen(page)
    assert read(sheet) == [EAN, EAN, size.sku]
    third = sheet.locator(".label").nth(2)
    expect(third).to_contain_text("Shirt, navy, M")
    expect(third).to_contain_text("$12.50")
    page.evaluate("window.print = () => { document.title = 'printed'; }")
    page.get_by_role("button", name="Print", exact=True).click()
    expect(page).to_have_title("printed")


def test_labels_lie_where_their_paper_has_them_and_are_read_from_it(browse, subtests):
    made = [
        product(sku="SHIRT-12", name="A name that is much longer than any label is wide, and on"),
        product(sku="SHIRT-NAVY-COTTON-LARGE", name="Shirt " * 30),
        product(sku="\N{GREEK SMALL LETTER OMEGA}" * 60, name="Omega"),
    ]
    page = browse("viewer", **SHARP)
    assert SHEETS.keys() == PAPERS.keys()

    for name, lying in SHEETS.items():
        with subtests.test(name):
            paper = PAPERS[name]
            asked = [("ids", str(each.pk)) for each in made]
            chosen = {"paper": name, "code": "sku", "copies": "each", "each": 1, "start": 1}
            chosen |= {"currency": "USD", "name": "on", "sku": "on", "text": "on", "price": "on"}
            page.goto(
                f"/admin/inventory/product/labels/print/?{urlencode([*asked, *chosen.items()])}"
            )
            sheets, labels = page.locator(".paper"), page.locator(".label")
            for number in range(len(made)):
                column, row = number % lying.columns, number // lying.columns
                across, down = lying.next
                first = lying.first[0] + column * across, lying.first[1] + row * down
                on_sheet = 0 if paper.labels > 1 else number
                lies = first if paper.labels > 1 else (0.0, 0.0)
                assert box(labels.nth(number), sheets.nth(on_sheet)) == near(
                    *lies, paper.width, paper.height
                )
                assert read(labels.nth(number)) == [made[number].sku]
            pages, size = printed(page)
            assert pages == sheets.count()
            # Sheets are cut to whole points.
            assert size == pytest.approx(lying.sheet, abs=0.36)
