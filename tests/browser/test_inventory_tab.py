"""The product's pages as merchants use them: two at once, with a scanner, and the log."""

import csv
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from api.actors import Actor
from inventory.models import Action, Product, StockTransaction
from inventory.services import stock as inventory
from orders.services import shipments
from tests.browser.accessibility import obstacles, wider_than_the_screen
from tests.factories import MERCHANT, holding_order, paid_order, product, stock_of

PRODUCTS = "/admin/inventory/product/"
GRACE = Actor("user", "9", "Grace")


@pytest.fixture
def mug(transactional_db) -> Product:
    return product(stock=50, name="Blue mug", sku="MUG-1", barcode="4006381333931")


@pytest.fixture
def at_the_tab(browse: Callable[..., Page], mug: Product) -> Callable[..., Page]:
    """Open the Inventory tab of the mug in a browser of its own."""

    def opened(role: str = "owner", **options: object) -> Page:
        page = browse(role, **options)
        page.goto(f"{PRODUCTS}{mug.pk}/inventory/")
        expect(quantity(page)).to_be_focused()
        return page

    return opened


def quantity(page: Page):
    return page.locator("#id_quantity")


def sentence(page: Page):
    return page.locator("#numbers")


def preview(page: Page):
    return page.locator("#preview")


def choose(page: Page, operation: str) -> None:
    radio = page.get_by_role("radio", name=operation, exact=True)
    page.locator(".hf-tabs label").filter(has=radio).click()
    expect(radio).to_be_checked()
    # The cursor goes there a moment later: what is typed before that is typed nowhere.
    expect(quantity(page)).to_be_focused()


def press(page: Page, button: str) -> None:
    page.locator("#move").get_by_role("button", name=button, exact=True).click()


def numbers(made: Product) -> tuple[int, int, int, int]:
    stock = stock_of(made)
    return stock.total, stock.available, stock.allocated, stock.held


# Two at once.


def test_what_one_does_the_other_sees_and_goes_on_typing(at_the_tab, mug):
    clerk, owner = at_the_tab(), at_the_tab()
    clerk.keyboard.type("12")
    clerk.get_by_label("Reason").fill("half a reas")

    choose(owner, "Decrement")
    quantity(owner).fill("8")
    owner.get_by_label("Reason").fill("broken")
    press(owner, "Decrement")
    expect(owner.get_by_text("Decremented: 8 units.")).to_be_visible()

    expect(sentence(clerk)).to_have_text(
        "Total 42 = Available 42 + Allocated 0 (orders 0, set aside 0)"
    )
    expect(clerk.get_by_role("cell", name="broken")).to_be_visible()
    # The preview goes with the numbers; what was typed, and the cursor, stay.
    expect(preview(clerk)).to_contain_text("Total 54 = Available 54")
    expect(quantity(clerk)).to_have_value("12")
    expect(clerk.get_by_label("Reason")).to_have_value("half a reas")
    expect(clerk.get_by_label("Reason")).to_be_focused()
    clerk.keyboard.type("on")
    clerk.keyboard.press("Enter")
    expect(clerk.get_by_text("Incremented: 12 units.")).to_be_visible()
    assert numbers(mug) == (54, 54, 0, 0)
    assert StockTransaction.objects.latest("sequence").reason == "half a reason"


def test_an_order_that_takes_units_appears_by_itself(at_the_tab, mug):
    page = at_the_tab()
    expect(page.get_by_text("Why is it not available?")).to_have_count(0)
    page.get_by_role("link", name="The whole history").focus()

    order = paid_order({mug: 7})
    inventory.record(mug.pk, Action.ALLOCATE, 2, actor=GRACE, reason="for Ada")

    holders = page.get_by_role("group", name="Why is it not available?")
    expect(holders.get_by_role("row").filter(has_text=f"Order {order}")).to_contain_text("7")
    expect(holders.get_by_role("row").filter(has_text="Set aside by Grace")).to_contain_text(
        "for Ada"
    )
    expect(holders.get_by_role("row").filter(has_text="Allocated")).to_contain_text("9")
    # By keyboard one goes on from where one was.
    expect(page.get_by_role("link", name="The whole history")).to_be_focused()
    holders.get_by_role("link", name=f"Order {order}").click()
    expect(page).to_have_url(re.compile(f"/orders/order/{order.pk}/"))


def test_numbers_that_cannot_be_refreshed_are_said_to_be_old(at_the_tab, mug):
    page = at_the_tab()
    expect(page.get_by_text("These numbers may be old")).to_be_hidden()

    page.context.clear_cookies()

    expect(page.get_by_text("These numbers may be old")).to_be_visible()
    expect(sentence(page)).to_contain_text("Total 50")
    expect(page.get_by_label("Username")).to_have_count(0)


# The card.


@pytest.mark.parametrize(
    ("operation", "typed", "after"),
    [
        ("Increment", "5", "After it: Total 55 = Available 45 + Allocated 10"),
        ("Decrement", "5", "After it: Total 45 = Available 35 + Allocated 10"),
        ("Allocate", "5", "After it: Total 50 = Available 35 + Allocated 15"),
        ("Deallocate", "4", "After it: Total 50 = Available 44 + Allocated 6"),
        ("Count", "48", "Will be adjusted: 2 fewer. After it: Total 48 = Available 38"),
        ("Count", "50", "The log says the same: nothing to correct."),
        ("Decrement", "41", "Only 40 are available."),
        ("Allocate", "41", "Only 40 are available."),
        ("Deallocate", "5", "Only 4 are set aside by hand."),
        ("Count", "9", "41 fewer than the log says. Only 40 are available."),
    ],
)
def test_the_card_shows_beforehand_what_the_server_will_do(
    at_the_tab, mug, operation, typed, after
):
    holding_order({mug: 6})
    inventory.record(mug.pk, Action.ALLOCATE, 4, actor=MERCHANT)
    page = at_the_tab()

    choose(page, operation)
    page.keyboard.type(typed)
    expect(preview(page)).to_contain_text(after)

    page.get_by_label("Reason").fill("to see")
    press(page, operation)
    if "Only" in after:
        expect(page.locator("#move .hf-error")).to_be_visible()
        assert numbers(mug) == (50, 40, 10, 4)
    elif "Total" in after:
        expect(sentence(page)).to_contain_text(after[after.index("Total") :])


def test_reasons_are_suggested_for_each_operation_and_any_other_will_do(at_the_tab, mug):
    page = at_the_tab()
    suggested = page.locator("#reasons option")
    expect(suggested.first).to_have_attribute("value", "Delivery")

    choose(page, "Decrement")
    expect(suggested.first).to_have_attribute("value", "Damaged")

    page.keyboard.type("1")
    page.get_by_label("Reason").fill("Eaten by the cat")
    press(page, "Decrement")
    expect(page.get_by_role("cell", name="Eaten by the cat")).to_be_visible()


def test_the_tabs_are_chosen_with_the_arrow_keys(at_the_tab):
    page = at_the_tab()

    page.get_by_role("radio", name="Increment").focus()
    page.keyboard.press("ArrowRight")

    expect(page.get_by_role("radio", name="Decrement")).to_be_checked()
    expect(page.locator("#move").get_by_role("button", name="Decrement")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="Allocate", exact=True)).to_be_checked()


def test_a_count_begun_before_the_stock_moved_asks_first(at_the_tab, mug):
    page = at_the_tab()
    choose(page, "Count")
    page.keyboard.type("49")
    order = paid_order({mug: 3})
    shipments.ship(order.pk, actor=MERCHANT)

    press(page, "Count")

    expect(page.locator("#move .hf-error")).to_contain_text("it was 50 = 50 available")
    expect(page.get_by_text("The log says 47 then.")).to_be_visible()
    expect(preview(page)).to_contain_text("Will be adjusted: 2 more.")
    assert numbers(mug) == (47, 47, 0, 0)
    assert obstacles(page) == []

    press(page, "Count all the same")
    expect(page.get_by_text("Counted 49 units. Adjusted: 2 units more.")).to_be_visible()
    assert numbers(mug) == (49, 49, 0, 0)


def test_a_preview_never_counts_from_the_total_of_another_moment(at_the_tab, mug):
    page = at_the_tab()
    choose(page, "Count")
    page.keyboard.type("49")
    moment = page.get_by_label("Counted at")
    moment.fill("2020-01-01T10:00")
    moment.blur()
    expect(page.get_by_text("The log says 0 then.")).to_be_visible()
    expect(preview(page)).to_contain_text("Will be adjusted: 49 more.")

    # The answer about the next moment never comes.
    page.route("**/then/**", lambda route: None)
    moment.fill("2020-01-02T10:00")
    moment.blur()

    expect(page.get_by_text("The log says")).to_have_count(0)
    expect(preview(page)).to_be_empty()


def test_a_count_of_units_that_orders_hold_names_them(at_the_tab, mug):
    order = paid_order({mug: 30})
    page = at_the_tab()
    choose(page, "Count")
    page.keyboard.type("20")
    press(page, "Count")

    error = page.locator("#move .hf-error")
    expect(error).to_contain_text(f"Held by order {order} (30).")
    error.get_by_role("link", name=f"order {order}").click()
    expect(page).to_have_url(re.compile(f"/orders/order/{order.pk}/"))


def test_a_mistake_is_undone_once(at_the_tab, mug):
    page = at_the_tab()
    page.keyboard.type("100")
    page.get_by_label("Reason").fill("typed too much")
    press(page, "Increment")
    expect(sentence(page)).to_contain_text("Total 150")

    page.get_by_role("button", name="Undo").click()

    expect(page.get_by_text("Undone: added 100 units.")).to_be_visible()
    expect(page.get_by_role("cell", name="undo: typed too much")).to_be_visible()
    assert numbers(mug) == (50, 50, 0, 0)


# A keyboard scanner types the code and Enter.


def test_a_scanner_goes_from_product_to_product(browse, mug):
    cup = product(stock=5, name="Cup", sku="CUP-1", barcode="4006381333948")
    page = browse("owner")
    page.goto(PRODUCTS)
    # What is hidden until the page has begun takes no focus.
    expect(page.locator("#searchbar")).to_be_visible()
    page.locator("#searchbar").focus()

    page.keyboard.type("4006381333931")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"{mug.pk}/inventory/"))
    expect(quantity(page)).to_be_focused()
    choose(page, "Count")
    page.keyboard.type("50")
    page.keyboard.press("Enter")
    expect(
        page.get_by_text("Counted 50 units, as the log says: nothing to correct.")
    ).to_be_visible()

    page.get_by_label("Another product by SKU or barcode").focus()
    page.keyboard.type("4006381333948")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"{cup.pk}/inventory/"))
    expect(page.get_by_role("radio", name="Count")).to_be_checked()
    expect(quantity(page)).to_be_focused()
    page.keyboard.type("4")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Counted 4 units. Adjusted: 1 unit fewer.")).to_be_visible()
    assert numbers(cup) == (4, 4, 0, 0)

    # Scanned where the cursor is, a code is no quantity either.
    expect(quantity(page)).to_be_focused()
    page.keyboard.type("4006381333931")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"{mug.pk}/inventory/"))


# The other tabs.


def test_the_history_is_filtered_paged_and_taken_along(browse, mug):
    for count in range(30):
        inventory.record(mug.pk, Action.INCREMENT, 1, actor=MERCHANT, reason=f"box {count}")
    inventory.record(mug.pk, Action.DECREMENT, 2, actor=GRACE, reason="=broken")
    page = browse("owner")
    page.goto(f"{PRODUCTS}{mug.pk}/inventory/")
    page.get_by_role("link", name="History", exact=True).click()

    rows = page.locator(".hf-table").first.locator("tbody tr")
    expect(rows).to_have_count(25)
    page.get_by_role("link", name="Older").click()
    expect(rows).to_have_count(7)
    page.get_by_role("link", name="Newer").click()
    expect(rows.first).to_contain_text("=broken")

    page.get_by_label("Who").fill("grace")
    page.get_by_role("button", name="Filter").click()
    expect(rows).to_have_count(1)
    with page.expect_download() as taken:
        page.get_by_role("link", name="Export as CSV").click()
    with open(taken.value.path(), encoding="utf-8-sig", newline="") as file:
        [row] = csv.DictReader(file)
    assert (row["action"], row["why"], row["total"]) == ("decrement", "'=broken", "78")

    page.get_by_role("link", name="Show all").click()
    page.get_by_label("At this moment").fill("2020-01-01T10:00")
    page.get_by_role("button", name="Show the stock then").click()
    expect(page.get_by_text("nothing had moved yet.")).to_be_visible()
    expect(page.get_by_role("img", name="available went from 50 to 78")).to_be_visible()


def test_a_price_is_changed_on_its_own_tab(browse, mug):
    page = browse("owner")
    page.goto(f"{PRODUCTS}{mug.pk}/inventory/")
    page.get_by_role("link", name="Prices", exact=True).click()

    page.get_by_label("Price (USD)").fill("13.75")
    page.get_by_role("button", name="Save prices").click()

    expect(page.get_by_text("The prices were changed.")).to_be_visible()
    expect(page.get_by_label("Price (USD)")).to_have_value("13.75")


def test_the_card_fits_a_phone(at_the_tab):
    page = at_the_tab(viewport={"width": 390, "height": 844})

    for operation in ("Decrement", "Allocate", "Deallocate", "Count", "Increment"):
        choose(page, operation)
        expect(page.locator("#move").get_by_role("button", name=operation)).to_be_visible()

    assert not wider_than_the_screen(page)
    assert obstacles(page) == []
