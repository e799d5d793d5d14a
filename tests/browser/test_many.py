"""Many products at once, as a person does it: choose, say what, look, apply, take back."""

from playwright.sync_api import Page, expect

from inventory.models import Product
from inventory.services import products
from tests.browser.accessibility import obstacles, wider_than_the_screen
from tests.browser.test_keyboard import TABS_MAX, tab_to
from tests.factories import MERCHANT, product

PRODUCTS = "/admin/inventory/product/"
PHONE = {"width": 390, "height": 844}


def tab_to_control(page: Page, selector: str, key: str = "Tab") -> None:
    """Go on by Tab, or back, until what the selector names is focused."""
    for _ in range(TABS_MAX):
        page.keyboard.press(key)
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"{selector} is not reached")


def test_prices_go_up_by_ten_per_cent_and_come_back_by_keyboard_alone(browse):
    shirt, mug = product(price=1250, name="Shirt"), product(price=333, name="Mug", sku="MUG")
    page = browse("stock clerk")
    page.goto(PRODUCTS)

    tab_to_control(page, "#action-toggle")
    page.keyboard.press("Space")
    expect(page.get_by_text("2 of 2 selected")).to_be_visible()
    tab_to_control(page, "select[name=action]", "Shift+Tab")
    page.keyboard.type("Change pr")
    assert obstacles(page) == []
    tab_to(page, "Run")
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Change the prices of 2 products")).to_be_visible()
    assert obstacles(page) == []
    tab_to_control(page, "#id_by")
    page.keyboard.type("10")
    page.keyboard.press("Enter")

    expect(
        page.get_by_role("heading", name="Prices +10 % of 2 products", exact=True)
    ).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="Shirt (")).to_contain_text("$13.75")
    assert obstacles(page) == []
    assert shirt.prices.get().amount == 1250
    tab_to(page, "Apply 2 changes")
    page.keyboard.press("Enter")

    expect(page.get_by_role("button", name="Revert")).to_be_visible()
    assert [each.prices.get().amount for each in (shirt, mug)] == [1375, 366]
    tab_to(page, "Revert")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Revert")).to_have_count(0)
    assert [each.prices.get().amount for each in (shirt, mug)] == [1250, 333]


def test_a_deleted_product_is_found_read_and_brought_back_on_a_phone(browse):
    shirt = product(2, sku="SHIRT", name="Shirt")
    products.archive(shirt.pk, actor=MERCHANT)
    page = browse("stock clerk", viewport=PHONE)

    page.goto(PRODUCTS)
    page.get_by_role("link", name="Archived products").click()
    page.get_by_role("link", name="Shirt").click()
    expect(page.get_by_text(f"by {MERCHANT.name}. Nobody can buy it")).to_be_visible()
    assert obstacles(page) == []
    assert not wider_than_the_screen(page)
    page.get_by_role("link", name="Bring back").click()
    expect(page.get_by_label("SKU", exact=True)).to_have_value("SHIRT")
    assert obstacles(page) == []
    page.get_by_role("button", name="Bring back").click()

    expect(page.get_by_text("is back, as a draft")).to_be_visible()
    assert Product.objects.kept().get().status == "draft"
