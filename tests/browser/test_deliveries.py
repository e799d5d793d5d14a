"""Goods come in: a keyboard scanner, two people, a network that goes away, and no mouse."""

import pytest
from playwright.sync_api import Page, expect

from inventory.models import Delivery, DeliveryLine, Product
from tests.browser.test_keyboard import tab_to
from tests.factories import delivery, product
from tests.stock import numbers

pytestmark = pytest.mark.django_db(transaction=True)

BARCODE = "4006381333931"


@pytest.fixture
def mug(transactional_db) -> Product:
    return product(name="Blue mug", sku="MUG-1", barcode=BARCODE)


def goods(made: Delivery) -> str:
    return f"/admin/inventory/delivery/{made.pk}/goods/"


def scan(page: Page, *codes: str) -> None:
    """Type as a scanner does, which waits for nothing."""
    for code in codes:
        page.keyboard.type(code)
        page.keyboard.press("Enter")


def received(wanted: Product) -> int:
    return DeliveryLine.objects.get(product=wanted).received


def test_scan_after_scan_is_counted_and_whatever_is_wrong_is_said(browse, mug):
    shirt = product(name="Shirt", sku="SHIRT")
    made = delivery({mug: 5})
    page, helper = browse("owner"), browse("stock clerk")
    for each in (page, helper):
        each.goto(goods(made))
        expect(each.get_by_label("SKU or barcode")).to_be_focused()
    said = page.locator("#scanned")

    scan(page, BARCODE, BARCODE, "no such code", BARCODE, "12*SHIRT")

    expect(said).to_contain_text("12 of 0")
    expect(page.locator("#totals")).to_contain_text("15 units received, 5 expected")
    expect(page.get_by_role("row", name="Shirt")).to_contain_text("not expected")
    missed = page.get_by_role("group", name="Not counted before")
    expect(missed).to_contain_text("No product has the SKU or barcode no such code.")
    scan(helper, BARCODE)
    expect(helper.locator("#scanned")).to_contain_text("4 of 5")
    assert (received(mug), received(shirt)) == (4, 12)
    missed.get_by_role("button", name="Clear these").click()
    expect(missed).to_be_hidden()
    expect(page.get_by_label("SKU or barcode")).to_be_focused()

    scan(page, "2*MUG-1")
    expect(said).to_contain_text("6 of 5")
    expect(said).to_contain_text("1 more than expected")
    said.get_by_role("button", name="Undo this scan").click()
    expect(said).to_contain_text("Taken back: Blue mug")
    expect(page.get_by_role("row", name="Blue mug")).to_contain_text("1 still to come")
    # The cursor is where the next scan goes, also when somebody has clicked elsewhere.
    page.get_by_role("heading", name="Delivery D-1001").click()
    expect(page.get_by_label("SKU or barcode")).not_to_be_focused()
    scan(page, BARCODE)
    expect(said).to_contain_text("5 of 5")
    page.goto(goods(made).replace("goods", "book"))


def test_scans_wait_while_the_network_is_away_and_count_once(browse, watch, mug):
    made = delivery({mug: 5})
    page = browse("owner")
    page.goto(goods(made))
    expect(page.get_by_label("SKU or barcode")).to_be_focused()
    page.context.set_offline(True)

    scan(page, BARCODE, BARCODE)

    expect(page.get_by_text(f"sent again by itself: {BARCODE}, {BARCODE}")).to_be_visible()
    page.context.set_offline(False)
    expect(page.locator("#scanned")).to_contain_text("2 of 5")
    expect(page.locator("#unsent")).to_be_hidden()
    assert received(mug) == 2

    # What was scanned after the login has ended stays in sight, each of it.
    page.context.clear_cookies()
    for codes in (BARCODE, f"{BARCODE}, MUG-1"):
        scan(page, codes.rpartition(", ")[2])
        expect(page.get_by_text(f"Not counted: {codes}. You were logged out")).to_be_visible()
    watch.complaints.clear()


def test_a_delivery_from_paper_to_stock_without_a_mouse(browse, mug):
    page = browse("stock clerk")
    page.goto("/admin/inventory/delivery/add/")

    page.get_by_label("Supplier").focus()
    page.keyboard.type("Harbour Mills")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Expect")).to_be_visible()
    expect(page.get_by_label("SKU or barcode")).to_be_focused()
    scan(page, "5*MUG-1")
    expect(page.locator("#scanned")).to_contain_text("5 expected")
    expect(page.get_by_role("row", name="Blue mug")).to_contain_text("none yet")
    tab_to(page, "Receive goods")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Count")).to_be_visible()
    expect(page.get_by_label("SKU or barcode")).to_be_focused()
    scan(page, BARCODE, BARCODE)
    expect(page.locator("#scanned")).to_contain_text("2 of 5")
    tab_to(page, "Book …")
    page.keyboard.press("Enter")
    expect(page.get_by_text("3 units of what was expected did not come.")).to_be_visible()
    tab_to(page, "Book 2 units")
    page.keyboard.press("Enter")

    expect(
        page.get_by_text("Booked: 2 units of 1 product. D-1001-2 expects the rest.")
    ).to_be_visible()
    assert numbers(mug) == (2, 2, 0)
    tab_to(page, "Undo booking …")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Undo the booking of D-1001?")).to_be_visible()
    tab_to(page, "Undo booking")
    page.keyboard.press("Enter")
    expect(page.get_by_text("The booking of D-1001 is undone.")).to_be_visible()
    assert numbers(mug) == (0, 0, 0)
