"""What asks for one thing or none, on the page one is on: with a mouse, and by keyboard alone."""

import re

import pytest
from playwright.sync_api import expect

from orders.models import OrderEvent
from tests.browser.accessibility import obstacles
from tests.browser.test_keyboard import out_of_reach, tab_to
from tests.factories import api_client, paid_order, product

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_note_is_written_in_a_dialog_by_keyboard_alone(browse):
    order = paid_order({product(5): 1})
    address = f"/admin/orders/order/{order.pk}/change/"
    page = browse("owner")
    page.goto(address)
    dialog = page.get_by_role("dialog", name="Add note")

    tab_to(page, "Add note")
    page.keyboard.press("Enter")
    expect(dialog.get_by_label("Note")).to_be_focused()
    assert obstacles(page) == []
    assert out_of_reach(page) == []
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.locator(":focus")).to_have_text("Add note")

    # A mistake is told in it, and so is a server that does not answer.
    page.keyboard.press("Enter")
    dialog.get_by_role("button", name="Add note").click()
    expect(dialog.get_by_text("Write something.")).to_be_visible()
    expect(dialog.get_by_label("Note")).to_be_focused()
    page.keyboard.type("Call before you ship.")
    page.context.set_offline(True)
    dialog.get_by_role("button", name="Add note").click()
    expect(dialog.get_by_text("The server does not answer.")).to_be_visible()
    page.context.set_offline(False)
    dialog.get_by_role("button", name="Add note").click()
    expect(dialog).to_be_hidden()
    expect(page).to_have_url(re.compile(address))
    expect(page.get_by_text("Call before you ship.")).to_be_visible()
    assert OrderEvent.objects.filter(text="Call before you ship.").count() == 1


def test_a_second_click_takes_nothing_away_that_is_typed(browse):
    order = paid_order({product(5): 1})
    page = browse("owner")
    page.goto(f"/admin/orders/order/{order.pk}/change/")
    note = page.get_by_role("dialog", name="Add note").get_by_label("Note")
    asked = []
    page.route("**/note/", lambda route: asked.append(route))

    link = page.get_by_role("link", name="Add note")
    with page.expect_request("**/note/"):
        link.click()
    with page.expect_request("**/note/"):
        link.click()
    first, second = asked
    second.continue_()
    note.fill("Call before you ship.")
    with page.expect_response("**/note/") as answered:
        first.continue_()
    answered.value.finished()

    expect(note).to_be_focused()
    expect(note).to_have_value("Call before you ship.")


def test_what_cannot_be_undone_is_not_done_by_an_enter_too_many(browse):
    shirt = product(0, name="Linen shirt")
    page = browse("owner", viewport={"width": 390, "height": 844})
    page.goto(f"/admin/inventory/product/{shirt.pk}/change/")

    page.get_by_role("link", name="Delete product").click()
    dialog = page.get_by_role("dialog", name="Delete Linen shirt?")
    expect(dialog.get_by_role("link", name="Back")).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    page.get_by_role("link", name="Delete product").click()
    dialog.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("is deleted.")).to_be_visible()


def test_who_was_logged_out_meanwhile_is_told_so_on_a_page(browse):
    client = api_client(name="Web shop")
    page = browse("owner")
    page.goto(f"/admin/api/apiclient/{client.pk}/change/")

    page.get_by_role("link", name="Revoke").click()
    expect(page.get_by_role("dialog", name="Revoke: Web shop")).to_be_visible()
    page.context.clear_cookies()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.get_by_text("This form is too old")).to_be_visible()
