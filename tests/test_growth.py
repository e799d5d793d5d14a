"""What a shop of many years costs: what of it is kept, and that no job reads all of it."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from procrastinate.contrib.django import app

from api import clock, rights
from api.ids import uuid7
from api.models import IdempotencyKey
from payments.models import GatewayEvent
from tests.factories import filled_cart, product, shipped_order
from tests.lists import asked
from tests.roles import as_owner

pytestmark = [pytest.mark.django_db, pytest.mark.thorough, pytest.mark.tampers_with_the_books]

# How many of each thing there are beside the first.
MANY = 2_000
# What a job may read of tables that grow: the one that is there, and what an index says of it.
FEW = 20
# Why a job may read more.
READS_MORE = {
    "payments.jobs.audit_inventory": "compares all books: what is new of them, and once a day all",
    "inventory.jobs.purge_picture_files": "looks at files",
}
GROWS = {
    *("orders_order", "orders_orderitem", "orders_orderevent", "orders_cart", "orders_cartitem"),
    *("payments_payment", "payments_attempt", "payments_gatewayevent", "api_idempotencykey"),
}


def periodic() -> dict[str, Any]:
    app.perform_import_paths()
    return {each.task.name: each.task for each in app.periodic_registry.periodic_tasks.values()}


def copy(table: str, row_id: Any, **fields: str) -> None:
    """Make many rows like this one, but for fields that differ by their number `n`."""
    each = ", ".join(f"'{name}', {value}" for name, value in fields.items())
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} SELECT (jsonb_populate_record(NULL::{table}, "
            f"to_jsonb(made) || jsonb_build_object({each}))).* "
            f"FROM {table} AS made, generate_series(1, {MANY}) AS n WHERE made.id = %s",
            [row_id],
        )


@pytest.fixture
def shop_of_many_years() -> None:
    """Orders that are paid and shipped, with their payments and messages, and keys and carts."""
    shirt = product(9, sku="SHIRT")
    order = shipped_order({shirt: 1})
    [payment] = order.payments.all()
    number = "lpad(to_hex(n), 32, '0')::uuid"
    copy("orders_order", order.pk, id=number, number="1000000 + n")
    copy("payments_payment", payment.pk, id=number, order_id=number)
    now = clock.now()
    fields = {"received_at": now - timedelta(hours=1), "handled_at": now}
    GatewayEvent.objects.create(id="evt_0", gateway="stripe", type="charge", body={}, **fields)
    copy("payments_gatewayevent", "evt_0", id="'evt_' || n")
    key = IdempotencyKey.objects.create(id=uuid7(), claim_id=uuid7(), created_at=now)
    copy("api_idempotencykey", key.pk, id=number, claim_id=number)
    copy("orders_cart", filled_cart({shirt: 1}), id="'many-' || n")
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def test_no_job_by_the_clock_reads_what_is_over(shop_of_many_years):
    jobs = periodic()
    assert {*READS_MORE} < {*jobs}

    read = {name: read_by(job) for name, job in jobs.items() if name not in READS_MORE}

    assert {name: much for name, much in read.items() if much} == {}


def read_by(job: Any) -> dict[str, int]:
    """Do a job, and tell which of its statements read much."""
    with CaptureQueriesContext(connection) as captured:
        job(timestamp=0)
    return much_read(captured.captured_queries)


def much_read(queries: Iterable[Mapping[str, str]]) -> dict[str, int]:
    """Tell which statements read much, and how much."""
    said = [query["sql"] for query in queries]
    read = {sql: rows_read(sql) for sql in said if sql.lstrip().startswith(("SELECT", "DELETE"))}
    return {sql: rows for sql, rows in read.items() if rows > FEW}


# What programs ask of the list of orders again and again, and how many there are of it.
ASKED = {
    "eq(order_number,1000007)": 1,
    "eq(order_number,#1000007)": 1,
    "eq(order_number,PO-7)": 0,
    "eq(external_ref,ERP-7)": 0,
    "eq(payment,paid):eq(shipping,unfulfilled)": 0,
    "eq(status,processing)": 0,
    "eq(status,cancelled)": 0,
    "gt(updated_at,2100-01-01)": 0,
}


def test_what_programs_ask_of_orders_again_and_again_reads_no_others(
    shop_of_many_years, back_office
):
    for filter_, found in ASKED.items():
        with CaptureQueriesContext(connection) as captured:
            answer = asked(back_office, "/v2/orders", filter=filter_)
        assert answer.json()["meta"]["results"]["total"] == found, filter_
        assert much_read(captured.captured_queries) == {}, filter_


def rows_read(sql: str) -> int:
    """Count the rows of tables that grow which a statement touches, wanted or not."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING off, FORMAT json) {sql}")
        [[said]] = cursor.fetchall()
    [plan] = json.loads(said) if isinstance(said, str) else said
    return sum(
        round(node["Actual Loops"] * sum(node.get(name, 0) for name in _TOUCHED))
        for node in _nodes(plan["Plan"])
        if node.get("Relation Name") in GROWS
    )


_TOUCHED = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from _nodes(below)


def test_an_index_of_days_knows_all_but_the_newest_entries_however_many_there_are():
    """Vacuum alone tells such an index of new rows, and a day is looked for among all others."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, reloptions FROM pg_class WHERE oid IN (SELECT indrelid FROM pg_index "
            "JOIN pg_class AS brin ON brin.oid = indexrelid JOIN pg_am ON pg_am.oid = brin.relam "
            "WHERE amname = 'brin')"
        )
        vacuumed = {name: {*(options or ())} for name, options in cursor.fetchall()}

    bounded = {
        "autovacuum_vacuum_insert_scale_factor=0",
        "autovacuum_vacuum_insert_threshold=100000",
    }
    assert vacuumed == {"inventory_stocktransaction": bounded, "orders_shipment": bounded}


# What grows, as docs/operations.md tells: of each table, how long its rows are kept.
_DOCUMENT = (settings.BASE_DIR / "docs" / "operations.md").read_text()
_SECTION = _DOCUMENT.partition("\n## What grows\n")[2].partition("\n## ")[0]
KEPT: list[tuple[str, str]] = [
    (table, kept)
    for tables, kept in re.findall(r"^\| (`.+?) \| .*? \| (.*?) ?\|$", _SECTION, re.MULTILINE)
    for table in re.findall(r"`(\w+)`", tables)
]


def test_the_document_tells_of_every_table_once_how_long_its_rows_are_kept():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') "
            "AND relnamespace = current_schema()::regnamespace"
        )
        there = {name for (name,) in cursor.fetchall()}

    assert sorted(table for table, _ in KEPT) == sorted(there)


def test_what_the_serving_role_may_not_delete_is_kept_for_ever_and_what_a_job_deletes_is_not():
    kept = dict(KEPT)
    staying = {*rights.KEPT, *rights.SAID_LATER, *rights.STAYING}
    forgotten = {table for table, how in KEPT if ".jobs." in how}

    assert {table for table in staying if not kept[table].startswith("for ever")} == set()
    assert staying & forgotten == set()


def test_every_job_that_forgets_is_told_of_and_no_other():
    told = {job for _, how in KEPT for job in re.findall(r"`(\w+\.jobs\.\w+)`", how)}

    assert told == {name for name in periodic() if ".purge_" in name}
