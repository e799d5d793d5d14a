"""What holds for every list over HTTP: how it is filtered, sorted and paged, and what it costs."""

import uuid
from collections.abc import Sequence
from functools import partial
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.schema import document
from inventory.models import Action, Currency, Picture
from inventory.services import currencies, products
from inventory.services import stock as inventory
from inventory.services.products import Money
from orders.models import Order
from orders.services import returns, shipments
from orders.services.returns import TakenBack
from payments.services import payments
from payments.services.payments import PaymentRequest
from tests.drawn import picture
from tests.events.made import attempt, events, integration, job
from tests.factories import (
    MERCHANT,
    filled_cart,
    paid_order,
    product,
    shipped_order,
    unpaid_order,
)
from tests.http import BUYER, Api, administrator, statements
from tests.lists import LISTS, NOON, Listed, asked, at

pytestmark = pytest.mark.django_db


@pytest.fixture
def made(listed: Listed) -> Sequence[Any]:
    return listed.make()


def cases(of: str) -> pytest.MarkDecorator:
    """Ask each list its own: `of` names the table."""
    found = [(listed, case) for listed in LISTS for case in getattr(listed, of)]
    return pytest.mark.parametrize(("listed", "case"), found, ids=str)


every_list = pytest.mark.parametrize("listed", LISTS, ids=str)


# Filters.


@cases("found")
def test_a_list_is_filtered(back_office, made, listed, case):
    filter_, found = case

    assert sorted(listed.names(back_office, made, filter=filter_)) == found


@every_list
def test_every_declared_filter_is_tried(listed):
    tried = {
        (term.partition("(")[2].partition(",")[0], term.partition("(")[0])
        for filter_, _ in listed.found
        for term in filter_.split("):")
    }

    declared = {
        (field, operator)
        for field, takes in listed.filters.takes.items()
        for operator in takes.operators
    }

    assert declared - tried == listed.by_ids


@cases("plain")
def test_plain_query_parameters_filter_too_and_unknown_ones_do_nothing(
    back_office, made, listed, case
):
    parameters, found = case

    assert sorted(listed.names(back_office, made, **parameters)) == found


@every_list
def test_t29_all_filters_of_a_list_count_when_the_parameter_is_repeated(back_office, made, listed):
    filters = "filter=ge(created_at,2026-05-06)&filter=lt(created_at,2026-05-07)"

    for query in (filters, "&".join(reversed(filters.split("&")))):
        answer = back_office.get(f"{listed.path}?{query}").json()
        assert [shown["id"] for shown in answer["data"]] == [str(made[0].pk)]


@every_list
def test_t35_a_list_is_sorted_by_two_fields(back_office, made, listed):
    for query in ("sort=status,-created_at", "sort=status&sort=-created_at"):
        shown = back_office.get(f"{listed.path}?{query}").json()["data"]
        states = [row["status"] for row in shown]
        assert states == sorted(states)
        assert len(shown) == 2


@cases("undeclared")
def test_what_a_list_does_not_declare_is_refused(back_office, made, listed, case):
    refused = asked(back_office, listed.path, filter=case)

    assert refused.status_code == 400
    [error] = refused.json()["errors"]
    assert (error["title"], error["source"]) == ("Bad Request", "filter")
    assert error["code"] == "filter_not_supported"
    assert case.partition("(")[2].partition(",")[0].rstrip(")") in error["detail"]


@cases("wrong")
def test_what_cannot_be_understood_is_refused(back_office, made, listed, case):
    parameters, source = case

    refused = asked(back_office, listed.path, **parameters)

    assert refused.status_code == 400
    [error] = refused.json()["errors"]
    assert (error["status"], error["title"], error["source"]) == (400, "Bad Request", source)


VALUES_THAT_MEAN_HARM = [
    *("' OR '1'='1", "'; DROP TABLE orders_order; --", "x\\'; --", "%27 OR 1=1", "$1", "%s"),
    *("%(name)s", "{0}", "x') OR (1=1", "\\", "%", "_", "*%*_*"),
]


@cases("texts")
def test_a_value_is_never_more_than_a_value(back_office, made, listed, case):
    for value in VALUES_THAT_MEAN_HARM:
        quoted = value.replace("\\", "\\\\").replace('"', '\\"')
        for operator in ("eq", "like"):
            filter_ = f'{operator}({case},"{quoted}")'
            assert listed.names(back_office, made, filter=filter_) == [], filter_
        assert listed.names(back_office, made, **{case: value}) == []


# Sorting and pages.


@every_list
def test_a_list_is_sorted_either_way(back_office, made, listed):
    assert listed.sorted_first.keys() == listed.filters.sorts.keys()

    for sort, first in listed.sorted_first.items():
        upwards = listed.names(back_office, made, sort=sort)
        downwards = listed.names(back_office, made, sort=f"-{sort}")
        assert (upwards[:1], downwards) == (first, upwards[::-1]), sort


@every_list
def test_the_newest_come_first_unless_told_otherwise(back_office, made, listed):
    assert listed.names(back_office, made) == ["second", "first"]


@every_list
def test_no_row_is_on_two_pages_though_all_of_them_tie(back_office, listed):
    with at(NOON):
        alike = {str(row.pk) for row in listed.make_alike(7)}

    for sort in ("", *listed.filters.sorts, *(f"-{sort}" for sort in listed.filters.sorts)):
        seen = [
            shown["id"]
            for offset in range(0, 7, 2)
            for shown in asked(
                back_office, listed.path, **{"sort": sort, "page[limit]": 2, "page[offset]": offset}
            ).json()["data"]
        ]
        assert (len(seen), set(seen)) == (7, alike), sort


# Walking a list to its end.


def walked(api: Api, address: str) -> list[str]:
    """Follow a list's links to its end."""
    seen: list[str] = []
    following: str | None = address
    while following:
        answer = api.get(following)
        assert answer.status_code == 200, answer.content
        body = answer.json()
        page = body["meta"]["page"]
        assert page["offset"] == len(seen)
        seen += [shown.get("id", shown.get("slug")) for shown in body["data"]]
        following = body["links"]["next"]
        assert len(body["data"]) == page["limit"] or not following
    assert len(seen) == body["meta"]["results"]["total"] == len(set(seen))
    return seen


@every_list
def test_a_list_is_walked_in_any_order(back_office, listed):
    with at(NOON):
        listed.make_alike(5)
    listed.make_alike(2)

    names = listed.filters.sorts
    mixed = ("-status,created_at", "status,-created_at,updated_at")
    for sort in ("", *names, *(f"-{name}" for name in names), *mixed):
        address = f"{listed.path}?sort={sort}&filter=ge(created_at,2026-05-06)"
        shown = back_office.get(f"{address}&page[limit]=100").json()["data"]
        assert walked(back_office, f"{address}&page[limit]=2") == [row["id"] for row in shown]


@every_list
def test_what_comes_and_goes_during_a_walk_moves_nothing_else(back_office, listed):
    with at(NOON):
        made = [str(row.pk) for row in listed.make_alike(6)]
    first = back_office.get(f"{listed.path}?page[limit]=3").json()
    listed.make_alike(2)
    if listed.path == "/v2/products":
        products.archive(uuid.UUID(first["data"][0]["id"]), actor=MERCHANT)

    second = back_office.get(first["links"]["next"]).json()

    ids = [row["id"] for row in (*first["data"], *second["data"])]
    assert sorted(ids) == sorted(made)
    assert second["links"]["next"] is None


def test_a_position_that_would_be_too_long_for_an_address_is_an_offset(back_office):
    for sign in "ab":
        product(description=sign * 3000)

    first = back_office.get("/v2/products?page[limit]=1&sort=description").json()

    assert "page[offset]=1" in first["links"]["next"]


def test_where_offsets_end_the_links_go_on_by_position(back_office, monkeypatch):
    monkeypatch.setattr("api.pagination.OFFSET_MAX", 4)
    for _ in range(9):
        product()

    seen = walked(back_office, "/v2/products?page[limit]=2&page[offset]=0")

    assert len(seen) == 9
    beyond = back_office.get("/v2/products?page[offset]=5").json()["errors"][0]
    assert "follow links.next" in beyond["detail"]


@pytest.mark.parametrize("sort", ["", "-name"])
def test_a_position_belongs_to_the_order_in_which_it_was_given_out(back_office, sort):
    product(), product()
    following = back_office.get(f"/v2/products?page[limit]=1&sort={sort}").json()["links"]["next"]

    for other in ("name", "-sku", "manage_stock", "-name,sku"):
        address = following.replace("sort=", "was=") + f"&sort={other}"
        refused = back_office.get(address)
        assert refused.status_code == 400, address
        assert refused.json()["errors"][0]["code"] == "position_refused"


# Anything at all.

SIGNS = st.sampled_from(
    [
        *("eq", "like", "in", "gt", "ge", "lt", "le", "is_null", "(", ")", ",", ":", "'", '"'),
        *("\\", "*", "%", "_", " ", "|", "-", ".", "#", "\x00", "\n", "9" * 30, "-1", "true"),
        *("2026-05-06", "99999999999999", "9999-12-31", "0001-01-01T00:00:00+14:00"),
        *("\U0001f600", "\ud800"),
    ]
)


@every_list
def test_no_filter_whatever_breaks_the_server(back_office, made, listed):
    fields = st.sampled_from(list(listed.filters.takes))
    words = SIGNS | fields
    values = st.text(max_size=8) | words
    operators = st.sampled_from(["eq", "like", "in", "gt", "ge", "lt", "le"])
    terms = st.builds("{}({},{})".format, operators, fields, values)
    texts = st.one_of(
        st.text(max_size=40),
        st.lists(words, max_size=12).map("".join),
        st.lists(terms, min_size=1, max_size=3).map(":".join),
    )
    sorts = st.text(max_size=8) | st.sampled_from([*listed.filters.sorts, "-stock"])
    plain = st.tuples(st.sampled_from(list(listed.filters.base_filters)), values)

    @settings(
        max_examples=150,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(filter_=texts, sort=sorts, plain=plain)
    def ask(filter_: str, sort: str, plain: tuple[str, str]) -> None:
        parameters = {"filter": filter_, "sort": sort, plain[0]: plain[1]}
        query = urlencode(parameters, errors="surrogatepass")

        assert back_office.get(f"{listed.path}?{query}").status_code in {200, 400}

    ask()
    assert listed.names(back_office, made) == ["second", "first"]


# What it costs.


def _products(count: int) -> str:
    for _ in range(count):
        product(1, prices=[Money("USD", 1), Money("EUR", 2)])
    return "/v2/products"


def _stocks(count: int) -> str:
    _products(count)
    return "/v2/inventories"


def _log(count: int) -> str:
    made = product(1)
    for _ in range(count - 1):
        inventory.record(made.pk, Action.INCREMENT, 1, actor=MERCHANT)
    return f"/v2/inventories/{made.pk}/transactions"


def _currencies(count: int) -> str:
    # A store has at most ten.
    for number in range(Currency.objects.count(), min(count, currencies.CURRENCIES_MAX)):
        currencies.create(code=f"AA{chr(65 + number)}", actor=MERCHANT)
    return "/v2/currencies"


def _files(count: int) -> str:
    for number in range(Picture.objects.count(), count):
        picture(f"{number}.png")
    return "/v2/files"


def _gateways(count: int) -> str:
    return "/v2/gateways"


def _carts(count: int) -> str:
    made = product(1, prices=[Money("USD", 1), Money("EUR", 2)])
    for number in range(count):
        filled_cart({made: 1}, currency="EUR" if number % 2 else "USD")
    return "/v2/carts"


def _items(count: int) -> str:
    return f"/v2/carts/{filled_cart({product(1): 1 for _ in range(count)})}/items"


def _orders(count: int) -> str:
    for _ in range(count):
        paid_order({product(1): 1})
    return "/v2/orders"


def _order_items(count: int) -> str:
    return f"/v2/orders/{unpaid_order({product(1): 1 for _ in range(count)}).pk}/items"


def _transactions(count: int) -> str:
    order = unpaid_order({product(1, price=100): 1})
    _pay_in_parts(order, count)
    return f"/v2/orders/{order.pk}/transactions"


def _pay_in_parts(order: Order, count: int) -> None:
    for _ in range(count):
        payments.pay(order.pk, PaymentRequest("manual", amount=1), actor=MERCHANT)


def _orders_of_a_cart(count: int) -> str:
    cart, api = filled_cart({product(count, price=100): 1}), administrator()
    for _ in range(count):
        api.check_out(cart)
        _pay_in_parts(Order.objects.filter(cart_id=cart).latest("pk"), 2)
    return f"/v2/carts/{cart}/orders"


def _shipments(count: int) -> str:
    order = paid_order({product(count): count})
    item_id = order.items.get().pk
    for _ in range(count):
        shipments.ship(order.pk, units={item_id: 1}, actor=MERCHANT)
    return f"/v2/orders/{order.pk}/shipments"


def _returns(count: int) -> str:
    order = shipped_order({product(count): count})
    line = TakenBack(order.items.get().pk, 1, "restocked")
    for _ in range(count):
        returns.take_back(order.pk, [line], actor=MERCHANT)
    return f"/v2/orders/{order.pk}/returns"


def _integrations(count: int) -> str:
    for _ in range(count):
        integration()
    return "/v2/integrations"


def _jobs(count: int) -> str:
    made = integration()
    for _ in range(count):
        attempt(job(made), 1)
    return f"/v2/integrations/{made.pk}/jobs"


def _logs(count: int) -> str:
    return f"{_jobs(count).removesuffix('jobs')}logs"


def _all_logs(count: int) -> str:
    _jobs(count)
    return "/v2/integrations/logs"


def _logs_of_a_job(count: int) -> str:
    tried = job(integration())
    for number in range(count):
        attempt(tried, number + 1)
    return f"/v2/integrations/{tried.integration_id}/jobs/{tried.pk}/logs"


def _events(count: int) -> str:
    events(*["order.paid"] * count)
    return "/v2/events"


# By the address in the description. Of each a list of one is made, and then one of 25.
COSTS = {
    "/v2/products": _products,
    "/v2/inventories": _stocks,
    "/v2/inventories/{product_id}/transactions": _log,
    "/v2/currencies": _currencies,
    "/v2/files": _files,
    "/v2/gateways": _gateways,
    "/v2/carts": _carts,
    "/v2/carts/{cart_id}/items": _items,
    "/v2/carts/{cart_id}/orders": _orders_of_a_cart,
    "/v2/orders": _orders,
    "/v2/orders/{order_id}/items": _order_items,
    "/v2/orders/{order_id}/transactions": _transactions,
    "/v2/orders/{order_id}/shipments": _shipments,
    "/v2/orders/{order_id}/returns": _returns,
    "/v2/integrations": _integrations,
    "/v2/integrations/logs": _all_logs,
    "/v2/integrations/{integration_id}/logs": _logs,
    "/v2/integrations/{integration_id}/jobs": _jobs,
    "/v2/integrations/{integration_id}/jobs/{job_id}/logs": _logs_of_a_job,
    "/v2/events": _events,
}


def test_every_list_of_the_description_is_measured_here():
    lists = set()
    for path, operations in document()["paths"].items():
        answers = operations.get("get", {}).get("responses", {})
        answer = answers.get("200", {}).get("content", {}).get("application/json", {})
        shown = answer.get("schema", {}).get("properties", {}).get("data", {})
        if shown.get("type") == "array":
            lists.add(path)

    assert lists == COSTS.keys()


PAGED = [
    path
    for path in COSTS
    if any(
        each["name"] == "page[offset]" for each in document()["paths"][path]["get"]["parameters"]
    )
]


NEVER_PAGED = [
    "/v2/carts/{cart_id}/items",
    "/v2/orders/{order_id}/items",
    "/v2/orders/{order_id}/transactions",
]


# Which has pages, and no end that one could walk to: tests/events/test_feed.py.
FEED = "/v2/events"


def test_what_is_never_paged_is_short():
    assert COSTS.keys() - PAGED == {*NEVER_PAGED, FEED}


@pytest.mark.parametrize("path", NEVER_PAGED)
@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("filter=eq(status,complete)", "filter_not_supported"),
        ("filter=complete", "filter_not_parsed"),
        ("sort=-created_at", "sort_not_supported"),
    ],
)
def test_what_is_told_as_a_whole_is_not_passed_off_as_the_part_that_was_asked_for(
    back_office, path, query, code
):
    refused = back_office.get(f"{COSTS[path](1)}?{query}")

    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, code)


@pytest.mark.parametrize("path", PAGED)
def test_t36_every_list_is_walked_to_its_end(back_office, path):
    currencies.create(code="EUR", actor=MERCHANT)
    address = COSTS[path](7)

    whole = back_office.get(f"{address}?page[limit]=10").json()["data"]

    expected = [shown.get("id", shown.get("slug")) for shown in whole]
    assert walked(back_office, f"{address}?page[limit]=2") == expected


@pytest.mark.parametrize("path", PAGED)
def test_t35_every_list_is_filtered_by_id(back_office, path):
    currencies.create(code="EUR", actor=MERCHANT)
    address = COSTS[path](2)
    wanted, other = back_office.get(f"{address}?page[limit]=2").json()["data"]

    def ids(filter_: str) -> list[str]:
        shown = asked(back_office, address, filter=filter_).json()["data"]
        return [row.get("id", row.get("slug")) for row in shown]

    first, second = (row.get("id", row.get("slug")) for row in (wanted, other))
    assert ids(f"eq(id,{first})") == [first]
    assert sorted(ids(f"in(id,{first},{second})")) == sorted([first, second])


@pytest.mark.parametrize("path", PAGED)
def test_each_page_of_a_walk_costs_the_same(back_office, path):
    currencies.create(code="EUR", actor=MERCHANT)
    address = f"{COSTS[path](7)}?page[limit]=1"
    first = back_office.get(address).json()
    second = back_office.get(first["links"]["next"]).json()

    links = [address, first["links"]["next"], second["links"]["next"]]
    costs = {statements(partial(back_office.get, link)) for link in links if link}
    assert len(costs) == 1


@pytest.mark.parametrize("path", PAGED)
def test_a_walk_goes_on_only_from_where_it_was(back_office, path):
    currencies.create(code="EUR", actor=MERCHANT)
    address = COSTS[path](2)
    following = back_office.get(f"{address}?page[limit]=1").json()["links"]["next"]

    for query in (
        f"{following.partition('?')[2]}&page[offset]=0",
        *("page[after]=", "page[after]=x", "page[after]=W10", "page[after]=%00"),
        f"{following.partition('?')[2]}&page[after]=x",
    ):
        refused = back_office.get(f"{address}?{query}")
        assert refused.status_code == 400, query
        assert refused.json()["errors"][0]["source"] == "page[after]"


@pytest.mark.parametrize("path", COSTS)
def test_a_list_of_25_costs_as_many_statements_as_a_list_of_1(back_office, path):
    currencies.create(code="EUR", actor=MERCHANT)

    def cost(count: int) -> int:
        address = f"{COSTS[path](count)}?include=items"
        first = back_office.get(address)
        assert first.status_code == 200
        assert len(first.json()["data"]) >= min(count, 10) or path == "/v2/gateways"
        return statements(lambda: back_office.get(address))

    assert cost(1) == cost(25)


def test_the_stocks_of_25_products_cost_as_many_statements_as_that_of_1(back_office):
    ids = [{"id": str(product(1).pk)} for _ in range(25)]

    back_office.get("/v2/inventories")

    def cost(count: int) -> int:
        return statements(lambda: back_office.post("/v2/inventories/multiple", ids[:count]))

    assert cost(1) == cost(25)


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/v2/products", {"filter": "like(name,*shirt*):gt(stock,0):eq(manage_stock,true)"}),
        ("/v2/products", {"sort": "-manage_stock"}),
        ("/v2/products", {"status": "live", "sort": "sku"}),
        ("/v2/orders", {"filter": "like(shipping_name,a*)", "include": "items"}),
        (
            "/v2/orders",
            {"filter": "like(email,*example*):gt(with_tax,1)", "sort": "-order_number"},
        ),
        ("/v2/orders", {"payment": "unpaid", "sort": "with_tax"}),
    ],
)
def test_a_filtered_list_costs_no_more_for_its_length(back_office, path, parameters):
    shirt = product(1)
    for _ in range(25):
        product(1)
        back_office.post(f"/v2/carts/{filled_cart({shirt: 1})}/checkout", BUYER)

    def cost(limit: int) -> int:
        page = {**parameters, "page[limit]": limit}
        assert len(asked(back_office, path, **page).json()["data"]) == limit
        return statements(lambda: asked(back_office, path, **page))

    assert cost(1) == cost(25)
    # What is listed, how many there are, and up to three kinds of what belongs to each.
    assert cost(25) <= 5
