"""That each trigger tells what it is there for: without it, nobody would."""

import json
import uuid
from typing import Any

import pytest
from django.db import connection

from api.models import StoreSettings
from events.models import Outbox
from inventory.models import Action, Picture, ProductPicture
from inventory.services import stock
from orders.models import ReturnLine
from orders.services import carts, returns
from orders.services.returns import TakenBack
from payments.services import payments
from tests.events.telling import told_to
from tests.factories import MERCHANT, filled_cart, product, shipped_order

pytestmark = pytest.mark.django_db


def execute(sql: str, *parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def another(table: str, where: str = "true", **other: Any) -> None:
    """Insert a row like one that there is, but for this."""
    execute(
        f"INSERT INTO {table} SELECT (jsonb_populate_record(row, %s::jsonb)).* "
        f"FROM {table} AS row WHERE {where} LIMIT 1",
        json.dumps({"id": str(uuid.uuid4()), **other}),
    )


# What each one tells that is there, in the order in which it is tried here.
TOLD_BY = {
    "created_settings_are_told": "settings.created",
    "changed_settings_are_told": "settings.updated",
    "created_integration_is_told": "integration.created",
    "changed_integration_is_told": "integration.updated",
    "deleted_integration_is_told": "integration.deleted",
    "entries_are_told": "stock",
    "created_product_is_told": "product.created",
    "changed_product_is_told": "product.updated",
    "archived_product_is_told": "product.deleted",
    "restored_product_is_told": "product.created",
    "deleted_product_is_told": "product.deleted",
    "changed_price_is_told": "product.updated",
    "new_price_is_told": "product.updated",
    "moved_picture_is_told": "product.updated",
    "shown_picture_is_told": "product.updated",
    "managing_is_told": "product.updated",
    "new_picture_is_told": "file.created",
    "deleted_picture_is_told": "file.deleted",
    "new_currency_is_told": "currency.created",
    "changed_currency_is_told": "currency.updated",
    "deleted_currency_is_told": "currency.deleted",
    "changed_cart_is_told": "cart.updated",
    "deleted_cart_is_told": "cart.deleted",
    "created_order_is_told": "order.created",
    "changed_order_is_told": "order.updated",
    "free_item_is_told": "order.updated",
    "changed_item_is_told": "order.updated",
    "removed_item_is_told": "order.updated",
    "shipment_is_told": "shipment.created",
    "undone_shipment_is_told": "shipment.updated",
    "return_is_told": "return.created",
    "settled_return_is_told": "return.updated",
    "created_payment_is_told": "transaction.created",
    "changed_payment_is_told": "transaction.updated",
    "attempt_is_told": "transaction.updated",
    "ended_attempt_is_told": "transaction.updated",
    "changed_gateway_is_told": "payment-gateway.updated",
}
TRIGGERS = """
SELECT tgname FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
WHERE NOT tgisinternal AND pg_get_functiondef(pg_proc.oid) LIKE '%INSERT INTO events_outbox%'
"""


@pytest.mark.tampers_with_the_books
def test_f40_each_trigger_tells_what_no_other_one_does():
    shirt, empty = product(stock=10), product()
    cart_id = filled_cart({shirt: 1})
    order = shipped_order({shirt: 2})
    [item] = order.items.all()
    returns.take_back(order.pk, [TakenBack(item.pk, 1, "inspection")], actor=MERCHANT)
    payment = order.payments.get()
    payments.refund(order.pk, payment.pk, amount=1, actor=MERCHANT)
    told_to()
    picture = Picture.objects.create(
        name="A", sha256="a", size=1, width=1, height=1, created_at=order.created_at
    )
    ProductPicture.objects.create(product=shirt, picture=picture, position=0)
    StoreSettings.objects.all().delete()

    def archive(archived_at: str) -> None:
        execute(f"UPDATE inventory_product SET archived_at = {archived_at} WHERE id = %s", shirt.pk)

    new, mug, other, free = (str(uuid.uuid4()) for _ in range(4))
    line = ReturnLine.objects.get()
    steps = {
        "created_settings_are_told": lambda: StoreSettings.objects.create(),
        "changed_settings_are_told": lambda: StoreSettings.objects.update(page_length=7),
        "created_integration_is_told": lambda: another("events_integration", id=new),
        "changed_integration_is_told": lambda: execute("UPDATE events_integration SET name = 'B'"),
        "deleted_integration_is_told": lambda: execute(
            "DELETE FROM events_integration WHERE id = %s", new
        ),
        "entries_are_told": lambda: stock.record(shirt.pk, Action.INCREMENT, 1, actor=MERCHANT),
        "created_product_is_told": lambda: another(
            "inventory_product", id=mug, sku="MUG", slug="mug", barcode=""
        ),
        "changed_product_is_told": lambda: execute("UPDATE inventory_product SET name = 'B'"),
        "archived_product_is_told": lambda: archive("now()"),
        "restored_product_is_told": lambda: archive("NULL"),
        "deleted_product_is_told": lambda: execute(
            "DELETE FROM inventory_product WHERE id = %s", mug
        ),
        "changed_price_is_told": lambda: execute("UPDATE inventory_price SET amount = 7"),
        "new_price_is_told": lambda: execute("DELETE FROM inventory_price"),
        "moved_picture_is_told": lambda: execute(
            "UPDATE inventory_productpicture SET position = 1"
        ),
        "shown_picture_is_told": lambda: execute("DELETE FROM inventory_productpicture"),
        "managing_is_told": lambda: execute(
            "UPDATE inventory_stock SET managed = false WHERE product_id = %s", empty.pk
        ),
        "new_picture_is_told": lambda: another("inventory_picture", sha256="b"),
        "deleted_picture_is_told": lambda: execute("DELETE FROM inventory_picture"),
        "new_currency_is_told": lambda: another("inventory_currency", code="XXX", default=False),
        "changed_currency_is_told": lambda: execute(
            "UPDATE inventory_currency SET exchange_rate = 7 WHERE code = 'XXX'"
        ),
        "deleted_currency_is_told": lambda: execute(
            "DELETE FROM inventory_currency WHERE code = 'XXX'"
        ),
        "changed_cart_is_told": lambda: execute("UPDATE orders_cart SET name = 'B'"),
        "deleted_cart_is_told": lambda: carts.delete(cart_id),
        "created_order_is_told": lambda: another("orders_order", id=other, number=7_777_777),
        "changed_order_is_told": lambda: execute(
            "UPDATE orders_order SET customer_name = 'B' WHERE id = %s", other
        ),
        "free_item_is_told": lambda: another(
            "orders_orderitem", id=free, order_id=other, unit_price=0, position=1
        ),
        "changed_item_is_told": lambda: execute(
            "UPDATE orders_orderitem SET name = 'B' WHERE id = %s", free
        ),
        "removed_item_is_told": lambda: execute("DELETE FROM orders_orderitem WHERE id = %s", free),
        "shipment_is_told": lambda: another("orders_shipment", number=7),
        "undone_shipment_is_told": lambda: execute("UPDATE orders_shipment SET undone_at = now()"),
        "return_is_told": lambda: another("orders_return", number=7),
        "settled_return_is_told": lambda: returns.settle_inspected(
            order.pk, line.pk, "discarded", actor=MERCHANT
        ),
        "created_payment_is_told": lambda: another("payments_payment", reference="B"),
        "changed_payment_is_told": lambda: execute("UPDATE payments_payment SET name = 'B'"),
        "attempt_is_told": lambda: another("payments_attempt", status="pending"),
        "ended_attempt_is_told": lambda: execute("UPDATE payments_attempt SET status = 'failed'"),
        "changed_gateway_is_told": lambda: execute(
            "UPDATE payments_gateway SET name = 'B' WHERE slug = 'test'"
        ),
    }
    told: dict[str, set[str]] = {}
    for name, act in steps.items():
        Outbox.objects.all().delete()
        act()
        told[name] = {
            f"{row.kind}.{change}" if change else row.kind
            for row in Outbox.objects.all()
            for change in row.changes or [""]
        }
    with connection.cursor() as cursor:
        cursor.execute(TRIGGERS)
        assert set(TOLD_BY) == set(steps) == {name for (name,) in cursor.fetchall()}
    assert {name for name, what in TOLD_BY.items() if what not in told[name]} == set()
