"""Every control of a page by Tab, and by Enter or Space, as for somebody who has no mouse."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.accessibility import obstacles
from tests.factories import api_client, drafted, product, unpaid_order

pytestmark = pytest.mark.django_db(transaction=True)

PRODUCTS = "/admin/inventory/product/"
TABS_MAX = 150

# Whatever is in sight and shows a hand to the mouse, or is a field: each under the number that it
# is given, with its words. Of a group of radio buttons only the chosen one is reached by Tab.
_IN_SIGHT = """() => {
    const FIELDS = "a[href], button, input, select, textarea, summary, [tabindex='0']";
    const sees = (element) => element.checkVisibility({visibilityProperty: true})
        && element.getClientRects().length > 0;
    const hand = (element) => getComputedStyle(element).cursor === "pointer";
    const is_other_radio = (element) => element.type === "radio" && !element.checked;
    // Behind an open dialog nothing can be used.
    const place = document.querySelector("dialog[open]") ?? document.body;
    const found = [...place.querySelectorAll("*")].filter((element) => {
        if (!sees(element) || element.disabled || is_other_radio(element)) return false;
        if (element.matches(FIELDS)) return element.tabIndex >= 0;
        if (element.closest(FIELDS) || element.closest("label")) return false;
        return hand(element) && !hand(element.parentElement) && !element.querySelector(FIELDS);
    });
    found.forEach((element, number) => { element.dataset.number = number; });
    return found.map((element) => element.outerHTML.slice(0, 160));
}"""


# Who was focused loses the number.
_WATCH = """() => {
    document.activeElement.blur();
    addEventListener("focusin", (event) => { event.target.removeAttribute("data-number"); });
}"""
# Frames as a busy machine has them: each late, with all that waited for it.
_LATE_FRAMES = """() => {
    const asked = window.requestAnimationFrame.bind(window);
    const waiting = [];
    window.requestAnimationFrame = (act) => {
        if (!waiting.length) setTimeout(() => { waiting.splice(0).forEach(asked); }, 200);
        waiting.push((now) => act(now));
    };
}"""
# Both before the next frame, and then there are some.
_PRESS_AND_LEAVE = """async () => {
    for (const key of ["Enter", "Escape"]) {
        const options = {key, bubbles: true, cancelable: true};
        document.activeElement.dispatchEvent(new KeyboardEvent("keydown", options));
    }
    for (let frames = 3; frames; frames--) await new Promise(requestAnimationFrame);
}"""
_LEFT = "[...document.querySelectorAll('[data-number]')].map(each => Number(each.dataset.number))"


def out_of_reach(page: Page) -> list[str]:
    """Go through the page by Tab, and list the controls in sight that were never focused."""
    # Where Alpine has a part in it, the page is in sight when that has begun.
    page.wait_for_selector("html:not([x-cloak])")
    controls: list[str] = page.evaluate(_IN_SIGHT)
    assert controls
    page.evaluate(_WATCH)
    left = list(range(len(controls)))
    # Tab stops at each part of a date, and at what opens its calendar.
    dates = sum('type="date"' in control for control in controls)
    # What only shows when it is focused is passed too.
    for _ in range(2):
        for _ in range(len(left) + 3 * dates):
            page.keyboard.press("Tab")
        left = page.evaluate(_LEFT)
    return [controls[number] for number in left]


def tab_to(page: Page, name: str) -> None:
    """Go on by Tab until something of this name is focused."""
    page.wait_for_load_state("networkidle")
    wanted = "name => document.activeElement.textContent.includes(name)"
    for _ in range(TABS_MAX):
        page.keyboard.press("Tab")
        if page.evaluate(f"{wanted} && document.activeElement !== document.body", name):
            return
    pytest.fail(f"{name} is not reached")


def test_t24_every_control_in_sight_is_reached_by_tab(browse, subtests):
    """On pages that the tour does not show at a desk: see tests/browser/test_tour.py."""
    shirt = product(20, sku="SHIRT")
    desk, phone = browse("owner"), browse("owner", viewport={"width": 390, "height": 844})
    pages = [
        (phone, PRODUCTS),
        (phone, f"{PRODUCTS}{shirt.pk}/inventory/"),
        (desk, f"{PRODUCTS}many/categories/?ids={shirt.pk}"),
        (desk, f"/admin/orders/cart/{drafted(shirt)}/desk/"),
        (desk, f"/admin/orders/cart/{drafted(shirt)}/check-out/"),
        (desk, f"/admin/orders/order/{unpaid_order({shirt: 1}).pk}/lines/"),
    ]
    for page, address in pages:
        with subtests.test(address):
            page.goto(address)
            assert out_of_reach(page) == []


def test_t24_filters_are_opened_and_left_by_keyboard(browse):
    product(20)
    page = browse("owner")
    page.goto(PRODUCTS)

    tab_to(page, "Filters")
    page.keyboard.press("Enter")
    sheet = page.locator("#changelist-filter")
    expect(sheet).to_be_visible()
    expect(sheet.locator(":focus")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    expect(page.locator(":focus")).to_contain_text("Filters")

    page.keyboard.press("Space")
    expect(sheet.locator(":focus")).to_have_count(1)
    tab_to(page, "Live")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{page.url.partition('?')[0]}?status__exact=live")


def test_t24_however_late_frames_come_what_is_left_by_escape_is_closed(browse, subtests):
    product(20)
    page = browse("owner")
    page.goto(PRODUCTS)
    page.wait_for_load_state("networkidle")
    page.evaluate(_LATE_FRAMES)

    # Unfold closes the one itself, and not the other.
    for name, content in (
        ("Filters", "#changelist-filter"),
        ("unfold_more", "form[action*=logout]"),
    ):
        with subtests.test(name):
            shown = page.locator(content)
            tab_to(page, name)
            page.keyboard.press("Enter")
            expect(shown).to_be_visible()
            expect(page.locator(":focus")).not_to_contain_text(name)
            page.keyboard.press("Escape")
            expect(page.locator(":focus")).to_contain_text(name)
            expect(shown).to_be_hidden()

        with subtests.test(f"{name}, left before it shows"):
            page.evaluate(_PRESS_AND_LEAVE)
            expect(shown).to_be_hidden()
            expect(page.locator(":focus")).to_contain_text(name)


def test_t24_what_has_no_place_on_a_phone_is_opened_by_keyboard(browse):
    client = api_client(name="Web shop")
    page = browse("owner", viewport={"width": 390, "height": 844})
    page.goto(f"/admin/api/apiclient/{client.pk}/change/")

    expect(page.get_by_role("link", name="More", exact=True)).to_be_visible()
    tab_to(page, "more_horiz")
    page.keyboard.press("Enter")
    tab_to(page, "Revoke")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Revoke: Web shop")).to_be_visible()
    assert out_of_reach(page) == []


def test_t24_theme_and_log_out_are_found_behind_ones_name_by_keyboard(browse):
    page = browse("owner")
    page.goto("/admin/")
    html = page.locator("html")

    tab_to(page, "unfold_more")
    page.keyboard.press("Enter")
    expect(page.locator(":focus")).to_contain_text("Light")
    assert obstacles(page) == []
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(html).to_have_class("dark")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    expect(html).not_to_have_class("dark")
    page.keyboard.press("Escape")
    expect(page.get_by_text("Log out")).to_be_hidden()

    expect(page.locator(":focus")).to_contain_text("unfold_more")
    page.keyboard.press("Enter")
    tab_to(page, "Log out")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Log in again")).to_be_visible()
