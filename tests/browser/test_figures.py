"""Figures as somebody follows them: from the dashboard and the charts to what makes them up."""

import re

from playwright.sync_api import Page, expect

from backoffice.figures import days
from payments.services import payments
from tests.browser.accessibility import obstacles
from tests.factories import MERCHANT, paid_order, product

FIGURES = "/admin/orders/order/figures/"


def follow(page: Page, number: str) -> None:
    page.get_by_role("link", name=number, exact=True).first.click()


def test_a_number_is_followed_from_its_chart_to_its_orders(browse):
    shirt = product(9, name="Blue shirt", price=1250)
    paid = [paid_order({shirt: 2}), paid_order({shirt: 1})]
    payments.refund(paid[0].pk, paid[0].payments.get().pk, 500, actor=MERCHANT)
    days.add_up()
    page = browse("owner")

    page.goto("/admin/")
    page.get_by_role("link", name="Figures", exact=True).click()
    expect(page.get_by_role("img", name=re.compile("taken \\$37.50 in all"))).to_be_visible()
    assert obstacles(page) == []
    follow(page, "$37.50")
    expect(page.get_by_text("$37.50 in 2 payments")).to_be_visible()
    expect(page.get_by_role("row")).to_have_count(3)
    assert obstacles(page) == []
    page.get_by_role("link", name=f"#{paid[0].number}").click()
    expect(page.get_by_role("heading", name=f"Order #{paid[0].number}")).to_be_visible()

    page.goto(FIGURES)
    page.get_by_role("link", name="Best sellers").click()
    page.get_by_role("row", name="Blue shirt").get_by_role("link", name="3", exact=True).click()
    expect(page.get_by_text("3 units for $")).to_be_visible()

    page.goto(FIGURES)
    page.get_by_label("From").fill("2020-01-01")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.get_by_text("At most 366 days at a time.")).to_be_visible()
    page.get_by_role("link", name="Today").click()
    with page.expect_download() as told:
        page.get_by_role("link", name="Export as CSV").click()
    assert told.value.suggested_filename.startswith("revenue-")


def test_a_figure_of_the_dashboard_is_followed_to_its_list(browse):
    product(0, name="Sold out")
    product(99, name="Plenty")
    page = browse("viewer")

    page.goto("/admin/")
    page.get_by_role("link", name="1 of them out").click()
    expect(page.get_by_text("Sold out").first).to_be_visible()
    expect(page.get_by_text("Plenty")).to_have_count(0)

    page.goto("/admin/")
    page.get_by_role("link", name="What was compared").click()
    page.get_by_role("button", name="Compare now").click()
    expect(page.get_by_text("It is being compared.", exact=False).first).to_be_visible()
    assert obstacles(page) == []
