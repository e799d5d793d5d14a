"""What is written once stays as it was written: triggers refuse any other change to everybody."""

from collections.abc import Iterator

import pytest
from django.db import IntegrityError, connection, transaction

from inventory.services import booking, deliveries
from inventory.services import stock as inventory
from orders.services import returns
from orders.services.returns import TakenBack
from tests.factories import MERCHANT, delivery, product, shipped_order
from tests.roles import as_owner
from tests.tampering import another, columns

pytestmark = pytest.mark.django_db(transaction=True)

# Of each table: what may be said of a row later, by which it then stays as it is.
MAY_BE_SAID = {
    "inventory_stockcount": "withdrawn_at = now(), withdrawn_sequence = 3",
    "orders_shipment": "undone_at = now()",
    "orders_shipmentline": "",
    "orders_return": "",
    "orders_returnline": "settled_as = 'discarded', settled_at = now()",
}


@pytest.fixture(autouse=True)
def _shop() -> None:
    """One row of each of these tables, and a delivery that is booked."""
    shirt = product(9, sku="SHIRT")
    inventory.count(shirt.pk, 8, actor=MERCHANT)
    order = shipped_order({shirt: 4})
    [line] = order.items.all()
    returns.take_back(order.pk, [TakenBack(line.pk, 2, "inspection")], actor=MERCHANT)
    coming = delivery(number="D-1")
    deliveries.scan(coming.pk, "SHIRT", 5)
    booking.book(coming.pk, actor=MERCHANT)


def _refused(statement: str) -> bool:
    with as_owner(), connection.cursor() as cursor:
        try:
            with transaction.atomic():
                cursor.execute(statement)
                assert cursor.rowcount, "there is no such row"
                transaction.set_rollback(True)
        except IntegrityError as error:
            return "its rows are kept as they are" in str(error)
    return False


def _others(table: str) -> Iterator[str]:
    """Say something else of each column of which nothing may be said later."""
    said = MAY_BE_SAID[table]
    for column, kind in columns(table).items():
        if f"{column} =" not in said:
            yield f"{column} = {another(column, kind)}"


@pytest.mark.parametrize("table", MAY_BE_SAID)
def test_f36_nothing_of_what_is_written_once_is_rewritten_or_deleted(table):
    changes = list(_others(table))

    assert changes
    assert [each for each in changes if not _refused(f"UPDATE {table} SET {each}")] == []
    assert _refused(f"DELETE FROM {table}")


@pytest.mark.tampers_with_the_books
@pytest.mark.parametrize("table", [table for table, said in MAY_BE_SAID.items() if said])
def test_what_may_be_said_later_is_said_once_and_alone(table):
    said = MAY_BE_SAID[table]
    never = said.replace("now()", "NULL").replace("'discarded'", "''").replace("= 3", "= NULL")

    assert not _refused(f"UPDATE {table} SET {said}")
    also = [each for each in _others(table) if not _refused(f"UPDATE {table} SET {said}, {each}")]
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {said}")

    assert also == []
    assert _refused(f"UPDATE {table} SET {said}")
    assert _refused(f"UPDATE {table} SET {never}")
    assert _refused(f"DELETE FROM {table}")


def test_of_what_is_inspected_some_may_be_settled_and_never_more():
    settled = MAY_BE_SAID["orders_returnline"]

    assert not _refused(f"UPDATE orders_returnline SET quantity = 1, {settled}")
    assert _refused(f"UPDATE orders_returnline SET quantity = 3, {settled}")


def test_what_of_a_delivery_is_in_stock_is_kept_until_its_booking_is_undone():
    line = "inventory_deliveryline"
    changes = [
        f"{name} = {another(name, kind)}"
        for name, kind in columns(line).items()
        if name != "entries"
    ]

    assert [each for each in changes if not _refused(f"UPDATE {line} SET {each}")] == []
    assert _refused(f"DELETE FROM {line}")
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {line} SET entries = entries || 9")

    assert not any(_refused(f"UPDATE {line} SET {each}") for each in changes)
    assert not _refused(f"DELETE FROM {line}")


@pytest.mark.parametrize("entries", ["'{}'", "ARRAY[entries[1] + 1]", "9::bigint || entries"])
def test_no_entry_that_a_delivery_has_made_is_forgotten(entries):
    assert _refused(f"UPDATE inventory_deliveryline SET entries = {entries}")


@pytest.mark.parametrize("table", [*MAY_BE_SAID, "inventory_deliveryline"])
def test_t43_none_of_these_tables_is_emptied_at_once(table):
    assert _refused(f"TRUNCATE {table} CASCADE")
