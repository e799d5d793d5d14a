"""The stock sheet by keyboard alone: from the list, row by row, refused and sent again."""

from playwright.sync_api import expect

from inventory.models import StockTransaction
from tests.browser.accessibility import obstacles
from tests.browser.test_keyboard import out_of_reach, tab_to
from tests.factories import product, stock_of


def test_a_shelf_is_counted_and_broken_cups_are_taken_out_by_keyboard_alone(browse):
    cup, mug, plate = (product(20, sku=sku, name=sku.title()) for sku in ("CUP", "MUG", "PLATE"))
    page = browse("stock clerk")
    page.goto("/admin/inventory/product/?q=u")
    tab_to(page, "Stock sheet")
    page.keyboard.press("Enter")

    # The list was searched, and the sheet is of what was found; the cursor stands in its first row.
    expect(page.get_by_label("Cup, CUP")).to_be_focused()
    expect(page.get_by_label("Plate, PLATE")).to_have_count(0)
    page.keyboard.type("19")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Mug, MUG")).to_be_focused()
    page.keyboard.type("2")
    page.keyboard.press("ArrowUp")
    expect(page.get_by_label("Cup, CUP")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Apply")).to_be_focused()
    page.keyboard.press("Enter")

    # One is done; the other is asked about, and the cursor stands there.
    expect(page.get_by_text("Counted 19 units. Adjusted: 1 unit fewer.")).to_be_visible()
    expect(page.get_by_text("From 20 to 2: more than half would be gone.")).to_be_visible()
    expect(page.get_by_label("Mug, MUG")).to_be_focused()
    expect(page.get_by_label("Mug, MUG")).to_have_value("2")
    assert obstacles(page) == []
    page.keyboard.press("Tab")
    expect(page.get_by_role("checkbox", name="2 is right")).to_be_focused()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 done.", exact=True)).to_be_visible()
    assert [stock_of(each).total for each in (cup, mug, plate)] == [19, 2, 20]

    # Another operation, chosen by arrow keys.
    page.get_by_role("radio", name="Count").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("radio", name="Decrement")).to_be_checked()
    page.keyboard.press("Tab")
    page.keyboard.type("Broken")
    page.get_by_label("Cup, CUP").focus()
    page.keyboard.type("4")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Decremented: 4 units.")).to_be_visible()
    assert (stock_of(cup).total, StockTransaction.objects.latest("id").reason) == (15, "Broken")
    assert out_of_reach(page) == []
