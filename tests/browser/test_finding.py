"""Somebody is on the phone: their order is found by what they say of it."""

import re

import pytest
from playwright.sync_api import Page, expect

from orders.services import shipments
from orders.services.orders import Buyer
from tests.browser.accessibility import obstacles, wider_than_the_screen
from tests.factories import MERCHANT, paid_order, product, unpaid_order

ORDERS = "/admin/orders/order/"
HOME = {"first_name": "Zoë", "last_name": "O'Brien", "city": "São Paulo", "postcode": "SW1A 1AA"}
ZOE = Buyer("Zoë O'Brien", "Zoe@Example.com", {}, HOME)


@pytest.fixture
def page_of_orders(browse) -> Page:
    page: Page = browse("order manager")
    page.goto(ORDERS)
    return page


def seek(page: Page, term: str) -> None:
    page.locator("#searchbar").fill(term)
    page.locator("#searchbar").press("Enter")
    page.wait_for_load_state()


def test_t23_an_order_is_found_by_whatever_its_buyer_says(page_of_orders):
    page, mug = page_of_orders, product(9, name="Mug, dark blue", sku="MUG", price=5000)
    shipped, theirs = paid_order({product(9): 1}), unpaid_order({mug: 1}, buyer=ZOE)
    shipments.ship(shipped.pk, actor=MERCHANT, tracking="1Z999AA1")
    ways = ["zoe obrien", "ZOE@example", "sao paulo", "sw1a1aa", "dark blue", f"#{theirs.number}"]

    for term, order in [*((way, theirs) for way in ways), ("1z 999 aa1", shipped)]:
        seek(page, term)
        expect(page.locator("#result_list").get_by_role("link", name=str(order))).to_be_visible()
        expect(page.locator("#result_list tbody tr")).to_have_count(1)
    assert obstacles(page) == []


def test_a_filter_is_kept_as_a_view_and_leads_to_the_customer(page_of_orders):
    page = page_of_orders
    dear, cheap = (
        unpaid_order({product(9, price=9000): 1}, buyer=ZOE),
        unpaid_order({product(9): 1}),
    )
    filters = page.get_by_role("form", name="Filter the orders")

    page.locator("summary", has_text="Filter").press("Enter")
    filters.get_by_label("Total from").fill("much")
    filters.get_by_role("button", name="Filter").click()
    expect(filters.get_by_role("alert")).to_be_visible()
    expect(page.get_by_role("heading", name="Nothing was found")).to_be_visible()
    filters.get_by_label("Total from").fill("50")
    filters.get_by_label("Placed").select_option("Today")
    filters.get_by_role("button", name="Filter").click()
    page.get_by_role("link", name="All", exact=True).click()
    expect(page.get_by_role("link", name=str(dear))).to_be_visible()
    expect(page.get_by_role("link", name=str(cheap))).to_have_count(0)
    assert obstacles(page) == []

    page.get_by_role("link", name="Save this view").click()
    page.get_by_label("Name").fill("Dear, today")
    assert obstacles(page) == []
    page.get_by_role("button", name="Save").click()
    views = page.get_by_role("navigation", name="Your views")
    expect(views.get_by_role("link", name="Dear, today")).to_have_attribute("aria-current", "page")

    page.get_by_role("link", name="Zoe@Example.com").click()
    expect(page.get_by_role("heading", name="Zoë O'Brien")).to_be_visible()
    expect(page.get_by_text("$90.00").first).to_be_visible()
    page.get_by_label("Note", exact=True).fill("Rings twice.")
    page.get_by_role("button", name="Add note").click()
    expect(page.get_by_role("region", name="Notes")).to_contain_text("Rings twice.")
    assert obstacles(page) == []
    page.set_viewport_size({"width": 390, "height": 844})
    assert not wider_than_the_screen(page)

    page.goto(ORDERS)
    page.get_by_role("link", name="Your views").click()
    page.get_by_role("link", name=re.compile("Rename or delete")).click()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("You have saved none yet.")).to_be_visible()
