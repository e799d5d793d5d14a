"""Orders and gateways in the admin."""

from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from inventory.models import Action, Product, StockTransaction
from inventory.services import stock as inventory
from orders.models import Order
from orders.services import orders
from payments.errors import PaymentDeclined
from payments.models import Gateway, Payment
from payments.services import payments
from payments.services.payments import PaymentRequest
from tests.factories import MERCHANT, filled_cart, paid_order, product, stock_of, unpaid_order

pytestmark = pytest.mark.django_db

ORDERS = "/admin/orders/order/"


@pytest.fixture
def admin_client() -> Client:
    """Somebody who may do everything; without a password, whose hash takes half a second."""
    client = Client()
    client.force_login(User.objects.create_superuser("admin"))
    return client


def page(order: Order) -> str:
    return f"{ORDERS}{order.pk}/change/"


def action(order: Order, name: str) -> str:
    return f"{ORDERS}{order.pk}/{name}/"


def payment_step(payment: Payment, name: str) -> str:
    return f"{ORDERS}{payment.order_id}/payments/{payment.pk}/{name}/"


def text(response: Any) -> str:
    return unescape(response.content.decode())


def numbers(product: Product) -> tuple[int, int, int]:
    stock = stock_of(product)
    return stock.total, stock.available, stock.allocated


def states(order: Order) -> tuple[str, str, str]:
    order.refresh_from_db()
    return order.status, order.payment, order.shipping


def pay(order: Order, amount: int | None = None, **fields: Any) -> Payment:
    return payments.pay(order.pk, PaymentRequest("test", amount=amount, **fields), actor=MERCHANT)


def client_with(*permissions: str) -> Client:
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


# The page.


def test_the_page_shows_items_payments_addresses_and_what_happened(admin_client):
    address = {"first_name": "Ada", "line_1": "12 Square", "postcode": "SW1", "country": "GB"}
    buyer = orders.Buyer("Ada", "ada@example.com", address, {**address, "line_1": "Back door"})
    order = unpaid_order({product(9, sku="SHIRT", price=1250): 2}, buyer=buyer)
    with pytest.raises(PaymentDeclined):
        pay(order, token="decline")
    authorized = pay(order, method=Payment.Method.AUTHORIZE)
    payments.capture(order.pk, authorized.pk, actor=MERCHANT)
    orders.ship(order.pk, actor=MERCHANT)

    response = admin_client.get(page(order))

    shown = text(response)
    for part in ("SHIRT", "$25.00", "The card was declined.", "12 Square", "Back door"):
        assert part in shown
    assert [(event.what, event.who) for event in response.context["timeline"]] == [
        ("Order placed", "Ada"),
        ("Purchase of $25.00 through Test: failed", "clerk"),
        ("Stock: 2 units allocated", "clerk"),
        ("Stock: 2 units deallocated", "clerk"),
        ("Authorize of $25.00 through Test: complete", "clerk"),
        ("Stock: 2 units allocated", "clerk"),
        ("Capture of $25.00 through Test: succeeded", "clerk"),
        ("Fully paid", ""),
        ("Shipped", "clerk"),
        ("Stock: 2 units deallocated, 2 units decremented", "clerk"),
    ]


def test_the_page_itself_changes_nothing(admin_client):
    order = unpaid_order({product(9): 1})

    assert admin_client.post(page(order), {"status": "complete"}).status_code == 403
    assert admin_client.get(f"{ORDERS}add/").status_code == 403
    assert admin_client.post(f"{ORDERS}{order.pk}/delete/", {"post": "yes"}).status_code == 403
    assert states(order) == ("incomplete", "unpaid", "unfulfilled")


def test_an_unknown_order_leads_back(admin_client):
    assert admin_client.get(f"{ORDERS}nothing/change/").status_code == 302


# Ship.


def test_ship_says_what_it_does_and_does_it_when_confirmed(admin_client):
    shirt = product(10)
    order = paid_order({shirt: 3})

    asked = text(admin_client.get(action(order, "ship")))
    before = numbers(shirt)
    response = admin_client.post(action(order, "ship"))

    assert "Takes 3 units out of the total." in asked
    assert before == (10, 7, 3)
    assert (response.status_code, response.url) == (302, page(order))
    assert numbers(shirt) == (7, 7, 0)
    assert states(order) == ("complete", "paid", "fulfilled")
    assert StockTransaction.objects.latest("sequence").actor_name == "admin"


def test_ship_of_what_is_not_paid_is_refused(admin_client):
    shirt = product(10)
    order = unpaid_order({shirt: 3})

    asked = text(admin_client.get(action(order, "ship")))
    response = admin_client.post(action(order, "ship"), follow=True)

    assert "Only a paid order can be shipped." in asked
    assert "Only a paid order can be shipped." in text(response)
    assert numbers(shirt) == (10, 10, 0)
    assert states(order) == ("incomplete", "unpaid", "unfulfilled")


# Cancel.


def test_cancel_says_what_it_does_to_stock_and_money(admin_client):
    shirt = product(10, price=1250)
    order = paid_order({shirt: 2})

    asked = text(admin_client.get(action(order, "cancel")))
    admin_client.post(action(order, "cancel"))

    assert "Gives 2 units back to available." in asked
    assert "Gives $25.00 back, too. Without that it stays held" in asked
    assert numbers(shirt) == (10, 10, 0)
    assert states(order) == ("cancelled", "paid", "unfulfilled")
    assert (order.captured, order.refunded) == (2500, 0)


def test_cancel_refunds_in_the_same_step_when_asked_to(admin_client):
    shirt = product(10, price=1250)
    order = unpaid_order({shirt: 2})
    pay(order, 1000)
    payments.pay(order.pk, PaymentRequest("manual"), actor=MERCHANT)

    response = admin_client.post(action(order, "cancel"), {"refund": "on"}, follow=True)

    assert "$10.00 is refunded." in text(response)
    assert "$15.00 is refunded." in text(response)
    assert states(order) == ("cancelled", "refunded", "unfulfilled")
    assert (order.captured, order.refunded) == (2500, 2500)


def test_cancel_lets_authorizations_go(admin_client):
    order = unpaid_order({product(10, price=1250): 2})
    pay(order, method=Payment.Method.AUTHORIZE)

    asked = text(admin_client.get(action(order, "cancel")))
    admin_client.post(action(order, "cancel"))

    assert "Lets the authorized $25.00 go." in asked
    assert states(order) == ("cancelled", "unpaid", "unfulfilled")


def test_a_shipped_order_is_not_cancelled(admin_client):
    shirt = product(10)
    order = paid_order({shirt: 2})
    orders.ship(order.pk, actor=MERCHANT)

    response = admin_client.post(action(order, "cancel"), {"refund": "on"}, follow=True)

    assert "The order is shipped already." in text(response)
    assert numbers(shirt) == (8, 8, 0)
    assert states(order) == ("complete", "paid", "fulfilled")


# Record payment.


def test_record_payment_offers_what_is_left_and_takes_the_stock(admin_client):
    shirt = product(10, price=1250)
    order = unpaid_order({shirt: 2})

    form = admin_client.get(action(order, "record-payment"))
    response = admin_client.post(
        action(order, "record-payment"), {"amount": "25.00", "reference": "Bank, 3 May"}
    )

    assert form.context["form"]["amount"].value() == "25.00"
    assert "Takes 2 units from available for this order." in text(form)
    assert response.status_code == 302
    payment = Payment.objects.get()
    assert (payment.gateway, payment.amount) == ("manual", 2500)
    assert (payment.custom_reference, payment.actor_name) == ("Bank, 3 May", "admin")
    assert numbers(shirt) == (10, 8, 2)
    assert states(order) == ("complete", "paid", "unfulfilled")


def test_a_part_can_be_recorded(admin_client):
    order = unpaid_order({product(10, price=1250): 2})

    admin_client.post(action(order, "record-payment"), {"amount": "10"})

    assert admin_client.get(action(order, "record-payment")).context["form"]["amount"].value() == (
        "15.00"
    )
    assert states(order) == ("incomplete", "partially_paid", "unfulfilled")


def test_a_part_sent_twice_is_recorded_once(admin_client):
    order = unpaid_order({product(10, price=1250): 2})
    sent = {"amount": "10", "once": "the-same-form"}

    admin_client.post(action(order, "record-payment"), sent)
    response = admin_client.post(action(order, "record-payment"), sent, follow=True)

    assert "recorded already" in text(response)
    assert Payment.objects.count() == 1


@pytest.mark.parametrize("amount", ["", "0", "-5", "25.01", "12.505", "all"])
def test_an_amount_that_cannot_be_is_refused(admin_client, amount):
    shirt = product(10, price=1250)
    order = unpaid_order({shirt: 2})

    response = admin_client.post(action(order, "record-payment"), {"amount": amount})

    assert list(response.context["form"].errors) == ["amount"]
    assert not Payment.objects.exists()
    assert numbers(shirt) == (10, 10, 0)


def test_a_payment_that_finds_no_stock_is_refused_with_the_numbers(admin_client):
    shirt = product(10)
    order = unpaid_order({shirt: 2})
    inventory.record(shirt.pk, Action.DECREMENT, 9, actor=MERCHANT)

    response = admin_client.post(action(order, "record-payment"), {"amount": "25.00"})

    assert "Only 1 is available; 2 asked for." in text(response)
    assert 'value="25.00"' in text(response)
    assert not Payment.objects.exists()
    assert numbers(shirt) == (1, 1, 0)


def test_recording_needs_the_manual_gateway(admin_client):
    Gateway.objects.filter(slug="manual").update(enabled=False)
    shirt = product(10)
    order = unpaid_order({shirt: 2})

    response = admin_client.post(action(order, "record-payment"), {"amount": "25.00"})

    assert "The payment gateway is unknown or not enabled." in text(response)
    assert numbers(shirt) == (10, 10, 0)


def test_a_paid_order_takes_no_more_money(admin_client):
    order = paid_order({product(10): 2})

    asked = text(admin_client.get(action(order, "record-payment")))
    admin_client.post(action(order, "record-payment"), {"amount": "1.00"})

    assert "nothing of it is left to pay" in asked
    assert Payment.objects.count() == 1


def test_an_order_of_nothing_is_paid_with_nothing(admin_client):
    order = unpaid_order({product(10, price=0): 2})

    admin_client.post(action(order, "record-payment"), {"amount": "0.00"})

    assert states(order) == ("complete", "paid", "unfulfilled")


# Who may.


@pytest.mark.parametrize("name", ["ship", "cancel", "record-payment"])
def test_who_may_only_view_orders_does_nothing_with_them(name):
    shirt = product(10)
    order = paid_order({shirt: 2})
    client = client_with("view_order")

    shown = text(client.get(page(order)))

    assert f"/{name}/" not in shown
    assert client.get(action(order, name)).status_code == 403
    assert client.post(action(order, name), {"amount": "1"}).status_code == 403
    assert numbers(shirt) == (10, 8, 2)


def test_orders_are_closed_to_everybody_else(client):
    order = unpaid_order({product(10): 2})

    assert client.get(page(order)).status_code == 302
    assert client_with().get(page(order)).status_code == 403


# Gateways and carts.


def test_a_gateway_is_switched_on_and_off(admin_client):
    url = "/admin/payments/gateway/test/change/"

    admin_client.post(url, {"name": "Trial"})

    gateway = Gateway.objects.get(slug="test")
    assert (gateway.name, gateway.enabled) == ("Trial", False)
    admin_client.post(url, {"name": "Trial", "enabled": "on"})
    gateway.refresh_from_db()
    assert gateway.enabled


def test_a_gateway_that_the_server_does_not_know_stays_off(admin_client):
    Gateway.objects.create(slug="gone", name="Gone")

    response = admin_client.post(
        "/admin/payments/gateway/gone/change/", {"name": "Gone", "enabled": "on"}
    )

    assert "The requested gateway could not be found" in text(response)
    assert not Gateway.objects.get(slug="gone").enabled


def test_gateways_are_neither_added_nor_deleted(admin_client):
    assert admin_client.get("/admin/payments/gateway/add/").status_code == 403
    assert admin_client.post("/admin/payments/gateway/test/delete/").status_code == 403


@pytest.mark.parametrize(
    "url", ["/admin/payments/gateway/", "/admin/payments/gateway/manual/change/"]
)
@pytest.mark.parametrize("on", [True, False])
def test_the_manual_gateway_for_shoppers_is_warned_of_while_it_is_on(
    admin_client, settings, url, on
):
    settings.MANUAL_GATEWAY_FOR_SHOPPERS = on

    assert ("MANUAL_GATEWAY_FOR_SHOPPERS is on" in text(admin_client.get(url))) is on


def test_carts_can_be_looked_at_only(admin_client, django_assert_num_queries):
    shirt = product(9, name="Shirt")
    cart_id = filled_cart({shirt: 2})

    shown = text(admin_client.get(f"/admin/orders/cart/{cart_id}/change/"))

    assert "Shirt" in shown
    assert admin_client.post(f"/admin/orders/cart/{cart_id}/change/", {}).status_code == 403
    assert admin_client.get("/admin/orders/cart/add/").status_code == 403
    with django_assert_num_queries(5):
        admin_client.get("/admin/orders/cart/")
    for _ in range(5):
        filled_cart({shirt: 1})
    with django_assert_num_queries(5):
        admin_client.get("/admin/orders/cart/")
