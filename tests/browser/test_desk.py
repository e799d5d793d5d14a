"""A customer calls: an order from the first word to its payment, by people who sell."""

import pytest
from playwright.sync_api import Page, expect

from inventory.models import Product
from orders.models import Order
from tests.browser.accessibility import obstacles, wider_than_the_screen
from tests.browser.test_keyboard import tab_to
from tests.factories import paid_order, product, stock_of, unpaid_order

pytestmark = pytest.mark.django_db(transaction=True)

BARCODE = "4006381333931"
PHONE = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}
ADDRESS = {
    "First name": "Ada",
    "Last name": "Buyer",
    "Street and number": "12 Square",
    "Postcode": "12345",
    "City": "Harbour",
    "Country": "DE",
}


@pytest.fixture
def mug(transactional_db) -> Product:
    return product(9, name="Blue mug", sku="MUG", barcode=BARCODE, price=1100)


def scan(page: Page, code: str) -> None:
    expect(page.get_by_label("Name, SKU or barcode")).to_be_focused()
    page.keyboard.type(code)
    page.keyboard.press("Enter")


def fill_in(page: Page) -> None:
    page.get_by_label("Customer's name").fill("Ada Buyer")
    page.get_by_label("E-mail", exact=True).fill("ada@example.com")
    shipping = page.get_by_role("region", name="Shipping address")
    for label, value in ADDRESS.items():
        shipping.get_by_label(label).fill(value)


def test_a_phone_order_from_the_first_word_to_its_payment(browse, mug):
    product(5, name="Blue plate", price=900)
    page, colleague = browse("order manager"), browse("owner", **PHONE)
    page.goto("/admin/orders/order/")
    page.get_by_role("link", name="New order").first.click()

    scan(page, "plate")
    page.get_by_role("button", name="Add Blue plate").click()
    expect(page.get_by_role("row", name="Blue plate")).to_contain_text("5 available")
    scan(page, BARCODE)
    scan(page, BARCODE)
    expect(page.get_by_role("row", name="Blue mug")).to_contain_text("$22.00")
    page.get_by_text("Add something that is no product").click()
    page.get_by_label("Name", exact=True).fill("Gift wrapping")
    page.get_by_label("Price of one").fill("2.50")
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_role("row", name="Gift wrapping")).to_contain_text("$2.50")
    assert obstacles(page) == []

    # A colleague goes on with it, on a phone and at night.
    colleague.goto("/admin/orders/cart/")
    colleague.get_by_role("link", name="Go on").click()
    colleague.get_by_label("Quantity of Blue mug").fill("3")
    colleague.get_by_label("Quantity of Blue mug").press("Enter")
    expect(colleague.get_by_role("row", name="Blue mug")).to_contain_text("$33.00")
    assert obstacles(colleague) == []
    assert not wider_than_the_screen(colleague)
    page.get_by_role("button", name="Remove Blue mug").click()
    expect(page.get_by_text("it was 2, and is 3 now")).to_be_visible()
    page.get_by_role("link", name="Check out …").click()
    fill_in(page)
    assert obstacles(page) == []
    # Back by the page's button, and by the browser's: what was typed is kept.
    page.get_by_role("button", name="Back to the items").click()
    page.get_by_role("link", name="Check out …").click()
    expect(page.get_by_label("Customer's name")).to_have_value("Ada Buyer")
    page.get_by_label("Note for colleagues").fill("Rings twice.")
    page.goto("/admin/")
    page.goto("/admin/orders/cart/")
    page.get_by_role("link", name="Go on").click()
    page.get_by_role("link", name="Check out …").click()
    expect(page.get_by_label("Note for colleagues")).to_have_value("Rings twice.")
    colleague.get_by_role("button", name="Remove Blue plate").click()
    expect(colleague.get_by_role("row", name="Blue plate")).to_have_count(0)
    pays = page.get_by_role("button", name="Check out and record payment …")
    pays.click()
    expect(page.get_by_text("It changed since this form was opened")).to_be_visible()
    pays.click()

    expect(page.get_by_role("heading", name="Record payment")).to_be_visible()
    page.get_by_role("button", name="Record payment").click()
    expect(page.get_by_text("$35.50 recorded for order")).to_be_visible()
    timeline = page.get_by_role("region", name="Timeline")
    expect(timeline).to_contain_text("Placed at the desk")
    expect(timeline).to_contain_text("order manager")
    assert stock_of(mug).allocated == 3
    colleague.get_by_role("link", name="Check out …").click()
    expect(colleague.get_by_text("This draft became order")).to_be_visible()


def test_an_order_for_a_bill_to_another_address_without_a_mouse(browse, mug):
    page = browse("order manager", **PHONE)
    page.goto("/admin/orders/order/add/")
    scan(page, "3*MUG")
    expect(page.get_by_role("row", name="Blue mug")).to_contain_text("$33.00")

    tab_to(page, "Check out …")
    page.keyboard.press("Enter")
    page.get_by_label("E-mail of somebody who has ordered before").fill("ada@example.com")
    page.keyboard.press("Enter")
    expect(page.get_by_text("No earlier order has this e-mail.")).to_be_visible()
    billing = page.get_by_role("region", name="Billing address")
    expect(billing.get_by_label("Postcode")).to_be_hidden()
    assert not wider_than_the_screen(page)
    fill_in(page)
    page.get_by_label("The bill goes to the same address").focus()
    page.keyboard.press("Space")
    for label, value in {**ADDRESS, "Last name": "Payer"}.items():
        billing.get_by_label(label).fill(value)
    assert obstacles(page) == []
    tab_to(page, "Check out")
    page.keyboard.press("Enter")

    expect(page.get_by_text("Nothing is held for it until a payment is recorded.")).to_be_visible()
    order = Order.objects.get()
    assert (order.billing_address["last_name"], order.total) == ("Payer", 3300)
    assert stock_of(mug).allocated == 0


def test_the_items_of_an_unpaid_order_are_changed_while_a_colleague_does_too(browse, mug):
    plate = product(5, name="Blue plate", price=900)
    order = unpaid_order({mug: 1})
    page, colleague = browse("order manager"), browse("owner", **PHONE)
    for each in (page, colleague):
        each.goto(f"/admin/orders/order/{order.pk}/change/")
        each.get_by_role("link", name="Change the items").click()

    scan(page, "blue")
    add = page.get_by_role("button", name="Add Blue plate")
    expect(add).to_be_visible()
    assert obstacles(page) == []
    add.click()
    page.get_by_label("Quantity of Blue mug").fill("2")
    page.get_by_role("button", name="Only add up").click()
    expect(page.get_by_text("$11.00 → $31.00")).to_be_visible()
    page.get_by_role("button", name="Save the changes").click()
    expect(page.get_by_text(f"Order {order} comes to $31.00.")).to_be_visible()
    timeline = page.get_by_role("region", name="Timeline")
    expect(timeline).to_contain_text("MUG: 1 → 2")
    expect(timeline).to_contain_text(f"{plate.sku}: 1 added")

    colleague.get_by_label("Quantity of Blue mug").fill("5")
    colleague.get_by_role("button", name="Save the changes").click()
    expect(colleague.get_by_text("Quantity of MUG: was 1, and is 2 now.")).to_be_visible()
    assert obstacles(colleague) == []
    assert not wider_than_the_screen(colleague)
    assert Order.objects.get().total == 3100


def test_the_address_of_a_paid_order_is_corrected_once(browse, mug):
    order = paid_order({mug: 1})
    page, colleague = browse("order manager"), browse("owner", **PHONE)
    for each in (page, colleague):
        each.goto(f"/admin/orders/order/{order.pk}/change/")
        each.get_by_role("link", name="Change the shipping address").click()
        for label, value in ADDRESS.items():
            each.get_by_label(label).fill(value)
    assert obstacles(colleague) == []
    assert not wider_than_the_screen(colleague)

    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("12 Square")).to_be_visible()
    colleague.get_by_label("Street and number").fill("1 Hill")
    colleague.get_by_role("button", name="Save").click()
    expect(colleague.get_by_text("Shipping address line 1: was none, and is")).to_be_visible()
    colleague.get_by_role("button", name="Save").click()
    expect(colleague.get_by_text("1 Hill")).to_be_visible()
