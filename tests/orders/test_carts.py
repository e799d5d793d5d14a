"""Carts beyond one product at a time: made and listed, custom items, bulk, merge, expiry."""

import itertools
import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any
from unicodedata import normalize

import pytest
from django.db import transaction

from api import clock, limits, store
from inventory.errors import CurrencyInUse
from inventory.models import Currency, Product
from inventory.services import currencies, products
from inventory.services.products import Money
from orders import jobs
from orders.errors import CurrencyGone
from orders.models import Cart, CartItem, Order, OrderItem
from orders.services import cart_lines, carts
from tests.backoffice.pages import text
from tests.concurrency import run_together
from tests.factories import MERCHANT, filled_cart, product, stock_of
from tests.http import (
    ADDRESS,
    BUYER,
    PRICE,
    Api,
    a_moment,
    administrator,
    an_id,
    assert_shape,
    shopper,
    statements,
)
from tests.orders.statements import sql_of, statements_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def two_carts_a_day(settings, monkeypatch):
    """A day that does not end while a test runs, and in which an address opens two carts."""
    monkeypatch.setattr(limits, "A_DAY", 1_000_000_000)
    settings.LIMITS = {**settings.LIMITS, "cart": 2}
    limits.forget()
    yield
    limits.forget()


NEXT_MONTH = clock.now() + timedelta(days=31)
UNKNOWN = "01234567-89ab-7def-8123-456789abcdef"
WRAPPING = {
    "type": "custom_item",
    "name": "Gift wrapping",
    "quantity": 2,
    "price": {"amount": 350},
}


@pytest.fixture
def storefront() -> Api:
    """Shoppers of a store that lets them add custom items."""
    store.change(custom_items_by_shoppers=True, actor=MERCHANT)
    return shopper()


def euro() -> Currency:
    return currencies.create(code="EUR", format="€{price}", actor=MERCHANT)


def wanted(made: Product, quantity: int = 1, **more: Any) -> dict[str, Any]:
    return {"type": "cart_item", "id": str(made.pk), "quantity": quantity, **more}


def lines(api: Api, cart: str) -> list[tuple[str, int]]:
    """Name and quantity of each line."""
    shown = api.get(f"/v2/carts/{cart}/items").json()["data"]
    return [(line["name"], line["quantity"]) for line in shown]


def bulk(api: Api, cart: str, entries: list[Any], *, all_or_nothing: bool | None = None) -> Any:
    return _sent(api, "POST", cart, entries, "add_all_or_nothing", all_or_nothing)


def bulk_update(
    api: Api, cart: str, entries: list[Any], *, all_or_nothing: bool | None = None
) -> Any:
    return _sent(api, "PUT", cart, entries, "update_all_or_nothing", all_or_nothing)


def _sent(
    api: Api, method: str, cart: str, entries: list[Any], option: str, chosen: bool | None
) -> Any:
    body: dict[str, Any] = {"data": entries}
    if chosen is not None:
        body["options"] = {option: chosen}
    return api.send(method, f"/v2/carts/{cart}/items", json.dumps(body))


def refused(answer: Any, status: int, code: str) -> dict[str, Any]:
    errors: list[dict[str, Any]] = answer.json()["errors"]
    assert (answer.status_code, errors[0]["status"], errors[0]["code"]) == (status, status, code)
    return errors[0]


# Carts themselves.


def test_a_cart_is_created_with_an_id_of_ours(storefront):
    answer = storefront.post("/v2/carts", {"name": "Mine", "description": "For Ada"})

    shown = answer.json()["data"]
    assert answer.status_code == 201
    assert (shown["type"], shown["name"], shown["description"]) == ("cart", "Mine", "For Ada")
    assert len(shown["id"]) == 32
    assert shown["inventory_settings"] == {"defer_inventory_check": False}
    assert storefront.get(f"/v2/carts/{shown['id']}").json()["data"] == shown


def test_a_cart_is_created_with_the_clients_id_once(storefront):
    body = {"id": "Ada_s-cart", "inventory_settings": {"defer_inventory_check": True}}
    first = storefront.post("/v2/carts", body)
    again = storefront.post("/v2/carts", {**body, "name": "Another's"})

    assert first.json()["data"]["id"] == "Ada_s-cart"
    assert first.json()["data"]["inventory_settings"] == {"defer_inventory_check": True}
    refused(again, 409, "cart_exists")
    assert Cart.objects.get().name == "Cart"


def test_the_same_key_creates_one_cart(storefront):
    answers = [storefront.post("/v2/carts", {"name": "Mine"}, key="click") for _ in range(2)]

    assert answers[0].json() == answers[1].json()
    assert answers[1]["Idempotent-Replayed"] == "true"
    assert Cart.objects.count() == 1


@pytest.mark.parametrize(
    ("fields", "source"),
    [
        ({"id": "a b"}, "data.id"),
        ({"id": ""}, "data.id"),
        ({"id": "x" * 129}, "data.id"),
        ({"id": 7}, "data.id"),
        ({"name": ""}, "data.name"),
        ({"inventory_settings": None}, "data.inventory_settings"),
        ({"inventory_settings": 1}, "data.inventory_settings"),
        (
            {"inventory_settings": {"defer_inventory_check": "yes"}},
            "data.inventory_settings.defer_inventory_check",
        ),
    ],
)
def test_a_wrong_cart_is_not_created(storefront, fields, source):
    answer = storefront.post("/v2/carts", fields)

    assert answer.status_code in {400, 422}
    assert [error["source"] for error in answer.json()["errors"]] == [source]
    assert not Cart.objects.exists()


def test_each_cart_of_a_list_is_shown_in_its_own_currency(back_office, storefront):
    euro()
    shirt = product(stock=9, prices=[Money("USD", 1250), Money("EUR", 1100)])
    made = [filled_cart({shirt: 1}, currency=code) for code in ("USD", "EUR")]

    listed = back_office.get("/v2/carts").json()["data"]

    assert listed == [storefront.get(f"/v2/carts/{cart}").json()["data"] for cart in made[::-1]]


def test_an_administrator_lists_carts_newest_change_first(back_office, storefront):
    shirt = product(stock=5, price=1250)
    old, new = filled_cart({shirt: 1}), filled_cart({shirt: 2})
    storefront.put(f"/v2/carts/{old}", {"name": "Changed"})

    body = back_office.get("/v2/carts").json()
    second = back_office.get("/v2/carts?page[limit]=1&page[offset]=1").json()

    assert [cart["id"] for cart in body["data"]] == [old, new]
    assert body["data"][0] == storefront.get(f"/v2/carts/{old}").json()["data"]
    assert body["meta"]["results"]["total"] == 2
    assert [cart["id"] for cart in second["data"]] == [new]


def test_a_list_of_carts_leaves_out_what_has_expired(back_office):
    filled_cart({product(stock=5): 1})

    with clock.replaced(itertools.repeat(clock.now() + timedelta(days=8)).__next__):
        assert back_office.get("/v2/carts").json()["data"] == []


def test_a_store_may_list_only_the_carts_of_customers_of_which_there_are_none(back_office):
    filled_cart({product(stock=5): 1})
    store.change(show_all_carts=False, actor=MERCHANT)

    assert back_office.get("/v2/carts").json()["data"] == []


def test_a_shopper_cannot_list_carts(storefront):
    filled_cart({product(stock=5): 1})

    refused(storefront.get("/v2/carts"), 403, "forbidden")


def test_a_long_list_of_carts_costs_as_many_statements_as_a_short_one(back_office):
    euro()
    shelf = [product(stock=9, prices=[Money("USD", 1), Money("EUR", 2)]) for _ in range(3)]
    for number in range(25):
        filled_cart(dict.fromkeys(shelf, 1), currency="EUR" if number % 2 else "USD")
    back_office.get("/v2/carts")

    short = statements(lambda: back_office.get("/v2/carts?page[limit]=1"))
    assert statements(lambda: back_office.get("/v2/carts?page[limit]=25")) == short


def test_customers_are_not_there_yet(storefront):
    path = f"/v2/carts/{filled_cart({product(stock=5): 1})}/relationships/customers"
    customer = [{"type": "customer", "id": UNKNOWN}]

    for answer in (storefront.post(path, customer), storefront.delete(path)):
        refused(answer, 404, "not_found")


# Custom items.


def test_a_custom_item_in_the_shape_of_the_contract(storefront):
    answer = storefront.post(
        "/v2/carts/mine/items", {**WRAPPING, "sku": "WRAP", "description": "With a bow"}
    )

    [shown] = answer.json()["data"]
    assert answer.status_code == 201
    assert_shape(
        shown,
        {
            "id": an_id,
            "type": "custom_item",
            "name": "Gift wrapping",
            "description": "With a bow",
            "sku": "WRAP",
            "slug": "",
            "image": {"mime_type": "", "file_name": "", "href": ""},
            "quantity": 2,
            "manage_stock": False,
            "unit_price": PRICE,
            "value": PRICE,
            "meta": {"timestamps": {"created_at": a_moment, "updated_at": a_moment}},
        },
    )
    assert "product_id" not in shown
    assert shown["value"] == {"amount": 700, "currency": "USD", "includes_tax": True}
    assert answer.json()["meta"]["display_price"]["with_tax"]["amount"] == 700


def test_equal_custom_items_add_up_and_different_ones_do_not(storefront):
    for more in ({}, {}, {"price": {"amount": 351}}, {"sku": "W"}, {"custom_inputs": {"to": "Bo"}}):
        answer = storefront.post("/v2/carts/mine/items", {**WRAPPING, **more})
        assert answer.status_code == 201

    shown = storefront.get("/v2/carts/mine/items").json()["data"]
    assert [line["quantity"] for line in shown] == [4, 2, 2, 2]


def test_a_custom_item_takes_the_carts_currency(storefront):
    euro()
    shirt = product(stock=5, prices=[Money("EUR", 1000)])
    storefront.post("/v2/carts/mine/items", wanted(shirt), X_MOLTIN_CURRENCY="EUR")

    answer = storefront.post("/v2/carts/mine/items", WRAPPING)

    assert [line["value"]["currency"] for line in answer.json()["data"]] == ["EUR", "EUR"]


def test_t35_a_custom_item_is_priced_in_its_carts_currency(storefront):
    euro()
    in_euro = {**WRAPPING, "price": {"amount": 350, "currency": "EUR"}}

    refused_field(storefront.post("/v2/carts/mine/items", in_euro), "data.price.currency")
    of_many = bulk(storefront, "mine", [WRAPPING, in_euro])
    taken = storefront.post("/v2/carts/euro/items", in_euro, X_MOLTIN_CURRENCY="EUR")

    refused_field(of_many, "data.1.price.currency")
    assert taken.json()["data"][0]["value"]["currency"] == "EUR"


def refused_field(answer: Any, source: str) -> None:
    error = answer.json()["errors"][0]
    assert (answer.status_code, error["status"], error["source"]) == (422, 422, source)


# Each way in which a request may name a price.
WAYS: dict[str, Any] = {
    "alone": lambda: WRAPPING,
    "in a list": lambda: [WRAPPING, wanted(product(stock=5))],
    "from another cart": lambda: {"type": "cart_items", "cart_id": "given"},
    "from another cart, in a list": lambda: [{"type": "cart_items", "cart_id": "given"}],
}


@pytest.mark.parametrize("way", WAYS)
def test_t12_a_shopper_names_a_price_only_where_the_store_allows_it(storefront, back_office, way):
    store.change(custom_items_by_shoppers=False, actor=MERCHANT)
    assert back_office.post("/v2/carts/given/items", WRAPPING).status_code == 201
    body = WAYS[way]()

    answer = storefront.post("/v2/carts/mine/items", body)

    assert answer.status_code == 403
    assert {error["code"] for error in answer.json()["errors"]} == {"custom_items_not_allowed"}
    assert lines(storefront, "mine") == []
    back_office.put("/v2/settings/cart", {"custom_items_by_shoppers": True})
    assert storefront.post("/v2/carts/mine/items", body).status_code == 201


def test_t12_a_shopper_may_give_back_what_was_given_but_not_take_more_of_it(
    storefront, back_office
):
    store.change(custom_items_by_shoppers=False, actor=MERCHANT)
    [line] = back_office.post("/v2/carts/mine/items", WRAPPING).json()["data"]
    path = f"/v2/carts/mine/items/{line['id']}"

    more = storefront.put(path, {"quantity": 3})
    in_a_list = storefront.put("/v2/carts/mine/items", [{"id": line["id"], "quantity": 3}])
    less = storefront.put(path, {"quantity": 1, "custom_inputs": {"to": "Bo"}})

    refused(more, 403, "custom_items_not_allowed")
    refused(in_a_list, 403, "custom_items_not_allowed")
    assert less.status_code == 200
    assert back_office.put(path, {"quantity": 9}).status_code == 200
    assert storefront.check_out("mine").status_code == 201


@pytest.mark.parametrize("code", ["TEA-TIN", "tea-tin", "Tea-Tin", " TEA-TIN ", "TEA\u200b-TIN"])
@pytest.mark.parametrize(
    "named", [{"sku": "tea-tin"}, {"sku": "X", "barcode": "TEA-TIN"}], ids=["sku", "barcode"]
)
def test_t12_nothing_but_a_product_has_the_sku_or_barcode_of_one(back_office, named, code):
    tea = product(stock=5, **named)
    posing = {**WRAPPING, "sku": code}

    refused_field(back_office.post("/v2/carts/mine/items", posing), "data.sku")
    refused_field(bulk(back_office, "mine", [wanted(tea), posing]), "data.1.sku")
    products.archive(tea.pk, actor=MERCHANT)
    can_be_typed = "\u200b" not in code
    posed = back_office.post("/v2/carts/mine/items", posing)
    assert posed.status_code == (201 if can_be_typed else 422)


@pytest.mark.parametrize("sku", ["\ufeffTEA\u00a0", "TE\u0301A", "TÉA"])
def test_t25_a_product_is_put_into_a_cart_by_a_sku_with_unseen_signs_around_it(storefront, sku):
    tin = product(stock=5, sku=normalize("NFC", sku).strip("\ufeff\u00a0"))

    added = storefront.post(
        "/v2/carts/mine/items", {"type": "cart_item", "sku": sku, "quantity": 1}
    )

    assert added.json()["data"][0]["product_id"] == str(tin.pk)


def test_t12_a_sku_that_a_product_got_meanwhile_is_found_at_the_next_step(storefront, back_office):
    [line] = storefront.post("/v2/carts/mine/items", {**WRAPPING, "sku": "W"}).json()["data"]
    product(sku="w")

    error = refused(storefront.check_out("mine"), 422, "custom_item_is_a_product")
    merged = storefront.post("/v2/carts/yours/items", {"type": "cart_items", "cart_id": "mine"})

    assert error["meta"] == {"id": line["id"], "sku": "W"}
    assert merged.json()["errors"][0]["code"] == "custom_item_is_a_product"
    assert not Order.objects.exists()


def test_custom_items_without_a_sku_cost_no_look_up(back_office):
    back_office.post("/v2/carts/first/items", WRAPPING)
    plain = statements(lambda: back_office.post("/v2/carts/a/items", WRAPPING))
    named = statements(lambda: back_office.post("/v2/carts/b/items", {**WRAPPING, "sku": "W"}))

    assert named == plain + 1


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"name": ""}, 422),
        ({"name": None}, 400),
        ({"name": "x" * 201}, 422),
        ({"name": "a\x00b"}, 400),
        ({"quantity": 0}, 422),
        ({"quantity": 1.5}, 400),
        ({"quantity": 2**31}, 422),
        ({"price": None}, 400),
        ({"price": 350}, 400),
        ({"price": []}, 400),
        ({"price": {}}, 400),
        ({"price": {"amount": "350"}}, 400),
        ({"price": {"amount": 2**53}}, 422),
        ({"price": {"amount": 1, "includes_tax": "no"}}, 400),
        ({"price": {"amount": 1, "currency": 840}}, 400),
        ({"price": {"amount": 1, "currency": "usd"}}, 422),
        ({"price": [{"amount": 1}]}, 400),
        ({"price": {"amount": {"amount": 1}}}, 400),
        ({"sku": 7}, 400),
        ({"custom_inputs": [1]}, 400),
        ({"price": {"amount": 2**53 - 1}, "quantity": 2}, 422),
        ({"type": "subscription_item"}, 422),
        ({"type": 7}, 400),
    ],
)
def test_a_wrong_custom_item_is_refused(storefront, more, status):
    answer = storefront.post("/v2/carts/mine/items", {**WRAPPING, **more})

    assert answer.status_code == answer.json()["errors"][0]["status"] == status
    assert not Cart.objects.exists()


def test_a_negative_amount_is_refused_in_the_words_of_the_contract(storefront):
    answer = storefront.post("/v2/carts/mine/items", {**WRAPPING, "price": {"amount": -1}})

    error = refused(answer, 400, "negative_amount")
    assert (error["title"], error["detail"], error["meta"]) == (
        "number_gte",
        "Must be greater than or equal to 0",
        {"value": -1},
    )


def test_a_custom_item_is_bought_with_a_product_and_moves_no_stock(storefront, back_office):
    shirt = product(stock=5, price=1000)
    bulk(storefront, "mine", [wanted(shirt), {**WRAPPING, "sku": "WRAP"}])

    order = storefront.check_out("mine").json()
    paid = storefront.pay(order["data"]["id"])
    shipped = back_office.put(f"/v2/orders/{order['data']['id']}", {"shipping": "fulfilled"})

    first, second = order["included"]["items"]
    assert order["data"]["meta"]["display_price"]["with_tax"]["amount"] == 1700
    assert "product_id" not in second
    assert (second["name"], second["sku"], second["quantity"]) == ("Gift wrapping", "WRAP", 2)
    assert second["unit_price"]["amount"] == 350
    assert first["product_id"] == str(shirt.pk)
    assert (paid.status_code, shipped.status_code) == (200, 200)
    assert stock_of(shirt).total == 4
    assert OrderItem.objects.get(product=None).shipped == 2
    items = back_office.get(f"/v2/orders/{order['data']['id']}/items").json()["data"]
    assert [item["name"] for item in items] == [shirt.name, "Gift wrapping"]
    assert storefront.get("/v2/carts/mine/orders").json()["data"][0]["items"] == items


def test_an_order_of_custom_items_alone_is_paid_and_cancelled(storefront, back_office):
    storefront.post("/v2/carts/mine/items", WRAPPING)

    order = storefront.check_out("mine").json()["data"]["id"]

    assert storefront.pay(order).status_code == 200
    assert back_office.put(f"/v2/orders/{order}", {"status": "cancelled"}).status_code == 200


def test_the_admin_shows_what_is_no_product(storefront, admin_client):
    storefront.post("/v2/carts/mine/items", WRAPPING)
    storefront.check_out("mine")
    order = Order.objects.get()

    cart_page = admin_client.get("/admin/orders/cart/mine/change/")
    order_page = admin_client.get(f"/admin/orders/order/{order.pk}/change/")

    for page in (cart_page, order_page):
        assert "Gift wrapping" in text(page)
        assert "priced by the request" in text(page)


def test_t12_whoever_reads_an_order_sees_which_lines_were_priced_by_the_request(
    storefront, back_office, admin_client
):
    """Even beside a product of the same name, and beyond the three items that a list names."""
    mug = product(stock=5, name="Mug", sku="MUG")
    others = [wanted(product(stock=5)) for _ in range(2)]
    bulk(storefront, "mine", [wanted(mug), *others, {**WRAPPING, "name": "Mug"}])
    order = storefront.check_out("mine").json()
    storefront.pay(order["data"]["id"])
    query = f"?order={order['data']['id']}"

    marked = [item.get("priced_by_request", False) for item in order["included"]["items"]]
    listed = back_office.get("/v2/orders?include=items").json()["included"]["items"]

    assert marked == [False, False, False, True]
    assert listed == order["included"]["items"]
    for page, times in (
        ("", 1),
        ("?list=all", 1),
        (f"ship-selected/{query}", 1),
        # On the pick list and on the slip.
        (f"print/{query}", 2),
    ):
        shown = text(admin_client.get(f"/admin/orders/order/{page}"))
        assert shown.count("priced by the request") == times, page
    exported = admin_client.get("/admin/orders/order/export/?list=all")
    assert b"2 x Mug (priced by the request)" in b"".join(exported.streaming_content)


# What is known and not acted on.

ATTRIBUTES = {
    "is_member": {"type": "boolean", "value": True},
    "level": {"type": "string", "value": "premium"},
    "points": {"type": "integer", "value": 7},
    "weight": {"type": "float", "value": 1.5},
}


def test_t34_attributes_and_references_are_kept_and_repeated(storefront, back_office, admin_client):
    made = storefront.post("/v2/carts", {"id": "mine", "custom_attributes": ATTRIBUTES})
    storefront.put("/v2/carts/mine", {"external_ref": "erp-1"})
    storefront.post("/v2/carts/mine/items", wanted(product(stock=5)))

    order = storefront.check_out("mine").json()["data"]
    kept = storefront.get("/v2/carts/mine").json()["data"]
    path = f"/v2/orders/{order['id']}"
    fewer = {"level": ATTRIBUTES["level"]}
    changed = back_office.put(path, {"custom_attributes": fewer}).json()["data"]
    cleared = storefront.put("/v2/carts/mine", {"custom_attributes": None, "external_ref": None})

    assert made.json()["data"]["custom_attributes"] == ATTRIBUTES
    assert (kept["custom_attributes"], kept["external_ref"]) == (ATTRIBUTES, "erp-1")
    assert order["custom_attributes"] == ATTRIBUTES
    assert changed["custom_attributes"] == fewer
    assert cleared.json()["data"].keys() & {"custom_attributes", "external_ref"} == set()
    assert back_office.get(path).json()["data"]["custom_attributes"] == fewer
    page = text(admin_client.get(f"/admin/orders/order/{order['id']}/change/"))
    assert "premium" in page
    assert "custom attributes" in page


@pytest.mark.parametrize(
    ("attributes", "status"),
    [
        ([], 400),
        ({"a": "text"}, 400),
        ({"a": {"type": "string"}}, 400),
        ({"a": {"type": "string", "value": 1}}, 400),
        ({"a": {"type": "integer", "value": True}}, 400),
        ({"a": {"type": "integer", "value": 2**53}}, 400),
        ({"a": {"type": "date", "value": "today"}}, 400),
        ({"a": {"type": ["string"], "value": "x"}}, 400),
        ({"a": {"type": "string", "value": "x", "more": 1}}, 400),
        ({"a\0": {"type": "string", "value": "x"}}, 400),
        ({"a": {"type": "string", "value": "x" * 1001}}, 422),
        ({"a" * 101: {"type": "string", "value": "x"}}, 422),
        ({str(name): {"type": "string", "value": "x"} for name in range(21)}, 422),
    ],
)
def test_wrong_attributes_are_refused(storefront, attributes, status):
    answer = storefront.put("/v2/carts/mine", {"custom_attributes": attributes})

    assert answer.status_code == status
    assert answer.json()["errors"][0]["source"] == "data.custom_attributes"
    assert not Cart.objects.exists()


def test_a_cart_that_expired_forgets_what_was_kept_with_it(storefront):
    storefront.post("/v2/carts", {"id": "m", "custom_attributes": ATTRIBUTES, "external_ref": "a"})
    with clock.replaced(lambda: NEXT_MONTH):
        storefront.put("/v2/carts/m", {"name": "Anew"})
        kept = storefront.get("/v2/carts/m").json()["data"]

    assert kept["name"] == "Anew"
    assert kept.keys() & {"custom_attributes", "external_ref"} == set()


def test_t34_a_location_is_kept_with_the_line_and_repeated(storefront):
    shirt, mug = product(stock=9), product(stock=9)
    bulk(storefront, "mine", [wanted(shirt, location="default"), wanted(mug)])
    storefront.post("/v2/carts/mine/items", wanted(mug, location="default"))
    [first, second] = storefront.get("/v2/carts/mine/items").json()["data"]
    storefront.put(f"/v2/carts/mine/items/{first['id']}", {"location": None})
    merged = storefront.post("/v2/carts/own/items", {"type": "cart_items", "cart_id": "mine"})

    order = storefront.check_out("mine").json()

    assert [first["location"], second["location"]] == ["default", "default"]
    assert [line.get("location") for line in merged.json()["data"]] == [None, "default"]
    assert [line.get("location") for line in order["included"]["items"]] == [None, "default"]


def test_t34_a_location_that_there_is_not_is_refused(storefront):
    shirt = product(stock=9)
    [line] = storefront.post("/v2/carts/mine/items", wanted(shirt)).json()["data"]
    path, nowhere = "/v2/carts/mine/items", {"location": "nowhere"}

    refused_field(storefront.post(path, wanted(shirt, 1, **nowhere)), "data.location")
    refused_field(bulk(storefront, "mine", [wanted(shirt, 1, **nowhere)]), "data.0.location")
    refused_field(storefront.put(f"{path}/{line['id']}", nowhere), "data.location")
    refused_field(
        bulk_update(storefront, "mine", [{"id": line["id"], **nowhere}]), "data.0.location"
    )
    assert lines(storefront, "mine") == [(shirt.name, 1)]


CART, ITEMS, ITEM, CHECKOUT, ORDER_ITSELF = "cart", "items", "item", "checkout", "order"
NOT_ACTED_ON = [
    *((CART, name) for name in ("is_quote", "snapshot_date", "contact", "payment_intent_id")),
    *((ITEMS, name) for name in ("bundle_configuration", "shipping_group_id", "tax")),
    *((ITEM, name) for name in ("bundle_configuration", "shipping_group_id", "sku", "price")),
    *((CHECKOUT, name) for name in ("account", "custom_attributes")),
    *((ORDER_ITSELF, name) for name in ("billing_address", "customer", "payment")),
    *((where, "relationships") for where in (CART, ITEMS, ITEM, CHECKOUT, ORDER_ITSELF)),
    # In a wrong place.
    *((CART, name) for name in ("location", "bundle_configuration")),
    *((ITEMS, name) for name in ("contact", "custom_attributes", "external_ref")),
    *((CHECKOUT, name) for name in ("is_quote", "location", "snapshot_date")),
]


@pytest.mark.parametrize(("where", "name"), NOT_ACTED_ON)
def test_t34_what_is_known_and_not_acted_on_is_refused_by_its_name(
    storefront, back_office, where, name
):
    shirt = product(stock=9)
    [line] = storefront.post("/v2/carts/mine/items", wanted(shirt)).json()["data"]
    order = storefront.check_out("mine").json()["data"]["id"]
    more = {name: {"data": "anything"}, "colour": "teal"}
    items = "/v2/carts/mine/items"
    calls: dict[str, list[Any]] = {
        CART: [
            lambda more: storefront.post("/v2/carts", {"name": "A", **more}),
            lambda more: storefront.put("/v2/carts/mine", {"name": "A", **more}),
        ],
        ITEMS: [
            lambda more: storefront.post(items, wanted(shirt, 1, **more)),
            lambda more: storefront.post(items, {**WRAPPING, **more}),
            lambda more: bulk(storefront, "mine", [wanted(shirt, 1, **more)]),
        ],
        ITEM: [
            lambda more: storefront.put(f"{items}/{line['id']}", {"quantity": 2, **more}),
            lambda more: bulk_update(
                storefront, "mine", [{"id": line["id"], "quantity": 2, **more}]
            ),
        ],
        CHECKOUT: [lambda more: storefront.post("/v2/carts/mine/checkout", {**BUYER, **more})],
        ORDER_ITSELF: [
            lambda more: back_office.put(f"/v2/orders/{order}", {"external_ref": "A", **more})
        ],
    }

    for call in calls[where]:
        answer = call(more)
        [error] = answer.json()["errors"]
        assert (answer.status_code, error["code"]) == (422, "not_supported")
        assert error["source"] in {f"data.{name}", f"data.0.{name}"}
        # Nothing is asked for with it, and the other name is nobody's.
        assert call({**more, name: None}).status_code in {200, 201}


def test_t34_what_was_told_of_an_item_or_a_cart_may_be_sent_back(storefront):
    path = f"/v2/carts/{filled_cart({product(stock=5): 1})}"
    cart, [item] = (storefront.get(path + rest).json()["data"] for rest in ("", "/items"))

    for answer in (
        storefront.put(path, {**cart, "name": "Mine"}),
        storefront.put(f"{path}/items/{item['id']}", {**item, "quantity": 2}),
        storefront.put(f"{path}/items", [{**item, "quantity": 3}]),
    ):
        assert answer.status_code == 200
    [item] = answer.json()["data"]
    assert item["quantity"] == 3

    for answer in (
        storefront.put(path, {**cart, "relationships": {"items": {"data": [1]}}}),
        storefront.put(f"{path}/items/{item['id']}", {**item, "name": "Other"}),
        storefront.put(f"{path}/items", [{**item, "name": "Other"}]),
    ):
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "not_supported")


@pytest.mark.parametrize("named", [{"name": "Gift"}, {"price": {"amount": 1}}])
def test_t34_a_product_s_own_name_and_price_are_not_for_a_call_to_say(storefront, named):
    shirt = product(stock=9)

    refused_field(
        storefront.post("/v2/carts/mine/items", wanted(shirt, 1, **named)),
        f"data.{next(iter(named))}",
    )
    assert lines(storefront, "mine") == []


def test_t34_items_of_several_locations_stay_one_and_are_not_said_to_be_more(storefront):
    settings = {"separate_items_by_location": False}
    assert storefront.put("/v2/carts/mine", {"item_settings": settings}).status_code == 200
    refused_field(
        storefront.put("/v2/carts/mine", {"item_settings": {"separate_items_by_location": True}}),
        "data.item_settings.separate_items_by_location",
    )


def test_discounts_that_are_off_may_be_said_to_be_off(storefront):
    off = {"custom_discounts_enabled": False, "use_rule_promotions": False}
    on = {"custom_discounts_enabled": True}

    assert storefront.put("/v2/carts/mine", {"discount_settings": off}).status_code == 200
    refused_field(
        storefront.put("/v2/carts/mine", {"discount_settings": on}),
        "data.discount_settings.custom_discounts_enabled",
    )


def test_t34_a_contact_is_the_customer_by_another_name(storefront, back_office):
    storefront.post("/v2/carts/mine/items", wanted(product(stock=9)))
    body = {**BUYER, "contact": BUYER["customer"]}
    other = {**body, "contact": {"name": "Bo", "email": "bo@example.com"}}
    by_contact = {name: each for name, each in body.items() if name != "customer"}

    made = storefront.post("/v2/carts/mine/checkout", by_contact)

    assert made.json()["data"]["customer"] == BUYER["customer"]
    assert storefront.post("/v2/carts/mine/checkout", body).status_code == 201
    error = storefront.post("/v2/carts/mine/checkout", other).json()["errors"][0]
    assert error["source"] == "data.contact"
    named = {**body, "customer": {**BUYER["customer"], "id": UNKNOWN}}
    refused_field(storefront.post("/v2/carts/mine/checkout", named), "data.customer.id")


def test_t35_null_in_an_optional_part_of_an_address_is_nothing(storefront):
    storefront.post("/v2/carts/mine/items", wanted(product(stock=9)))
    optional = ["company_name", "line_2", "city", "county", "phone_number", "instructions"]
    address = {**ADDRESS, **dict.fromkeys(optional)}

    order = storefront.post(
        "/v2/carts/mine/checkout",
        {**BUYER, "billing_address": address, "shipping_address": address},
    )

    assert order.status_code == 201
    shown = order.json()["data"]
    assert [shown["shipping_address"][name] for name in optional] == [""] * len(optional)
    assert [shown["billing_address"][name] for name in optional] == [""] * len(optional)


def test_t35_a_line_keeps_its_quantity_where_only_its_inputs_change(storefront):
    shirt = product(stock=3)
    [line] = storefront.post("/v2/carts/mine/items", wanted(shirt, 3)).json()["data"]
    path, inputs = f"/v2/carts/mine/items/{line['id']}", {"custom_inputs": {"text": "A"}}

    alone = storefront.put(path, inputs)
    in_a_list = bulk_update(storefront, "mine", [{"id": line["id"], "custom_inputs": {}}])

    assert [(each["quantity"], each["custom_inputs"]) for each in alone.json()["data"]] == [
        (3, {"text": "A"})
    ]
    assert "custom_inputs" not in in_a_list.json()["data"][0]
    nothing = storefront.put(path, {"type": "cart_item"})
    error = refused(nothing, 400, "field_required")
    assert error["source"] == "data.quantity"


def test_t39_a_cart_holds_so_much_of_what_requests_wrote(storefront):
    text = "x" * 8000
    shirt = product(stock=99)
    entries = [wanted(shirt, custom_inputs={"text": f"{number}{text}"}) for number in range(8)]
    assert bulk(storefront, "mine", entries).status_code == 201
    one_more = {"custom_inputs": {"text": f"8{text}"}}
    [line, *_] = storefront.get("/v2/carts/mine/items").json()["data"]
    item = f"/v2/carts/mine/items/{line['id']}"

    for answer in (
        storefront.post("/v2/carts/mine/items", wanted(shirt, 1, **one_more)),
        storefront.put(item, {"custom_inputs": {"text": "x" * 9900}}),
        storefront.post("/v2/carts/mine/items", {**WRAPPING, "description": "é" * 1000}),
    ):
        refused(answer, 422, "too_much_written")
    # Units of a line that is there are no more text.
    assert storefront.post("/v2/carts/mine/items", entries[0]).status_code == 201
    assert storefront.put(item, {"custom_inputs": {}}).status_code == 200
    assert storefront.post("/v2/carts/mine/items", wanted(shirt, 1, **one_more)).status_code == 201


# What cannot be put into a cart.


def test_no_promotion_code_is_known(storefront):
    answer = storefront.post("/v2/carts/mine/items", {"type": "promotion_item", "code": "SPRING"})

    error = refused(answer, 404, "promotion_not_found")
    assert (error["title"], error["meta"]) == ("Not Found", {"code": "SPRING"})
    assert error["detail"] == "No promotion could be found with the given code."


def test_an_order_is_not_put_into_a_cart_again(storefront):
    answer = storefront.post("/v2/carts/mine/items", {"type": "order_items", "order_id": UNKNOWN})

    assert "one by one" in refused(answer, 422, "reorder_unsupported")["detail"]


# Several at once.


@pytest.mark.parametrize("all_or_nothing", [None, True, False])
def test_several_things_are_added_in_one_call(storefront, all_or_nothing):
    shirt, mug = product(stock=5, name="Shirt"), product(stock=5, name="Mug")
    storefront.post("/v2/carts/mine/items", wanted(shirt))
    named_by_sku = {"type": "cart_item", "sku": mug.sku, "quantity": 3}

    answer = bulk(
        storefront,
        "mine",
        [wanted(shirt, 2), named_by_sku, WRAPPING, wanted(mug)],
        all_or_nothing=all_or_nothing,
    )

    body = answer.json()
    assert answer.status_code == 201
    assert "errors" not in body
    assert lines(storefront, "mine") == [("Shirt", 3), ("Mug", 4), ("Gift wrapping", 2)]
    assert body == storefront.get("/v2/carts/mine/items").json()


def test_a_list_that_is_wrapped_twice_is_unwrapped(storefront):
    answer = storefront.post("/v2/carts/mine/items", {"data": [wanted(product(stock=1))]})

    assert (answer.status_code, len(answer.json()["data"])) == (201, 1)


def spoilt(shirt: Product) -> list[Any]:
    """One good entry and one of each kind of bad one."""
    unpriced, short = product(stock=5, prices=[]), product(stock=1, name="Short")
    return [
        wanted(shirt, 2),
        wanted(short, 2),
        {"sku": "unknown", "quantity": 1},
        wanted(unpriced),
        {"quantity": 1},
        {**WRAPPING, "price": {"amount": -1}},
        {"type": "promotion_item", "code": "SPRING"},
        7,
        {**wanted(shirt), "quantity": "many"},
    ]


CODES = [
    "insufficient_stock",
    "product_not_found",
    "no_price",
    "field_invalid",
    "negative_amount",
    "promotion_not_found",
    "field_invalid",
    "field_type",
]


def test_nothing_is_added_if_any_entry_fails_and_each_is_named(storefront):
    shirt = product(stock=5)
    entries = spoilt(shirt)

    answer = bulk(storefront, "mine", entries)

    errors = answer.json()["errors"]
    assert answer.status_code == 400
    assert {error["status"] for error in errors} == {400}
    assert [error["code"] for error in errors] == CODES
    assert [error["source"].split(".")[1] for error in errors] == list("12345678")
    assert errors[0]["meta"] == {"id": entries[1]["id"]}
    assert errors[1]["meta"] == {"sku": "unknown"}
    assert errors[5]["meta"] == {"code": "SPRING"}
    assert "Short" not in str(errors)
    assert not Cart.objects.exists()


def test_what_can_be_added_is_added_if_the_client_says_so(storefront):
    shirt = product(stock=5, name="Shirt")

    answer = bulk(storefront, "mine", spoilt(shirt), all_or_nothing=False)

    body = answer.json()
    assert answer.status_code == 201
    assert [error["code"] for error in body["errors"]] == CODES
    assert [error["status"] for error in body["errors"]] == [400, 404, 400, 400, 400, 404, 400, 400]
    assert [(line["name"], line["quantity"]) for line in body["data"]] == [("Shirt", 2)]
    assert body["meta"]["display_price"]["with_tax"]["amount"] == 2500
    assert lines(storefront, "mine") == [("Shirt", 2)]


def test_if_nothing_can_be_added_no_cart_is_made(storefront):
    answer = bulk(storefront, "mine", [wanted(product(stock=0))], all_or_nothing=False)

    assert (answer.status_code, answer.json()["data"]) == (201, [])
    assert answer.json()["errors"][0]["code"] == "insufficient_stock"
    assert not Cart.objects.exists()


def test_entries_of_all_the_same_failing_answer_with_that_status(storefront):
    answer = bulk(storefront, "mine", [{"sku": "a", "quantity": 1}, {"sku": "b", "quantity": 1}])

    assert answer.status_code == 404
    assert [error["status"] for error in answer.json()["errors"]] == [404, 404]


def test_the_units_of_one_call_are_checked_together(storefront):
    shirt = product(stock=5, name="Shirt")
    engraved = wanted(shirt, 3, custom_inputs={"text": "Ada"})

    together = bulk(storefront, "mine", [wanted(shirt, 3), engraved])
    apart = bulk(storefront, "mine", [wanted(shirt, 3), engraved], all_or_nothing=False)

    refused(together, 400, "insufficient_stock")
    assert [error["source"] for error in apart.json()["errors"]] == ["data.1"]
    assert lines(storefront, "mine") == [("Shirt", 3)]


@pytest.mark.parametrize("entries", [[], [7] * 101])
def test_a_call_has_1_to_100_entries(storefront, entries):
    for send in (bulk, bulk_update):
        answer = send(storefront, "mine", entries)

        assert refused(answer, 422, "field_length")["source"] == "data"


@pytest.mark.parametrize("options", [None, 7, [], {"add_all_or_nothing": "yes"}])
def test_wrong_options_are_refused(storefront, options):
    body = {"data": [wanted(product(stock=1))], "options": options}

    answer = storefront.send("POST", "/v2/carts/mine/items", json.dumps(body))

    assert answer.status_code == answer.json()["errors"][0]["status"] == 400
    assert answer.json()["errors"][0]["source"].startswith("options")


def test_a_bulk_add_stops_at_100_lines(storefront):
    shelf = [product(stock=1) for _ in range(3)]
    bulk(storefront, "mine", [{**WRAPPING, "name": str(number)} for number in range(98)])

    over = bulk(storefront, "mine", [wanted(made) for made in shelf])
    some = bulk(storefront, "mine", [wanted(made) for made in shelf], all_or_nothing=False)

    assert refused(over, 400, "too_many_items")["source"] == "data.2"
    assert len(some.json()["data"]) == 100


@pytest.mark.django_db(transaction=True)
def test_a_bulk_add_takes_as_many_statements_for_20_lines_as_for_1():
    shelf = [product(stock=9) for _ in range(20)]

    def add(cart: str, count: int) -> list[str]:
        entries = [cart_lines.ProductWanted(1, each.pk) for each in shelf[:count]]
        return statements_of(lambda: carts.add(cart, entries, currency="USD"))

    add("warm", 1)
    few, many = add("few", 1), add("many", 20)
    few_again, many_again = add("few", 1), add("many", 20)

    assert few == many
    assert few_again == many_again
    assert len(few) == len(few_again) == 6


def test_the_same_key_adds_a_list_once(storefront):
    shirt = product(stock=5, name="Shirt")
    body = json.dumps({"data": [wanted(shirt, 2)]})
    path = "/v2/carts/mine/items"
    answers = [storefront.send("POST", path, body, key="click") for _ in range(2)]

    assert answers[0].json() == answers[1].json()
    assert lines(storefront, "mine") == [("Shirt", 2)]


@pytest.mark.parametrize(
    ("method", "option"), [("POST", "add_all_or_nothing"), ("PUT", "update_all_or_nothing")]
)
def test_t31_a_list_of_which_nothing_could_be_done_is_answered_again_with_what_is_there(
    storefront, method, option
):
    storefront.post("/v2/carts/mine/items", wanted(product(stock=9)))
    entry = {"type": "cart_item", "id": UNKNOWN, "quantity": 1}
    body = json.dumps({"data": [entry], "options": {option: False}})
    path = "/v2/carts/mine/items"

    first, again = [storefront.send(method, path, body, key="click") for _ in range(2)]

    assert len(first.json()["data"]) == len(first.json()["errors"]) == 1
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert again["Idempotent-Replayed"] == "true"


# Several changes at once.


def filled(storefront: Api, *quantities: int) -> tuple[str, list[str]]:
    """Make a cart of lines of 9 in stock, and return its id and theirs."""
    cart = filled_cart({product(stock=9): quantity for quantity in quantities})
    shown = storefront.get(f"/v2/carts/{cart}/items").json()["data"]
    return cart, [line["id"] for line in shown]


def change(item: str, quantity: Any) -> dict[str, Any]:
    return {"type": "cart_item", "id": item, "quantity": quantity}


def quantities(storefront: Api, cart: str) -> list[int]:
    return [quantity for _, quantity in lines(storefront, cart)]


def test_several_lines_are_changed_in_one_call(storefront):
    cart, [first, second, third] = filled(storefront, 1, 2, 3)

    answer = bulk_update(storefront, cart, [change(third, 9), change(first, 0), change(second, 5)])

    assert answer.status_code == 200
    assert [line["quantity"] for line in answer.json()["data"]] == [5, 9]
    assert answer.json() == storefront.get(f"/v2/carts/{cart}/items").json()


def test_an_unknown_line_changes_nothing_and_is_named(storefront):
    cart, [first, _] = filled(storefront, 1, 2)

    answer = bulk_update(storefront, cart, [change(first, 4), change(UNKNOWN, 1)])

    error = refused(answer, 404, "item_not_in_cart")
    assert (error["title"], error["detail"]) == ("Not Found", "Item was not found in the cart")
    assert (error["meta"], error["source"]) == ({"id": UNKNOWN}, "data.1")
    assert quantities(storefront, cart) == [1, 2]


def test_what_can_be_changed_is_changed_if_the_client_says_so(storefront):
    cart, [first, second] = filled(storefront, 1, 2)
    entries = [change(first, 10), change(UNKNOWN, 1), change(second, 3), change(first, -1), 7]

    answer = bulk_update(storefront, cart, entries, all_or_nothing=False)

    assert answer.status_code == 200
    assert [(error["code"], error["status"]) for error in answer.json()["errors"]] == [
        ("insufficient_stock", 400),
        ("item_not_in_cart", 404),
        ("field_min_value", 422),
        ("field_invalid", 400),
    ]
    assert answer.json()["errors"][0]["meta"] == {"id": first}
    assert quantities(storefront, cart) == [1, 3]


def test_if_nothing_can_be_changed_the_cart_stays_as_it_was(storefront):
    answer = bulk_update(storefront, "mine", [change(UNKNOWN, 1)], all_or_nothing=False)

    assert (answer.status_code, answer.json()["data"]) == (200, [])
    assert len(answer.json()["errors"]) == 1
    assert not Cart.objects.exists()


def test_emptying_a_cart_by_changes_lets_the_next_item_choose_the_currency(storefront):
    euro()
    cart, items = filled(storefront, 1, 2)

    answer = bulk_update(storefront, cart, [change(item, 0) for item in items])

    assert answer.json()["data"] == []
    added = storefront.post(f"/v2/carts/{cart}/items", WRAPPING, X_MOLTIN_CURRENCY="EUR")
    assert added.json()["data"][0]["value"]["currency"] == "EUR"


@pytest.mark.django_db(transaction=True)
def test_changing_20_lines_takes_as_many_statements_as_changing_1():
    cart = filled_cart({product(stock=9): 1 for _ in range(20)})
    items = [item.pk for item in CartItem.of_cart(cart)]

    def change(lines: list[Any], *more: Any) -> list[str]:
        changes = [cart_lines.LineChange(item, 2, *more) for item in lines]
        return statements_of(lambda: carts.change_items(cart, changes))

    few, many = change(items[:1]), change(items)
    few_engraved, many_engraved = change(items[:1], {"for": "A"}), change(items, {"for": "B"})

    assert few == many
    assert few_engraved == many_engraved
    assert (len(few), len(few_engraved)) == (6, 7)


def test_a_line_whose_id_differs_in_address_and_body_is_refused(storefront):
    cart, [first, second] = filled(storefront, 1, 2)

    answer = storefront.put(f"/v2/carts/{cart}/items/{first}", change(second, 3))

    assert refused(answer, 400, "bad_request")["source"] == "data.id"
    assert quantities(storefront, cart) == [1, 2]


# Other custom inputs, which make a line another one.


def engraved(storefront: Api, *names: str | None, stock: int = 9) -> list[str]:
    """Put one shirt for each name into the cart "mine", and return the ids of the lines."""
    shirt = product(stock=stock, name="Shirt")
    entries = [wanted(shirt, custom_inputs={"for": name} if name else None) for name in names]
    return [line["id"] for line in bulk(storefront, "mine", entries).json()["data"]]


def engravings(storefront: Api) -> list[tuple[str, str | None, int]]:
    """Id, name and quantity of each line."""
    shown = storefront.get("/v2/carts/mine/items").json()["data"]
    return [
        (line["id"], line.get("custom_inputs", {}).get("for"), line["quantity"]) for line in shown
    ]


def test_the_inputs_of_a_line_are_changed_left_and_taken_away(storefront):
    first, second = engraved(storefront, "Ada", None)

    changed = storefront.put(
        f"/v2/carts/mine/items/{first}", {"quantity": 2, "custom_inputs": {"for": "Bo"}}
    )
    assert changed.json() == storefront.get("/v2/carts/mine/items").json()
    assert engravings(storefront) == [(first, "Bo", 2), (second, None, 1)]

    storefront.put(f"/v2/carts/mine/items/{first}", {"quantity": 3})
    assert engravings(storefront)[0] == (first, "Bo", 3)

    storefront.put(f"/v2/carts/mine/items/{second}", {"quantity": 0})
    storefront.put(f"/v2/carts/mine/items/{first}", {"quantity": 3, "custom_inputs": None})
    assert engravings(storefront) == [(first, None, 3)]


def test_a_line_with_other_inputs_is_found_by_them_when_more_is_added(storefront):
    [line] = engraved(storefront, "Ada")
    shirt = Product.objects.get()

    storefront.put(f"/v2/carts/mine/items/{line}", {"quantity": 1, "custom_inputs": {"for": "Bo"}})
    for name in ("Bo", "Ada"):
        storefront.post("/v2/carts/mine/items", wanted(shirt, custom_inputs={"for": name}))

    assert [shown[1:] for shown in engravings(storefront)] == [("Bo", 2), ("Ada", 1)]


@pytest.mark.parametrize("changed", [0, 1])
def test_a_line_that_becomes_like_another_is_joined_with_it_where_the_first_stood(
    storefront, changed
):
    names = ["Ada", "Bo", None]
    ids = engraved(storefront, *names)
    like_the_other = {"quantity": 4, "custom_inputs": {"for": names[1 - changed]}}

    answer = storefront.put(f"/v2/carts/mine/items/{ids[changed]}", like_the_other)

    assert (answer.status_code, len(answer.json()["data"])) == (200, 2)
    expected = [(ids[0], names[1 - changed], 5), (ids[2], None, 1)]
    assert engravings(storefront) == expected


def test_two_lines_swap_their_inputs_in_one_call(storefront):
    first, second = engraved(storefront, "Ada", "Bo")
    swapped = [
        {**change(first, 1), "custom_inputs": {"for": "Bo"}},
        {**change(second, 2), "custom_inputs": {"for": "Ada"}},
    ]

    assert bulk_update(storefront, "mine", swapped).status_code == 200
    assert engravings(storefront) == [(first, "Bo", 1), (second, "Ada", 2)]


def test_a_line_takes_the_inputs_of_one_that_is_removed_by_the_same_call(storefront):
    first, second = engraved(storefront, "Ada", "Bo")
    changes = [{**change(second, 2), "custom_inputs": {"for": "Ada"}}, change(first, 0)]

    assert bulk_update(storefront, "mine", changes).status_code == 200
    assert engravings(storefront) == [(second, "Ada", 2)]


def test_only_what_is_asked_for_is_checked_when_lines_are_joined(storefront):
    _, second = engraved(storefront, "Ada", "Bo", stock=2)
    like_the_first = {"custom_inputs": {"for": "Ada"}}

    short = storefront.put(f"/v2/carts/mine/items/{second}", {"quantity": 3, **like_the_first})
    enough = storefront.put(f"/v2/carts/mine/items/{second}", {"quantity": 2, **like_the_first})

    refused(short, 400, "insufficient_stock")
    assert enough.status_code == 200
    assert [shown[1:] for shown in engravings(storefront)] == [("Ada", 3)]
    refused(storefront.check_out("mine"), 400, "insufficient_stock")


@pytest.mark.parametrize("all_or_nothing", [True, False])
def test_joined_lines_that_are_too_much_together_stay_apart(storefront, all_or_nothing):
    many = {**WRAPPING, "price": {"amount": 0}, "quantity": 2**31 - 1}
    for name in ("Ada", "Bo"):
        storefront.post("/v2/carts/mine/items", {**many, "custom_inputs": {"for": name}})
    before = engravings(storefront)
    changes = [{**change(before[1][0], 1), "custom_inputs": {"for": "Ada"}}]

    answer = bulk_update(storefront, "mine", changes, all_or_nothing=all_or_nothing)

    refused(answer, 422, "quantity_too_large")
    assert engravings(storefront) == before


def test_what_is_no_product_has_inputs_to_change_too(storefront):
    for name in ("Ada", "Bo"):
        storefront.post("/v2/carts/mine/items", {**WRAPPING, "custom_inputs": {"for": name}})
    first, second = (shown[0] for shown in engravings(storefront))

    storefront.put(
        f"/v2/carts/mine/items/{second}", {"quantity": 1, "custom_inputs": {"for": "Ada"}}
    )

    assert engravings(storefront) == [(first, "Ada", 3)]


@pytest.mark.parametrize("inputs", ["Ada", 7, ["Ada"], {"for": "\x00"}, {"for": "x" * 20_000}])
def test_wrong_inputs_change_nothing(storefront, inputs):
    [line] = engraved(storefront, "Ada")
    wrong = {**change(line, 2), "custom_inputs": inputs}

    alone = storefront.put(f"/v2/carts/mine/items/{line}", wrong)
    listed = bulk_update(storefront, "mine", [wrong])

    for answer, source in ((alone, "data.custom_inputs"), (listed, "data.0.custom_inputs")):
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["source"] == source
    assert engravings(storefront) == [(line, "Ada", 1)]


def test_the_same_key_joins_lines_once(storefront):
    first, second = engraved(storefront, "Ada", "Bo")
    path, body = f"/v2/carts/mine/items/{second}", {"quantity": 2, "custom_inputs": {"for": "Ada"}}

    answers = [storefront.put(path, body, key="click") for _ in range(2)]

    assert answers[0].json() == answers[1].json()
    assert engravings(storefront) == [(first, "Ada", 3)]


@pytest.mark.django_db(transaction=True)
def test_lines_that_become_alike_at_once_lose_no_unit():
    shirt = product(stock=1000)

    for _ in range(8):
        for name in "abcd":
            carts.add_item(
                "mine", product_id=shirt.pk, quantity=1, custom_inputs={"for": name}, currency="USD"
            )
        first, *others = [item.pk for item in CartItem.of_cart("mine")]
        outcomes = run_together(
            *[partial(carts.change_item, "mine", line, 1, {"for": "a"}) for line in others],
            partial(
                carts.add_item,
                "mine",
                product_id=shirt.pk,
                quantity=1,
                custom_inputs={"for": "a"},
                currency="USD",
            ),
        )

        assert outcomes[:3] == [None] * 3
        assert [(item.pk, item.quantity) for item in CartItem.of_cart("mine")] == [(first, 5)]
        carts.delete("mine")


# Merging.


def merge(api: Api, cart: str, other: str, **more: str) -> Any:
    return api.post(f"/v2/carts/{cart}/items", {"type": "cart_items", "cart_id": other}, **more)


@pytest.mark.parametrize("wrap", [lambda entry: entry, lambda entry: [entry]])
def test_another_cart_is_merged_in_and_equal_lines_add_up(storefront, wrap):
    shirt, mug = product(stock=9, name="Shirt"), product(stock=9, name="Mug")
    bulk(storefront, "mine", [wanted(shirt, 1), WRAPPING])
    engraved = wanted(shirt, 1, custom_inputs={"text": "Ada"})
    bulk(storefront, "other", [wanted(mug, 4), wanted(shirt, 2), WRAPPING, engraved])

    answer = storefront.post(
        "/v2/carts/mine/items", wrap({"type": "cart_items", "cart_id": "other"})
    )

    assert answer.status_code == 201
    expected = [("Shirt", 3), ("Gift wrapping", 4), ("Mug", 4), ("Shirt", 1)]
    assert lines(storefront, "mine") == expected
    assert answer.json() == storefront.get("/v2/carts/mine/items").json()
    assert len(lines(storefront, "other")) == 4


def test_t40_only_so_many_carts_are_merged_at_once(storefront):
    bulk(storefront, "other", [WRAPPING])
    other = {"type": "cart_items", "cart_id": "other"}

    assert bulk(storefront, "mine", [other] * 10).status_code == 201
    refused = bulk(storefront, "mine", [other] * 11)

    assert (refused.status_code, refused.json()["errors"][0]["source"]) == (422, "data")
    assert lines(storefront, "mine") == [("Gift wrapping", 20)]


def test_merging_checks_what_adding_checks(storefront):
    shirt, gone = product(stock=9, name="Shirt"), product(stock=9)
    filled_cart({shirt: 2, gone: 1}, cart_id="other")
    products.update(gone.pk, actor=MERCHANT, status="draft")

    answer = merge(storefront, "mine", "other")
    some = bulk(
        storefront, "mine", [{"type": "cart_items", "cart_id": "other"}], all_or_nothing=False
    )

    assert refused(answer, 404, "product_not_found")["meta"] == {"id": str(gone.pk)}
    assert some.json()["errors"][0]["meta"] == {"id": str(gone.pk)}
    assert lines(storefront, "mine") == [("Shirt", 2)]


def test_merging_more_than_there_is_is_refused(storefront):
    shirt = product(stock=9)
    for _ in range(2):
        storefront.add_to_cart("other", str(shirt.pk), 6)

    refused(merge(storefront, "mine", "other"), 400, "insufficient_stock")
    assert not Cart.objects.filter(pk="mine").exists()


def test_an_unknown_or_expired_cart_merged_in_adds_nothing(storefront):
    filled_cart({product(stock=9): 1}, cart_id="old")
    later = clock.now() + timedelta(days=8)

    with clock.replaced(itertools.repeat(later).__next__):
        answers = [merge(storefront, "mine", other) for other in ("unknown", "old")]

    assert [(answer.status_code, answer.json()["data"]) for answer in answers] == [(201, [])] * 2
    assert not Cart.objects.filter(pk="mine").exists()


def test_a_cart_is_not_merged_into_itself(storefront):
    cart = filled_cart({product(stock=9, name="Shirt"): 1})

    refused(merge(storefront, cart, cart), 400, "cart_into_itself")
    assert lines(storefront, cart) == [("Shirt", 1)]


def test_a_cart_of_another_currency_is_not_merged_in(storefront):
    euro()
    shirt = product(stock=9, prices=[Money("USD", 1), Money("EUR", 2)])
    mine = filled_cart({shirt: 1})
    other = filled_cart({shirt: 1}, currency="EUR")

    refused(merge(storefront, mine, other), 400, "cart_currency_differs")
    into_an_empty_one = merge(storefront, "new", other)
    assert into_an_empty_one.json()["data"][0]["value"]["currency"] == "EUR"


@pytest.mark.parametrize("cart_id", [None, 7, "", "a b", "x" * 129, "a\x00", []])
def test_a_cart_that_cannot_be_is_not_merged_in(storefront, cart_id):
    answer = storefront.post("/v2/carts/mine/items", {"type": "cart_items", "cart_id": cart_id})

    assert answer.status_code in {400, 422}
    assert answer.json()["errors"][0]["source"] == "data.cart_id"


@pytest.mark.django_db(transaction=True)
def test_carts_merged_into_each_other_at_once_never_deadlock():
    shirt = product(stock=100)

    def merged(into: str, other: str) -> Any:
        return partial(carts.add, into, [cart_lines.OtherCart(other)], currency="USD")

    for round_ in range(10):
        one, two = filled_cart({shirt: 1}), filled_cart({shirt: 2})
        outcomes = run_together(merged(one, two), merged(two, one), merged(one, two))

        assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)], round_


@pytest.mark.django_db(transaction=True)
def test_a_merge_locks_its_carts_in_key_order_before_anything_else():
    shirt = product(stock=9)
    filled_cart({shirt: 1}, cart_id="b")
    filled_cart({shirt: 1}, cart_id="a")
    entries = [cart_lines.OtherCart("a")]

    sql = sql_of(lambda: carts.add("b", entries, currency="USD"))

    assert sql[0] == "BEGIN"
    assert 'ORDER BY "orders_cart"."id" ASC FOR NO KEY UPDATE' in sql[1]
    assert len([text for text in sql if "FOR NO KEY UPDATE" in text]) == 1


# The inventory check, put off to checkout.


@pytest.mark.parametrize("whose", ["cart", "store"])
def test_a_check_that_is_deferred_comes_at_checkout(storefront, whose):
    shirt = product(stock=1)
    if whose == "cart":
        settings = {"inventory_settings": {"defer_inventory_check": True}}
        storefront.post("/v2/carts", {"id": "mine", **settings})
    else:
        store.change(defer_inventory_check=True, actor=MERCHANT)

    added = storefront.add_to_cart("mine", str(shirt.pk), 5)
    item = added.json()["data"][0]["id"]
    changed = storefront.put(f"/v2/carts/mine/items/{item}", {"quantity": 7})

    assert (added.status_code, changed.status_code) == (201, 200)
    shown = storefront.get("/v2/carts/mine").json()["data"]
    assert shown["inventory_settings"] == {"defer_inventory_check": True}
    refused(storefront.check_out("mine"), 400, "insufficient_stock")


def test_a_cart_may_check_where_the_store_defers(storefront):
    store.change(defer_inventory_check=True, actor=MERCHANT)
    put = {"inventory_settings": {"defer_inventory_check": False}}

    storefront.put("/v2/carts/mine", put)

    answer = storefront.add_to_cart("mine", str(product(stock=1).pk), 2)
    refused(answer, 400, "insufficient_stock")


def test_a_cart_that_expired_forgets_that_it_deferred_the_check(storefront):
    put = {"inventory_settings": {"defer_inventory_check": True}}
    storefront.put("/v2/carts/mine", put)

    with clock.replaced(itertools.repeat(clock.now() + timedelta(days=8)).__next__):
        answer = storefront.add_to_cart("mine", str(product(stock=1).pk), 2)

    refused(answer, 400, "insufficient_stock")


# Expiry.


def test_a_cart_lives_as_long_as_the_store_says(storefront):
    store.change(cart_expiry_days=30, actor=MERCHANT)
    cart = filled_cart({product(stock=5): 1})

    with clock.replaced(itertools.repeat(clock.now() + timedelta(days=29)).__next__):
        assert len(lines(storefront, cart)) == 1


def test_expired_carts_are_purged_and_their_orders_still_know_them(storefront, monkeypatch):
    monkeypatch.setattr(carts, "PURGED_AT_ONCE", 2)
    shirt = product(stock=50)
    old = [filled_cart({shirt: 1}) for _ in range(5)]
    storefront.check_out(old[0])

    with clock.replaced(itertools.repeat(clock.now() + timedelta(days=8)).__next__):
        kept = filled_cart({shirt: 2})
        jobs.purge_carts(0)
        assert carts.purge() == 0

    assert [cart.pk for cart in Cart.objects.all()] == [kept]
    assert CartItem.objects.get().quantity == 2
    assert len(storefront.get(f"/v2/carts/{old[0]}/orders").json()["data"]) == 1


@pytest.mark.django_db(transaction=True)
def test_purging_at_once_and_beside_shoppers_does_no_harm():
    shirt = product(stock=500)
    old = [filled_cart({shirt: 1}) for _ in range(20)]
    later = clock.now() + timedelta(days=8)

    with clock.replaced(itertools.repeat(later).__next__):
        outcomes = run_together(
            carts.purge,
            carts.purge,
            *[partial(filled_cart, {shirt: 3}, cart_id=cart) for cart in old[:4]],
        )

    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert set(Cart.objects.values_list("pk", flat=True)) == set(old[:4])
    assert list(CartItem.objects.values_list("quantity", flat=True)) == [3] * 4


@pytest.mark.django_db(transaction=True)
def test_a_purge_passes_over_a_cart_that_somebody_holds():
    cart = filled_cart({product(stock=5): 1})
    later = clock.now() + timedelta(days=8)
    with clock.replaced(itertools.repeat(later).__next__):
        with transaction.atomic():
            Cart.objects.lock_all([cart])
            [purged] = run_together(carts.purge)

        assert purged == 0
        assert carts.purge() == 1


# Currencies.


def test_products_and_carts_show_the_currency_that_is_asked_for(storefront):
    euro()
    shirt = product(stock=9, prices=[Money("USD", 1250), Money("EUR", 1100)])

    shown = storefront.get(f"/v2/products/{shirt.pk}", X_MOLTIN_CURRENCY="EUR").json()["data"]
    added = storefront.post("/v2/carts/mine/items", wanted(shirt), X_MOLTIN_CURRENCY="EUR")
    read = storefront.get("/v2/carts/mine/items", X_MOLTIN_CURRENCY="USD")
    checked_out = storefront.check_out("mine", X_MOLTIN_CURRENCY="USD")

    assert shown["meta"]["display_price"]["with_tax"]["formatted"] == "€11.00"
    assert added.json()["data"][0]["value"]["amount"] == 1100
    assert read.json() == added.json()
    refused(checked_out, 400, "currency_differs")
    assert storefront.check_out("mine", X_MOLTIN_CURRENCY="EUR").status_code == 201


def test_a_product_without_a_price_in_the_carts_currency_is_refused(storefront):
    euro()
    both, dollars_only = product(stock=9, prices=[Money("EUR", 1)]), product(stock=9)
    storefront.post("/v2/carts/mine/items", wanted(both), X_MOLTIN_CURRENCY="EUR")

    answer = storefront.post("/v2/carts/mine/items", wanted(dollars_only))

    error = refused(answer, 400, "no_price")
    assert error["title"] == "Could not add product"
    assert error["detail"] == "This product does not have a price for EUR"


def test_a_currency_of_a_cart_stays_what_it_is_until_the_cart_is_gone(storefront, back_office):
    path = f"/v2/currencies/{euro().pk}"
    storefront.post("/v2/carts/mine/items", WRAPPING, X_MOLTIN_CURRENCY="EUR")

    refused(back_office.delete(path), 409, "currency_in_use")
    for change in ({"code": "XXX"}, {"decimal_places": 0}):
        refused(back_office.put(path, change), 409, "currency_in_use")
    assert back_office.put(path, {"enabled": False}).status_code == 200
    storefront.delete("/v2/carts/mine/items")
    assert back_office.delete(path).status_code == 204


@pytest.mark.django_db(transaction=True)
def test_a_cart_is_not_begun_in_a_currency_that_another_process_has_just_deleted():
    gone, back_office = euro(), administrator()
    currencies.by_code()
    Currency.objects.filter(pk=gone.pk).delete()

    answer = back_office.post("/v2/carts/mine/items", WRAPPING, X_MOLTIN_CURRENCY="EUR")

    refused(answer, 409, CurrencyGone.code)
    assert not Cart.objects.exists()


@pytest.mark.parametrize(
    "act",
    [
        lambda euro: currencies.delete(euro.pk, actor=MERCHANT),
        lambda euro: currencies.change(euro.pk, code="XXX", actor=MERCHANT),
    ],
    ids=["delete", "rename"],
)
@pytest.mark.django_db(transaction=True)
def test_a_currency_that_a_cart_takes_at_the_last_moment_stays(monkeypatch, act):
    made = euro()
    is_in_use = Currency.is_in_use

    def then_a_cart_takes_it(currency: Currency) -> bool:
        in_use = is_in_use(currency)
        assert run_together(partial(filled_cart_of_wrapping, "EUR")) == [None]
        return in_use

    monkeypatch.setattr(Currency, "is_in_use", then_a_cart_takes_it)

    with pytest.raises(CurrencyInUse):
        act(made)

    assert Currency.objects.filter(code="EUR").exists()


def filled_cart_of_wrapping(currency: str) -> None:
    wrapping = cart_lines.CustomItem(1, "Gift wrapping", 350)
    carts.add_one("mine", wrapping, currency=currency)


# New ones.

OPENED: dict[str, Callable[[Api, str, Any], Any]] = {
    "with an id": lambda api, cart, line: api.post("/v2/carts", {"id": cart, "name": "Mine"}),
    "at its address": lambda api, cart, line: api.put(f"/v2/carts/{cart}", {"name": "Mine"}),
    "by an item": lambda api, cart, line: api.post(f"/v2/carts/{cart}/items", line),
    "by several": lambda api, cart, line: api.post(f"/v2/carts/{cart}/items", [line]),
}


@pytest.mark.parametrize("way", OPENED)
@pytest.mark.usefixtures("two_carts_a_day")
def test_t39_an_address_opens_only_so_many_carts_in_a_day(way):
    one, another, back_office = shopper(), shopper(), administrator()
    line = wanted(product(stock=9), 1)
    assert [OPENED[way](one, cart, line).status_code // 100 for cart in ("a", "b")] == [2, 2]

    refused = OPENED[way](another, "c", line)

    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (429, "too_many_requests")
    assert sorted(Cart.objects.values_list("pk", flat=True)) == ["a", "b"]
    # What is there already goes on, and so does whoever has a secret.
    assert one.post("/v2/carts/a/items", line).status_code == 201
    assert OPENED[way](back_office, "c", line).status_code in {200, 201}


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("two_carts_a_day")
def test_t39_what_came_to_nothing_leaves_nothing_to_open_others_with(settings, monkeypatch):
    monkeypatch.setattr(limits, "BLOCKS", 1)
    line, too_many = wanted(product(stock=9), 1), wanted(product(stock=9), 99)
    opened = []

    for cart in "abcd":
        # Its count is undone with it, and must take with it what else it had asked for.
        shopper().post("/v2/carts/nothing/items", too_many)
        opened.append(shopper().post(f"/v2/carts/{cart}/items", line).status_code)
        limits.forget()

    assert opened == [201, 429, 429, 429]


def test_a_day_s_count_of_carts_outlasts_the_purge_of_shorter_ones(settings):
    settings.LIMITS = {**settings.LIMITS, "cart": 2}
    limits.forget()
    limits.count_cart("192.0.2.1")

    assert limits.purge() == 0
    limits.forget()
