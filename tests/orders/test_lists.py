"""The lists of orders and carts over HTTP: filtered, sorted, in pages, with their items."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api import clock
from inventory.models import Product
from orders import carts, services
from orders.filters import OrderFilters
from orders.models import Order
from orders.services import Buyer
from payments import services as payments
from payments.services import Request
from tests.factories import MERCHANT, filled_cart, product, unpaid_order
from tests.http import ADDRESS, Api, administrator, shopper, statements

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 5, 6, 12, tzinfo=UTC)
NOON_MS = int(NOON.timestamp() * 1000)


def at(moment: datetime) -> Any:
    return clock.replaced(itertools.repeat(moment).__next__)


@pytest.fixture
def back_office() -> Api:
    return administrator()


@pytest.fixture
def shirt() -> Product:
    return product(20, sku="SH-1", price=1000)


@pytest.fixture
def adas(shirt: Product) -> Order:
    """Ordered at noon: two shirts for 20.00, paid and shipped, with the client's own numbers."""
    address = {**ADDRESS, "first_name": "Ada", "last_name": "Buyer", "postcode": "SW1A 1AA"}
    buyer = Buyer("Ada Buyer", "ada@example.com", address, {**address, "postcode": "EC1 100%"})
    with at(NOON):
        order, _ = services.checkout(
            filled_cart({shirt: 2}), buyer, order_number="WEB-7", external_ref="ERP_1"
        )
        payments.pay(order.pk, Request("manual"), actor=MERCHANT)
        services.ship(order.pk, actor=MERCHANT)
    return order


@pytest.fixture
def bens(adas: Order, shirt: Product) -> Order:
    """Ordered a day later: a shirt and a hat for 15.00, unpaid, for somebody else's address."""
    billing = {**ADDRESS, "first_name": "Ben", "last_name": "O'Hara", "postcode": "10001"}
    shipping = {**billing, "first_name": "Cleo", "last_name": "Ray", "postcode": "20002"}
    hat = product(5, sku="HAT-9", price=500)
    with at(NOON + timedelta(days=1)):
        return unpaid_order(
            {shirt: 1, hat: 1}, buyer=Buyer("Ben O'Hara", "ben@example.org", billing, shipping)
        )


def asked(api: Api, path: str = "/v2/orders", /, **parameters: Any) -> Any:
    return api.get(f"{path}?{urlencode(parameters)}")


def buyers(api: Api, **parameters: Any) -> list[str]:
    answer = asked(api, **parameters)
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert body["meta"]["results"]["total"] == len(body["data"])
    return sorted(shown["customer"]["name"] for shown in body["data"])


# Every field with every operator.

ADA, BEN, BOTH, NONE = ["Ada Buyer"], ["Ben O'Hara"], ["Ada Buyer", "Ben O'Hara"], list[str]()

FOUND = [
    ("eq(status,complete)", ADA),
    ("in(status,complete,incomplete)", BOTH),
    ("eq(payment,paid)", ADA),
    ("in(payment,unpaid,authorized)", BEN),
    ("eq(shipping,fulfilled)", ADA),
    ("in(shipping,unfulfilled)", BEN),
    ("eq(currency,USD)", BOTH),
    ("eq(currency,EUR)", NONE),
    ("eq(product_sku,SH-1)", BOTH),
    ("eq(product_sku,HAT-9)", BEN),
    ("eq(product_sku,HAT)", NONE),
    ("eq(name,Ada Buyer)", ADA),
    ("eq(name,ada buyer)", NONE),
    ("like(name,*o'hara)", BEN),
    ("eq(email,ada@example.com)", ADA),
    ("like(email,*@EXAMPLE.*)", BOTH),
    ("like(email,ADA@example.com)", ADA),
    ("eq(shipping_postcode,20002)", BEN),
    ("eq(shipping_postcode,EC1 100%)", ADA),
    ("like(shipping_postcode,ec1*)", ADA),
    ("like(shipping_postcode,*0%)", ADA),
    ("like(shipping_postcode,*0%2*)", NONE),
    ("eq(billing_postcode,10001)", BEN),
    ("like(billing_postcode,sw1a 1aa)", ADA),
    ("like(billing_postcode,*1a*)", ADA),
    ("eq(shipping_name,Cleo Ray)", BEN),
    ("eq(shipping_name,Cleo)", NONE),
    ("like(shipping_name,*o r*)", BEN),
    ("eq(billing_name,Ben O'Hara)", BEN),
    ("like(billing_name,ADA*)", ADA),
    ("eq(external_ref,ERP_1)", ADA),
    ("like(external_ref,erp_*)", ADA),
    ("like(external_ref,erp__)", NONE),
    ("eq(order_number,WEB-7)", ADA),
    ("like(order_number,web*)", ADA),
    ("gt(with_tax,1500)", ADA),
    ("ge(with_tax,1500)", BOTH),
    ("lt(with_tax,2000)", BEN),
    ("le(with_tax,2000)", BOTH),
    (f"gt(with_tax,{2**63})", NONE),
    (f"lt(with_tax,{2**63})", BOTH),
    (f"lt(with_tax,-{2**64})", NONE),
    ("gt(without_tax,1999)", ADA),
    ("ge(without_tax,2001)", NONE),
    ("lt(without_tax,1501)", BEN),
    ("le(without_tax,1499)", NONE),
    ("eq(created_at,2026-05-06)", ADA),
    ("gt(created_at,2026-05-07)", BEN),
    ("ge(created_at,2026-05-06T14:00:00+02:00)", BOTH),
    ("lt(created_at,2026-05-07)", ADA),
    (f"le(created_at,{NOON_MS})", ADA),
    ("eq(updated_at,2026-05-07)", BEN),
    ("gt(updated_at,2026-05-06T12:00:00Z)", BEN),
    ("ge(updated_at,2026-05-07)", BEN),
    ("lt(updated_at,2026-05-07T12:00:00Z)", ADA),
    ("le(updated_at,2026-05-06)", NONE),
    ("eq(payment,unpaid):gt(created_at,2026-05-06):like(name,ben*)", BEN),
    ("eq(payment,unpaid):eq(shipping,fulfilled)", NONE),
    ("eq(product_sku,SH-1):eq(product_sku,HAT-9)", BEN),
]


@pytest.mark.parametrize(("filter_", "found"), FOUND)
def test_orders_are_filtered(back_office, adas, bens, filter_, found):
    assert buyers(back_office, filter=filter_) == found


def test_every_declared_filter_of_orders_is_tried_here():
    tried = {
        (term.partition("(")[2].partition(",")[0], term.partition("(")[0])
        for filter_, _ in FOUND
        for term in filter_.split("):")
    }

    declared = {
        (field, operator)
        for field, takes in OrderFilters.takes.items()
        for operator in takes.operators
    }

    assert declared - tried == {("product_id", "eq")}


def test_orders_are_found_once_by_a_product_of_theirs(back_office, adas, bens, shirt):
    for inputs in (None, {"name": "Dot"}):
        carts.add_item(
            "dots", product_id=shirt.pk, quantity=1, custom_inputs=inputs, currency="USD"
        )
    services.checkout("dots", Buyer("Dot", "dot@example.com"))

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


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({"payment": "paid"}, ADA),
        ({"email": "ben@example.org"}, BEN),
        ({"with_tax__gt": "1500"}, ADA),
        ({"status__in": "complete,cancelled"}, ADA),
        ({"payment": "paid", "filter": "lt(with_tax,1500)"}, NONE),
        ({"customer_id": "x", "page[limit]": "3"}, BOTH),
    ],
)
def test_plain_query_parameters_filter_too_and_unknown_ones_do_nothing(
    back_office, adas, bens, parameters, found
):
    assert buyers(back_office, **parameters) == found


@pytest.mark.parametrize(
    "filter_",
    [
        *("eq(customer_id,x)", "eq(account_id,x)", "eq(account_member_id,x)", "eq(contact.name,x)"),
        *("eq(contact.email,x)", "like(status,in*)", "in(name,a,b)", "eq(with_tax,1)", "eq(id,x)"),
        *(
            "in(product_id,x)",
            "like(product_sku,S*)",
            "like(currency,U*)",
            "like(created_at,2026*)",
        ),
        *("eq(customer_name,x)", "eq(total,1)", "eq(number,1001)", "eq(cart_id,x)", "gt(name,a)"),
        *("eq(shipping_address__city,x)", "eq(payments__token,x)", "eq(captured,0)"),
    ],
)
def test_what_orders_do_not_declare_is_refused(back_office, adas, filter_):
    refused = asked(back_office, filter=filter_)

    assert refused.status_code == 400
    [error] = refused.json()["errors"]
    assert (error["code"], error["source"]) == ("filter_not_supported", "filter")
    assert filter_.partition("(")[2].partition(",")[0] in error["detail"]


@pytest.mark.parametrize(
    ("parameters", "source"),
    [
        ({"filter": "eq(product_id,SH-1)"}, "filter"),
        ({"filter": "gt(with_tax,12.50)"}, "filter"),
        ({"filter": "gt(created_at,today)"}, "filter"),
        ({"filter": "(eq(status,a)|eq(status,b))"}, "filter"),
        ({"filter": "eq(email,\x00)"}, "filter"),
        ({"product_id": "x"}, "product_id"),
        ({"sort": "customer_email"}, "sort"),
        ({"sort": "-total"}, "sort"),
    ],
)
def test_what_cannot_be_understood_is_refused(back_office, adas, parameters, source):
    refused = asked(back_office, **parameters)

    assert refused.status_code == 400
    [error] = refused.json()["errors"]
    assert (error["status"], error["title"], error["source"]) == (400, "Bad Request", source)


@pytest.mark.parametrize(
    "value", ["' OR '1'='1", "'; DROP TABLE orders_order; --", "%s", "$1", "x') OR (1=1", "%", "_"]
)
@pytest.mark.parametrize("field", ["name", "shipping_postcode", "shipping_name", "order_number"])
def test_a_value_is_never_more_than_a_value(back_office, adas, field, value):
    for operator in ("eq", "like"):
        assert buyers(back_office, filter=f'{operator}({field},"{value}")') == []


def test_shoppers_list_no_orders(adas):
    assert asked(shopper(), filter="eq(email,ada@example.com)").status_code == 403


# Sorting and pages.


@pytest.mark.parametrize(
    ("sort", "first"),
    [
        ("created_at", ADA),
        ("updated_at", ADA),
        ("payment", ADA),
        ("shipping", ADA),
        ("status", ADA),
        ("with_tax", BEN),
        # Ben's has our number alone, and ours come before a client's.
        ("order_number", BEN),
    ],
)
def test_orders_are_sorted_either_way(back_office, adas, bens, sort, first):
    def order(sort: str) -> list[str]:
        shown = asked(back_office, sort=sort).json()["data"]
        return [found["customer"]["name"] for found in shown]

    assert order(sort)[:1] == first
    assert order(f"-{sort}") == order(sort)[::-1]


def test_every_sort_of_orders_is_tried_above():
    assert set(OrderFilters.sorts) == {
        *("created_at", "updated_at", "payment", "shipping", "status", "with_tax", "order_number")
    }


def test_our_numbers_are_sorted_as_numbers(back_office, shirt):
    made = [unpaid_order({shirt: 1}) for _ in range(3)]
    for order, number in zip(made, [999_999, 20_000, 1_000_000], strict=True):
        Order.objects.filter(pk=order.pk).update(number=number)

    shown = asked(back_office, sort="order_number").json()["data"]

    assert [order["order_number"] for order in shown] == ["20000", "999999", "1000000"]


def test_a_filter_and_a_sort_go_together_and_the_total_is_what_the_filter_leaves(
    back_office, adas, shirt
):
    made = [unpaid_order({shirt: 1}) for _ in range(5)]

    body = asked(
        back_office,
        **{
            "filter": "eq(payment,unpaid)",
            "sort": "created_at",
            "page[limit]": 2,
            "page[offset]": 2,
        },
    ).json()

    assert [shown["id"] for shown in body["data"]] == [str(made[2].pk), str(made[3].pk)]
    assert body["meta"]["results"]["total"] == 5
    assert body["meta"]["page"] == {"limit": 2, "offset": 2, "current": 2, "total": 3}


@pytest.mark.parametrize("sort", ["status", "-payment", "with_tax", "-created_at", ""])
def test_no_order_is_on_two_pages_though_all_of_them_tie(back_office, shirt, sort):
    with at(NOON):
        made = {str(unpaid_order({shirt: 1}).pk) for _ in range(7)}

    seen = [
        shown["id"]
        for offset in range(0, 7, 2)
        for shown in asked(
            back_office, **{"sort": sort, "page[limit]": 2, "page[offset]": offset}
        ).json()["data"]
    ]

    assert len(seen) == 7
    assert set(seen) == made


# Items.


def test_a_list_includes_the_items_of_its_orders(back_office, adas, bens):
    plain = asked(back_office).json()
    body = asked(back_office, include="items").json()

    assert "included" not in plain
    assert body["data"] == plain["data"]
    listed = [
        entry["id"] for order in body["data"] for entry in order["relationships"]["items"]["data"]
    ]
    assert [item["id"] for item in body["included"]["items"]] == listed
    assert {item["type"] for item in body["included"]["items"]} == {"order_item"}
    assert sorted(item["sku"] for item in body["included"]["items"]) == ["HAT-9", "SH-1", "SH-1"]


def test_only_the_items_of_the_orders_shown_are_included(back_office, adas, bens):
    body = asked(back_office, include="items", payment="paid").json()

    assert [item["quantity"] for item in body["included"]["items"]] == [2]
    assert asked(back_office, include="items", payment="refunded").json()["included"] == {
        "items": []
    }


@pytest.mark.parametrize("include", ["tax_items", "promotions,custom_discounts", "", "nonsense"])
def test_what_there_is_nothing_of_is_not_included(back_office, adas, include):
    for path in ("/v2/orders", f"/v2/orders/{adas.pk}", f"/v2/carts/{adas.cart_id}"):
        answer = asked(back_office, path, include=include)

        assert answer.status_code == 200
        assert "included" not in answer.json()


def test_one_order_and_a_cart_include_their_items_among_other_things(adas):
    for path in (f"/v2/orders/{adas.pk}", f"/v2/carts/{adas.cart_id}"):
        with at(NOON):
            body = asked(administrator(), path, include="tax_items,Items").json()

        assert [item["quantity"] for item in body["included"]["items"]] == [2]


# What it costs.


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"include": "items"},
        {"filter": "eq(product_sku,SH-1):like(shipping_name,a*)", "include": "items"},
        {"filter": "like(order_number,*1*):gt(with_tax,1)", "sort": "-order_number"},
        {"payment": "unpaid", "sort": "with_tax"},
    ],
)
def test_a_long_list_costs_as_many_statements_as_a_short_one(back_office, shirt, parameters):
    buyer = Buyer("Ada Buyer", "ada@example.com", ADDRESS, {**ADDRESS, "first_name": "Ada"})
    for _ in range(25):
        unpaid_order({shirt: 1}, buyer=buyer)
    asked(back_office)

    def cost(limit: int) -> int:
        return statements(lambda: asked(back_office, **parameters, **{"page[limit]": limit}))

    assert cost(1) == cost(25)
    assert cost(25) <= 3


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


@pytest.mark.parametrize("parameters", [{"filter": "eq(status,x)"}, {"sort": "status"}])
def test_the_orders_of_a_cart_take_neither_filter_nor_sort(adas, parameters):
    assert asked(shopper(), f"/v2/carts/{adas.cart_id}/orders", **parameters).status_code == 400


# Anything at all.

WORDS = st.sampled_from(
    [
        *("eq", "like", "in", "gt", "is_null", "(", ")", ",", ":", "'", '"', "\\", "*", "%", "|"),
        *("\x00", "#", "9" * 30, "-1", "2026-05-06", "9999-12-31", "\U0001f600", "\ud800"),
        *OrderFilters.takes,
    ]
)
VALUES = st.one_of(st.text(max_size=8), WORDS)
TERMS = st.builds(
    "{}({},{})".format,
    st.sampled_from(["eq", "like", "in", "gt", "le"]),
    st.sampled_from(list(OrderFilters.takes)),
    VALUES,
)
TEXTS = st.one_of(
    st.lists(WORDS, max_size=12).map("".join),
    st.lists(TERMS, min_size=1, max_size=3).map(":".join),
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    filter_=TEXTS,
    sort=st.sampled_from(["", "x", *OrderFilters.sorts]),
    plain=st.tuples(st.sampled_from(list(OrderFilters.base_filters)), VALUES),
)
def test_no_filter_whatever_breaks_the_server(back_office, adas, filter_, sort, plain):
    parameters = {"filter": filter_, "sort": sort, plain[0]: plain[1]}
    query = urlencode(parameters, errors="surrogatepass")

    answer = back_office.get(f"/v2/orders?{query}")

    assert answer.status_code in {200, 400}
