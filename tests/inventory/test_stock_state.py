"""Failure case F43: products are listed by the state of their stock, however many there are.

What is counted is the rows that PostgreSQL touches. How many there are in all, which every list of
the API says and the admin's pages need, is counted at every call: in as few rows where they are
sold out, and in as many as there are where they are for sale.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from api import clock
from demo import fill_orders
from demo.fill_progress import Progress
from inventory.models import Action, Stock
from inventory.services import stock as inventory
from tests.factories import MERCHANT
from tests.http import administrator
from tests.roles import as_owner

pytestmark = [pytest.mark.django_db, pytest.mark.thorough]

SOLD_OUT = 12
PAGE = 5
MANY = 6_000


def more_products() -> None:
    fill_orders.fill(products=MANY, entries=MANY, orders=0, now=clock.now(), progress=Progress())


def sell_out() -> None:
    for stock in Stock.objects.order_by("pk")[:SOLD_OUT]:
        inventory.record(stock.product_id, Action.DECREMENT, stock.available, actor=MERCHANT)


def rows_touched(ask: Callable[[], Any], *, totals: bool) -> int:
    """Add up the rows of products and stock that are read for the answer."""
    with CaptureQueriesContext(connection) as captured:
        answer = ask()
    assert answer.status_code == 200
    asked = [
        query["sql"]
        for query in captured.captured_queries
        if 'FROM "inventory_product"' in query["sql"] and (totals or "COUNT(*)" not in query["sql"])
    ]
    assert asked
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("ANALYZE inventory_product, inventory_stock")
        return sum(_rows_of(cursor, sql) for sql in asked)


def _rows_of(cursor: Any, sql: str) -> int:
    cursor.execute(f"EXPLAIN (ANALYZE, TIMING off, FORMAT json) {sql}")
    [[said]] = cursor.fetchall()
    [plan] = json.loads(said) if isinstance(said, str) else said
    return sum(
        round(node["Actual Loops"] * sum(node.get(name, 0) for name in _TOUCHED))
        for node in _nodes(plan["Plan"])
        if "Scan" in node["Node Type"]
    )


_TOUCHED = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from _nodes(below)


def the_api(filtered: str) -> Callable[[], Any]:
    path = f"/v2/products?filter={filtered}&page[limit]={PAGE}"
    return lambda: administrator().get(path)


def test_f43_a_page_of_a_stock_state_touches_as_many_rows_of_more_products(admin_client):
    def the_admin(state: str) -> Callable[[], Any]:
        return lambda: admin_client.get(f"/admin/inventory/product/?stock_state={state}")

    sold_out = [
        the_api("lt(stock,1)"),
        the_api("eq(stock,0)"),
        the_api("eq(manage_stock,true):le(stock,0)"),
        the_admin("out"),
    ]
    for_sale = [the_api("gt(stock,0)"), the_api("ge(stock,1)"), the_admin("in")]

    def touched() -> list[int]:
        return [
            *(rows_touched(ask, totals=True) for ask in sold_out),
            *(rows_touched(ask, totals=False) for ask in for_sale),
        ]

    more_products()
    sell_out()
    among_few = touched()
    more_products()

    assert touched() == among_few
    # Each of a page of 25 with its stock and its parent: found by their keys, and then read.
    assert max(among_few) < MANY / 40
