"""What one shopper may not learn of another, of the shop's stock, and of what hangs elsewhere.

Ids of carts and orders are random, and whoever holds one may use it: SECURITY.md says so. Here
nobody gets at one that was not told, and who holds a cart reads no names and no addresses.
"""

import json
import re
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from inventory.models import Action, Product, Stock, StockTransaction
from inventory.services import stock
from orders.models import CartItem, Order
from orders.services import carts
from payments.models import Payment
from tests.factories import MERCHANT, api_client, paid_order, product, shipped_order, unpaid_order
from tests.http import Api, ask_for_token
from tests.test_admin_pages import everything

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("books_agree")]

CART_OF_ADA = "cart-of-ada-3f9d"
# What Ada told the shop. Nothing of it is for anybody else.
TOLD = re.compile(r"Ada|Buyer|ada@|Mill Lane|10001|Happy birthday, Eve|cart-of-ada")


@pytest.fixture
def shirt() -> Product:
    return product(stock=20, sku="SHIRT")


@pytest.fixture
def storefront_of() -> Callable[[], Api]:
    """Let another shopper into the one storefront that all of them share."""
    client = api_client(secret="")

    def shopper() -> Api:
        token = ask_for_token(grant_type="implicit", client_id=client.client_id)
        return Api(token.json()["access_token"])

    return shopper


@pytest.fixture
def ada(storefront_of, shirt) -> Api:
    """Has an order that is paid, one that is not, and a cart with something in it."""
    api: Api = storefront_of()
    inputs = {"card": "Happy birthday, Eve"}
    line = {"type": "cart_item", "id": str(shirt.pk), "quantity": 2, "custom_inputs": inputs}
    assert api.post(f"/v2/carts/{CART_OF_ADA}/items", line).status_code == 201
    for pays in (True, False):
        made = api.check_out(CART_OF_ADA, key=f"checkout-{pays}").json()["data"]
        if pays:
            assert api.pay(made["id"], gateway="test", payment="ok", key="pay").status_code == 200
    return api


@pytest.fixture
def bob(storefront_of, ada) -> Api:
    api: Api = storefront_of()
    return api


def test_f44_no_list_no_filter_and_no_include_shows_a_shopper_the_others(bob, shirt):
    bob.add_to_cart("cart-of-bob", str(shirt.pk), 1)
    bob.check_out("cart-of-bob")
    order = Order.objects.get(cart_id=CART_OF_ADA, payment="paid")
    payment, line = Payment.objects.get(), order.items.get()
    before = everything()

    answers = [
        bob.get(f"{path}{query}")
        for path in (
            *("/v2/carts", "/v2/carts/cart-of-bob", "/v2/carts/cart-of-bob/items"),
            *("/v2/carts/cart-of-bob/orders", "/v2/carts/nobodys", "/v2/carts/nobodys/orders"),
            *("/v2/orders", f"/v2/orders/{order.pk}", f"/v2/orders/{order.pk}/items"),
            f"/v2/orders/{order.pk}/transactions",
            f"/v2/orders/{order.pk}/transactions/{payment.pk}",
            *("/v2/products", "/v2/inventories", f"/v2/inventories/{shirt.pk}/holders"),
        )
        for query in (
            "",
            "?include=items,customer,account,account_member,orders,carts,transactions",
            f"?filter=eq(id,{order.pk})",
            f"?filter=eq(id,{CART_OF_ADA})",
            "?filter=like(id,*a*)",
            "?filter=like(name,*a*)",
            "?filter=eq(email,ada@example.com)",
            "?filter=like(email,*ada*)",
            f"?filter=eq(cart_id,{CART_OF_ADA})",
            "?sort=email",
            "?page[limit]=100&page[offset]=0",
            f"?cart_id={CART_OF_ADA}&order_id={order.pk}&email=ada@example.com",
        )
    ]

    of_ada = [str(order.pk), str(line.pk), str(payment.pk), payment.reference]
    for answer in answers:
        told = _without_links(answer)
        assert not TOLD.search(told), answer.request["PATH_INFO"]
        assert not [each for each in of_ada if each in told], answer.request["PATH_INFO"]
    assert everything() == before


def _without_links(answer: Any) -> str:
    """Return what was answered, without what only repeats the request."""
    told = answer.json()
    told.pop("links", None)
    return json.dumps(told)


def test_f44_nobody_reaches_into_another_cart_by_what_is_in_it(bob, shirt):
    bob.add_to_cart("cart-of-bob", str(shirt.pk), 1)
    of_ada = CartItem.objects.get(cart=CART_OF_ADA)
    before = everything()

    change = {"type": "cart_item", "id": str(of_ada.pk), "quantity": 9}
    answers = [
        bob.put(f"/v2/carts/cart-of-bob/items/{of_ada.pk}", {"quantity": 9}),
        bob.put("/v2/carts/cart-of-bob/items", [change]),
        bob.delete(f"/v2/carts/cart-of-bob/items/{of_ada.pk}"),
        bob.delete(f"/v2/carts/nobodys/items/{of_ada.pk}"),
    ]

    assert [answer.status_code for answer in answers[:3]] == [404, 404, 404]
    assert not any(TOLD.search(answer.text) for answer in answers)
    assert everything() == before


@pytest.mark.parametrize("key", ["checkout-True", "pay"])
def test_t31_a_key_that_another_shopper_used_brings_nothing_of_it(bob, key):
    """Even if Bob knows everything that Ada sent, with the ids in it."""
    order = Order.objects.get(cart_id=CART_OF_ADA, payment="paid")
    known = set(Order.objects.values_list("pk", flat=True))

    if key == "pay":
        answer = bob.pay(str(order.pk), gateway="test", payment="ok", key=key)
        assert answer.status_code == 422
        assert str(Payment.objects.get().pk) not in answer.text
    else:
        answer = bob.check_out(CART_OF_ADA, key=key)
        assert uuid.UUID(answer.json()["data"]["id"]) not in known
    assert "Idempotent-Replayed" not in answer


def test_f44_whoever_holds_a_cart_reads_of_its_orders_no_name_and_no_address(bob):
    """As a friend does who was sent the link."""
    answer = bob.get(f"/v2/carts/{CART_OF_ADA}/orders")

    told = json.dumps([{**order, "items": []} for order in answer.json()["data"]])
    assert len(answer.json()["data"]) == 2
    assert not TOLD.search(told)
    assert Payment.objects.get().reference not in told
    for asked in ("filter=eq(email,ada@example.com)", "filter=eq(name,Ada)", "sort=email"):
        assert bob.get(f"/v2/carts/{CART_OF_ADA}/orders?{asked}").status_code == 400


def test_f44_whoever_pays_for_another_learns_nothing_about_them(bob):
    order = Order.objects.get(cart_id=CART_OF_ADA, payment="unpaid")

    answers = [
        bob.pay(str(order.pk), gateway="test", payment="declined"),
        bob.pay(str(order.pk), gateway="test", payment="ok"),
        bob.pay(str(order.pk), gateway="test", payment="ok"),
    ]

    assert [answer.status_code for answer in answers] == [402, 200, 422]
    assert not any(TOLD.search(answer.text) for answer in answers)
    assert bob.get(f"/v2/orders/{order.pk}").status_code == 403


# What belongs to one order is found under that one alone, whoever asks.


def test_nothing_of_one_order_is_found_under_another(back_office, bob, shirt):
    mine, other = shipped_order({shirt: 2}), paid_order({shirt: 1})
    item, payment = mine.items.get(), mine.payments.get()
    taken = {"items": [{"id": str(item.pk), "quantity": 1, "disposition": "inspection"}]}
    back = back_office.post(f"/v2/orders/{mine.pk}/returns", taken).json()["data"]["id"]
    of_mine = f"transactions/{payment.pk}"
    units = {"items": [{"id": str(item.pk), "quantity": 1}]}
    settled = {"disposition": "restocked"}
    before = everything()

    answers = {
        call: back_office.send(*call.split(" "), json.dumps({"data": body}))
        for call, body in {
            f"GET /v2/orders/{other.pk}/{of_mine}": {},
            f"POST /v2/orders/{other.pk}/{of_mine}/refund": {"amount": 100},
            f"POST /v2/orders/{other.pk}/{of_mine}/capture": {},
            f"POST /v2/orders/{other.pk}/{of_mine}/cancel": {},
            f"POST /v2/orders/{other.pk}/{of_mine}/confirm": {},
            f"GET /v2/orders/{other.pk}/shipments/{mine.shipments.get().pk}": {},
            f"POST /v2/orders/{other.pk}/shipments/{mine.shipments.get().pk}/undo": {},
            f"GET /v2/orders/{other.pk}/returns/{back}": {},
            f"POST /v2/orders/{other.pk}/returns/{back}/items/{item.pk}/settle": settled,
            f"POST /v2/orders/{other.pk}/shipments": units,
            f"POST /v2/orders/{other.pk}/cancellations": units,
            f"POST /v2/orders/{other.pk}/returns": taken,
        }.items()
    }

    for call, answer in answers.items():
        assert answer.status_code in {404, 422}, (call, answer.text)
    confirmed = bob.post(f"/v2/orders/{other.pk}/{of_mine}/confirm", {})
    assert confirmed.status_code == 404
    assert everything() == before


def test_nothing_of_one_product_is_found_under_another(back_office):
    one, other = product(stock=1), product(stock=1)
    entry = StockTransaction.objects.get(stock__product=one)

    found = [
        back_office.get(f"/v2/inventories/{each.pk}/transactions/{entry.pk}").status_code
        for each in (one, other)
    ]

    assert found == [200, 404]


# How many are left.


def test_f44_where_levels_are_hidden_the_same_is_told_whatever_they_are(bob, shirt, settings):
    """With 17 or 23 of it, each answer is the other, to the last byte and to its tag.

    One thing is not hidden: a cart takes as many as there are, and no more.
    """
    settings.SHOW_STOCK_LEVEL = False
    carts.add_item("cart-of-bob", product_id=shirt.pk, quantity=2, currency="USD")
    too_many = {"type": "cart_item", "id": str(shirt.pk), "quantity": 500}
    order = unpaid_order({shirt: 2})

    def told() -> list[tuple[int, bytes, str]]:
        stock.record(shirt.pk, Action.ALLOCATE, 1, actor=MERCHANT)
        reads = [
            "/v2/products",
            f"/v2/products/{shirt.pk}",
            "/v2/products?filter=eq(manage_stock,true)&sort=-updated_at",
            "/v2/products?filter=gt(stock,17)",
            "/v2/products?filter=le(stock,17)",
            "/v2/products?sort=stock",
            "/v2/products?include=stock,inventory,stocks",
            "/v2/carts/cart-of-bob?include=items",
            "/v2/carts/cart-of-bob/items",
            f"/v2/carts/{order.cart_id}/orders",
            *(f"/v2/inventories{of}" for of in ("", f"/{shirt.pk}", f"/{shirt.pk}/transactions")),
        ]
        answers = [bob.get(path, EP_Inventories_Multi_Location="true") for path in reads]
        answers += [
            bob.post("/v2/carts/cart-of-bob/items", too_many),
            bob.post("/v2/inventories/multiple", [{"id": str(shirt.pk)}]),
        ]
        return [(each.status_code, each.content, each.get("ETag", "")) for each in answers]

    assert Stock.objects.get(product=shirt).available == 18
    first = told()
    stock.record(shirt.pk, Action.INCREMENT, 7, actor=MERCHANT)
    assert told() == first
