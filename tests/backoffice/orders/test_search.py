"""Orders in the admin by what somebody knows of them."""

import pytest
from django.db import connection

from backoffice.orders import search as order_search
from orders.models import Order
from orders.services import finding, orders, shipments
from orders.services.orders import Buyer
from payments.models import Attempt, Payment
from payments.services import payments
from payments.services.payments import PaymentRequest
from tests.backoffice.orders.test_list import ORDERS, found
from tests.backoffice.pages import text
from tests.factories import (
    BUYER,
    HOME,
    MERCHANT,
    filled_cart,
    paid_order,
    product,
    shipped_order,
    unpaid_order,
)
from tests.roles import as_owner

pytestmark = pytest.mark.django_db


def test_orders_are_found_by_number_email_and_item_whatever_their_state(admin_client):
    first = unpaid_order({product(9, sku="SHIRT"): 1})
    buyer = Buyer("Bob", "bob@example.org")
    second = unpaid_order({product(9, sku="MUG"): 1, product(9, sku="CUP"): 1}, buyer=buyer)

    def search(term: str) -> list[int]:
        return found(admin_client, q=term)

    assert search(f"#{first.number}") == search(f" {first.number} ") == [first.number]
    assert search("bob@example.org") == search("BOB@example") == [second.number]
    assert search("mug") == search("MUG") == [second.number]
    assert search("nothing like it") == search("9" * 40) == []


@pytest.mark.parametrize("code", ["Tea-tin", "tea-TIN\u200b", "012345678905", "0012345678905"])
def test_t25_orders_are_found_by_what_scans_as_a_product_in_them(admin_client, code):
    order = unpaid_order({product(9, sku="Tea-Tin", barcode="012345678905"): 1})
    unpaid_order({product(9, sku="MUG"): 1})

    assert found(admin_client, q=code) == [order.number]


def test_a_search_looks_at_all_orders_whatever_list_is_open(admin_client):
    order = shipped_order({product(9): 1})

    assert found(admin_client, list="unpaid", q=str(order.number)) == [order.number]


def test_orders_are_found_by_the_number_that_the_client_gave(admin_client):
    order, _ = orders.checkout(filled_cart({product(9): 1}), BUYER, order_number="WEB-77")

    assert found(admin_client, q="WEB-77") == [order.number]


def test_the_middle_of_a_word_is_looked_for_among_the_newest_orders_only(admin_client, monkeypatch):
    monkeypatch.setattr(order_search, "RECENT", 1)
    shirt = product(9)
    unpaid_order({shirt: 1}, buyer=Buyer("Bob the First", "first@example.org"))
    newest = unpaid_order({shirt: 1}, buyer=Buyer("Bob the Second", "second@example.org"))

    assert found(admin_client, q="ob the") == [newest.number]


@pytest.mark.parametrize(
    "term",
    [
        *[
            "zoe",
            "Zoë",
            "ZOE obr",
            "o'brien",
            "obrien",
            "Brien",
            "luczak",
            "bjork",
            "söhne",
            "soehne",
        ],
        *["sao paulo", "São", "SW1A 1AA", "sw1a1aa", "4917055501", "Zoe@Example.COM", "zoe@ex"],
        *["example.com", "paulo zoe"],
    ],
)
def test_t23_an_old_order_is_found_by_its_buyer_however_they_are_written(
    admin_client, monkeypatch, term
):
    monkeypatch.setattr(order_search, "RECENT", 1)
    old = unpaid_order({product(9): 1}, buyer=Buyer("Zoë", "zoe@example.com", {}, HOME))
    unpaid_order({product(9): 1}, buyer=Buyer("Bob", "bob@example.org"))

    assert found(admin_client, q=term) == [old.number]


@pytest.mark.parametrize("term", ["zo", "ulo", "zoe bob", "square", "'", "\\ & | ! <-> :*", "%"])
def test_what_is_no_word_of_an_old_order_does_not_find_it(admin_client, monkeypatch, term):
    monkeypatch.setattr(order_search, "RECENT", 1)
    unpaid_order({product(9): 1}, buyer=Buyer("Zoë", "zoe@example.com", {}, HOME))
    unpaid_order({product(9): 1}, buyer=Buyer("Bob", "bob@example.org"))

    assert found(admin_client, q=term) == []


def test_t23_an_order_is_found_by_what_a_gateway_or_a_client_calls_its_money(admin_client):
    order = unpaid_order({product(9): 1})
    request = PaymentRequest("manual", custom_reference="Invoice 7")
    payment = payments.pay(order.pk, request, actor=MERCHANT)
    refund = payments.refund(order.pk, payment.pk, 5, actor=MERCHANT)
    Payment.objects.filter(pk=payment.pk).update(reference="pi_3Nk")
    refund.reference = "re_4Ab"
    refund.save()
    unpaid_order({product(9): 1})

    for term in ("pi_3Nk", "Invoice 7", "re_4Ab"):
        assert found(admin_client, q=term) == [order.number], term


@pytest.mark.parametrize("term", ["1Z999AA1", "1z999aa1", "1Z 999 AA1"])
def test_t23_an_order_is_found_by_the_number_of_its_parcel(admin_client, term):
    order = paid_order({product(9): 1})
    shipments.ship(order.pk, actor=MERCHANT, tracking="1Z999aa1")
    shipped_order({product(9): 1})

    assert found(admin_client, q=term) == [order.number]


def test_t23_an_order_is_found_by_the_names_of_products_in_it(admin_client):
    mug = product(9, sku="M-1", name="Mug, dark blue")
    order = unpaid_order({mug: 1})
    unpaid_order({product(9, sku="M-2", name="Mug, red"): 1})

    assert found(admin_client, q="blue mug") == [order.number]


def test_an_order_is_found_by_the_address_it_has_and_not_by_the_one_it_had(admin_client):
    order = unpaid_order({product(9): 1}, buyer=Buyer("Zoë", "zoe@example.com", {}, HOME))
    orders.change(order.pk, actor=MERCHANT, shipping_address={**HOME, "city": "Gdańsk"})

    assert found(admin_client, q="gdansk") == [order.number]
    assert found(admin_client, q="paulo") == []


def test_of_a_word_that_many_orders_have_the_newest_are_found(admin_client, monkeypatch):
    monkeypatch.setattr(order_search, "FOUND", 2)
    shirt = product(9)
    made = [unpaid_order({shirt: 1}, buyer=Buyer("Bob", "bob@example.org")) for _ in range(3)]

    assert found(admin_client, q="bob") == [made[2].number, made[1].number]


_OTHER_INDEXES = """
SELECT indexname FROM pg_indexes
WHERE tablename = %s AND indexname <> %s AND indexname NOT IN (SELECT conname FROM pg_constraint)
"""


@pytest.mark.parametrize(
    ("find", "index"),
    [
        (lambda: Order.objects.filter(order_number="WEB-77"), "orders_client_number"),
        (lambda: order_search.of_email(Order.objects.all(), "Bob@example.org"), "orders_by_email"),
        (lambda: Order.objects.filter(finding.matches("bob brown")), "orders_found_by"),
        (lambda: Payment.objects.filter(reference="pi_3"), "payments_reference"),
        (lambda: Payment.objects.filter(custom_reference="7"), "payments_custom_reference"),
        (lambda: Attempt.objects.filter(reference="re_3"), "attempts_reference"),
        (lambda: order_search.parcels("1Z999"), "shipments_by_tracking"),
    ],
)
def test_each_way_to_find_an_order_can_use_an_index_of_its_own(find, index):
    found = find()
    with as_owner(), connection.cursor() as cursor:
        # Of an empty table another one may seem as cheap.
        cursor.execute(_OTHER_INDEXES, [found.model._meta.db_table, index])
        for (other,) in cursor.fetchall():
            cursor.execute(f'DROP INDEX "{other}"')
        cursor.execute("SET LOCAL enable_seqscan = off")
    plan = found.explain()

    assert f"using {index} " in plan or f"on {index} " in plan, plan


def test_what_is_not_found_is_said(admin_client):
    assert "No order has this number or reference" in text(admin_client.get(ORDERS, {"q": "x9"}))
