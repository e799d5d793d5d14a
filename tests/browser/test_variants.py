"""Variants as people make them: seen first, then made."""

import pytest
from playwright.sync_api import expect

from inventory.models import Product
from tests.browser.accessibility import obstacles
from tests.browser.test_keyboard import out_of_reach
from tests.factories import product

pytestmark = pytest.mark.django_db(transaction=True)


def test_somebody_makes_all_variants_but_one_by_keyboard(browse):
    product(sku="LINEN-S-Red", name="Old shirt")
    page = browse("stock clerk")
    page.goto("/admin/inventory/parent/add/")

    page.get_by_label("Name", exact=True).fill("Linen")
    page.get_by_label("Option 1", exact=True).fill("Size")
    page.get_by_label("Values of option 1").fill("S, M")
    page.get_by_label("Option 2", exact=True).fill("Colour")
    page.get_by_label("Values of option 2").fill("Red, Blue")
    page.get_by_label("Price (USD)").fill("12.50")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Old shirt has this SKU.")).to_be_visible()
    expect(page.get_by_label("Make LINEN-S-Red")).not_to_be_checked()
    assert obstacles(page) == []
    page.get_by_label("Make LINEN-M-Blue").press("Space")
    page.get_by_role("button", name="Make the variants").press("Enter")

    expect(page.get_by_text("2 variants were made.")).to_be_visible()
    assert out_of_reach(page) == []
    page.get_by_role("link", name="LINEN-S-Blue", exact=True).press("Enter")
    expect(page.get_by_text("Size S, Colour Blue")).to_be_visible()
    assert set(Product.objects.exclude(parent=None).values_list("sku", flat=True)) == {
        "LINEN-S-Blue",
        "LINEN-M-Red",
    }
