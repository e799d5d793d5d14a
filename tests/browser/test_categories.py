"""Categories as people make and use them."""

import pytest
from playwright.sync_api import expect

from inventory.models import Category
from tests.browser.accessibility import obstacles
from tests.browser.test_keyboard import out_of_reach
from tests.factories import category, product

pytestmark = pytest.mark.django_db(transaction=True)

TREE = "/admin/inventory/category/"
PRODUCTS = "/admin/inventory/product/"


def test_somebody_sorts_products_into_a_tree_by_keyboard(browse):
    made = product(3, name="Linen shirt")
    category("Sale")
    page = browse("stock clerk")

    page.goto(TREE)
    page.get_by_role("link", name="Add category").press("Enter")
    page.get_by_label("Name").fill("Clothes")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Add a category below Clothes").press("Enter")
    page.get_by_label("Name").fill("Shirts")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Move Clothes up").press("Enter")
    expect(page.get_by_text("Clothes was moved up.")).to_be_visible()
    expect(page.locator("tbody th")).to_contain_text(["Clothes", "Shirts", "Sale"])
    assert out_of_reach(page) == []

    page.goto(f"{PRODUCTS}{made.pk}/change/")
    assert obstacles(page) == []
    find = page.get_by_role("searchbox", name="Find a category")
    find.press_sequentially("clo shi")
    expect(page.get_by_text("1 of 3 shown")).to_be_visible()
    page.get_by_label("Clothes > Shirts").press("Space")
    find.press("Control+a")
    find.press_sequentially("no such")
    # What is ticked stays in sight.
    expect(page.get_by_label("Clothes > Shirts")).to_be_visible()
    page.get_by_role("button", name="Save", exact=True).press("Enter")
    expect(page.get_by_text("was changed successfully")).to_be_visible()

    page.goto(TREE)
    page.get_by_role("link", name="1 in Shirts").press("Enter")
    expect(page.get_by_role("link", name="Linen shirt")).to_be_visible()
    assert list(made.categories.all()) == [Category.objects.get(name="Shirts")]
