"""The lists of orders and carts over HTTP: filtered, sorted, in pages, with their items."""

from typing import Any

import pytest

from inventory.models import Product
from orders.models import Order
from orders.services import carts, orders
from orders.services.orders import Buyer
from tests.factories import product, unpaid_order
from tests.http import Api, administrator, shopper
from tests.lists import NOON, adas_and_bens_orders, asked, at

pytestmark = pytest.mark.django_db


@pytest.fixture
def shirt() -> Product:
    return product(20, price=1000)


@pytest.fixture
def both() -> tuple[Order, Order]:
    return adas_and_bens_orders()


@pytest.fixture
def adas(both: tuple[Order, Order]) -> Order:
    return both[0]


@pytest.fixture
def bens(both: tuple[Order, Order]) -> Order:
    return both[1]


def buyers(api: Api, **parameters: Any) -> list[str]:
    answer = asked(api, "/v2/orders", **parameters)
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert body["meta"]["results"]["total"] == len(body["data"])
    return sorted(shown["customer"]["name"] for shown in body["data"])


ADA, BEN, BOTH = ["Ada Buyer"], ["Ben O'Hara"], ["Ada Buyer", "Ben O'Hara"]


def test_orders_are_found_once_by_a_product_of_theirs(back_office, adas, bens):
    shirt = Product.objects.get(sku="SH-1")
    for inputs in (None, {"name": "Dot"}):
        carts.add_item(
            "dots", product_id=shirt.pk, quantity=1, custom_inputs=inputs, currency="USD"
        )
    orders.checkout("dots", Buyer("Dot", "dot@example.com"))

    assert buyers(back_office, filter=f"eq(product_id,{shirt.pk})") == [*BOTH, "Dot"]
    assert buyers(back_office, product_sku="SH-1") == [*BOTH, "Dot"]
    assert buyers(back_office, filter=f"eq(product_id,{adas.pk})") == []


def test_our_own_number_finds_an_order_whatever_the_client_calls_it(back_office, adas, bens):
    for order, found in ((adas, ADA), (bens, BEN)):
        assert buyers(back_office, filter=f"eq(order_number,{order.number})") == found
        assert buyers(back_office, filter=f"eq(order_number,#{order.number})") == found
        assert buyers(back_office, filter=f"like(order_number,*{order.number})") == found
    assert buyers(back_office, order_number=str(10**30)) == []


def test_orders_without_an_address_are_found_by_none(back_office, shirt):
    unpaid_order({shirt: 1})

    assert buyers(back_office, filter="like(shipping_name,*a*)") == []
    assert buyers(back_office, filter="eq(shipping_postcode,null)") == []


def test_shoppers_list_no_orders(adas):
    assert asked(shopper(), "/v2/orders", filter="eq(email,ada@example.com)").status_code == 403


def test_our_numbers_are_sorted_as_numbers(back_office, shirt):
    made = [unpaid_order({shirt: 1}) for _ in range(3)]
    for order, number in zip(made, [999_999, 20_000, 1_000_000], strict=True):
        Order.objects.filter(pk=order.pk).update(number=number)

    shown = asked(back_office, "/v2/orders", sort="order_number").json()["data"]

    assert [order["order_number"] for order in shown] == ["20000", "999999", "1000000"]


def test_a_filter_and_a_sort_go_together_and_the_total_is_what_the_filter_leaves(
    back_office, adas, bens, shirt
):
    made = [bens] + [unpaid_order({shirt: 1}) for _ in range(5)]

    body = asked(
        back_office,
        "/v2/orders",
        **{
            "filter": "eq(payment,unpaid)",
            "sort": "created_at",
            "page[limit]": 2,
            "page[offset]": 2,
        },
    ).json()

    assert [shown["id"] for shown in body["data"]] == [str(made[2].pk), str(made[3].pk)]
    assert body["meta"]["results"]["total"] == 6
    assert body["meta"]["page"] == {"limit": 2, "offset": 2, "current": 2, "total": 3}


# Items.


def test_a_list_includes_the_items_of_its_orders(back_office, adas, bens):
    plain = asked(back_office, "/v2/orders").json()
    body = asked(back_office, "/v2/orders", include="items").json()

    assert "included" not in plain
    assert body["data"] == plain["data"]
    listed = [
        entry["id"] for order in body["data"] for entry in order["relationships"]["items"]["data"]
    ]
    assert [item["id"] for item in body["included"]["items"]] == listed
    assert {item["type"] for item in body["included"]["items"]} == {"order_item"}
    assert sorted(item["sku"] for item in body["included"]["items"]) == ["HAT-9", "SH-1", "SH-1"]


def test_only_the_items_of_the_orders_shown_are_included(back_office, adas, bens):
    body = asked(back_office, "/v2/orders", include="items", payment="paid").json()

    assert [item["quantity"] for item in body["included"]["items"]] == [2]
    none = asked(back_office, "/v2/orders", include="items", payment="refunded").json()
    assert none["included"] == {"items": []}


@pytest.mark.parametrize("include", ["", "nonsense"])
def test_nothing_is_included_that_nobody_knows(back_office, adas, include):
    for path in ("/v2/orders", f"/v2/orders/{adas.pk}", f"/v2/carts/{adas.cart_id}"):
        answer = asked(back_office, path, include=include)

        assert answer.status_code == 200
        assert "included" not in answer.json()


def test_one_order_and_a_cart_include_their_items_among_other_things(adas):
    for path in (f"/v2/orders/{adas.pk}", f"/v2/carts/{adas.cart_id}"):
        with at(NOON):
            body = asked(administrator(), path, include="tax_items,Items").json()

        assert [item["quantity"] for item in body["included"]["items"]] == [2]


# Other lists.


def test_carts_are_filtered_by_name(back_office, shirt):
    for cart_id, name in (("one", "Birthday"), ("two", "Office")):
        back_office.put(f"/v2/carts/{cart_id}", {"name": name})

    def found(**parameters: str) -> list[str]:
        return [cart["id"] for cart in asked(back_office, "/v2/carts", **parameters).json()["data"]]

    assert found(filter="eq(name,Office)") == ["two"]
    assert found(filter="like(name,*DAY)") == ["one"]
    assert found(name="Birthday") == ["one"]
    assert asked(back_office, "/v2/carts", filter="eq(account_ids,x)").status_code == 400


@pytest.mark.parametrize(
    "parameters",
    [
        *({"filter": f"eq({field},x)"} for field in ("email", "name", "shipping_postcode")),
        *({"sort": "with_tax"}, {"filter": "like(billing_name,a*)"}),
    ],
)
def test_the_orders_of_a_cart_cannot_be_asked_about_people(adas, parameters):
    assert asked(shopper(), f"/v2/carts/{adas.cart_id}/orders", **parameters).status_code == 400
