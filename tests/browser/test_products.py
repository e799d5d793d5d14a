from playwright.sync_api import expect

from tests.browser.accessibility import obstacles
from tests.browser.conftest import person
from tests.factories import product


def test_somebody_logs_in_and_reads_what_there_is(page):
    product(stock=7, sku="MUG-1", name="Blue mug")
    owner = person("owner")
    owner.set_password("of this test alone")
    owner.save()

    page.goto("/admin/inventory/product/")
    page.get_by_label("Username").fill("owner")
    page.get_by_label("Password").fill("of this test alone")
    assert obstacles(page) == []
    page.keyboard.press("Enter")

    row = page.get_by_role("row").filter(has_text="MUG-1")
    expect(row).to_contain_text("Blue mug")
    expect(row).to_contain_text("7")
    assert obstacles(page) == []


def test_whoever_is_signed_in_goes_straight_there(browse):
    product(name="Blue mug")

    page = browse("owner")
    page.goto("/admin/inventory/product/")

    expect(page.get_by_role("link", name="Blue mug")).to_be_visible()


def test_icons_are_not_read_out(browse):
    page = browse("owner")
    page.goto("/admin/inventory/product/")

    for name in ("Products", "Orders", "Figures", "Stock log"):
        expect(page.get_by_role("link", name=name, exact=True).first).to_be_visible()
    # And a button without words keeps what it has.
    assert obstacles(page) == []
