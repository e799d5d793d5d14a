"""Lists on a phone: a card of about three lines for each row, which a thumb can open and tick."""

import pytest
from playwright.sync_api import expect

from tests.browser.accessibility import obstacles, wider_than_the_screen
from tests.factories import paid_order, product

pytestmark = pytest.mark.django_db(transaction=True)

CARD_HEIGHT_MAX = 110
THUMB = 44
# What a finger meets that misses the middle of the box by almost half of a thumb's width.
HIT = """box => {
    const {x, y, width, height} = box.getBoundingClientRect();
    const reach = (dx, dy) => document.elementFromPoint(x + width / 2 + dx, y + height / 2 + dy);
    return [[-21, 0], [21, 0], [0, -20], [0, 20]].every(([dx, dy]) => reach(dx, dy) === box);
}"""


@pytest.mark.parametrize("listed", ["orders/order", "inventory/product"])
def test_a_row_is_a_card_that_a_thumb_opens_and_ticks(browse, listed):
    shirt = product(20, name="Linen shirt")
    for _ in range(3):
        paid_order({shirt: 1, product(5): 2})
    page = browse("owner", viewport={"width": 390, "height": 844})
    page.goto(f"/admin/{listed}/")
    cards = page.locator("#result_list .data-row")
    expect(cards.first).to_be_visible()

    heights = [card.bounding_box()["height"] for card in cards.all()]
    assert THUMB <= min(heights) <= max(heights) <= CARD_HEIGHT_MAX
    assert cards.first.locator("input.action-select").evaluate(HIT)
    assert obstacles(page) == []
    assert not wider_than_the_screen(page)

    cards.first.locator("input.action-select").check()
    expect(cards.first.locator("input.action-select")).to_be_checked()
    box = cards.last.bounding_box()
    cards.last.click(position={"x": box["width"] - 20, "y": box["height"] - 8})
    expect(page.locator("#result_list")).to_have_count(0)
