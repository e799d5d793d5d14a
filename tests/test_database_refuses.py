"""Each CHECK and each unique constraint refuses what it is there for, whoever writes it.

No service can break one: each looks before, under a lock. So a row is written here by hand, first
one that may be, and then one that breaks this constraint and no other rule that comes before it.
What rows refer to is not there: that would be found out at COMMIT, to which it never comes.
"""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg.errors
import pytest
from django.db import IntegrityError, connection, transaction

from tests.database_catalog import CHECK, UNIQUE, constraints
from tests.roles import as_owner

pytestmark = pytest.mark.django_db

SOME, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)
NOTHING = dict.fromkeys(["captured_amount", "refunded_amount", "refunding_amount"], 0)
NOON, LATER = "2026-05-04 12:00+00", "2026-05-04 13:00+00"

# What stands in a column that may not be empty and of which nothing else is said.
_OF_TYPE: Mapping[str, Any] = {
    "uuid": uuid.uuid4,
    "boolean": lambda: False,
    "jsonb": lambda: "{}",
    "timestamp with time zone": lambda: NOON,
    "date": lambda: "2026-05-04",
    "bytea": lambda: b"",
    "smallint": lambda: 0,
    "integer": lambda: 0,
    "bigint": lambda: 0,
    "numeric": lambda: 0,
    "double precision": lambda: 0,
    "bigint[]": lambda: "{}",
}

# What a row needs so that it may be. Where the table has one row, that one is taken away before.
ROWS: dict[str, dict[str, Any]] = {
    "api_jobworker": {"queues": "{}"},
    "api_storesettings": {"id": 1, "cart_expiry_days": 7, "page_length": 25},
    "backoffice_addedup": {"id": 1},
    "orders_auditresult": {"id": 1},
    "inventory_stock": {"managed": True, "available": 3, "allocated": 2, "held": 1},
    "inventory_stocktransaction": {"quantity": 1, "sequence": 1, "action": "increment"},
    "orders_cartitem": {"quantity": 1, "product_id": SOME, "unit_price": None},
    "orders_order": {"total": 100, "captured": 10, "authorized": 10, "pending": 10},
    "orders_orderitem": {"quantity": 3, "product_id": SOME},
    "orders_return": {"number": 1},
    "orders_returnline": {"quantity": 1, "disposition": "inspection"},
    "orders_shipment": {"number": 1},
    "orders_shipmentline": {"quantity": 1},
    "payments_attempt": {"kind": "capture", "status": "pending"},
    "payments_payment": {
        "method": "purchase",
        "status": "complete",
        "amount": 100,
        "captured_amount": 100,
        "captured_at": NOON,
        "refunded_amount": 50,
        "refunding_amount": 50,
    },
}
ONE_ROW = {"api_storesettings", "backoffice_addedup", "orders_auditresult"}


class Broken:
    """What a row must not say, beside what ROWS says of its table: each of these alone.

    Where a stronger constraint comes before it, this one is tried `without` that.
    """

    def __init__(self, *by: dict[str, Any], without: str = "") -> None:
        self.by = by
        self.without = without


@dataclass(frozen=True)
class Twice:
    """What two rows must not both say; the second one may say some of it in other words."""

    first: dict[str, Any]
    second: dict[str, Any] = field(default_factory=dict)


# By constraint.
REFUSED: dict[str, Broken | Twice] = {
    "api_apiclient_client_id_key": Twice({"client_id": "shop"}),
    "api_apiclient_version_check": Broken({"version": -1}),
    "api_callcount_calls_check": Broken({"calls": -1}),
    "api_idempotencykey_status_check": Broken({"status": -1}),
    "api_jobworker_process_check": Broken({"process": -1}),
    "api_storesettings_cart_expiry_days_check": Broken({"cart_expiry_days": -1}),
    "api_storesettings_id_check": Broken({"id": -1}),
    "api_storesettings_low_stock_threshold_check": Broken({"low_stock_threshold": -1}),
    "api_storesettings_page_length_check": Broken({"page_length": -1}),
    "api_storesettings_partly_paid_order_expiry_hours_check": Broken(
        {"partly_paid_order_expiry_hours": -1}
    ),
    "api_storesettings_unpaid_order_expiry_hours_check": Broken({"unpaid_order_expiry_hours": -1}),
    "store_settings_one_row": Broken({"id": 2}),
    "store_settings_within_limits": Broken(
        {"page_length": 101}, {"page_length": 0}, {"cart_expiry_days": 366}, {"cart_expiry_days": 0}
    ),
    "added_up_one_row": Broken({"id": 2}),
    "backoffice_addedup_id_check": Broken({"id": -1}, without="added_up_one_row"),
    "saved_view_once_by_its_name": Twice(
        {"person_id": 1, "page": "orders", "name": "Mine"}, {"name": "mine"}
    ),
    "category_name_once": Twice({"name": "Shirts", "slug": "a"}, {"name": "SHIRTS", "slug": "b"}),
    "category_slug_once": Twice({"slug": "shirts", "name": "a"}, {"name": "b"}),
    "count_line_numbered": Twice({"sheet_id": SOME, "number": 2}),
    "currency_at_most_4_decimal_places": Broken({"decimal_places": 5}),
    "currency_one_default": Twice(
        # The first one is the dollar, which is there.
        {"code": "AAA"},
        {"code": "BBB", "default": True},
    ),
    "inventory_currency_code_key": Twice({"code": "AAA"}),
    "inventory_currency_decimal_places_check": Broken({"decimal_places": -1}),
    "delivery_number_once": Twice({"number": "d-1"}, {"number": "D-1"}),
    "delivery_line_not_negative": Broken({"received": -1}, {"expected": -1}),
    "delivery_line_once": Twice({"delivery_id": SOME, "product_id": SOME}),
    "inventory_location_slug_key": Twice({"slug": "shore"}),
    "inventory_picture_height_check": Broken({"height": -1}),
    "inventory_picture_sha256_key": Twice({"sha256": "same"}),
    "inventory_picture_size_check": Broken({"size": -1}),
    "inventory_picture_width_check": Broken({"width": -1}),
    "price_not_negative": Broken({"amount": -1}),
    "price_once_a_currency": Twice({"product_id": SOME, "currency": "USD"}),
    "inventory_product_low_stock_threshold_check": Broken({"low_stock_threshold": -1}),
    "product_cost_in_a_currency": Broken({"cost": 1}, {"cost_currency": "USD"}),
    "product_cost_not_negative": Broken({"cost": -1, "cost_currency": "USD"}),
    "product_sku_once": Twice({"sku": "A", "slug": "a"}, {"slug": "b"}),
    "product_slug_once": Twice({"slug": "a", "sku": "A"}, {"sku": "B"}),
    "product_variant_once": Twice(
        {"parent_id": SOME, "options": '{"Size": "S"}', "sku": "A", "slug": "a"},
        {"sku": "B", "slug": "b"},
    ),
    "inventory_product_catego_product_id_category_id_3feacc79_uniq": Twice(
        {"product_id": SOME, "category_id": SOME}
    ),
    "product_line_numbered": Twice({"sheet_id": SOME, "number": 2}),
    "inventory_productpicture_position_check": Broken({"position": -1}),
    "product_picture_once_a_picture": Twice(
        {"product_id": SOME, "picture_id": SOME, "position": 0}, {"position": 1}
    ),
    "product_picture_once_a_position": Twice(
        {"product_id": SOME, "position": 0, "picture_id": SOME}, {"picture_id": OTHER}
    ),
    "inventory_sheet_failures_check": Broken({"failures": -1}),
    "sheet_once": Twice({"sha256": "same", "state": "checked"}),
    "stock_available_not_negative": Broken({"available": -1}),
    "stock_held_within_allocated": Broken({"held": 3}, {"held": -1}),
    "stock_once_a_product_and_location": Twice({"product_id": SOME, "location_id": SOME}),
    "stock_unmanaged_is_empty": Broken(
        {"managed": False, "allocated": 0, "held": 0}, {"managed": False, "available": 0}
    ),
    "stocktake_line_counted_at_a_moment": Broken(
        {"units": 1},
        {"units": 1, "counted_at": NOON},
        {"first_at": NOON, "counted_at": NOON},
        {"units": 1, "first_at": LATER, "counted_at": NOON},
        {"units": -1, "first_at": NOON, "counted_at": NOON},
    ),
    "stocktake_line_once": Twice({"stocktake_id": SOME, "product_id": SOME}),
    "stock_transaction_effective_by_then": Broken({"effective_at": LATER}),
    "stock_transaction_known_action": Broken({"action": "create"}),
    "stock_transaction_numbered": Twice({"stock_id": SOME, "sequence": 1}),
    "stock_transaction_positive": Broken({"quantity": 0}, {"sequence": 0}),
    "audit_result_known_kind": Broken({"id": 3}),
    "orders_auditresult_differences_check": Broken({"differences": -1}),
    "orders_auditresult_id_check": Broken({"id": -1}, without="audit_result_known_kind"),
    "cart_item_is_product_or_priced": Broken(
        {"unit_price": 1}, {"product_id": None}, {"product_id": None, "unit_price": -1}
    ),
    "cart_item_quantity_positive": Broken({"quantity": 0}),
    "cart_line_once": Twice({"cart_id": "ada", "line_key": "same"}),
    "order_attempts_not_negative": Broken({"attempts_open": -1}, {"refunds_open": -1}),
    "order_money_not_negative": Broken({"captured": -1}, {"authorized": -1}, {"pending": -1}),
    "order_never_cancelled_and_shipped": Broken(
        {"shipping": "fulfilled", "status": "cancelled", "shipments_made": 1}
    ),
    "order_never_overpaid": Broken({"captured": 81}, {"authorized": 81}, {"pending": 81}),
    "order_refunded_within_captured": Broken({"refunded": 11}, {"refunded": -1}),
    "order_shipped_by_shipments": Broken(
        {"shipping": "fulfilled"},
        {"shipments_undone": -1},
        {"shipments_undone": 1},
        {"status": "cancelled", "shipments_made": 1},
    ),
    "orders_order_number_key": Twice({"number": 1}),
    "order_item_holds_at_most_its_quantity": Broken(
        {"cancelled": 4},
        {"shipped": 4},
        {"allocated": 4},
        {"cancelled": -1},
        {"shipped": -1},
        {"allocated": -1},
    ),
    "order_item_returned_within_shipped": Broken({"returned": 1}, {"returned": -1}),
    "order_item_sane": Broken({"unit_price": -1}),
    "order_item_stocked_adds_up": Broken({"stocked": True, "allocated": 1}, {"allocated": 1}),
    "order_item_without_product_holds_none": Broken(
        {"product_id": None, "stocked": True, "allocated": 3}
    ),
    "order_line_once": Twice({"order_id": SOME, "position": 0}),
    "orders_orderitem_position_check": Broken({"position": -1}),
    "return_number_positive": Broken({"number": 0}),
    "return_numbered": Twice({"order_id": SOME, "number": 1}),
    "return_line_known_disposition": Broken({"disposition": "eaten"}),
    "return_line_positive": Broken({"quantity": 0}),
    "return_line_settled_after_inspection": Broken(
        {"settled_as": "restocked"},
        {"settled_at": NOON},
        {"settled_as": "missing", "settled_at": NOON},
        {"disposition": "restocked", "settled_as": "restocked", "settled_at": NOON},
    ),
    "shipment_number_positive": Broken({"number": 0}),
    "shipment_numbered": Twice({"order_id": SOME, "number": 1}),
    "shipment_line_once": Twice({"shipment_id": SOME, "item_id": SOME}),
    "shipment_line_positive": Broken({"quantity": 0}),
    "attempt_one_capture_or_void_at_a_time": Twice({"payment_id": SOME}, {"kind": "void"}),
    "attempt_of_a_known_kind": Broken({"kind": "gift"}, {"status": "lost"}, {"amount": -1}),
    "payment_captured_as_its_status_says": Broken(
        {"amount": 101},
        {"status": "pending"},
        {"status": "failed"},
        {"status": "cancelled", "method": "authorize"},
        {"status": "lost"},
        {"method": "gift"},
        {"status": "pending", **NOTHING},
        {"status": "pending", **NOTHING, "captured_at": None, "late": True},
        {"status": "cancelled", **NOTHING, "captured_at": None},
    ),
    "payment_captured_some_time": Broken({"captured_at": None}),
    "payment_captured_within_amount": Broken(
        {"captured_amount": 101, "late": True},
        {"captured_amount": -1, "late": True},
        {"amount": -1, "late": True},
    ),
    "payment_refunds_within_captured": Broken(
        {"refunding_amount": 51},
        {"refunded_amount": 51},
        {"refunding_amount": -1},
        {"refunded_amount": -1},
    ),
}


def columns(table: str) -> dict[str, str]:
    """Find what has to be said of a row: each column that may not be empty, with its type."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
            WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
                AND attnotnull AND NOT atthasdef AND attidentity = ''
            """,
            [table],
        )
        return dict(cursor.fetchall())


def insert(table: str, said: Mapping[str, Any]) -> None:
    row = {name: _OF_TYPE.get(kind, str)() for name, kind in columns(table).items()}
    row |= {**ROWS.get(table, {}), **said}
    names = ", ".join(f'"{name}"' for name in row)
    with connection.cursor() as cursor:
        if table in ONE_ROW:
            with as_owner():
                cursor.execute(f"DELETE FROM {table}")
        places = ", ".join(["%s"] * len(row))
        cursor.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", list(row.values()))


def cases() -> Iterator[Any]:
    for name, refused in REFUSED.items():
        if isinstance(refused, Twice):
            yield pytest.param(name, refused.first, refused.first | refused.second, id=name)
            continue
        for by in refused.by:
            yield pytest.param(name, {}, by, id=f"{name}: {', '.join(by)}")


@pytest.mark.parametrize(("name", "first", "then"), list(cases()))
def test_the_database_itself_refuses_what_breaks(name, first, then):
    known, refused = constraints(), REFUSED[name]
    table = known[name].table

    with transaction.atomic():
        insert(table, first)
        if isinstance(refused, Broken) and refused.without:
            with as_owner(), connection.cursor() as cursor:
                cursor.execute(known[refused.without].drop)
        with pytest.raises(IntegrityError) as refusal, transaction.atomic():
            insert(table, then)
        transaction.set_rollback(True)

    cause = refusal.value.__cause__
    assert isinstance(cause, psycopg.errors.CheckViolation | psycopg.errors.UniqueViolation)
    assert cause.diag.constraint_name == name


def test_every_check_and_every_unique_constraint_of_ours_is_tried():
    ours = {name for name, each in constraints().items() if each.kind in {CHECK, UNIQUE}}

    assert set(REFUSED) == ours
