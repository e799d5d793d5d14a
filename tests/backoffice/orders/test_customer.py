"""A customer's page: the orders of one e-mail address, their sums, and notes."""

import pytest

from backoffice.orders import customer
from orders.models import CustomerNote
from orders.services.orders import Buyer
from payments.services import payments
from payments.services.payments import PaymentRequest
from tests.backoffice.orders.test_list import ORDERS, found
from tests.backoffice.pages import client_with, send, text
from tests.factories import MERCHANT, product, unpaid_order

pytestmark = pytest.mark.django_db

HOME = {"first_name": "Zoë", "line_1": "1 Square", "city": "Cork"}
ZOE = Buyer("Zoë", "Zoe@Example.com", {}, HOME)
PAGE = customer.customer_url("zoe@example.com")


def test_a_customer_is_all_orders_with_one_address_in_any_capitals(admin_client):
    shirt = product(9, price=1000)
    paid, cancelled = unpaid_order({shirt: 2}, buyer=ZOE), unpaid_order({shirt: 1}, buyer=ZOE)
    second = unpaid_order({shirt: 1}, buyer=Buyer("Z. B.", "ZOE@example.com", {}, HOME))
    unpaid_order({shirt: 5})
    payment = payments.pay(paid.pk, PaymentRequest("manual"), actor=MERCHANT)
    payments.refund(paid.pk, payment.pk, 300, actor=MERCHANT)
    payments.cancel(cancelled.pk, actor=MERCHANT)

    page = admin_client.get(f"{PAGE}&p=nonsense")
    about = page.context["customer"]

    assert [order.number for order in page.context["orders"]] == [
        second.number,
        cancelled.number,
        paid.number,
    ]
    assert (about.orders, about.cancelled, list(about.names)) == (3, 1, ["Z. B.", "Zoë"])
    assert about.sums == [customer.Sums("$30.00", "$20.00", "$3.00")]
    assert about.addresses == [("Zoë", "1 Square", "Cork")]
    assert found(admin_client, list="all", email="zoe@example.com") == [
        order.number for order in page.context["orders"]
    ]


def test_a_customers_page_is_reached_from_their_order_the_list_and_a_search(admin_client):
    order = unpaid_order({product(9): 1}, buyer=ZOE)

    assert PAGE in text(admin_client.get(f"{ORDERS}{order.pk}/change/"))
    assert PAGE in text(admin_client.get(ORDERS, {"list": "all"}))
    searched = text(admin_client.get(ORDERS, {"q": "zoe@EXAMPLE.com"}))
    assert "About the customer Zoe@Example.com" in searched


def test_the_orders_of_a_customer_are_paged(admin_client, monkeypatch):
    monkeypatch.setattr(customer, "PER_PAGE", 2)
    made = [unpaid_order({product(9): 1}, buyer=ZOE).number for _ in range(3)]

    assert [order.number for order in admin_client.get(PAGE).context["orders"]] == made[:0:-1]
    assert [order.number for order in admin_client.get(f"{PAGE}&p=2").context["orders"]] == made[:1]
    assert admin_client.get(f"{PAGE}&p=999999999").context["orders"] == []


def test_a_customers_page_costs_the_same_for_one_order_and_for_many(
    admin_client, django_assert_num_queries
):
    for _ in range(2):
        unpaid_order({product(9): 1}, buyer=ZOE)
        with django_assert_num_queries(6):
            admin_client.get(PAGE)


def test_whoever_is_no_customer_is_not_shown_as_one(admin_client):
    assert "No order has the address nobody@example.com." in text(
        admin_client.get(customer.customer_url("nobody@example.com"))
    )
    for wrong in ("", "nobody", "\x00", "a" * 300):
        page = admin_client.get(f"{ORDERS}customer/", {"email": wrong})
        assert (page.status_code, page.context["who"].is_valid()) == (200, False), wrong


def test_a_note_about_a_customer_is_kept_once_and_shown_with_every_order(admin_client):
    unpaid_order({product(9): 1}, buyer=ZOE)
    empty = send(admin_client, PAGE, {"text": " "})
    sent = send(admin_client, PAGE, {"text": "Rings twice."})
    again = {"text": "Rings twice.", "once": admin_client.get(PAGE).context["form"]["once"].value()}
    for _ in range(2):
        admin_client.post(PAGE, again)

    shown = text(admin_client.get(PAGE))

    assert "Write something." in text(empty)
    assert sent.status_code == 302
    assert shown.count("Rings twice.") == CustomerNote.objects.count() == 2
    assert {note.actor_name for note in CustomerNote.objects.all()} == {"admin"}


def test_notes_about_customers_are_for_those_who_may():
    unpaid_order({product(9): 1}, buyer=ZOE)
    orders_only = client_with("view_order")

    assert "Notes" not in text(orders_only.get(PAGE))
    assert orders_only.post(PAGE, {"text": "x"}).status_code == 403
    assert not CustomerNote.objects.exists()
