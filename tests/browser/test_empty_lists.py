"""What somebody reads who has just begun."""

import pytest
from playwright.sync_api import expect

from tests.browser.accessibility import obstacles
from tests.factories import api_client

LISTS = {
    "inventory/product": "There are no products yet",
    "inventory/stocktransaction": "There are no entries of the log yet",
    "orders/cart": "There are no carts yet",
    "orders/order": "Every paid order is on its way.",
    "api/apiclient": "There are no API clients yet",
}


@pytest.mark.parametrize("model", LISTS)
def test_an_empty_list_says_what_belongs_there(browse, model):
    page = browse("owner")

    page.goto(f"/admin/{model}/")
    said = page.get_by_role("heading", name=LISTS[model])
    expect(said).to_be_visible()
    if model != "orders/order":
        expect(said.locator("+ p")).not_to_be_empty()
    assert obstacles(page) == []

    page.goto(f"/admin/{model}/?q=nothing-like-it")
    expect(page.get_by_role("heading", name="Nothing was found")).to_be_visible()
    # Above the list of products stands another one, beside the number of results.
    page.get_by_role("link", name="Show all").last.click()
    expect(said).to_be_visible()
    expect(page.get_by_role("link", name="Show all")).to_have_count(0)


def test_a_shop_without_products_says_so(page):
    api_client(secret="", client_id="demo-storefront")

    page.goto("/")

    expect(page.get_by_text("There is nothing to buy yet.")).to_be_visible()
    expect(page.get_by_text("It is empty.")).to_be_visible()
    expect(page.get_by_role("heading", name="Your orders")).to_be_hidden()
    assert obstacles(page) == []
