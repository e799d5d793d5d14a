"""The shop window as shoppers use it: one, two at once, and one with a bad connection."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from inventory.models import Product
from inventory.services import products
from inventory.services.products import Money
from orders.models import Order
from payments.models import Payment
from payments.services import recovery
from tests.browser.accessibility import obstacles
from tests.factories import MERCHANT, api_client, paid_order, product, stock_of


@pytest.fixture(autouse=True)
def storefront(transactional_db):
    """The program as which the page calls the API."""
    return api_client(secret="", client_id="demo-storefront")


@pytest.fixture
def mug(storefront):
    return product(stock=3, name="Blue mug", price=11_00)


def says(page: Page):
    return page.locator("#says p")


def order_of(page: Page):
    """The newest order on the page."""
    return page.locator("#order-list > li").first


def fill_cart(page: Page, name: str = "Blue mug") -> None:
    page.goto("/")
    page.get_by_role("button", name=f"Add {name} to the cart").click()
    expect(says(page)).to_have_text(f"{name} is in your cart.")
    expect(page.locator("#lines h3").filter(has_text=name)).to_be_visible()


def place_order(page: Page) -> None:
    page.get_by_text("Check out", exact=True).click()
    page.get_by_role("button", name="Fill in an example").click()
    page.get_by_role("button", name="Place the order").click()


def order_mug(page: Page) -> None:
    fill_cart(page)
    place_order(page)
    expect(order_of(page)).to_contain_text("Not paid")


def pay(page: Page, way: str) -> None:
    order_of(page).get_by_label(way, exact=True).check()
    order_of(page).get_by_role("button", name="Pay").click()


def set_price(made: Product, amount: int) -> None:
    products.update(made.pk, prices=[Money("USD", amount)], actor=MERCHANT)


# Buying.


def test_a_shopper_buys_a_mug(page, mug):
    page.goto("/")
    shown = page.get_by_role("listitem").filter(has_text="Blue mug")
    expect(shown).to_contain_text("$11.00")
    expect(shown).to_contain_text("Only 3 left")
    assert obstacles(page) == []

    fill_cart(page)
    place_order(page)
    expect(order_of(page)).to_contain_text("Nothing is reserved until you pay.")
    assert obstacles(page) == []
    pay(page, "A card that works")

    expect(order_of(page)).to_contain_text("Paid")
    expect(page.get_by_text("It is empty.")).to_be_visible()
    expect(shown.first).to_contain_text("Only 2 left")
    assert obstacles(page) == []
    order = Order.objects.get()
    assert (order.payment, order.customer_email) == ("paid", "ada@example.com")
    assert stock_of(mug).allocated == 1


def test_the_keyboard_alone_is_enough(page, mug):
    page.goto("/")

    def press_on(name):
        button = page.get_by_role("button", name=name)
        button.focus()
        page.keyboard.press("Enter")

    press_on("Add Blue mug to the cart")
    expect(page.get_by_role("button", name="Add Blue mug to the cart")).to_be_focused()
    expect(page.locator("summary")).to_be_visible()
    page.locator("summary").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    expect(page.get_by_label("First name")).to_be_focused()
    press_on("Fill in an example")
    press_on("Place the order")
    expect(order_of(page)).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_label("A card that works")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    expect(order_of(page)).to_contain_text("Paid")


def test_quantities_change_in_place(page, mug):
    fill_cart(page)
    quantity = page.get_by_label("Quantity of Blue mug")

    quantity.fill("3")
    quantity.press("Enter")
    expect(page.locator("#cart-sum")).to_contain_text("$33.00")
    quantity.fill("4")
    quantity.press("Enter")
    expect(says(page)).to_have_text("Somebody was faster. Only 3 of Blue mug left.")
    expect(quantity).to_have_value("3")
    page.get_by_role("button", name="Remove Blue mug").click()

    expect(page.get_by_text("It is empty.")).to_be_visible()
    expect(page.get_by_role("link", name="Cart")).to_have_text("Cart: 0")


def test_products_are_found_by_name(page, mug):
    product(stock=0, name='Mug "Storm", 0.5 l')
    product(name="Draft", status="draft")
    page.goto("/")
    names = page.locator("#products h3")
    expect(names).to_have_text(["Blue mug", 'Mug "Storm", 0.5 l'])

    page.get_by_label("Search").fill('"storm", 0.5')
    expect(names).to_have_text(['Mug "Storm", 0.5 l'])
    expect(page.locator("#products")).to_contain_text("Sold out")
    expect(page.get_by_role("button", name="Add")).to_have_count(0)

    page.get_by_label("Search").fill("*")
    expect(page.get_by_text("Nothing is called that.")).to_be_visible()
    assert obstacles(page) == []


def test_names_are_text_whatever_they_look_like(page, watch):
    name = "<img src=x onerror=\"document.title='fooled'\"> & <b>mug</b>"
    product(stock=1, name=name)

    fill_cart(page, name)
    place_order(page)

    expect(order_of(page)).to_contain_text(name)
    expect(page).to_have_title("Holdfast: the shop window")


def test_what_is_wrong_with_an_address_is_said_beside_it(page, mug):
    fill_cart(page)
    page.get_by_text("Check out", exact=True).click()
    page.get_by_role("button", name="Fill in an example").click()
    email = page.get_by_label("E-mail")
    # Enough for the browser, and not for the server.
    email.fill("ada@example")

    page.get_by_role("button", name="Place the order").click()

    expect(email).to_be_focused()
    assert "'email'" in email.evaluate("(field) => field.validationMessage")
    email.fill("ada@example.com")
    page.get_by_role("button", name="Place the order").click()
    expect(order_of(page)).to_contain_text("Not paid")


# Somebody was faster.


SOLD_OUT = "Somebody was faster. Blue mug is sold out."


def test_the_last_one_goes_to_one_of_two_browsers(browse):
    last = product(stock=1, name="Blue mug")
    buyers = [browse(), browse()]
    for page in buyers:
        order_mug(page)

    # A click does not wait for what it starts.
    for page in buyers:
        pay(page, "A card that works")

    ended = re.compile(f"Thank you|{SOLD_OUT} Nothing was charged")
    for page in buyers:
        expect(order_of(page).locator(".what")).to_have_text(ended)
    assert sorted(order_of(page).locator(".badge").inner_text() for page in buyers) == [
        "Not paid",
        "Paid",
    ]
    assert sorted(Order.objects.values_list("payment", flat=True)) == ["paid", "unpaid"]
    assert (stock_of(last).available, stock_of(last).allocated) == (0, 1)
    assert [len(obstacles(page)) for page in buyers] == [0, 0]


def test_somebody_was_faster_than_the_cart(page):
    mug = product(stock=1, name="Blue mug")
    page.goto("/")
    add = page.get_by_role("button", name="Add Blue mug to the cart")
    expect(add).to_be_visible()
    paid_order({mug: 1})

    add.click()

    expect(says(page)).to_have_text(SOLD_OUT)
    expect(page.locator("#products")).to_contain_text("Sold out")
    expect(add).to_have_count(0)


def test_somebody_was_faster_than_the_checkout(page):
    mug = product(stock=1, name="Blue mug")
    fill_cart(page)
    paid_order({mug: 1})

    place_order(page)

    expect(says(page)).to_have_text(SOLD_OUT)
    expect(page.get_by_label("Quantity of Blue mug")).to_have_value("1")
    expect(page.locator("#orders")).to_be_hidden()


def test_a_new_price_is_shown_before_anybody_orders(page, mug):
    fill_cart(page)
    # Nothing that the page still reads may show the new price by itself.
    page.wait_for_load_state("networkidle")
    expect(page.locator("#cart-sum")).to_contain_text("$11.00")
    set_price(mug, 12_00)

    place_order(page)

    expect(says(page)).to_contain_text("A price has just changed.")
    expect(page.locator("#cart-sum")).to_contain_text("$12.00")
    page.get_by_role("button", name="Place the order, $12.00").click()
    expect(order_of(page)).to_contain_text("Not paid")


# Once.


def lose_first_answer(page: Page, path: str, lose: Callable[[Route], None]) -> list[Any]:
    """Let the server do what the first request asks for, and the page never hear of it."""
    answers: list[Any] = []

    def handle(route: Route) -> None:
        if answers:
            route.continue_()
        else:
            answers.append(route.fetch().json())
            lose(route)

    page.route(path, handle)
    return answers


def test_an_answer_that_got_lost_makes_no_second_order(page, mug):
    answers = lose_first_answer(page, "**/checkout", lambda route: route.abort())

    order_mug(page)

    assert [str(order.pk) for order in Order.objects.all()] == [answers[0]["data"]["id"]]


def test_an_answer_that_comes_late_hides_no_newer_order(page, mug):
    held: list[tuple[Route, Any]] = []

    def hold_the_first(route: Route) -> None:
        if held:
            route.continue_()
        else:
            held.append((route, route.fetch()))

    # What the page asks when it opens, before there is an order.
    page.route("**/orders", hold_the_first)
    order_mug(page)

    # Once it has dealt with that answer, the page goes on to the cart.
    with page.expect_response("**/items"):
        route, answer = held[0]
        route.fulfill(response=answer)

    expect(order_of(page)).to_contain_text("Not paid")
    expect(order_of(page)).to_be_focused()


def test_a_reload_between_question_and_answer_makes_no_second_order(page, mug):
    fill_cart(page)
    answers = lose_first_answer(page, "**/checkout", lambda route: None)
    place_order(page)
    while not answers:
        page.wait_for_timeout(20)

    page.reload()
    place_order(page)

    expect(order_of(page)).to_contain_text("Not paid")
    assert [str(order.pk) for order in Order.objects.all()] == [answers[0]["data"]["id"]]


def test_t30_an_order_that_was_made_though_the_server_said_500_is_made_once(page, mug, watch):
    broken = {"errors": [{"status": 500, "title": "Internal Server Error", "code": "server_error"}]}
    fill_cart(page)
    answers = lose_first_answer(
        page, "**/checkout", lambda route: route.fulfill(status=500, json=broken)
    )
    place_order(page)
    expect(says(page)).to_have_text("Internal Server Error")

    page.get_by_role("button", name="Place the order").click()

    expect(order_of(page)).to_contain_text("Not paid")
    assert [str(order.pk) for order in Order.objects.all()] == [answers[0]["data"]["id"]]
    # The browser's own word of it may come after the page's.
    assert [each for each in watch.complaints if not each.startswith("answered 500")] == []
    watch.complaints.clear()


def test_t30_a_refused_order_may_be_tried_again_when_the_reason_is_gone(page, mug):
    fill_cart(page)
    products.update(mug.pk, status="draft", actor=MERCHANT)
    place_order(page)
    expect(says(page)).to_contain_text("no longer sold")
    products.update(mug.pk, status="live", actor=MERCHANT)

    page.get_by_role("button", name="Place the order").click()

    expect(order_of(page)).to_contain_text("Not paid")


def test_a_payment_whose_answer_got_lost_is_charged_once(page, mug):
    order_mug(page)
    lose_first_answer(page, "**/payments", lambda route: route.abort())

    pay(page, "A card that works")

    expect(order_of(page)).to_contain_text("Paid")
    expect(says(page)).to_contain_text("Thank you!")
    assert Payment.objects.count() == 1


def test_a_payment_that_is_never_answered_is_given_up_and_asked_again(page, mug):
    order_mug(page)
    answers = lose_first_answer(page, "**/payments", lambda route: None)
    page.evaluate(
        """() => {
            const { timeout } = AbortSignal;
            const patience = new AbortController();
            AbortSignal.timeout = () => patience.signal;
            window.loseIt = () => { AbortSignal.timeout = timeout; patience.abort(); };
        }"""
    )

    pay(page, "A card that works")
    while not answers:
        page.wait_for_timeout(20)
    expect(says(page)).to_have_text("We are asking the bank …")
    page.evaluate("loseIt()")

    expect(order_of(page)).to_contain_text("Paid")
    assert Payment.objects.count() == 1


def test_an_impatient_shopper_pays_once(page, mug):
    order_mug(page)
    button = page.get_by_role("button", name="Pay")

    button.evaluate("(button) => { button.click(); button.click(); }")

    expect(order_of(page)).to_contain_text("Paid")
    assert Payment.objects.count() == 1


def test_what_was_put_into_the_cart_after_the_order_stays_there(page, mug):
    product(stock=1, name="Red mug")
    order_mug(page)
    expect(page.locator("#checked-out")).to_be_visible()
    expect(page.locator("#checkout")).to_be_hidden()

    page.get_by_role("button", name="Add Red mug to the cart").click()
    expect(page.locator("#checkout")).to_be_visible()
    pay(page, "A card that works")

    expect(order_of(page)).to_contain_text("Paid")
    expect(page.locator("#lines h3")).to_have_text(["Blue mug", "Red mug"])


def test_orders_are_still_there_after_a_reload(page, mug):
    order_mug(page)

    page.reload()
    expect(page.locator("#checked-out")).to_be_visible()
    pay(page, "A card that works")

    expect(order_of(page)).to_contain_text("Paid")
    expect(page.get_by_text("It is empty.")).to_be_visible()


def test_a_shop_without_its_client_says_so(page, storefront):
    storefront.delete()

    page.goto("/")

    expect(says(page)).to_contain_text("This shop is not set up yet")


# Paying in every way.


def test_a_declined_card_can_be_followed_by_another(page, mug):
    order_mug(page)

    pay(page, "A card that is declined")
    expect(order_of(page)).to_contain_text("Nothing was charged")
    assert stock_of(mug).allocated == 0
    pay(page, "A card that works")

    expect(order_of(page)).to_contain_text("Paid")
    assert list(Payment.objects.order_by("pk").values_list("status", flat=True)) == [
        "failed",
        "complete",
    ]


def test_a_bank_may_ask_for_a_confirmation(page, mug):
    order_mug(page)

    pay(page, "A bank that asks you to confirm")
    expect(order_of(page)).to_contain_text("Your bank asks you to confirm this payment.")
    assert stock_of(mug).allocated == 1
    page.reload()
    order_of(page).get_by_role("button", name="Confirm the payment").click()

    expect(order_of(page)).to_contain_text("Paid")
    expect(page.get_by_text("It is empty.")).to_be_visible()


def test_t13_who_does_not_confirm_pays_in_another_way(page, mug):
    order_mug(page)

    pay(page, "A bank that asks you to confirm")
    order_of(page).get_by_text("Pay in another way", exact=True).click()
    assert obstacles(page) == []
    order_of(page).get_by_label("A card that works", exact=True).check()
    order_of(page).get_by_role("button", name="Pay $11.00").click()

    expect(order_of(page)).to_contain_text("Paid")
    assert list(Payment.objects.order_by("pk").values_list("status", flat=True)) == [
        "failed",
        "complete",
    ]
    assert stock_of(mug).allocated == 1


def test_a_confirmation_may_end_in_a_refusal(page, mug):
    order_mug(page)

    pay(page, "A bank that asks you to confirm, then declines")
    order_of(page).get_by_role("button", name="Confirm the payment").click()

    expect(order_of(page)).to_contain_text("Nothing was charged")
    expect(order_of(page).get_by_role("button", name="Pay")).to_be_visible()
    expect(page.get_by_label("Quantity of Blue mug")).to_have_value("1")
    assert stock_of(mug).allocated == 0


@pytest.mark.parametrize(
    ("way", "ended"),
    [
        ("A bank that answers late", "Paid"),
        ("A bank that answers late, and declines", "Declined"),
    ],
)
def test_the_page_waits_for_a_bank_that_is_late(page, mug, settings, way, ended):
    settings.GATEWAY_TIMEOUT_SECONDS = 0.1
    order_mug(page)

    pay(page, way)
    badge = order_of(page).locator(".badge")
    expect(badge).to_have_text("Waiting for the bank")
    assert obstacles(page) == []
    assert recovery.settle_pending() == 1

    # Without a reload: the page asks until it knows.
    expect(badge).to_have_text(ended)
    assert bool(stock_of(mug).allocated) is (ended == "Paid")


def test_a_silent_bank_is_settled_by_somebody_in_the_back_office(page, mug):
    order_mug(page)

    pay(page, "A bank that does not answer")
    expect(order_of(page).locator(".badge")).to_have_text("Waiting for the bank")
    expect(page.get_by_label("Quantity of Blue mug")).to_have_value("1")
    payment = Payment.objects.get()
    recovery.settle_by_hand(
        payment.order_id,
        payment.pk,
        succeeded=True,
        reference="bank-1",
        reason="the bank says so",
        actor=MERCHANT,
    )

    expect(order_of(page).locator(".badge")).to_have_text("Paid")
    expect(says(page)).to_contain_text("Thank you!")
    expect(page.get_by_text("It is empty.")).to_be_visible()
