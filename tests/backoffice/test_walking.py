"""Pages of lists that only grow: each goes on from where one ended, and costs the same."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from api import clock, pagination
from api.ids import uuid7_of
from api.models import Change
from backoffice.base import PER_PAGE
from inventory.models import Action, StockTransaction
from inventory.services import stock
from orders.models import Cart, Order
from payments.models import GatewayEvent
from tests.factories import MERCHANT, paid_order, product, unpaid_order
from tests.roles import as_owner

pytestmark = [pytest.mark.django_db, pytest.mark.thorough]

ROWS = 2 * PER_PAGE + 3


def _log() -> tuple[str, Any]:
    shirt = product(1)
    for _ in range(ROWS - 1):
        stock.record(shirt.pk, Action.INCREMENT, 1, actor=MERCHANT)
    return "/admin/inventory/stocktransaction/", StockTransaction


def _changes() -> tuple[str, Any]:
    Change.objects.bulk_create(
        Change(
            kind="inventory.product",
            thing_id=str(n),
            thing_name=f"P {n}",
            what="created",
            fields=[],
            at=clock.now(),
        )
        for n in range(ROWS)
    )
    return "/admin/api/change/", Change


def _events() -> tuple[str, Any]:
    # Several in one moment, which only their names tell apart.
    GatewayEvent.objects.bulk_create(
        GatewayEvent(
            id=f"evt_{n}",
            gateway="stripe",
            type="charge",
            body={},
            received_at=clock.now() - timedelta(minutes=n // 10),
        )
        for n in range(ROWS)
    )
    return "/admin/payments/gatewayevent/", GatewayEvent


def _all_orders() -> tuple[str, Any]:
    shirt = product(1)
    for _ in range(ROWS):
        unpaid_order({shirt: 1})
    return "/admin/orders/order/?list=all", Order


def _orders_to_ship() -> tuple[str, Any]:
    shirt = product(ROWS)
    for _ in range(ROWS):
        paid_order({shirt: 1})
    return "/admin/orders/order/", Order


def _carts() -> tuple[str, Any]:
    now = clock.now()
    Cart.objects.bulk_create(
        Cart(id=f"cart-{n}", created_at=now, updated_at=now, expires_at=now + timedelta(days=n))
        for n in range(ROWS)
    )
    return "/admin/orders/cart/", Cart


LISTS = [_log, _changes, _events, _carts, _all_orders, _orders_to_ship]
lists = pytest.mark.parametrize("made", LISTS, ids=lambda made: made.__name__.strip("_"))


def link(answer: Any, label: str) -> str:
    """Return where a page leads, or nothing if it is the last that way."""
    found = re.search(rf'<a [^>]*href="([^"]*)"[^>]*>{label}</a>', answer.content.decode())
    return unescape(found[1]) if found else ""


def ids(answer: Any) -> list[Any]:
    return [row.pk for row in answer.context["cl"].result_list]


def walk(client: Client, address: str, label: str) -> Iterator[Any]:
    path = address.partition("?")[0]
    while address:
        answer = client.get(address)
        yield answer
        following = link(answer, label)
        address = path + following if following else ""


@lists
def test_t55_a_list_is_walked_to_its_end_and_back(admin_client, made):
    address, model = made()

    there = [*walk(admin_client, address, "Next")]
    back = [
        *walk(
            admin_client,
            there[-1].request["PATH_INFO"] + "?" + there[-1].request["QUERY_STRING"],
            "Previous",
        )
    ]

    assert [len(ids(each)) for each in there] == [PER_PAGE, PER_PAGE, 3]
    assert len({row for each in there for row in ids(each)}) == model.objects.count() == ROWS
    assert [ids(each) for each in back] == [ids(each) for each in reversed(there)]
    assert link(there[0], "Previous") == link(there[0], "First") == ""
    assert ids(admin_client.get(address.partition("?")[0] + link(there[2], "First"))) == ids(
        there[0]
    )


@lists
def test_t55_no_page_counts_up_to_its_place_nor_all_rows(admin_client, made):
    address, _ = made()
    [_, _, last] = walk(admin_client, address, "Next")

    with CaptureQueriesContext(connection) as captured:
        admin_client.get(last.request["PATH_INFO"], query_params=_query(last))

    asked = [query["sql"] for query in captured.captured_queries]
    assert not [sql for sql in asked if " OFFSET " in sql]
    table = last.context["cl"].model._meta.db_table
    assert not [sql for sql in asked if sql.startswith("SELECT COUNT(") and table in sql]


def _query(answer: Any) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in answer.request["QUERY_STRING"].split("&"))


def test_rows_that_come_during_a_walk_move_nothing(admin_client):
    address, _ = _events()
    first = admin_client.get(address)
    following = link(first, "Next")
    expected = ids(admin_client.get(address + following))
    GatewayEvent.objects.create(
        id="evt_new", gateway="stripe", type="charge", body={}, received_at=clock.now()
    )

    assert ids(admin_client.get(address + following)) == expected


def test_a_page_by_its_number_is_served_as_far_as_it_is_cheap(admin_client, monkeypatch):
    address, _ = _events()
    monkeypatch.setattr("backoffice.walking.OFFSET_MAX", PER_PAGE)

    assert len(ids(admin_client.get(f"{address}?p=2"))) == PER_PAGE
    for beyond in ("3", "0", "-1", "99999999999"):
        assert admin_client.get(f"{address}?p={beyond}").status_code == 302
    assert pagination.OFFSET_MAX == 10_000


@pytest.mark.parametrize("place", ["after", "before"])
def test_a_place_that_is_none_is_said_to_be_none(admin_client, place):
    address, _ = _events()

    assert admin_client.get(f"{address}?{place}=nonsense").status_code == 302


def test_a_filter_begins_at_the_first_page(admin_client):
    address, _ = _events()
    second = admin_client.get(address + link(admin_client.get(address), "Next"))

    assert "after=" not in second.content.decode().partition('aria-label="Pages"')[0]


def log_of_a_week() -> tuple[str, list[Any]]:
    """Make a page of the log's entries on each day, and return the ids of those until the 3rd."""
    shirt = product()
    made = []
    for day in range(1, 8):
        for n in range(PER_PAGE):
            entry_id = stock.record(shirt.pk, Action.INCREMENT, 1, actor=MERCHANT)
            moment = int(datetime(2026, 5, day, 12, tzinfo=UTC).timestamp() * 1000)
            made.append((entry_id, uuid7_of(moment, n, 1)))
    connection.check_constraints()
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE inventory_stocktransaction DISABLE TRIGGER USER")
        cursor.executemany(
            "UPDATE inventory_stocktransaction SET id = %s WHERE id = %s",
            [(new, old) for old, new in made],
        )
        cursor.execute("ALTER TABLE inventory_stocktransaction ENABLE TRIGGER USER")
    return "/admin/inventory/stocktransaction/", [new for _, new in made[: 3 * PER_PAGE]][::-1]


@pytest.mark.tampers_with_the_books
def test_t55_the_log_is_opened_at_a_day(admin_client):
    address, until_the_third = log_of_a_week()

    opened = admin_client.get(f"{address}?day=2026-05-03&movement=Added")

    assert ids(opened) == until_the_third[:PER_PAGE]
    assert (
        ids(admin_client.get(address + link(opened, "Next")))
        == until_the_third[PER_PAGE:][:PER_PAGE]
    )
    newer = admin_client.get(address + link(opened, "Previous"))
    assert link(newer, "Next").startswith("?after=")
    assert "movement=Added" in link(newer, "Next")
    assert not {*ids(newer)} & {*until_the_third}
    assert link(admin_client.get(f"{address}?day=2026-06-01"), "Previous") == ""
    before = admin_client.get(f"{address}?day=2026-04-01")
    assert ids(before) == []
    assert link(before, "First") == "?"


def test_a_day_that_is_none_is_told_and_the_list_begins_at_its_first_page(admin_client):
    address, _ = _events()

    answer = admin_client.get(f"{address}?day=2026-02-31")

    assert "Enter a valid date" in answer.content.decode()
    assert ids(answer) == ids(admin_client.get(address))
