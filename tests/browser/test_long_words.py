"""Words of hundreds of letters, where merchants and shoppers put them: no page is wrecked by it."""

import pytest
from playwright.sync_api import expect

from inventory.models import Action
from inventory.services import stock as inventory
from orders.services.orders import Buyer
from payments.services import payments
from payments.services.payments import PaymentRequest
from tests.browser.accessibility import wider_than_the_screen
from tests.factories import MERCHANT, delivery, product, unpaid_order

pytestmark = pytest.mark.django_db(transaction=True)

ADMIN = "/admin/"
MAIL = f"{'e' * 60}@{'m' * 60}.{'x' * 60}.com"
# Cards hide what does not fit, but for their tables, which can be moved sideways.
CUT = """[...document.querySelectorAll(".hf-card")]
    .filter((card) => card.scrollWidth > card.clientWidth + 1)
    .map((card) => card.outerHTML.slice(0, 160))"""


def test_a_long_word_widens_no_page_and_is_read_to_its_end(browse, subtests):
    long = product(20, name="N" * 200, sku="S" * 100, barcode="B" * 64, description="D" * 300)
    order = unpaid_order({long: 2}, buyer=Buyer("C" * 150, MAIL))
    payments.pay(order.pk, PaymentRequest("manual"), actor=MERCHANT)
    inventory.record(long.pk, Action.ALLOCATE, 2, actor=MERCHANT, reason="R" * 200)
    expected = delivery({long: 3}, number="4" * 100, supplier="W" * 200)
    products, orders = f"{ADMIN}inventory/product/", f"{ADMIN}orders/order/"
    page = browse("owner")
    for address in [
        ADMIN,
        products,
        f"{products}{long.pk}/inventory/",
        f"{products}labels/print/?ids={long.pk}",
        f"{ADMIN}inventory/delivery/{expected.pk}/goods/",
        f"{orders}print/?order={order.pk}",
        f"{orders}{order.pk}/change/",
    ]:
        with subtests.test(address):
            page.goto(address)
            for width in (1280, 390):
                page.set_viewport_size({"width": width, "height": 844})
                assert not wider_than_the_screen(page)
                assert page.evaluate(CUT) == []

    page.goto(f"{products}{long.pk}/change/")
    page.get_by_role("link", name="Delete product").click()
    expect(page.get_by_role("dialog")).to_contain_text("N" * 200)
    assert not wider_than_the_screen(page)
    assert page.evaluate(CUT) == []
