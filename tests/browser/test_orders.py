"""The working day of somebody who looks after orders: what is to be done, and doing it."""

import re

import pytest
from playwright.sync_api import Page, expect

from orders.models import Order
from orders.services import shipments
from orders.services.orders import Buyer
from payments.services import payments
from payments.services.payments import PaymentRequest
from tests.browser.accessibility import obstacles, wider_than_the_screen
from tests.factories import MERCHANT, paid_order, product, shipped_order, stock_of, unpaid_order

ORDERS = "/admin/orders/order/"
PHONE = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}


def open_order(page: Page, order: Order) -> None:
    page.goto(f"{ORDERS}{order.pk}/change/")


def timeline(page: Page) -> str:
    return page.get_by_role("region", name="Timeline").inner_text()


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def follow(page: Page, name: str) -> None:
    page.get_by_role("link", name=name, exact=True).click()


def paid_by_card(lines, token: str = "") -> Order:
    order = unpaid_order(lines)
    payments.pay(order.pk, PaymentRequest("test", token=token), actor=MERCHANT)
    return order


def test_an_order_is_found_on_the_list_and_shipped_with_its_parcels_number(browse):
    shirt = product(10, sku="SHIRT")
    order = paid_order({shirt: 3})
    unpaid_order({shirt: 1})
    page = browse("order manager")

    page.goto(ORDERS)
    expect(page.get_by_role("row").filter(has_text="SHIRT")).to_have_count(1)
    assert obstacles(page) == []
    follow(page, str(order))
    follow(page, "Ship")
    expect(page.get_by_label("Units of SHIRT")).to_have_value("3")
    assert obstacles(page) == []
    page.get_by_label("Tracking number").fill("00340434161094042557")
    press(page, "Ship")

    expect(page.get_by_text(f"Order {order} is shipped.")).to_be_visible()
    assert "00340434161094042557" in timeline(page)
    assert stock_of(shirt).total == 7


def test_a_ship_is_undone_and_the_order_holds_its_units_again(browse):
    shirt = product(10)
    order = shipped_order({shirt: 3})
    page = browse("order manager")

    open_order(page, order)
    follow(page, "Undo shipment 1")
    expect(page.get_by_text("Brings 3 units back into the total")).to_be_visible()
    press(page, "Undo shipment 1")
    expect(page.get_by_text("Say why: it is kept with the order.")).to_be_visible()
    page.get_by_label("Reason").fill("Still on the shelf")
    press(page, "Undo shipment 1")

    expect(page.get_by_role("link", name="Ship", exact=True)).to_be_visible()
    assert "Still on the shelf" in timeline(page)
    stock = stock_of(shirt)
    assert (stock.total, stock.available, stock.allocated) == (10, 7, 3)


def test_cancelling_a_paid_order_refunds_it_unless_told_otherwise(browse):
    shirt = product(10, price=1250)
    refunded, kept = paid_by_card({shirt: 2}), paid_by_card({shirt: 2})
    page = browse("order manager")

    open_order(page, refunded)
    follow(page, "Cancel order")
    expect(page.get_by_label("and refund $25.00")).to_be_checked()
    page.get_by_label("Reason").fill("Wants another size")
    press(page, "Cancel order")
    expect(page.get_by_text("$25.00 is refunded.")).to_be_visible()

    open_order(page, kept)
    follow(page, "Cancel order")
    page.get_by_label("Reason").fill("Wants another size")
    page.get_by_label("and refund $25.00").uncheck()
    press(page, "Cancel order")
    expect(page.get_by_text("Money still held: $25.00.")).to_be_visible()
    assert obstacles(page) == []

    page.goto("/admin/")
    held = page.get_by_role("region", name="Money still held on cancelled orders")
    expect(held).to_contain_text("$25.00")
    page.get_by_role("region", name="Needs attention").get_by_role("link").first.click()
    expect(page.get_by_role("row").filter(has_text="money is still held")).to_have_count(1)


def test_an_order_that_is_as_it_should_be_is_left_be(browse):
    order = paid_order({product(10, price=1250): 2})
    payments.cancel(order.pk, actor=MERCHANT)
    page = browse("order manager", **PHONE)

    page.goto(f"{ORDERS}?list=attention")
    follow(page, str(order))
    follow(page, "Leave it be")
    expect(page.get_by_text("Moves neither stock nor money.")).to_be_visible()
    assert obstacles(page) == []
    assert not wider_than_the_screen(page)
    page.get_by_label("Reason").fill("Kept as the fee that was agreed")
    press(page, "Leave it be")

    expect(page.get_by_text(f"Order {order} is left be.")).to_be_visible()
    assert "Kept as the fee that was agreed" in timeline(page)
    assert not wider_than_the_screen(page)
    page.goto(f"{ORDERS}?list=attention")
    expect(page.get_by_text("No payment is stuck")).to_be_visible()


def test_a_part_of_the_money_is_refunded(browse):
    order = paid_by_card({product(10, price=1250): 3})
    page = browse("order manager", **PHONE)

    open_order(page, order)
    follow(page, "Refund")
    assert obstacles(page) == []
    assert not wider_than_the_screen(page)
    page.get_by_label("Amount").fill("12.50")
    page.get_by_label("Reason").fill("Did not fit")
    press(page, "Refund")

    expect(page.get_by_text("$12.50 is refunded.")).to_be_visible()
    expect(page.get_by_text("Partly refunded, to ship")).to_be_visible()


def test_an_order_is_shipped_in_parts_and_the_second_of_two_people_is_told(browse):
    order = paid_order({product(10, sku="MUG"): 3, product(10, sku="TIN"): 1})
    page, other = browse("order manager"), browse("owner", **PHONE)

    for person in (page, other):
        open_order(person, order)
        follow(person, "Ship")
        assert obstacles(person) == []
        assert not wider_than_the_screen(person)
        person.get_by_label("Units of TIN").fill("0")
    page.get_by_label("Units of MUG").fill("2")
    page.get_by_label("Carrier").fill("DHL")
    page.get_by_label("Tracking number").fill("00340434161094042557")
    press(page, "Ship")
    expect(page.get_by_text("Shipment 1 of order")).to_be_visible()
    press(other, "Ship")

    expect(other.get_by_text("It changed since this form was opened")).to_be_visible()
    expect(page.get_by_text("Paid, 2 of 4 shipped")).to_be_visible()
    shipments = page.get_by_role("region", name="Shipments")
    link = shipments.get_by_role("link", name="00340434161094042557")
    expect(link).to_have_attribute("rel", "noopener noreferrer")
    assert obstacles(page) == []
    follow(page, "Ship the rest")
    press(page, "Ship the rest")
    expect(page.get_by_text(f"Order {order} is shipped.")).to_be_visible()
    follow(page, "Packing slip 1")
    expect(page.get_by_role("row").filter(has_text="MUG")).to_contain_text("2")
    expect(page.get_by_text("A part of the order.")).to_be_visible()


def test_the_rest_is_cancelled_and_the_amount_follows_the_units(browse):
    order = paid_by_card({product(10, sku="MUG", price=1250): 3})
    shipments.ship(order.pk, units={order.items.get().pk: 1}, actor=MERCHANT)
    page, other = browse("order manager", **PHONE), browse("owner")

    for person in (page, other):
        open_order(person, order)
        follow(person, "Cancel the rest")
        expect(person.get_by_label("Give back")).to_have_value("25.00")
        person.get_by_label("Reason").fill("Sold out")
    assert obstacles(page) == []
    assert not wider_than_the_screen(page)
    page.get_by_label("Units of MUG").fill("1")
    expect(page.get_by_label("Give back")).to_have_value("12.50")
    page.get_by_label("Give back").fill("10.00")
    page.get_by_label("Units of MUG").fill("2")
    expect(page.get_by_label("Give back")).to_have_value("10.00")
    press(page, "Cancel the rest")
    expect(page.get_by_text("$10.00 is refunded.")).to_be_visible()
    press(other, "Cancel the rest")

    expect(other.get_by_text("It changed since this form was opened")).to_be_visible()
    expect(page.get_by_text("Shipped, partly refunded")).to_be_visible()
    assert not wider_than_the_screen(page)


def test_two_of_three_are_taken_back_and_one_of_them_is_looked_at_later(browse):
    mug = product(10, sku="MUG", price=1250)
    order = paid_by_card({mug: 3})
    shipments.ship(order.pk, actor=MERCHANT)
    page, other = browse("order manager", **PHONE), browse("owner")

    for person in (page, other):
        open_order(person, order)
        follow(person, "Take back")
        expect(person.get_by_label("Give back")).to_have_value("0.00")
        person.get_by_label("Units of MUG").fill("2")
        person.get_by_label("MUG: they are").select_option("inspection")
        person.get_by_label("Reason").fill("Did not fit")
        expect(person.get_by_label("Give back")).to_have_value("25.00")
    assert obstacles(page) == []
    assert not wider_than_the_screen(page)
    press(page, "Take back")
    expect(page.get_by_text("2 units taken back. $25.00 is refunded.")).to_be_visible()
    press(other, "Take back")
    expect(other.get_by_text("It changed since this form was opened")).to_be_visible()
    assert obstacles(page) == []

    page.get_by_role("region", name="Returns").get_by_role("link", name="Inspected").click()
    page.get_by_label("Units").fill("1")
    page.get_by_label("They are").select_option("restocked")
    page.get_by_label("Reason").fill("Like new")
    assert obstacles(page) == []
    press(page, "Inspected")

    expect(page.get_by_text("1 of MUG inspected: restocked")).to_be_visible()
    expect(page.get_by_text("1 of MUG waits to be inspected")).to_be_visible()
    stock = stock_of(mug)
    assert (stock.total, stock.available, stock.allocated) == (9, 8, 1)


def test_several_are_shipped_at_once_and_each_has_its_result(browse):
    shirt = product(20)
    first, second = paid_order({shirt: 1}), paid_order({shirt: 2})
    page = browse("order manager")

    page.goto(ORDERS)
    for order in (first, second):
        page.get_by_role("row").filter(has_text=str(order)).get_by_role("checkbox").check()
    page.locator("select[name=action]").select_option("ship_selected")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_text("Ship 2 orders")).to_be_visible()
    assert obstacles(page) == []
    # Somebody else is faster with one of them.
    shipments.ship(second.pk, actor=MERCHANT)
    press(page, "Ship")

    results = page.locator("#results")
    expect(results.get_by_role("row").filter(has_text=str(first))).to_contain_text("shipped")
    expect(results.get_by_role("row").filter(has_text=str(second))).to_contain_text(
        "The order is shipped already."
    )
    assert obstacles(page) == []
    assert stock_of(shirt).total == 17


def test_a_pick_list_and_packing_slips_are_printed_without_prices(browse):
    shirt = product(20, sku="SHIRT", price=1250)
    address = {"first_name": "Ada", "line_1": "12 Square"}
    buyer = Buyer("Ada", "ada@example.com", {}, address)
    for units in (1, 2):
        order = unpaid_order({shirt: units}, buyer=buyer)
        payments.pay(order.pk, PaymentRequest("manual"), actor=MERCHANT)
    page = browse("order manager")

    page.goto(ORDERS)
    page.locator("#action-toggle").check()
    page.locator("select[name=action]").select_option("print_selected")
    page.get_by_role("button", name="Run").click()

    expect(page.get_by_role("heading", name="Pick list")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="SHIRT").first).to_contain_text("3")
    expect(page.get_by_text("12 Square")).to_have_count(2)
    assert "12.50" not in page.locator("main").inner_text()
    assert obstacles(page) == []
    page.emulate_media(media="print")
    expect(page.get_by_role("button", name="Print")).to_be_hidden()
    expect(page.get_by_text("12 Square").first).to_be_visible()


def test_one_packing_slip_is_printed_from_its_order(browse):
    order = paid_order({product(20, sku="SHIRT"): 2})
    page = browse("order manager")

    open_order(page, order)
    follow(page, "Print packing slip")

    expect(page.get_by_text(f"Order {order}")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="SHIRT")).to_have_count(2)


def test_a_note_stands_in_the_timeline(browse):
    order = unpaid_order({product(10): 1})
    page = browse("order manager")

    open_order(page, order)
    follow(page, "Add note")
    assert obstacles(page) == []
    page.get_by_label("Note", exact=True).fill("Rings twice.")
    press(page, "Add note")

    expect(page.get_by_role("region", name="Timeline")).to_contain_text("Rings twice.")


def test_a_payment_that_hangs_is_looked_at_and_settled_by_the_owner(browse):
    shirt = product(10)
    order = paid_by_card({shirt: 2}, token="unknown")
    page = browse("owner")

    page.goto(f"{ORDERS}?list=attention")
    expect(page.get_by_text("A gateway has not said what became of a payment")).to_be_visible()
    follow(page, str(order))
    follow(page, "Check now")
    press(page, "Check now")
    expect(page.get_by_text("does not know yet")).to_be_visible()
    follow(page, "Settle by hand")
    assert obstacles(page) == []
    page.get_by_label("Outcome").select_option("failed")
    page.get_by_label("Reason").fill("Seen in the dashboard")
    press(page, "Settle by hand")

    expect(page.get_by_text("Settled by hand: the payment is failed.")).to_be_visible()
    assert "Seen in the dashboard" in timeline(page)
    assert stock_of(shirt).available == 10


def test_a_payment_is_recorded_and_a_part_is_left_to_pay(browse):
    order = unpaid_order({product(10, price=1250): 2})
    page = browse("order manager")

    open_order(page, order)
    follow(page, "Record payment")
    page.get_by_label("Amount").fill("10.00")
    press(page, "Record payment")

    expect(page.get_by_text(f"$10.00 recorded for order {order}.")).to_be_visible()
    expect(page.get_by_text("Left to pay")).to_be_visible()


@pytest.mark.parametrize("options", [{}, PHONE], ids=["desk", "phone"])
def test_the_dashboard_leads_to_what_is_to_be_done(browse, options):
    shirt = product(2, name="Red shirt")
    order = paid_order({shirt: 1})
    page = browse("owner", **options)

    page.goto("/admin/")
    assert obstacles(page) == []
    assert not wider_than_the_screen(page)
    low = page.get_by_role("region", name="Low and out of stock")
    expect(low).to_contain_text("1 low, 0 of them out")
    expect(low.get_by_role("link", name="Red shirt")).to_be_visible()
    page.get_by_role("region", name="Orders to ship").get_by_role("link", name=str(order)).click()

    expect(page).to_have_url(re.compile(f"{order.pk}/change/"))


def test_a_viewer_finds_an_order_by_its_number_and_no_button_to_press(browse):
    order = shipped_order({product(10): 1})
    page = browse("viewer")

    page.goto(ORDERS)
    expect(page.get_by_text("Every paid order is on its way.")).to_be_visible()
    page.locator("#searchbar").fill(str(order))
    page.keyboard.press("Enter")
    follow(page, str(order))

    expect(page.get_by_role("region", name="Timeline")).to_contain_text("Shipped")
    for name in ("Undo ship", "Refund", "Add note"):
        expect(page.get_by_role("link", name=name)).to_have_count(0)
