"""Products and stock on the wire: shapes, status codes, pages, and what shoppers see of them."""

import itertools
import uuid
from datetime import timedelta
from typing import Any

import pytest

from api import clock
from inventory.models import Action, Currency, Product
from inventory.services import currencies
from inventory.services import stock as inventory
from inventory.services.products import Money
from tests.factories import MERCHANT, paid_order, product, stock_of
from tests.http import (
    FORMATTED,
    PRICE,
    a_moment,
    an_id,
    assert_shape,
    shopper,
    statements,
)

pytestmark = pytest.mark.django_db

UNKNOWN = uuid.UUID("01234567-89ab-7def-8123-456789abcdef")

PRODUCT = {
    "type": "product",
    "id": an_id,
    "name": str,
    "slug": str,
    "sku": str,
    "description": str,
    "manage_stock": bool,
    "price": [PRICE],
    "status": str,
    "commodity_type": str,
    "relationships": dict,
    "meta": {
        "timestamps": {"created_at": a_moment, "updated_at": a_moment},
        "display_price": {"with_tax": FORMATTED, "without_tax": FORMATTED},
        "stock": {"level": int, "availability": str},
    },
}
STOCK = {
    "id": an_id,
    "type": "stock",
    "total": int,
    "available": int,
    "allocated": int,
    "stock_id": an_id,
    "meta": {"created_at": a_moment, "updated_at": a_moment},
}
STOCK_TRANSACTION = {
    "id": an_id,
    "type": "stock-transaction",
    "action": str,
    "product_id": an_id,
    "quantity": int,
    "timestamps": {"created_at": a_moment, "updated_at": a_moment},
    # Ours.
    "reason": str,
    "actor": {"type": str, "id": str, "name": str},
    "available": int,
    "allocated": int,
    "total": int,
}
PAGE = {
    "results": {"total": int},
    "page": {"limit": int, "offset": int, "current": int, "total": int},
}
SCARF = {
    "type": "product",
    "name": "Scarf",
    "sku": "scarf-1",
    "slug": "scarf",
    "description": "Warm.",
    "price": [{"amount": 1250, "currency": "USD", "includes_tax": True}],
    "status": "live",
    "commodity_type": "physical",
    "manage_stock": True,
}


def inventory_of(made: Product) -> str:
    return f"/v2/inventories/{made.pk}"


def log_of(made: Product) -> str:
    return f"/v2/inventories/{made.pk}/transactions"


# Products.


def test_a_product_is_created_and_shown_as_it_was_sent(back_office):
    answer = back_office.post("/v2/products", SCARF)

    created = answer.json()["data"]
    assert answer.status_code == 201
    assert_shape(created, PRODUCT)
    assert {name: created[name] for name in SCARF} == SCARF
    assert created["meta"]["stock"] == {"availability": "out-stock", "level": 0}
    display_price = {"amount": 1250, "currency": "USD", "formatted": "$12.50"}
    assert created["meta"]["display_price"]["with_tax"] == display_price
    assert back_office.get(f"/v2/products/{created['id']}").json()["data"] == created


def test_a_product_may_bring_its_initial_stock(back_office):
    created = back_office.post("/v2/products", {**SCARF, "stock": 5}).json()["data"]

    assert created["meta"]["stock"] == {"availability": "in-stock", "level": 5}
    [entry] = back_office.get(f"/v2/inventories/{created['id']}/transactions").json()["data"]
    assert (entry["action"], entry["quantity"], entry["reason"]) == (
        "increment",
        5,
        "initial stock",
    )


def test_a_change_leaves_alone_what_it_does_not_name(back_office):
    created = back_office.post("/v2/products", SCARF).json()["data"]

    answer = back_office.put(f"/v2/products/{created['id']}", {"description": "Very warm."})

    changed = answer.json()["data"]
    assert answer.status_code == 200
    assert changed["description"] == "Very warm."
    kept = {"description": "Very warm.", "meta": changed["meta"]}
    assert changed == {**created, **kept}


def test_a_taken_sku_or_slug_is_a_conflict(back_office):
    back_office.post("/v2/products", SCARF)

    same_sku = back_office.post("/v2/products", {**SCARF, "slug": "other"})
    same_slug = back_office.post("/v2/products", {**SCARF, "sku": "other"})

    assert (same_sku.status_code, same_slug.status_code) == (409, 409)
    assert same_sku.json()["errors"][0]["code"] == "sku_taken"
    assert same_slug.json()["errors"][0]["code"] == "slug_taken"


def test_a_deleted_product_is_gone_and_its_sku_is_free(back_office):
    created = back_office.post("/v2/products", {**SCARF, "stock": 5}).json()["data"]
    path = f"/v2/products/{created['id']}"

    deleted = back_office.delete(path)

    assert (deleted.status_code, deleted.content) == (204, b"")
    assert back_office.get(path).status_code == 404
    assert back_office.put(path, {"name": "Again"}).status_code == 404
    assert back_office.delete(path).status_code == 404
    assert back_office.get("/v2/products").json()["data"] == []
    assert back_office.get("/v2/inventories").json()["data"] == []
    assert back_office.post("/v2/products", SCARF).status_code == 201


def test_a_product_is_kept_while_units_are_allocated(back_office):
    sold = product(stock=2)
    paid_order({sold: 1})

    answer = back_office.delete(f"/v2/products/{sold.pk}")

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "units_allocated")
    assert back_office.get(f"/v2/products/{sold.pk}").status_code == 200


def test_an_unknown_product_is_not_found_in_the_words_of_the_contract(back_office):
    [error] = back_office.get(f"/v2/products/{UNKNOWN}").json()["errors"]

    assert error["status"] == 404
    assert error["title"] == "Product not found"
    assert error["detail"] == "The requested product could not be found"


def test_f44_shoppers_see_only_what_is_live(back_office, storefront):
    live, draft = product(), product(status="draft")

    listed = storefront.get("/v2/products").json()

    assert [shown["id"] for shown in listed["data"]] == [str(live.pk)]
    assert listed["meta"]["results"]["total"] == 1
    assert storefront.get(f"/v2/products/{draft.pk}").status_code == 404
    assert back_office.get(f"/v2/products/{draft.pk}").status_code == 200
    assert back_office.get("/v2/products").json()["meta"]["results"]["total"] == 2


def test_f44_the_store_may_hide_how_many_are_left(storefront, settings):
    some, none = product(stock=3), product(stock=0)
    settings.SHOW_STOCK_LEVEL = False

    shown = {
        made: storefront.get(f"/v2/products/{made.pk}").json()["data"]["meta"]["stock"]
        for made in (some, none)
    }

    assert shown == {some: {"availability": "in-stock"}, none: {"availability": "out-stock"}}


def test_unmanaged_stock_is_never_out(storefront):
    shown = storefront.get(f"/v2/products/{product(managed=False).pk}").json()["data"]

    assert shown["manage_stock"] is False
    assert shown["meta"]["stock"]["availability"] == "in-stock"


def test_the_level_is_what_is_available(storefront):
    sold = product(stock=5)
    paid_order({sold: 2})

    shown = storefront.get(f"/v2/products/{sold.pk}").json()["data"]

    assert shown["meta"]["stock"]["level"] == 3


def test_the_price_shown_is_in_the_currency_asked_for(storefront):
    now = clock.now()
    Currency.objects.create(
        code="JPY", format="¥{price}", decimal_places=0, created_at=now, updated_at=now
    )
    currencies.forget()
    prices = [Money("USD", 1250), Money("JPY", 123456)]
    made = product(prices=prices)

    def shown(**headers: str) -> Any:
        return storefront.get(f"/v2/products/{made.pk}", **headers).json()["data"]

    in_yen = shown(X_MOLTIN_CURRENCY="JPY")
    assert shown()["meta"]["display_price"]["with_tax"]["formatted"] == "$12.50"
    assert in_yen["meta"]["display_price"]["with_tax"]["formatted"] == "¥123,456"
    assert {price["currency"] for price in in_yen["price"]} == {"USD", "JPY"}


def test_nothing_is_done_that_could_not_be_answered_in_the_currency_asked_for(back_office):
    made = product(name="Shirt")
    body = {"name": "Hat", "sku": "HAT", "price": []}

    for answer in (
        back_office.post("/v2/products", body, X_MOLTIN_CURRENCY="EUR"),
        back_office.put(f"/v2/products/{made.pk}", {"name": "Hat"}, X_MOLTIN_CURRENCY="EUR"),
    ):
        [error] = answer.json()["errors"]
        assert (answer.status_code, error["code"]) == (422, "currency_unknown")
    assert [each.name for each in Product.objects.all()] == ["Shirt"]


def test_an_address_may_spell_an_id_in_capital_letters(storefront, back_office):
    made = product(stock=1)
    capitals = str(made.pk).upper()
    assert capitals != str(made.pk)

    shown = storefront.get(f"/v2/products/{capitals}").json()["data"]

    assert shown["id"] == str(made.pk)
    assert back_office.get(f"/v2/inventories/{capitals}").json()["data"]["id"] == str(made.pk)


def test_a_product_without_a_price_has_none_to_show(storefront):
    shown = storefront.get(f"/v2/products/{product(prices=[]).pk}").json()["data"]

    assert shown["price"] == []
    assert "display_price" not in shown["meta"]


# Stock.


def test_stock_tells_since_when_it_is_there_and_when_it_last_moved(back_office):
    moment = clock.now().replace(microsecond=0)
    moments = [moment + timedelta(days=day) for day in range(3)]
    with clock.replaced(itertools.repeat(moments[0]).__next__):
        made = product()
    untouched = back_office.get(inventory_of(made)).json()["data"]["meta"]
    with clock.replaced(itertools.repeat(moments[1]).__next__):
        inventory.record(made.pk, Action.INCREMENT, 5, actor=MERCHANT)
    moved = back_office.get(inventory_of(made)).json()["data"]["meta"]
    [entry] = back_office.get(log_of(made)).json()["data"]

    first, second = (f"{each:%Y-%m-%dT%H:%M:%SZ}" for each in moments[:2])
    assert untouched == {"created_at": first, "updated_at": first}
    assert moved == {"created_at": first, "updated_at": second}
    assert entry["timestamps"] == {"created_at": second, "updated_at": second}


def test_the_list_of_stocks_counts_them_under_both_names(back_office):
    for _ in range(3):
        product(stock=1)
    product(managed=False)

    body = back_office.get("/v2/inventories?page[limit]=2").json()

    assert body["meta"]["results"] == {"total": 3, "all": 3}


def test_stock_in_the_shape_of_the_contract(back_office):
    made = product(stock=30)
    back_office.post(log_of(made), {"action": "allocate", "quantity": 10})

    answer = back_office.get(inventory_of(made))

    shown = answer.json()["data"]
    assert answer.status_code == 200
    assert_shape(shown, STOCK)
    assert shown["id"] == str(made.pk)
    assert (shown["total"], shown["available"], shown["allocated"]) == (30, 20, 10)


@pytest.mark.parametrize(
    ("action", "total", "available", "allocated"),
    [
        ("increment", 33, 23, 10),
        ("decrement", 27, 17, 10),
        ("allocate", 30, 17, 13),
        ("deallocate", 30, 23, 7),
    ],
)
def test_each_action_moves_what_it_says(back_office, action, total, available, allocated):
    made = product(stock=30)
    back_office.post(log_of(made), {"action": "allocate", "quantity": 10})
    body = {"type": "stock-transaction", "action": action, "quantity": 3, "reason": "counted"}

    answer = back_office.post(log_of(made), body)

    shown = answer.json()["data"]
    assert answer.status_code == 200
    assert_shape(shown, STOCK_TRANSACTION)
    assert {name: shown[name] for name in body} == body
    assert shown["product_id"] == str(made.pk)
    assert (shown["total"], shown["available"], shown["allocated"]) == (total, available, allocated)
    now = back_office.get(inventory_of(made)).json()["data"]
    assert (now["total"], now["available"], now["allocated"]) == (total, available, allocated)
    assert back_office.get(f"{log_of(made)}/{shown['id']}").json()["data"] == shown


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"location": "warehouse-2"}, "not_supported"),
        ({"attributes": {"location": "warehouse-2"}}, "not_supported"),
        ({"product_id": str(UNKNOWN)}, "bad_request"),
    ],
)
def test_t34_stock_moves_nowhere_but_where_the_call_says(back_office, more, code):
    mug = product(stock=5)
    path = f"/v2/inventories/{mug.pk}/transactions"

    answer = back_office.post(path, {"action": "decrement", "quantity": 1, **more})

    [error] = answer.json()["errors"]
    assert (error["code"], error["source"]) == (code, f"data.{next(iter(more))}")
    assert stock_of(mug).available == 5
    same = {"action": "decrement", "quantity": 1, "product_id": str(mug.pk)}
    assert back_office.post(path, same).status_code == 200


def test_a_movement_sent_to_the_address_of_the_stock_is_no_first_stock(back_office):
    mug = product()

    answer = back_office.post(f"/v2/inventories/{mug.pk}", {"action": "decrement", "quantity": 1})

    [error] = answer.json()["errors"]
    assert (error["code"], error["source"]) == ("not_supported", "data.action")
    assert stock_of(mug).total == 0


@pytest.mark.parametrize(
    "named", [{"external_ref": "erp-1"}, {"relationships": {"main_image": {"data": {}}}}]
)
def test_t34_what_products_of_ours_do_not_have_is_refused_by_its_name(back_office, named):
    mug = product(stock=5)
    body = {"name": "Bowl", "sku": "bowl", "price": []}

    for answer in (
        back_office.post("/v2/products", {**body, **named}),
        back_office.put(f"/v2/products/{mug.pk}", {"name": "Bowl", **named}),
    ):
        [error] = answer.json()["errors"]
        assert (error["code"], error["source"]) == ("not_supported", f"data.{next(iter(named))}")
    assert back_office.post("/v2/products", {**body, "relationships": {}}).status_code == 201


@pytest.mark.parametrize("units", [0, 9])
def test_t34_a_change_of_a_product_does_not_pass_over_its_stock(back_office, units):
    mug = product(stock=5)

    answer = back_office.put(f"/v2/products/{mug.pk}", {"name": "Bowl", "stock": units})

    [error] = answer.json()["errors"]
    assert (error["code"], error["source"]) == ("not_supported", "data.stock")
    assert back_office.get(f"/v2/products/{mug.pk}").json()["data"]["name"] == mug.name


def test_the_body_of_a_change_is_about_what_its_address_names(back_office):
    mug = product()

    for other in (str(UNKNOWN), "", 5, [str(mug.pk)]):
        answer = back_office.put(f"/v2/products/{mug.pk}", {"id": other, "name": "Bowl"})
        [error] = answer.json()["errors"]
        assert (answer.status_code, error["source"]) == (400, "data.id")
    same = back_office.put(f"/v2/products/{mug.pk}", {"id": str(mug.pk).upper(), "name": "Cup"})

    assert (same.status_code, same.json()["data"]["name"]) == (200, "Cup")


def test_f38_the_log_says_which_program_moved_stock(back_office):
    made = product(stock=1)

    shown = back_office.post(log_of(made), {"action": "decrement", "quantity": 1}).json()["data"]

    assert shown["actor"]["type"] == "api_client"
    assert shown["actor"]["id"].startswith("client-")
    assert shown["actor"]["name"].startswith("Program ")


@pytest.mark.parametrize("action", ["decrement", "allocate", "deallocate"])
def test_what_does_not_fit_is_refused_in_the_words_of_the_contract(back_office, action):
    made = product(stock=3)
    # Units of an order are not there to be taken back by hand.
    paid_order({made: 2})

    answer = back_office.post(log_of(made), {"action": action, "quantity": 2})

    [error] = answer.json()["errors"]
    assert answer.status_code == error["status"] == 422
    assert error["title"] == "Cannot complete request"
    assert error["detail"] == (
        "Your request could not be completed due to insufficient stock levels"
    )
    assert error["code"] == "stock_too_low"
    assert (stock_of(made).available, stock_of(made).allocated) == (1, 2)
    assert stock_of(made).sequence == 2


def test_missing_stock_is_not_found_in_the_words_of_the_contract(back_office):
    unmanaged = product(managed=False)

    for path in (inventory_of(unmanaged), log_of(unmanaged), f"/v2/inventories/{UNKNOWN}"):
        [error] = back_office.get(path).json()["errors"]
        assert (error["status"], error["title"], error["detail"]) == (
            404,
            "Not Found",
            "No stock found",
        )
    assert (
        back_office.post(log_of(unmanaged), {"action": "increment", "quantity": 1}).status_code
        == 404
    )
    assert back_office.delete(inventory_of(unmanaged)).status_code == 404
    assert back_office.get(f"{log_of(unmanaged)}/{UNKNOWN}").status_code == 404


def test_a_stock_transaction_belongs_to_its_product(back_office):
    mine, other = product(stock=1), product(stock=1)
    [entry] = back_office.get(log_of(mine)).json()["data"]

    assert back_office.get(f"{log_of(other)}/{entry['id']}").status_code == 404


def test_stock_is_created_for_a_product_that_has_none_yet(back_office):
    untouched, unmanaged = product(), product(managed=False)

    for made in (untouched, unmanaged):
        answer = back_office.post(inventory_of(made), {"quantity": 10})

        assert answer.status_code == 201
        assert_shape(answer.json()["data"], STOCK)
        assert answer.json()["data"]["available"] == 10
        [entry] = back_office.get(log_of(made)).json()["data"]
        assert entry["reason"] == "initial stock"


def test_stock_is_created_once(back_office):
    made = product()
    back_office.post(inventory_of(made), {"quantity": 10})

    answer = back_office.post(inventory_of(made), {"quantity": 10})

    [error] = answer.json()["errors"]
    assert answer.status_code == error["status"] == 400
    assert (error["title"], error["detail"]) == ("Validation Error", "Your request was invalid")
    assert stock_of(made).available == 10


def test_deleted_stock_is_no_longer_managed_and_its_log_stays(back_office):
    made = product(stock=5)

    deleted = back_office.delete(inventory_of(made))

    assert (deleted.status_code, deleted.content) == (204, b"")
    assert back_office.get(inventory_of(made)).status_code == 404
    shown = back_office.get(f"/v2/products/{made.pk}").json()["data"]
    assert shown["manage_stock"] is False
    back_office.post(inventory_of(made), {"quantity": 2})
    entries = back_office.get(log_of(made)).json()["data"]
    moved = [(entry["action"], entry["quantity"]) for entry in entries]
    assert moved == [("increment", 5), ("decrement", 5), ("increment", 2)]


@pytest.mark.parametrize("way", ["DELETE", "PUT"])
def test_f32_stock_is_managed_while_units_are_allocated(back_office, way):
    made = product(stock=5)
    paid_order({made: 1})

    if way == "DELETE":
        answer = back_office.delete(inventory_of(made))
    else:
        answer = back_office.put(f"/v2/products/{made.pk}", {"manage_stock": False})

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "units_allocated")
    assert stock_of(made).managed
    assert stock_of(made).available == 4


def test_stock_of_several_products_at_once_tells_those_that_exist(back_office):
    first, second, unmanaged = product(stock=1), product(stock=2), product(managed=False)
    asked = [{"id": str(pk)} for pk in (second.pk, UNKNOWN, unmanaged.pk, first.pk, first.pk)]

    answer = back_office.post("/v2/inventories/multiple", asked)

    assert answer.status_code == 200
    assert_shape(answer.json()["data"], [STOCK])
    shown = {stock["id"]: stock["available"] for stock in answer.json()["data"]}
    assert shown == {str(first.pk): 1, str(second.pk): 2}
    assert len(answer.json()["data"]) == 2
    assert "links" not in answer.json()
    assert back_office.post("/v2/inventories/multiple", []).json()["data"] == []


# Pages.


def numbered(count: int) -> list[Product]:
    """Products made a second apart, the newest last."""
    start = clock.now() - timedelta(hours=1)
    made = []
    for number in range(count):
        moment = start + timedelta(seconds=number)
        with clock.replaced(itertools.repeat(moment).__next__):
            made.append(product(stock=number, sku=f"n-{number:03}", slug=f"n-{number:03}"))
    return made


def test_a_list_comes_in_pages_with_meta_and_links(back_office):
    numbered(7)

    answer = back_office.get("/v2/products?page[limit]=3&page[offset]=3&sort=-created_at")

    body = answer.json()
    assert [shown["sku"] for shown in body["data"]] == ["n-003", "n-002", "n-001"]
    assert_shape(body["meta"], PAGE)
    assert body["meta"] == {
        "results": {"total": 7},
        "page": {"limit": 3, "offset": 3, "current": 2, "total": 3},
    }
    assert set(body["links"]) == {"current", "first", "last", "next", "prev"}
    offsets = {
        name: link.partition("page[offset]=")[2].partition("&")[0]
        for name, link in body["links"].items()
    }
    assert offsets == {"current": "3", "first": "0", "last": "6", "next": "6", "prev": "0"}


def test_the_links_lead_from_page_to_page_and_keep_the_rest_of_the_query(back_office):
    numbered(5)
    seen, path = [], "/v2/products?page[limit]=2&sort=-created_at"
    while path:
        body = back_office.get(path).json()
        seen += [shown["sku"] for shown in body["data"]]
        path = body["links"]["next"]
        assert path is None or "sort=-created_at" in path

    assert seen == ["n-004", "n-003", "n-002", "n-001", "n-000"]


def test_a_single_page_has_neither_next_nor_last(back_office):
    product()

    links = back_office.get("/v2/products").json()["links"]

    assert (links["last"], links["next"], links["prev"]) == (None, None, None)
    assert links["first"]
    assert links["current"]


@pytest.mark.parametrize("path", ["/v2/products", "/v2/inventories", "/v2/orders"])
def test_an_empty_list_is_a_page_too(back_office, path):
    body = back_office.get(path).json()

    assert body["data"] == []
    assert_shape(body["meta"], PAGE)
    assert body["meta"]["results"]["total"] == 0
    assert body["meta"]["page"] == {"limit": 25, "offset": 0, "current": 1, "total": 1}


def test_a_page_has_25_rows_unless_told_otherwise_and_100_at_most(back_office):
    numbered(27)

    by_default = back_office.get("/v2/products").json()
    by_zero = back_office.get("/v2/products?page[limit]=0").json()
    most = back_office.get("/v2/products?page[limit]=100").json()

    assert (len(by_default["data"]), len(by_zero["data"]), len(most["data"])) == (25, 25, 27)
    assert by_zero["meta"]["page"]["limit"] == 25
    assert back_office.get("/v2/products?page[limit]=101").status_code == 400


def test_beyond_the_end_is_an_empty_page(back_office):
    numbered(3)

    answer = back_office.get("/v2/products?page[offset]=10000")

    body = answer.json()
    assert (answer.status_code, body["data"]) == (200, [])
    assert body["meta"]["results"]["total"] == 3
    assert body["links"]["next"] is None
    assert back_office.get("/v2/products?page[offset]=10001").status_code == 400


def logged(count: int) -> Product:
    made = product(stock=1)
    for number in range(2, count + 1):
        inventory.record(made.pk, Action.INCREMENT, number, actor=MERCHANT)
    return made


@pytest.mark.parametrize(
    ("query", "quantities", "following"),
    [
        ("", [1, 2, 3, 4, 5, 6, 7], None),
        ("page[limit]=3&page[offset]=0", [1, 2, 3], "3"),
        ("page[limit]=3&page[offset]=3", [4, 5, 6], "6"),
        ("page[limit]=3&page[offset]=6", [7], None),
        ("page[limit]=3&page[offset]=7", [], None),
        ("page[offset]=10000", [], None),
        ("sort=created_at", [1, 2, 3, 4, 5, 6, 7], None),
        ("sort=-created_at", [7, 6, 5, 4, 3, 2, 1], None),
        ("sort=-created_at&page[limit]=3&page[offset]=0", [7, 6, 5], "3"),
        ("sort=-created_at&page[limit]=3&page[offset]=3", [4, 3, 2], "6"),
        ("sort=-created_at&page[limit]=3&page[offset]=6", [1], None),
        ("sort=-created_at&page[limit]=3&page[offset]=7", [], None),
        ("sort=-created_at&page[offset]=10000", [], None),
    ],
)
def test_the_log_comes_in_pages_from_either_end(back_office, query, quantities, following):
    made = logged(7)

    body = back_office.get(f"{log_of(made)}?{query}").json()

    assert_shape(body["data"], [STOCK_TRANSACTION])
    assert [entry["quantity"] for entry in body["data"]] == quantities
    assert body["meta"]["results"]["total"] == 7
    link = body["links"]["next"]
    assert (link and link.partition("page[offset]=")[2].partition("&")[0]) == following
    assert not (link and "sort" in query) or "sort=-created_at" in link


def test_a_log_without_entries_is_an_empty_page(back_office):
    body = back_office.get(log_of(product())).json()

    assert body["data"] == []
    assert body["meta"]["results"]["total"] == 0


def test_inventories_list_what_is_managed(back_office):
    managed = product(stock=3)
    product(managed=False)

    body = back_office.get("/v2/inventories").json()

    assert_shape(body["data"], [STOCK])
    assert [shown["id"] for shown in body["data"]] == [str(managed.pk)]
    assert body["meta"]["results"]["total"] == 1


# What a list costs.


# Codes.


def new_product(**fields: str) -> dict[str, Any]:
    return {"type": "product", "name": "Tea tin", "sku": "TEA-TIN", "price": [], **fields}


@pytest.mark.parametrize("field", ["sku", "barcode"])
@pytest.mark.parametrize("code", ["TEA\u200bTIN", "TEA\u00a0TIN", "TEA\u202eTIN", "TEA\tTIN"])
def test_t25_a_code_that_nobody_could_type_again_is_refused(back_office, field, code):
    old = product()

    for answer in (
        back_office.post("/v2/products", new_product(**{field: code})),
        back_office.put(f"/v2/products/{old.pk}", {field: code}),
    ):
        [error] = answer.json()["errors"]
        assert (answer.status_code, error["source"]) == (422, f"data.{field}")
        assert "cannot be seen or typed" in error["detail"]
    assert Product.objects.get() == old


def test_t25_a_code_that_was_there_before_may_be_sent_back_as_it_is(back_office):
    old = product(sku="TEA\u200bTIN ", barcode="12\u200b ")
    told = back_office.get(f"/v2/products/{old.pk}").json()["data"]

    answer = back_office.put(f"/v2/products/{old.pk}", {**told, "name": "Tin"})

    assert (answer.status_code, answer.json()["data"]["name"]) == (200, "Tin")
    assert [answer.json()["data"][name] for name in ("sku", "barcode")] == [old.sku, old.barcode]


@pytest.mark.parametrize("sku", ["\u200b", " \ufeff "])
def test_t25_a_sku_of_nothing_that_is_seen_is_empty(back_office, sku):
    assert back_office.post("/v2/products", new_product(sku=sku)).status_code == 422


def test_t25_what_stands_around_a_code_unseen_is_taken_away(back_office):
    made = back_office.post(
        "/v2/products", new_product(sku="\ufeffCAFE\u0301\u00a0", barcode="\u200b")
    ).json()["data"]

    assert (made["sku"], made["barcode"]) == ("CAFÉ", "")


def test_t25_a_program_learns_of_products_with_such_a_code(back_office):
    tin = product(sku="tea-tin", barcode="012345678905")
    told = {"id": str(tin.pk), "sku": "tea-tin", "barcode": "012345678905"}

    by_sku = back_office.post("/v2/products", new_product()).json()["data"]
    assert by_sku["meta"]["look_alikes"] == [told]

    path = f"/v2/products/{by_sku['id']}"
    other = back_office.put(path, {"sku": "B", "barcode": "0012345678905"}).json()["data"]
    assert other["meta"]["look_alikes"] == [told]

    alone = back_office.put(path, {"barcode": ""}).json()["data"]
    assert "look_alikes" not in alone["meta"]
    assert "look_alikes" not in shopper().get(f"/v2/products/{tin.pk}").json()["data"]["meta"]


@pytest.mark.parametrize("path", ["/v2/products", "/v2/inventories"])
def test_a_long_list_costs_as_many_statements_as_a_short_one(back_office, path):
    numbered(25)
    back_office.get(path)

    short = statements(lambda: back_office.get(f"{path}?page[limit]=1"))
    long = statements(lambda: back_office.get(f"{path}?page[limit]=25"))

    assert short == long


def test_a_long_log_costs_as_many_statements_as_a_short_one_and_counts_nothing(back_office):
    made = logged(25)
    back_office.get(log_of(made))

    short = statements(lambda: back_office.get(f"{log_of(made)}?page[limit]=1"))
    long = statements(lambda: back_office.get(f"{log_of(made)}?page[limit]=25"))

    assert short == long == 2
