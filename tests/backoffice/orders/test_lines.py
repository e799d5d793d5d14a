"""Changing what is in an order, and whom and where it is for, on its pages."""

from typing import Any

import pytest
from django.test import Client

from inventory.models import Product
from orders.models import Order
from orders.services import amending, orders
from orders.services.orders import Buyer
from payments.services import payments
from payments.services.payments import PaymentRequest
from tests.backoffice.pages import client_with, hidden, send, text
from tests.factories import MERCHANT, paid_order, product, shipped_order, unpaid_order

pytestmark = pytest.mark.django_db

ADDRESS = {
    "first_name": "Ada",
    "last_name": "Buyer",
    "line_1": "12 Square",
    "postcode": "12345",
    "country": "DE",
}
BUYER = Buyer("Ada", "ada@example.com", ADDRESS, {**ADDRESS, "instructions": "Rings twice."})


@pytest.fixture
def seller() -> Client:
    return client_with("view_order", "change_order")


@pytest.fixture
def mug() -> Product:
    return product(9, name="Blue mug", sku="MUG", price=1000)


def page(order: Order, name: str = "lines") -> str:
    return f"/admin/orders/order/{order.pk}/{name}/"


def typed(client: Client, order: Order, **typed: Any) -> dict[str, Any]:
    """What is on the form, with its lines as they are, and what is typed."""
    lines = {f"line_{item.pk.hex}": item.quantity for item in order.items.all()}
    return {**hidden(client, page(order)), **lines, **typed}


def line(order: Order) -> str:
    return f"line_{order.items.order_by('position')[0].pk.hex}"


def quantities(order: Order) -> list[int]:
    return list(order.items.order_by("position").values_list("quantity", flat=True))


def test_items_are_changed_added_and_removed_and_nothing_before_it_is_saved(seller, mug):
    plate = product(5, name="Blue plate", sku="PLATE", price=500)
    order = unpaid_order({mug: 1, product(5, sku="CAP"): 2})
    cap = f"line_{order.items.get(sku='CAP').pk.hex}"

    looked = text(
        seller.post(page(order), typed(seller, order, code="plate", **{line(order): 4, cap: 0}))
    )
    assert "$35.00 → $45.00" in looked
    assert "to be removed" in looked
    assert quantities(order) == [1, 2]

    send_it = typed(
        seller,
        order,
        **{line(order): 3, cap: 0, f"new_{plate.pk.hex}": 1},
        custom_name="Wrapping",
        custom_price="2.50",
        _save="yes",
    )
    answer = seller.post(page(order), send_it)
    again = seller.post(page(order), send_it)

    assert answer["Location"] == again["Location"] == f"/admin/orders/order/{order.pk}/change/"
    order.refresh_from_db()
    assert (quantities(order), order.total) == ([3, 1, 1], 3750)
    shown = seller.get(answer["Location"]).context["timeline"]
    assert "MUG: 1 → 3" in shown[-1].note
    assert shown[-1].who == "clerk"


def test_t27_who_may_see_no_orders_is_not_shown_the_lines_of_one():
    order = unpaid_order({product(5): 1})

    assert client_with("change_order").get(page(order)).status_code == 403


def test_what_is_looked_for_by_a_word_is_chosen_from_a_list(seller, mug):
    order = unpaid_order({product(5): 1})

    found = text(seller.post(page(order), typed(seller, order, code="blue")))
    chosen = text(seller.post(page(order), typed(seller, order, _add=mug.pk.hex)))

    assert "$10.00 · 9 available" in found
    assert f'name="new_{mug.pk.hex}" value="1"' in chosen
    assert "is called nothing." in text(
        seller.post(page(order), typed(seller, order, code="nothing"))
    )


def test_one_more_of_a_line_is_added_to_it_and_a_line_is_taken_off(seller, mug):
    order = unpaid_order({mug: 2})
    name = line(order)

    more = text(seller.post(page(order), typed(seller, order, code="mug")))
    gone = text(seller.post(page(order), typed(seller, order, _remove=name)))

    assert f'name="{name}" value="3"' in more
    assert f'name="{name}" value="0"' in gone


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"line": "10"}, "9 of MUG available, and 10 wanted."),
        ({"line": "-1"}, "greater than or equal to 0"),
        ({"line": "many"}, "Enter a whole number."),
        ({"line": "0"}, "An order has at least one line. Cancel it instead."),
        ({"custom_name": "Fee"}, "Say what it costs."),
        ({"custom_price": "1.00"}, "Say what it is."),
        ({"custom_name": "x" * 201, "custom_price": "1.00"}, "at most 200 characters"),
        ({"new_" + "0" * 32: "1"}, "There is no place for a line any more"),
        ({"code": "x" * 201}, "at most 200 characters"),
    ],
)
def test_what_cannot_be_saved_is_said_and_nothing_changes(seller, mug, wrong, why):
    order = unpaid_order({mug: 1})
    sent = {line(order) if name == "line" else name: value for name, value in wrong.items()}

    answer = seller.post(page(order), typed(seller, order, **sent, _save="yes"))

    assert why in text(answer)
    assert quantities(order) == [1]


def test_of_two_who_change_the_items_the_second_is_told(seller, mug):
    order = unpaid_order({mug: 1})
    form = typed(seller, order, **{line(order): 5}, _save="yes")
    amending.change_lines(order.pk, {order.items.get().pk: 2}, actor=MERCHANT)

    told = text(seller.post(page(order), form))

    assert "Quantity of MUG: was 1, and is 2 now." in told
    assert "Total: was $10.00, and is $20.00 now." in told
    assert quantities(order) == [2]


def test_an_order_that_is_paid_is_not_offered_to_be_changed(seller, mug):
    order = paid_order({mug: 1})
    unpaid = unpaid_order({mug: 1})

    assert "Money was paid" in text(seller.get(page(order)))
    assert page(order) not in text(seller.get(page(order, "change")))
    assert page(unpaid) in text(seller.get(page(unpaid, "change")))


def test_its_page_costs_the_same_however_many_lines(seller, django_assert_num_queries):
    small = unpaid_order({product(5): 1})
    large = unpaid_order(dict.fromkeys((product(5) for _ in range(8)), 1))
    seller.get(page(small))

    for order in (small, large):
        with django_assert_num_queries(10):
            seller.get(page(order))


# The customer and the addresses.


@pytest.mark.parametrize("which", ["shipping", "billing"])
def test_the_address_of_a_paid_order_is_corrected(seller, mug, which):
    order = unpaid_order({mug: 1}, buyer=BUYER)
    payments.pay(order.pk, PaymentRequest("manual"), actor=MERCHANT)
    address = page(order, f"{which}-address")
    assert "12 Square" in text(seller.get(address))

    send(seller, address, {**ADDRESS, "line_1": "1 Hill"})

    order.refresh_from_db()
    after = order.shipping_address if which == "shipping" else order.billing_address
    assert after["line_1"] == "1 Hill"
    timeline = seller.get(page(order, "change")).context["timeline"]
    told = [entry.note for entry in timeline if entry.what == "Changed"]
    assert told == [f"{which} address"]


def test_the_customer_is_corrected(seller, mug):
    order = unpaid_order({mug: 1})

    assert "Enter a valid email" in text(
        send(seller, page(order, "customer"), {"name": "Grace", "email": "nobody"})
    )
    send(seller, page(order, "customer"), {"name": "Grace", "email": "grace@example.com"})

    order.refresh_from_db()
    assert (order.customer_name, order.customer_email) == ("Grace", "grace@example.com")


def test_of_two_who_correct_an_address_the_second_is_told(seller, mug):
    order = unpaid_order({mug: 1}, buyer=BUYER)
    address = page(order, "shipping-address")
    form = {**hidden(seller, address), **ADDRESS, "line_1": "1 Hill"}
    orders.change(order.pk, actor=MERCHANT, shipping_address={**ADDRESS, "line_1": "2 Hill"})

    told = text(seller.post(address, form))

    assert "Shipping address line 1: was 12 Square, and is 2 Hill now." in told
    order.refresh_from_db()
    assert order.shipping_address["line_1"] == "2 Hill"


def test_what_is_shipped_keeps_its_address(seller, mug):
    order = shipped_order({mug: 1})

    assert "shipped already" in text(seller.get(page(order, "shipping-address")))
    assert page(order, "shipping-address") not in text(seller.get(page(order, "change")))
