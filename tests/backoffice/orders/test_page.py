"""An order's page in the admin, at which nothing is done."""

from typing import Any

import pytest

from orders.models import Order
from orders.services import orders, shipments
from payments.errors import PaymentDeclined
from payments.models import Payment
from payments.services import payments
from payments.services.payments import PaymentRequest
from tests.backoffice.pages import text
from tests.factories import MERCHANT, product, unpaid_order

pytestmark = pytest.mark.django_db

ORDERS = "/admin/orders/order/"


def page(order: Order) -> str:
    return f"{ORDERS}{order.pk}/change/"


def states(order: Order) -> tuple[str, str, str]:
    order.refresh_from_db()
    return order.status, order.payment, order.shipping


def pay(order: Order, amount: int | None = None, **fields: Any) -> Payment:
    return payments.pay(order.pk, PaymentRequest("test", amount=amount, **fields), actor=MERCHANT)


# The page.


def test_the_page_shows_items_payments_addresses_and_what_happened(admin_client):
    address = {"first_name": "Ada", "line_1": "12 Square", "line_3": "Isle", "postcode": "SW1"}
    buyer = orders.Buyer("Ada", "ada@example.com", address, {**address, "line_1": "Back door"})
    order = unpaid_order({product(9, sku="SHIRT", price=1250): 2}, buyer=buyer)
    with pytest.raises(PaymentDeclined):
        pay(order, token="decline")
    authorized = pay(order, method=Payment.Method.AUTHORIZE)
    payments.capture(order.pk, authorized.pk, actor=MERCHANT)
    shipments.ship(order.pk, actor=MERCHANT)

    response = admin_client.get(page(order))

    shown = text(response)
    for part in ("SHIRT", "$25.00", "The card was declined.", "12 Square", "Isle", "Back door"):
        assert part in shown
    assert [(event.what, event.who) for event in response.context["timeline"]] == [
        ("Order placed", "Ada"),
        ("Purchase of $25.00 through Test: failed", "clerk"),
        ("Stock: 2 units allocated", "clerk"),
        ("Stock: 2 units released", "clerk"),
        ("Authorize of $25.00 through Test: complete", "clerk"),
        ("Stock: 2 units allocated", "clerk"),
        ("Capture of $25.00 through Test: succeeded", "clerk"),
        ("Fully paid", ""),
        ("Shipped", "clerk"),
        ("Stock: 2 units shipped", "clerk"),
    ]


def test_the_page_itself_changes_nothing(admin_client):
    order = unpaid_order({product(9): 1})

    assert admin_client.post(page(order), {"status": "complete"}).status_code == 403
    assert admin_client.post(f"{ORDERS}{order.pk}/delete/", {"post": "yes"}).status_code == 403
    assert states(order) == ("incomplete", "unpaid", "unfulfilled")


def test_an_unknown_order_leads_back(admin_client):
    assert admin_client.get(f"{ORDERS}nothing/change/").status_code == 302
