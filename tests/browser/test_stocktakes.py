"""A stocktake with a keyboard scanner, two people, and no mouse."""

import pytest
from playwright.sync_api import Page, expect

from inventory.models import Product, Sheet, Stocktake, StocktakeLine
from inventory.services import stocktakes
from tests.browser.accessibility import obstacles
from tests.browser.test_counts import worker
from tests.browser.test_keyboard import out_of_reach, tab_to
from tests.factories import MERCHANT, product, stock_of

pytestmark = pytest.mark.django_db(transaction=True)

BARCODE = "4006381333931"


@pytest.fixture
def shelf(transactional_db) -> list[Product]:
    return [
        product(5, name="Blue mug", sku="MUG-1", barcode=BARCODE),
        product(7, name="Cup", sku="CUP"),
        product(9, name="Plate", sku="PLATE"),
    ]


def counting(made: Stocktake) -> str:
    return f"/admin/inventory/stocktake/{made.pk}/counting/"


def scan(page: Page, *codes: str) -> None:
    """Type as a scanner does, which waits for nothing."""
    for code in codes:
        page.keyboard.type(code)
        page.keyboard.press("Enter")


def units(wanted: Product) -> int | None:
    return StocktakeLine.objects.get(product=wanted).units


def test_two_scan_a_shelf_blind_and_the_list_of_what_is_left_gets_shorter(browse, shelf):
    mug, cup, plate = shelf
    made = stocktakes.begin("Yearly count", is_blind=True, actor=MERCHANT)
    page, helper = browse("owner"), browse("stock clerk")
    page.goto(counting(made))
    helper.goto(f"{counting(made)}?show=left")
    for each in (page, helper):
        expect(each.get_by_label("SKU or barcode")).to_be_focused()
    said = page.locator("#scanned")

    scan(page, BARCODE, BARCODE, "no such code", BARCODE, "12*CUP")

    expect(said).to_contain_text("Cup")
    expect(page.get_by_text("2 of 3 products counted")).to_be_visible()
    assert (units(mug), units(cup)) == (3, 12)
    rows = page.locator("#counted tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("12")
    expect(page.get_by_text("books say", exact=False)).to_have_count(1)
    scan(page, "no such code")
    expect(said).to_contain_text("No product has the SKU or barcode no such code.")
    expect(page.get_by_label("SKU or barcode")).to_be_focused()
    assert obstacles(page) == []

    # The other one's list of what is left.
    expect(helper.get_by_role("row", name="Plate")).to_be_visible()
    scan(helper, BARCODE, "PLATE")
    expect(helper.locator("#scanned")).to_contain_text("Plate")
    expect(helper.get_by_role("row", name="Plate")).to_have_count(0)
    expect(helper.get_by_text("3 of 3 products counted")).to_be_visible()
    helper.locator("#scanned").get_by_role("button", name="Undo this scan").click()
    expect(helper.get_by_text("2 of 3 products counted")).to_be_visible()
    assert (units(mug), units(plate)) == (4, None)


def test_a_stocktake_from_the_list_to_the_stock_without_a_mouse(browse, shelf):
    mug, cup, plate = shelf
    page = browse("stock clerk")
    page.goto("/admin/inventory/stocktake/add/")
    page.get_by_label("Name").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("SKU or barcode")).to_be_focused()

    scan(page, "6*MUG-1", "CUP")
    expect(page.get_by_text("2 of 3 products counted")).to_be_visible()
    tab_to(page, "Not counted")
    page.keyboard.press("Enter")
    expect(page.get_by_role("row", name="Plate")).to_be_visible()
    page.get_by_role("link", name="Type the count of Plate").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Units that are there in all").focus()
    page.keyboard.type("9")
    page.keyboard.press("Enter")
    expect(page.get_by_text("3 of 3 products counted")).to_be_visible()
    tab_to(page, "Counted")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Correct of Cup").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Units that are there in all").fill("7")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page.get_by_role("row", name="Cup")).to_contain_text("7")
    assert out_of_reach(page) == []

    page.get_by_role("link", name="Close …").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Close")).to_be_visible()
    tab_to(page, "Close")
    page.keyboard.press("Enter")
    with worker():
        expect(page.get_by_text("Applying it makes 1 change: 1 unit more")).to_be_visible()
        page.get_by_role("button", name="Apply 1 change").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_text("It made 1 change")).to_be_visible()
    assert [stock_of(each).total for each in (mug, cup, plate)] == [6, 7, 9]
    assert Sheet.objects.get().source == Sheet.Source.STOCKTAKE
