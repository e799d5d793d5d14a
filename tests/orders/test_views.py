"""Carts and orders on the wire: shapes, status codes, and what happens to carts in time."""

import itertools
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from api import clock
from inventory.models import Currency, Product
from inventory.services import currencies, products
from inventory.services.products import Money
from orders.models import Cart, CartItem, Order
from orders.services import orders
from tests.factories import MERCHANT, filled_cart, paid_order, product, stock_of, unpaid_order
from tests.http import (
    ADDRESS,
    BUYER,
    FORMATTED,
    PRICE,
    Api,
    a_moment,
    an_id,
    assert_shape,
    statements,
)

pytestmark = pytest.mark.django_db

UNKNOWN = uuid.UUID("01234567-89ab-7def-8123-456789abcdef")

PRICES = {
    "with_tax": FORMATTED,
    "without_tax": FORMATTED,
    "tax": FORMATTED,
    "discount": FORMATTED,
    "without_discount": FORMATTED,
    "shipping": FORMATTED,
    "shipping_discount": FORMATTED,
}
UNIT_AND_VALUE = {"unit": FORMATTED, "value": FORMATTED}
LINE_PRICES = dict.fromkeys(PRICES.keys() - {"shipping", "shipping_discount"}, UNIT_AND_VALUE)
CART_META = {
    "display_price": PRICES,
    "timestamps": {"created_at": a_moment, "updated_at": a_moment, "expires_at": a_moment},
}
CART = {
    "id": str,
    "type": "cart",
    "name": str,
    "description": str,
    "discount_settings": {"custom_discounts_enabled": False, "use_rule_promotions": False},
    "inventory_settings": {"defer_inventory_check": False},
    "links": {"self": str},
    "meta": CART_META,
    "relationships": {
        "items": {"data": [{"type": "cart_item", "id": an_id}]},
        "customers": dict,
    },
}
CART_ITEM = {
    "id": an_id,
    "type": "cart_item",
    "product_id": an_id,
    "name": str,
    "description": str,
    "sku": str,
    "slug": str,
    "image": {"mime_type": str, "file_name": str, "href": str},
    "quantity": int,
    "manage_stock": bool,
    "unit_price": PRICE,
    "value": PRICE,
    "links": {"product": str},
    "meta": {
        "display_price": LINE_PRICES,
        "timestamps": {"created_at": a_moment, "updated_at": a_moment},
    },
}
BILLING_ADDRESS = dict.fromkeys({*ADDRESS, "company_name", "line_2", "city", "county"}, str)
ORDER = {
    "type": "order",
    "id": an_id,
    "order_number": str,
    "external_ref": str,
    "status": str,
    "payment": str,
    "shipping": str,
    "anonymized": False,
    "customer": {"name": str, "email": str},
    "billing_address": BILLING_ADDRESS,
    "shipping_address": {**BILLING_ADDRESS, "phone_number": str, "instructions": str},
    "links": {},
    "meta": {
        "display_price": {
            **PRICES,
            "balance_owing": FORMATTED,
            "paid": FORMATTED,
            "authorized": FORMATTED,
        },
        "timestamps": {"created_at": a_moment, "updated_at": a_moment},
    },
    "relationships": {
        "items": {"data": [{"type": "item", "id": an_id}]},
        "shipments": {"data": [{"type": "shipment", "id": an_id}]},
    },
}
ORDER_ITEM = {
    "type": "order_item",
    "id": an_id,
    "product_id": an_id,
    "name": str,
    "sku": str,
    "quantity": int,
    "quantity_shipped": int,
    "quantity_cancelled": int,
    "quantity_returned": int,
    "unit_price": PRICE,
    "value": PRICE,
    "links": {},
    "meta": {
        "display_price": LINE_PRICES,
        "timestamps": {"created_at": a_moment, "updated_at": a_moment},
    },
    "relationships": {"cart_item": {"data": {"type": "cart_item", "id": an_id}}},
}
EMPTY_PRICE = {"amount": 0, "currency": "", "formatted": "0"}


def in_cart(made: Product, quantity: int = 1, **fields: Any) -> dict[str, Any]:
    return {"type": "cart_item", "id": str(made.pk), "quantity": quantity, **fields}


def ordered(api: Api, *products: Product) -> dict[str, Any]:
    """Check out one of each, as a frontend does: with addresses."""
    cart = filled_cart(dict.fromkeys(products, 1))
    order: dict[str, Any] = api.check_out(cart).json()["data"]
    return order


def dollars(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "USD", "formatted": f"${amount / 100:,.2f}"}


# Carts.


def test_a_cart_in_the_shape_of_the_contract(storefront):
    shirt, scarf = product(stock=5, price=1250), product(price=99, managed=False)
    cart = filled_cart({shirt: 2, scarf: 3})

    answer = storefront.get(f"/v2/carts/{cart}")

    shown = answer.json()["data"]
    assert answer.status_code == 200
    assert_shape(shown, CART)
    assert shown["id"] == cart
    assert shown["links"]["self"].endswith(f"/v2/carts/{cart}")
    assert shown["meta"]["display_price"]["with_tax"] == dollars(2797)
    assert shown["meta"]["display_price"]["without_tax"] == dollars(2797)
    assert shown["meta"]["display_price"]["tax"] == dollars(0)
    assert len(shown["relationships"]["items"]["data"]) == 2
    assert "included" not in answer.json()


@pytest.mark.parametrize(
    "asked", ["include=items&include=promotions", "include=items,promotions", "include=Promotions"]
)
def test_t29_all_that_is_asked_for_is_included_however_it_is_said(back_office, asked):
    cart = filled_cart({product(5): 1})
    order = back_office.check_out(cart).json()["data"]["id"]

    for path in ("/v2/carts", f"/v2/carts/{cart}", f"/v2/orders/{order}", "/v2/orders"):
        found = back_office.get(f"{path}?{asked}").json()["included"]
        assert found["promotions"] == []
        assert [item["quantity"] for item in found.get("items", [])] == [1] * ("items" in asked)


def test_t29_items_include_what_is_asked_for_beside_them(back_office):
    cart = filled_cart({product(5): 1})
    order = back_office.check_out(cart).json()["data"]["id"]
    asked = "include=tax_items&include=promotions,items"

    for path in (f"/v2/carts/{cart}/items", f"/v2/orders/{order}/items"):
        body = back_office.get(f"{path}?{asked}").json()
        assert body["included"] == {"promotions": [], "tax_items": []}
        assert "included" not in back_office.get(path).json()


def test_a_cart_includes_its_items_as_an_object_of_arrays(storefront):
    cart = filled_cart({product(stock=5): 2})

    body = storefront.get(f"/v2/carts/{cart}?include=items").json()

    assert set(body["included"]) == {"items"}
    assert_shape(body["included"]["items"], [CART_ITEM])
    ids = [item["id"] for item in body["included"]["items"]]
    assert ids == [item["id"] for item in body["data"]["relationships"]["items"]["data"]]


def test_adding_answers_with_all_items_and_what_the_cart_costs(storefront):
    shirt, scarf = product(stock=5, price=1250), product(stock=5, price=100, name="Scarf")
    cart = filled_cart({shirt: 2})

    answer = storefront.post(f"/v2/carts/{cart}/items", in_cart(scarf, 3))

    body = answer.json()
    assert answer.status_code == 201
    assert_shape(body["data"], [CART_ITEM])
    assert_shape(body["meta"], CART_META)
    first, second = body["data"]
    assert (first["product_id"], second["product_id"]) == (str(shirt.pk), str(scarf.pk))
    assert (second["name"], second["sku"], second["quantity"]) == ("Scarf", scarf.sku, 3)
    assert second["unit_price"] == {"amount": 100, "currency": "USD", "includes_tax": True}
    assert second["value"]["amount"] == 300
    assert second["meta"]["display_price"]["with_tax"] == {
        "unit": dollars(100),
        "value": dollars(300),
    }
    assert body["meta"]["display_price"]["with_tax"] == dollars(2800)
    assert storefront.get(f"/v2/carts/{cart}/items").json() == body


def test_the_same_product_again_adds_to_its_line_and_lines_keep_their_order(storefront):
    shirt, scarf = product(stock=5), product(stock=5)
    for made in (shirt, scarf, shirt):
        answer = storefront.post("/v2/carts/mine/items", in_cart(made, 2))

    lines = [(line["product_id"], line["quantity"]) for line in answer.json()["data"]]
    assert lines == [(str(shirt.pk), 4), (str(scarf.pk), 2)]


def test_the_same_product_with_other_inputs_is_a_line_of_its_own(storefront):
    shirt = product(stock=5)
    plain, engraved = in_cart(shirt), in_cart(shirt, custom_inputs={"name": {"text": "Ada ❤"}})
    for line in (plain, engraved, engraved, plain):
        answer = storefront.post("/v2/carts/mine/items", line)

    first, second = answer.json()["data"]
    assert (first["quantity"], second["quantity"]) == (2, 2)
    assert "custom_inputs" not in first
    assert second["custom_inputs"] == {"name": {"text": "Ada ❤"}}


def test_a_product_may_be_named_by_its_sku(storefront):
    shirt = product(stock=5)

    answer = storefront.post(
        "/v2/carts/mine/items", {"type": "cart_item", "sku": shirt.sku, "quantity": 1}
    )

    assert answer.status_code == 201
    assert answer.json()["data"][0]["product_id"] == str(shirt.pk)


def test_the_type_may_be_left_out(storefront):
    line = {"id": str(product(stock=1).pk), "quantity": 1}

    assert storefront.post("/v2/carts/mine/items", line).status_code == 201


@pytest.mark.parametrize("named_by", ["id", "sku"])
def test_a_product_that_is_not_live_is_unknown_to_a_cart(storefront, named_by):
    draft, archived = product(stock=5, status="draft"), product()
    products.archive(archived.pk, actor=MERCHANT)

    for made in (draft, archived):
        named = str(made.pk) if named_by == "id" else made.sku
        answer = storefront.post("/v2/carts/mine/items", {named_by: named, "quantity": 1})

        [error] = answer.json()["errors"]
        assert answer.status_code == error["status"] == 404
        assert error["title"] == "Product not found"
        assert error["detail"] == "The requested product could not be found"
    assert storefront.get("/v2/carts/mine/items").json()["data"] == []


def test_a_product_without_a_price_in_the_currency_cannot_be_added(storefront):
    unpriced = product(stock=5, prices=[])

    answer = storefront.post("/v2/carts/mine/items", in_cart(unpriced))

    [error] = answer.json()["errors"]
    assert answer.status_code == error["status"] == 400
    assert error["title"] == "Could not add product"
    assert error["detail"] == "This product does not have a price for USD"
    assert error["meta"] == {"id": str(unpriced.pk), "sku": unpriced.sku}


def test_the_first_item_gives_the_cart_its_currency(storefront):
    now = clock.now()
    Currency.objects.create(
        code="JPY", format="¥{price}", decimal_places=0, created_at=now, updated_at=now
    )
    currencies.forget()
    shirt = product(stock=9, prices=[Money("USD", 1250), Money("JPY", 1500)])
    path = "/v2/carts/mine"

    storefront.post(f"{path}/items", in_cart(shirt), X_MOLTIN_CURRENCY="JPY")
    again = storefront.post(f"{path}/items", in_cart(shirt), X_MOLTIN_CURRENCY="USD")
    read = storefront.get(path, X_MOLTIN_CURRENCY="USD").json()["data"]
    refused = storefront.post(f"{path}/checkout", BUYER, X_MOLTIN_CURRENCY="USD")

    assert again.json()["data"][0]["value"]["currency"] == "JPY"
    assert read["meta"]["display_price"]["with_tax"] == {
        "amount": 3000,
        "currency": "JPY",
        "formatted": "¥3,000",
    }
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, "currency_differs")
    assert storefront.post(f"{path}/checkout", BUYER).status_code == 201
    storefront.delete(f"{path}/items")
    emptied = storefront.post(f"{path}/items", in_cart(shirt), X_MOLTIN_CURRENCY="USD")
    assert emptied.json()["data"][0]["value"]["currency"] == "USD"


def test_a_line_is_set_to_a_quantity(storefront):
    cart = filled_cart({product(stock=5): 2})
    [line] = storefront.get(f"/v2/carts/{cart}/items").json()["data"]
    path = f"/v2/carts/{cart}/items/{line['id']}"

    answer = storefront.put(path, {"type": "cart_item", "id": line["id"], "quantity": 5})
    too_much = storefront.put(path, {"quantity": 6})

    assert answer.status_code == 200
    assert_shape(answer.json()["meta"], CART_META)
    assert [shown["quantity"] for shown in answer.json()["data"]] == [5]
    assert too_much.status_code == 400
    assert too_much.json()["errors"][0]["code"] == "insufficient_stock"
    assert storefront.get(f"/v2/carts/{cart}/items").json()["data"][0]["quantity"] == 5


def test_a_quantity_of_0_removes_the_line(storefront):
    cart = filled_cart({product(stock=5): 2, product(stock=5): 1})
    [line, other] = storefront.get(f"/v2/carts/{cart}/items").json()["data"]

    answer = storefront.put(f"/v2/carts/{cart}/items/{line['id']}", {"quantity": 0})

    assert answer.status_code == 200
    assert [shown["id"] for shown in answer.json()["data"]] == [other["id"]]


def test_removing_a_line_answers_with_the_rest(storefront):
    cart = filled_cart({product(stock=5): 2, product(stock=5): 1})
    [line, other] = storefront.get(f"/v2/carts/{cart}/items").json()["data"]
    path = f"/v2/carts/{cart}/items/{line['id']}"

    answer = storefront.delete(path)

    assert answer.status_code == 200
    assert [shown["id"] for shown in answer.json()["data"]] == [other["id"]]
    assert storefront.delete(path).status_code == 404


def test_a_line_of_another_cart_is_not_found_in_the_words_of_the_contract(storefront):
    mine, other = filled_cart({product(stock=5): 2}), filled_cart({product(stock=5): 1})
    [line] = storefront.get(f"/v2/carts/{other}/items").json()["data"]
    path = f"/v2/carts/{mine}/items/{line['id']}"

    for answer in (storefront.put(path, {"quantity": 1}), storefront.delete(path)):
        [error] = answer.json()["errors"]
        assert (error["status"], error["title"], error["detail"]) == (
            404,
            "Not Found",
            "The Item doesn't exist in the cart",
        )
    assert CartItem.objects.count() == 2


def test_emptying_a_cart_keeps_the_cart(storefront):
    cart = filled_cart({product(stock=5): 2})
    storefront.put(f"/v2/carts/{cart}", {"name": "Mine"})

    answers = [storefront.delete(f"/v2/carts/{cart}/items") for _ in range(2)]

    assert [(answer.status_code, answer.content) for answer in answers] == [(204, b"")] * 2
    shown = storefront.get(f"/v2/carts/{cart}").json()["data"]
    assert shown["name"] == "Mine"
    assert shown["relationships"]["items"]["data"] == []
    assert shown["meta"]["display_price"]["with_tax"] == EMPTY_PRICE


def test_a_deleted_cart_is_empty_and_may_be_deleted_again(storefront):
    cart = filled_cart({product(stock=5): 2})

    answers = [storefront.delete(f"/v2/carts/{cart}") for _ in range(2)]

    assert [(answer.status_code, answer.content) for answer in answers] == [(204, b"")] * 2
    assert storefront.get(f"/v2/carts/{cart}/items").json()["data"] == []
    assert not Cart.objects.exists()


def test_reading_an_unknown_cart_shows_an_empty_one_and_writes_nothing(storefront):
    whole = storefront.get("/v2/carts/anything_Goes-1?include=items")
    items = storefront.get("/v2/carts/anything_Goes-1/items")
    orders_of_it = storefront.get("/v2/carts/anything_Goes-1/orders")

    assert {answer.status_code for answer in (whole, items, orders_of_it)} == {200}
    shown = whole.json()["data"]
    assert (shown["id"], shown["type"]) == ("anything_Goes-1", "cart")
    assert shown["meta"]["display_price"]["with_tax"] == EMPTY_PRICE
    assert shown["meta"]["display_price"]["without_tax"] == EMPTY_PRICE
    assert shown["relationships"]["items"]["data"] == []
    assert whole.json()["included"] == {"items": []}
    assert items.json()["data"] == []
    assert items.json()["meta"]["display_price"]["with_tax"] == EMPTY_PRICE
    for meta in (shown["meta"], items.json()["meta"]):
        assert_shape(meta["timestamps"], CART_META["timestamps"])
    assert orders_of_it.json()["data"] == []
    assert not Cart.objects.exists()


def test_emptying_or_shrinking_an_unknown_cart_writes_nothing(storefront):
    assert storefront.delete("/v2/carts/unknown").status_code == 204
    assert storefront.delete("/v2/carts/unknown/items").status_code == 204
    assert storefront.delete(f"/v2/carts/unknown/items/{UNKNOWN}").status_code == 404
    assert storefront.put(f"/v2/carts/unknown/items/{UNKNOWN}", {"quantity": 1}).status_code == 404
    assert storefront.post("/v2/carts/unknown/checkout", BUYER).status_code == 400
    assert not Cart.objects.exists()


def test_a_put_creates_the_cart(storefront):
    answer = storefront.put("/v2/carts/mine", {"name": "Mine", "description": "For Ada"})

    shown = answer.json()["data"]
    assert answer.status_code == 200
    assert_shape(shown["meta"]["timestamps"], CART_META["timestamps"])
    assert (shown["name"], shown["description"]) == ("Mine", "For Ada")
    changed = storefront.put("/v2/carts/mine", {"description": ""}).json()["data"]
    assert (changed["name"], changed["description"]) == ("Mine", "")


def test_a_cart_expires_seven_days_after_its_last_change(storefront):
    shirt = product(stock=5)
    cart = filled_cart({shirt: 2})
    storefront.put(f"/v2/carts/{cart}", {"name": "Mine"})
    now = clock.now()
    nearly, over = now + timedelta(days=6, hours=23), now + timedelta(days=7, minutes=1)

    with clock.replaced(itertools.repeat(nearly).__next__):
        assert len(storefront.get(f"/v2/carts/{cart}/items").json()["data"]) == 1
    with clock.replaced(itertools.repeat(over).__next__):
        expired = storefront.get(f"/v2/carts/{cart}?include=items")
        checked_out = storefront.post(f"/v2/carts/{cart}/checkout", BUYER)
        added = storefront.post(f"/v2/carts/{cart}/items", in_cart(shirt))
        revived = storefront.get(f"/v2/carts/{cart}").json()["data"]

    assert expired.status_code == 200
    assert expired.json()["data"]["meta"]["display_price"]["with_tax"] == EMPTY_PRICE
    assert expired.json()["included"] == {"items": []}
    assert (checked_out.status_code, checked_out.json()["errors"][0]["code"]) == (400, "cart_empty")
    assert [line["quantity"] for line in added.json()["data"]] == [1]
    assert revived["name"] == "Cart"


def test_every_change_puts_off_the_expiry_and_reading_does_not(storefront):
    shirt = product(stock=5)
    cart = filled_cart({shirt: 2})
    later = clock.now() + timedelta(days=5)

    def expires_at() -> str:
        meta: dict[str, Any] = storefront.get(f"/v2/carts/{cart}").json()["data"]["meta"]
        return str(meta["timestamps"]["expires_at"])

    before = expires_at()
    with clock.replaced(itertools.repeat(later).__next__):
        assert expires_at() == before
        storefront.post(f"/v2/carts/{cart}/items", in_cart(shirt))
        assert expires_at() > before


def test_a_cart_holds_100_different_items(storefront):
    cart = filled_cart({product(stock=5): 1})
    first = CartItem.objects.get()
    CartItem.objects.bulk_create(
        CartItem(
            cart_id=cart,
            product_id=first.product_id,
            quantity=1,
            line_key=str(number),
            created_at=first.created_at,
            updated_at=first.updated_at,
        )
        for number in range(99)
    )

    refused = storefront.post(f"/v2/carts/{cart}/items", in_cart(product(stock=5)))
    more_of_one = storefront.put(f"/v2/carts/{cart}/items/{first.pk}", {"quantity": 2})

    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, "too_many_items")
    assert more_of_one.status_code == 200
    assert len(more_of_one.json()["data"]) == 100


# Checkout.


def test_an_order_in_the_shape_of_the_contract(storefront):
    shirt, scarf = product(stock=5, price=1250), product(stock=5, price=100)
    cart = filled_cart({shirt: 2, scarf: 1})

    answer = storefront.post(f"/v2/carts/{cart}/checkout", BUYER)

    body = answer.json()
    assert answer.status_code == 201
    assert_shape(body["data"], ORDER)
    assert_shape(body["included"], {"items": [ORDER_ITEM]})
    assert (body["data"]["status"], body["data"]["payment"], body["data"]["shipping"]) == (
        "incomplete",
        "unpaid",
        "unfulfilled",
    )
    prices = body["data"]["meta"]["display_price"]
    assert prices["with_tax"] == prices["balance_owing"] == dollars(2600)
    assert prices["paid"] == prices["authorized"] == dollars(0)
    assert "fully_paid_at" not in body["data"]["meta"]["timestamps"]
    assert body["data"]["customer"] == BUYER["customer"]
    ids = [item["id"] for item in body["included"]["items"]]
    assert ids == [item["id"] for item in body["data"]["relationships"]["items"]["data"]]


def test_an_order_item_is_a_copy_that_points_to_its_cart_line(storefront, back_office):
    shirt = product(stock=5, price=1250, name="Shirt")
    cart = filled_cart({shirt: 2})
    [line] = storefront.get(f"/v2/carts/{cart}/items").json()["data"]
    order = storefront.post(f"/v2/carts/{cart}/checkout", BUYER).json()
    new = {"name": "Coat", "sku": "COAT", "price": [{"amount": 1, "currency": "USD"}]}
    back_office.put(f"/v2/products/{shirt.pk}", new)

    [item] = back_office.get(f"/v2/orders/{order['data']['id']}/items").json()["data"]

    assert_shape(item, ORDER_ITEM)
    assert (item["name"], item["sku"], item["quantity"]) == ("Shirt", shirt.sku, 2)
    assert (item["unit_price"]["amount"], item["value"]["amount"]) == (1250, 2500)
    assert item["product_id"] == str(shirt.pk)
    assert item["relationships"]["cart_item"]["data"] == {"type": "cart_item", "id": line["id"]}
    assert order["included"]["items"] == [item]


def test_custom_inputs_come_along(storefront):
    line = in_cart(product(stock=5), custom_inputs={"engraving": "Ada"})
    storefront.post("/v2/carts/mine/items", line)

    order = storefront.post("/v2/carts/mine/checkout", BUYER).json()

    assert order["included"]["items"][0]["custom_inputs"] == {"engraving": "Ada"}


def test_absent_parts_of_an_address_are_empty_and_billing_serves_for_shipping(storefront):
    cart = filled_cart({product(stock=5): 1})
    body = {"customer": BUYER["customer"], "billing_address": ADDRESS}

    shown = storefront.post(f"/v2/carts/{cart}/checkout", body).json()["data"]

    assert_shape(shown, ORDER)
    assert shown["billing_address"]["line_2"] == ""
    assert shown["shipping_address"] == {
        **shown["billing_address"],
        "phone_number": "",
        "instructions": "",
    }


def test_an_order_has_our_number_unless_the_client_gives_its_own(storefront):
    cart = filled_cart({product(stock=5): 1})
    path = f"/v2/carts/{cart}/checkout"

    first = storefront.post(path, BUYER).json()["data"]
    second = storefront.post(path, BUYER).json()["data"]
    own = {**BUYER, "order_number": "WEB-7", "external_ref": "erp-9"}
    theirs = [storefront.post(path, own).json()["data"] for _ in range(2)]

    assert int(second["order_number"]) > int(first["order_number"]) > 1000
    assert [order["order_number"] for order in theirs] == ["WEB-7", "WEB-7"]
    assert theirs[0]["external_ref"] == "erp-9"
    assert Order.objects.count() == 4


def test_the_cart_survives_its_checkout(storefront):
    cart = filled_cart({product(stock=5): 2})
    before = storefront.get(f"/v2/carts/{cart}?include=items").json()

    storefront.post(f"/v2/carts/{cart}/checkout", BUYER)

    assert storefront.get(f"/v2/carts/{cart}?include=items").json() == before


def test_f03_two_lines_of_one_product_need_the_units_of_both(storefront):
    shirt = product(stock=5)
    storefront.post("/v2/carts/mine/items", in_cart(shirt, 3))
    storefront.post("/v2/carts/mine/items", in_cart(shirt, 3, custom_inputs={"text": "Ada"}))

    answer = storefront.post("/v2/carts/mine/checkout", BUYER)

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "insufficient_stock")
    assert not Order.objects.exists()


def test_t39_a_shopper_is_told_to_wait_and_an_administrator_goes_on(
    storefront, back_office, settings
):
    settings.UNPAID_ORDERS_PER_CART = 1
    storefront.add_to_cart("mine", str(product(stock=5).pk), 1)
    assert storefront.check_out("mine").status_code == 201

    refused = storefront.check_out("mine", key="again")

    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "3600")
    assert refused.json()["errors"][0]["code"] == "too_many_unpaid_orders"
    assert back_office.check_out("mine").status_code == 201
    settings.UNPAID_ORDERS_PER_CART = 3
    assert storefront.check_out("mine", key="again").status_code == 201


def test_an_unexpected_total_is_a_conflict(storefront, back_office):
    shirt = product(stock=5, price=1250)
    cart = filled_cart({shirt: 2})
    path = f"/v2/carts/{cart}/checkout"
    back_office.put(f"/v2/products/{shirt.pk}", {"price": [{"amount": 1300, "currency": "USD"}]})

    refused = storefront.post(path, {**BUYER, "expected_total": 2500})
    accepted = storefront.post(path, {**BUYER, "expected_total": 2600})

    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "total_changed")
    assert accepted.status_code == 201
    assert Order.objects.count() == 1


@pytest.mark.parametrize(
    "change",
    [{"status": "draft"}, {"price": []}, "archived"],
    ids=["draft", "no price", "archived"],
)
def test_what_is_no_longer_offered_cannot_be_checked_out(storefront, back_office, change):
    shirt = product(managed=False)
    cart = filled_cart({shirt: 2})
    path = f"/v2/products/{shirt.pk}"
    if change == "archived":
        back_office.delete(path)
    else:
        back_office.put(path, change)

    shown = storefront.get(f"/v2/carts/{cart}?include=items")
    answer = storefront.post(f"/v2/carts/{cart}/checkout", BUYER)

    [error] = answer.json()["errors"]
    assert shown.status_code == 200
    assert (answer.status_code, error["code"]) == (400, "not_for_sale")
    assert error["meta"] == {"id": str(shirt.pk), "sku": shirt.sku}
    assert not Order.objects.exists()


# Orders.


def test_orders_are_listed_newest_first(back_office, storefront):
    start = clock.now() - timedelta(hours=1)
    made = []
    for minute in range(3):
        moment = start + timedelta(minutes=minute)
        with clock.replaced(itertools.repeat(moment).__next__):
            made.append(ordered(storefront, product(stock=1))["id"])

    body = back_office.get("/v2/orders?page[limit]=2").json()

    assert_shape(body["data"], [ORDER])
    assert [order["id"] for order in body["data"]] == [made[2], made[1]]
    assert body["meta"]["results"]["total"] == 3


def test_an_order_includes_its_items_when_asked(back_office, storefront):
    order = ordered(storefront, product(stock=1), product(stock=1))

    plain = back_office.get(f"/v2/orders/{order['id']}")
    full = back_office.get(f"/v2/orders/{order['id']}?include=items")

    assert plain.status_code == 200
    assert_shape(plain.json()["data"], ORDER)
    assert "included" not in plain.json()
    assert_shape(full.json()["included"], {"items": [ORDER_ITEM]})
    assert len(full.json()["included"]["items"]) == 2


@pytest.mark.parametrize("below", ["", "/items", "/transactions"])
def test_an_unknown_order_is_not_found_in_the_words_of_the_contract(back_office, below):
    [error] = back_office.get(f"/v2/orders/{UNKNOWN}{below}").json()["errors"]

    assert (error["status"], error["title"], error["detail"]) == (
        404,
        "Not Found",
        "Order not found",
    )


def test_the_order_says_since_when_it_is_paid(back_office):
    order = paid_order({product(stock=1, price=1250): 1})

    shown = back_office.get(f"/v2/orders/{order.pk}").json()["data"]

    assert a_moment(shown["meta"]["timestamps"]["fully_paid_at"])
    assert shown["meta"]["display_price"]["paid"] == dollars(1250)
    assert shown["meta"]["display_price"]["balance_owing"] == dollars(0)


def test_what_may_change_of_an_order_until_it_is_shipped(back_office, storefront):
    order = ordered(storefront, product(stock=1))
    storefront.pay(order["id"])
    path = f"/v2/orders/{order['id']}"
    moved = {**ADDRESS, "line_3": "Back yard", "instructions": "Ring twice."}
    body = {"order_number": "WEB-7", "external_ref": "erp-9", "shipping_address": moved}

    changed = back_office.put(path, {"type": "order", **body})
    fixed = back_office.put(path, {"type": "order", "payment": "refunded", "anonymized": True})
    back_office.put(path, {"shipping": "fulfilled"})
    refused = back_office.put(path, {"external_ref": "late"})

    shown = changed.json()["data"]
    assert changed.status_code == 200
    assert_shape(shown, ORDER)
    assert (shown["order_number"], shown["external_ref"]) == ("WEB-7", "erp-9")
    assert {**shown["shipping_address"], **moved} == shown["shipping_address"]
    assert shown["billing_address"] == order["billing_address"]
    assert fixed.status_code == 422
    assert [error["source"] for error in fixed.json()["errors"]] == [
        "data.anonymized",
        "data.payment",
    ]
    [error] = refused.json()["errors"]
    assert (error["status"], error["title"], error["detail"]) == (
        422,
        "Unprocessable Entity",
        "Order cannot be updated in its current state",
    )


def test_a_shipped_order(back_office):
    shirt = product(stock=3)
    order = paid_order({shirt: 2})

    answer = back_office.put(f"/v2/orders/{order.pk}", {"type": "order", "shipping": "fulfilled"})

    shown = answer.json()["data"]
    assert answer.status_code == 200
    assert (shown["status"], shown["payment"], shown["shipping"]) == (
        "complete",
        "paid",
        "fulfilled",
    )
    assert stock_of(shirt).total == 1


def test_a_cancelled_order_is_spelled_with_two_ls(back_office):
    order = paid_order({product(stock=3): 2})

    answer = back_office.put(f"/v2/orders/{order.pk}", {"type": "order", "status": "cancelled"})

    shown = answer.json()["data"]
    assert answer.status_code == 200
    assert (shown["status"], shown["payment"], shown["shipping"]) == (
        "cancelled",
        "paid",
        "unfulfilled",
    )


SHIP, CANCEL = {"shipping": "fulfilled"}, {"status": "cancelled"}


@pytest.mark.parametrize(
    ("before", "refused", "code"),
    [
        ([], SHIP, "order_not_shippable"),
        ([CANCEL], SHIP, "order_not_shippable"),
        ([CANCEL], CANCEL, "order_not_cancellable"),
    ],
)
def test_what_an_unpaid_order_cannot_do(back_office, before, refused, code):
    path = f"/v2/orders/{unpaid_order({product(stock=1): 1}).pk}"
    for change in before:
        assert back_office.put(path, change).status_code == 200

    answer = back_office.put(path, refused)

    [error] = answer.json()["errors"]
    assert answer.status_code == error["status"] == 422
    assert (error["title"], error["code"]) == ("Unprocessable Entity", code)
    assert error["detail"]


@pytest.mark.parametrize(
    ("refused", "code"), [(SHIP, "order_not_shippable"), (CANCEL, "order_not_cancellable")]
)
def test_a_shipped_order_is_neither_shipped_again_nor_cancelled(back_office, refused, code):
    shirt = product(stock=3)
    path = f"/v2/orders/{paid_order({shirt: 2}).pk}"
    back_office.put(path, SHIP)

    answer = back_office.put(path, refused)

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, code)
    assert (stock_of(shirt).total, stock_of(shirt).allocated) == (1, 0)


def test_the_other_states_are_not_for_clients_to_set(back_office):
    path = f"/v2/orders/{unpaid_order({product(stock=1): 1}).pk}"

    for change in ({"status": "complete"}, {"shipping": "unfulfilled"}, {"status": "canceled"}):
        assert back_office.put(path, change).status_code == 422


# What it costs.


def with_lines(count: int) -> str:
    return filled_cart({product(stock=9): 1 for _ in range(count)})


def reading(api: Api, path: str) -> int:
    return statements(lambda: api.get(path))


def test_a_full_cart_costs_as_many_statements_as_one_line(storefront):
    short, long = with_lines(1), with_lines(25)
    storefront.get(f"/v2/carts/{short}")

    for below in ("", "/items", "?include=items"):
        assert reading(storefront, f"/v2/carts/{short}{below}") == reading(
            storefront, f"/v2/carts/{long}{below}"
        )


def test_a_long_list_of_orders_costs_as_many_statements_as_a_short_one(back_office, storefront):
    cart = with_lines(2)
    for _ in range(25):
        orders.checkout(cart, orders.Buyer("Ada", "ada@example.com"))

    for api, path in ((back_office, "/v2/orders"), (storefront, f"/v2/carts/{cart}/orders")):
        api.get(path)
        assert reading(api, f"{path}?page[limit]=1") == reading(api, f"{path}?page[limit]=10")


def costs_of_a_purchase(api: Api, cart: str, another: Product) -> list[int]:
    costs, answers = [], []

    def step(act: Callable[[], Any]) -> None:
        costs.append(statements(lambda: answers.append(act())))

    step(lambda: api.add_to_cart(cart, str(another.pk), 1))
    step(lambda: api.check_out(cart))
    step(lambda: api.pay(answers[-1].json()["data"]["id"]))

    assert [answer.status_code for answer in answers] == [201, 201, 200]
    return costs


def test_adding_checking_out_and_paying_cost_the_same_for_1_line_and_for_20(storefront):
    costs = []
    another = product(stock=9)
    for lines in (1, 1, 20):
        cart = with_lines(lines)
        costs.append(costs_of_a_purchase(storefront, cart, another))

    # The first round also fills what a process remembers: the client and the currencies.
    assert costs[1] == costs[2]
