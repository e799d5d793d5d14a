"""The History tab: filters, pages, the chart, the export, and the stock of a past moment."""

import csv
import io
import itertools
import json
from datetime import UTC, datetime, timedelta
from functools import partial
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from api import clock, store
from api.actors import Actor
from api.spreadsheets import unescaped
from backoffice.products import history_tab
from demo import fill_orders
from demo.fill_progress import Progress
from inventory.models import Action, Product, StockTransaction
from inventory.services import log as stock_log
from inventory.services import products
from inventory.services import stock as inventory
from tests.backoffice.pages import client_with, send
from tests.factories import MERCHANT, holding_order, paid_order, product, stock_of
from tests.http import statements
from tests.roles import as_owner

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
FIRST_OF_MAY = datetime(2026, 5, 1, 12, tzinfo=UTC)
BOSS = Actor("user", "8", "Boss")


@pytest.fixture
def owner() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("owner"))
    return client


def _at(moment: datetime) -> datetime:
    return moment


@pytest.fixture
def a_week() -> Product:
    """Fifty units on the first of May, and two more each noon: 52, 54, and so on to 62."""
    days = itertools.count()
    with clock.replaced(lambda: FIRST_OF_MAY):
        made = product(50)
    for _ in range(6):
        moment = FIRST_OF_MAY + DAY * (next(days) + 1)
        with clock.replaced(partial(_at, moment)):
            inventory.record(made.pk, Action.INCREMENT, 2, actor=MERCHANT, reason="delivery")
    return made


def tab(made: Product, page: str = "") -> str:
    return f"/admin/inventory/product/{made.pk}/stock-history/{page}"


def text(response: Any) -> str:
    return unescape(response.content.decode())


def found(client: Client, made: Product, **query: Any) -> list[int]:
    """Return the numbers of the entries on the page."""
    return [entry.sequence for entry in client.get(tab(made), query).context["log"].entries]


# Filters.


def test_the_log_is_filtered_by_action_person_order_and_day(owner, a_week):
    order = holding_order({a_week: 3})
    inventory.record(a_week.pk, Action.DECREMENT, 1, actor=BOSS)

    assert found(owner, a_week) == [9, 8, 7, 6, 5, 4, 3, 2, 1]
    assert found(owner, a_week, movement="Removed") == [9]
    assert found(owner, a_week, who="bos") == [9]
    assert found(owner, a_week, order=str(order)) == [8]
    assert found(owner, a_week, order=str(order.number)) == [8]
    assert found(owner, a_week, order=str(order.pk)) == [8]
    assert found(owner, a_week, order="#999999") == []
    assert found(owner, a_week, since="2026-05-03", until="2026-05-05") == [5, 4, 3]
    assert found(owner, a_week, since="2026-05-06", who=MERCHANT.name) == [8, 7, 6]
    assert found(owner, a_week, until="2026-04-30") == []


@pytest.mark.parametrize(
    "query",
    [
        {"movement": "steal"},
        {"since": "yesterday"},
        {"until": "2026-02-30"},
        {"who": "x" * 1000},
        {"order": "9" * 60},
        {"order": "\x00"},
        {"at": "soon"},
    ],
)
def test_a_filter_that_cannot_be_meant_is_no_server_error(owner, query):
    assert owner.get(tab(product(1)), query).status_code == 200


@pytest.mark.parametrize("until", ["9999-12-31", "0001-01-01", "1970-01-01"])
def test_the_ends_of_time_can_be_asked_for(owner, until):
    assert owner.get(tab(product(1)), {"until": until, "since": until}).status_code == 200


# Pages.


def test_the_log_is_paged_by_its_numbers_newest_first(owner):
    shirt = product(1)
    for count in range(59):
        inventory.record(shirt.pk, Action.INCREMENT, 1, actor=MERCHANT, reason=f"count {count}")

    def page(**query: Any) -> Any:
        return owner.get(tab(shirt), query).context["log"]

    first = page()
    second = page(before=first.older)
    third = page(before=second.older)

    assert [entry.sequence for entry in first.entries] == list(range(60, 35, -1))
    assert [entry.sequence for entry in second.entries] == list(range(35, 10, -1))
    assert [entry.sequence for entry in third.entries] == list(range(10, 0, -1))
    assert (first.newer, third.older) == (None, None)
    assert page(after=third.newer).entries == second.entries
    back = page(after=second.newer)
    assert (back.entries, back.newer) == (first.entries, None)


def test_filters_stay_on_the_next_page_and_in_the_export(owner):
    shirt = product(1)
    for _ in range(30):
        inventory.record(shirt.pk, Action.INCREMENT, 1, actor=MERCHANT)
        inventory.record(shirt.pk, Action.DECREMENT, 1, actor=MERCHANT)

    page = owner.get(tab(shirt), {"movement": "Removed", "who": "a&b", "before": "7"})
    filtered = owner.get(tab(shirt), {"movement": "Removed"})

    assert "?movement=Removed&who=a%26b&after=6" in text(page)
    assert f"{tab(shirt, 'export/')}?movement=Removed" in text(filtered)
    older = filtered.context["log"].older
    assert found(owner, shirt, movement="Removed", before=older) == [11, 9, 7, 5, 3]


@pytest.mark.parametrize("place", ["x", "-3", "9" * 30, "1.5", "٣"])
def test_an_unreadable_place_in_the_log_is_its_end(owner, place):
    shirt = product(1)

    assert found(owner, shirt, before=place) == [1]
    assert found(owner, shirt, after=place) == [1]


def test_a_page_costs_the_same_however_long_the_log_is(owner):
    shirt = product(100)
    holding_order({shirt: 1})
    query = {"since": "2026-01-01", "until": "2999-01-01", "at": "2026-01-01T00:00"}
    store.current()
    costs = [statements(lambda: owner.get(tab(shirt), query))]
    for _ in range(3):
        for _ in range(10):
            inventory.record(shirt.pk, Action.INCREMENT, 1, actor=MERCHANT)
        holding_order({shirt: 1})

    with CaptureQueriesContext(connection) as asked:
        owner.get(tab(shirt), query)

    assert [*costs, len(asked)] == [14, 14]
    said = " ".join(query["sql"] for query in asked.captured_queries)
    assert "OFFSET" not in said
    assert "COUNT(" not in said


# The chart, and a past moment.


def test_the_chart_tells_available_and_total_over_the_days_asked_for(owner, a_week):
    def line(**query: str) -> tuple[list[int], list[str]]:
        drawn = json.loads(owner.get(tab(a_week), query).context["chart"]["data"])
        return drawn["datasets"][0]["data"], drawn["labels"]

    whole, _ = line()
    some, labels = line(since="2026-05-03", until="2026-05-04")

    assert (whole[0], whole[-1], len(whole)) == (50, 62, history_tab.POINTS)
    assert (some[0], some[-1]) == (52, 56)
    assert (labels[0], labels[-1]) == ("2026-05-03 00:00", "2026-05-05 00:00")


def test_the_chart_tells_units_that_are_allocated_as_total_only(owner):
    shirt = product(10)
    paid_order({shirt: 4})

    drawn = json.loads(owner.get(tab(shirt)).context["chart"]["data"])

    last = {line["label"]: line["data"][-1] for line in drawn["datasets"]}
    assert last == {"Available": 6, "Total": 10}


@pytest.mark.parametrize("query", [{"since": "2999-01-01"}, {"until": "2026-01-01"}])
def test_where_nothing_can_be_drawn_the_page_says_so(owner, a_week, query):
    assert "Nothing has moved in this time." in text(owner.get(tab(a_week), query))
    assert "Nothing has moved in this time." in text(owner.get(tab(product(0))))


def test_the_stock_of_a_past_moment_is_said(owner, a_week):
    def then(at: str) -> str:
        return str(owner.get(tab(a_week), {"at": at}).context["then"])

    assert then("2026-05-03T11:59").endswith(
        "Total 52 = Available 52 + Allocated 0 (orders 0, set aside 0)"
    )
    assert "Total 54 = " in then("2026-05-03T12:00")
    assert then("2026-04-30T00:00") == "2026-04-30 00:00:00 UTC: nothing had moved yet."
    assert then("2999-01-01T00:00") == ""
    assert "a moment to come" in text(owner.get(tab(a_week), {"at": "2999-01-01T00:00"}))


@pytest.mark.parametrize("look", ["at", "chart", "count"])
def test_a_past_moment_is_found_in_the_index(a_week, look):
    stock = stock_of(a_week)
    fill_orders.fill(products=300, entries=600, orders=0, now=clock.now(), progress=Progress())
    with CaptureQueriesContext(connection) as asked:
        if look == "count":
            stock_log.totals_at([(stock, FIRST_OF_MAY)])
        else:
            points = 1 if look == "at" else history_tab.POINTS
            stock_log.at_moments(stock, [FIRST_OF_MAY] * points)
    [said] = asked.captured_queries
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("ANALYZE inventory_stocktransaction")
        cursor.execute(f"EXPLAIN {said['sql']}")
        plan = "\n".join(row[0] for row in cursor.fetchall())

    assert "stock_at_a_moment" in plan
    assert "stock_effective_before" in plan
    assert "Seq Scan on inventory_stocktransaction" not in plan


# The export.


def exported(client: Client, made: Product, **query: str) -> list[dict[str, str]]:
    answer: Any = client.get(tab(made, "export/"), query)
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    written = b"".join(answer.streaming_content).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(written)))


def test_the_log_is_exported_oldest_first_with_the_orders_numbers(owner, a_week):
    order = holding_order({a_week: 3})

    rows = exported(owner, a_week)

    assert [row["number"] for row in rows] == [str(number) for number in range(1, 9)]
    assert rows[1] == {
        "number": "2",
        "when": "2026-05-02T12:00:00+00:00",
        "action": "increment",
        "what": "Received",
        "quantity": "2",
        "who": MERCHANT.name,
        "why": "delivery",
        "order": "",
        "order id": "",
        "total": "52",
        "available": "52",
        "allocated": "0",
        "set aside": "0",
    }
    assert (rows[7]["order"], rows[7]["order id"]) == (str(order), str(order.pk))


def test_the_export_tells_times_in_the_stores_zone(owner, a_week):
    store.change(time_zone="Asia/Tokyo", actor=MERCHANT)

    assert exported(owner, a_week)[0]["when"] == "2026-05-01T21:00:00+09:00"


def test_days_begin_at_the_stores_midnight(owner):
    late = datetime(2026, 5, 1, 16, tzinfo=UTC)
    with clock.replaced(lambda: late):
        shirt = product(1)
    store.change(time_zone="Asia/Tokyo", actor=MERCHANT)

    assert found(owner, shirt, since="2026-05-02", until="2026-05-02") == [1]
    assert found(owner, shirt, until="2026-05-01") == []


def test_the_export_is_filtered_as_the_page_is(owner, a_week):
    rows = exported(owner, a_week, since="2026-05-03", until="2026-05-04")

    assert [row["number"] for row in rows] == ["3", "4"]


@pytest.mark.parametrize("reason", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_reason_becomes_a_formula(owner, reason):
    shirt = product(1)
    inventory.record(shirt.pk, Action.INCREMENT, 1, actor=MERCHANT, reason=reason)

    written = exported(owner, shirt)[1]["why"]
    assert written.startswith("'")
    assert unescaped(written) == reason


def test_the_export_is_read_in_batches_of_the_logs_own_numbers(owner, a_week, monkeypatch):
    monkeypatch.setattr(history_tab, "BATCH", 3)

    with CaptureQueriesContext(connection) as asked:
        rows = exported(owner, a_week)

    assert len(rows) == 7
    said = [query["sql"] for query in asked.captured_queries]
    batches = [sql for sql in said if "inventory_stocktransaction" in sql]
    assert len(batches) == 3
    assert not any("OFFSET" in sql for sql in batches)


# Who may.


@pytest.mark.parametrize("part", ["", "export/"])
def test_the_history_is_for_those_who_may_see_the_log(part):
    shirt = product(1)

    assert client_with("view_product").get(tab(shirt, part)).status_code == 403
    assert Client().get(tab(shirt, part)).status_code == 302


@pytest.mark.parametrize("part", ["", "export/"])
def test_the_log_of_an_archived_product_is_still_read(owner, part):
    shirt = product(1)
    products.archive(shirt.pk, actor=MERCHANT)

    answer = owner.get(tab(shirt, part))

    assert "stock no longer managed" in answer.getvalue().decode()


def test_whoever_sees_the_log_but_no_orders_sees_no_number_of_theirs():
    shirt = product(5)
    order = paid_order({shirt: 1})
    client = client_with("view_product", "view_stocktransaction")

    assert str(order) not in text(client.get(tab(shirt)))
    assert exported(client, shirt)[1]["order"] == ""
    assert found(client, shirt, order=str(order)) == [2, 1]


def test_f38_the_name_stays_in_the_history_when_the_user_is_deleted(owner):
    shirt = product(10)
    clerk = User.objects.create_superuser("Grace")
    client = Client()
    client.force_login(clerk)
    send(
        client,
        f"/admin/inventory/product/{shirt.pk}/inventory/",
        {"action": "decrement", "quantity": 4, "reason": "damaged"},
    )
    clerk.delete()

    entry = StockTransaction.objects.get(sequence=2)
    assert (entry.actor_name, entry.reason) == ("Grace", "damaged")
    assert "Grace" in text(owner.get(tab(shirt)))
