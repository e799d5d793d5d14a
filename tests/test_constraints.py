"""Every constraint of the database: which refusal stands for it, or why no client can reach it."""

import re

import pytest
from django.db import connection

# All the apps' refusals are loaded with it.
import config.urls  # noqa: F401
from tests.api.test_errors import refusals

NEVER_DELETED = "Nothing deletes the row referred to: {} are kept for good."
PRODUCTS = NEVER_DELETED.format("products are archived and")
ORDERS = NEVER_DELETED.format("orders and their payments")
OWN_ID = "We make the id, of 74 random bits."
WRITTEN_ON_CONFLICT = "The statement that inserts says what to do with a row that is there."
BY_MIGRATION = "Migrations alone make these rows."
UNDER_LOCK = "Only written under the {}, after a look at what is there."
CARTS_LOCK = UNDER_LOCK.format("cart's lock")
ORDERS_LOCK = UNDER_LOCK.format("order's lock")
STOCKS_LOCK = UNDER_LOCK.format("stock's lock")
SERIALIZER = "The serializers and forms refuse such a value, by its field."
COUNTED = "Only ever counted up, by us."

UNREACHABLE = {
    "api_apiclient.pkey": OWN_ID,
    "api_apiclient.version >= 0": COUNTED,
    "api_callcount.pkey": WRITTEN_ON_CONFLICT,
    "api_callcount.calls >= 0": COUNTED,
    "api_idempotencykey.pkey": WRITTEN_ON_CONFLICT,
    "api_idempotencykey.status >= 0": "It is the status of an answer.",
    "api_storesettings.pkey": WRITTEN_ON_CONFLICT,
    "api_storesettings.id >= 0": "There is one row, and no body names its id.",
    "api_storesettings.store_settings_one_row": "There is one row, and no body names its id.",
    "api_storesettings.store_settings_within_limits": SERIALIZER,
    "api_storesettings.cart_expiry_days >= 0": SERIALIZER,
    "api_storesettings.page_length >= 0": SERIALIZER,
    "api_storesettings.low_stock_threshold >= 0": SERIALIZER,
    "inventory_countfile.pkey": OWN_ID,
    "inventory_countfile.count_file_once": WRITTEN_ON_CONFLICT,
    "inventory_countline.pkey": "A sequence.",
    "inventory_countline.count_line_numbered": "The lines of a file are numbered as they are read.",
    "inventory_countline.file_id -> inventory_countfile": "Made with their file, in one "
    "transaction, and deleted with it, under its lock.",
    "api_storesettings.unpaid_order_expiry_hours >= 0": SERIALIZER,
    "api_storesettings.partly_paid_order_expiry_hours >= 0": SERIALIZER,
    "inventory_currency.pkey": OWN_ID,
    "inventory_currency.currency_at_most_4_decimal_places": SERIALIZER,
    "inventory_currency.decimal_places >= 0": SERIALIZER,
    "inventory_currency.currency_one_default": UNDER_LOCK.format("lock of all currencies"),
    "inventory_location.pkey": BY_MIGRATION,
    "inventory_location.inventory_location_slug_key": BY_MIGRATION,
    "inventory_price.pkey": "A sequence.",
    "inventory_price.price_not_negative": SERIALIZER,
    "inventory_price.price_once_a_currency": "One body names a currency once, and a product's "
    "prices are replaced under its lock.",
    "inventory_price.product_id -> inventory_product": PRODUCTS,
    "inventory_product.pkey": OWN_ID,
    "inventory_product.low_stock_threshold >= 0": SERIALIZER,
    "inventory_stock.pkey": OWN_ID,
    "inventory_stock.location_id -> inventory_location": BY_MIGRATION,
    "inventory_stock.product_id -> inventory_product": PRODUCTS,
    "inventory_stock.stock_once_a_product_and_location": "Made with its product, and never again.",
    "inventory_stock.stock_held_within_allocated": STOCKS_LOCK,
    "inventory_stock.stock_unmanaged_is_empty": STOCKS_LOCK,
    "inventory_stocktransaction.pkey": OWN_ID,
    "inventory_stocktransaction.stock_transaction_counted_by_hand": STOCKS_LOCK,
    "inventory_stocktransaction.stock_transaction_known_action": SERIALIZER,
    "inventory_stocktransaction.stock_transaction_positive": SERIALIZER,
    "inventory_stocktransaction.stock_transaction_numbered": STOCKS_LOCK,
    "orders_auditresult.pkey": WRITTEN_ON_CONFLICT,
    "orders_auditresult.id >= 0": "There is one row, which no client writes.",
    "orders_auditresult.audit_result_one_row": "There is one row, which no client writes.",
    "orders_auditresult.differences >= 0": "It is the length of a list.",
    "orders_cart.pkey": WRITTEN_ON_CONFLICT,
    "orders_cartitem.pkey": OWN_ID,
    "orders_cartitem.cart_id -> orders_cart": "Whoever adds holds the cart's lock, for which "
    "whoever deletes the cart waits.",
    "orders_cartitem.product_id -> inventory_product": PRODUCTS,
    "orders_cartitem.cart_line_once": CARTS_LOCK,
    "orders_cartitem.cart_item_quantity_positive": "A line of no units is removed.",
    "orders_cartitem.cart_item_is_product_or_priced": SERIALIZER,
    "orders_order.pkey": OWN_ID,
    "orders_order.currency -> inventory_currency": "The locked cart refers to the same currency.",
    "orders_order.orders_order_number_key": "A sequence.",
    "orders_order.order_money_not_negative": ORDERS_LOCK,
    "orders_order.order_never_overpaid": ORDERS_LOCK,
    "orders_order.order_refunded_within_captured": ORDERS_LOCK,
    "orders_order.order_attempts_not_negative": ORDERS_LOCK,
    "orders_order.order_never_cancelled_and_shipped": ORDERS_LOCK,
    "orders_orderevent.pkey": OWN_ID,
    "orders_orderevent.order_id -> orders_order": ORDERS,
    "orders_orderitem.pkey": OWN_ID,
    "orders_orderitem.order_id -> orders_order": ORDERS,
    "orders_orderitem.product_id -> inventory_product": PRODUCTS,
    "orders_orderitem.order_line_once": "Numbered by the one checkout that writes them.",
    "orders_orderitem.position >= 0": COUNTED,
    "orders_orderitem.order_item_sane": "Copied from a cart, whose own constraints say it.",
    "orders_orderitem.order_item_holds_at_most_its_quantity": ORDERS_LOCK,
    "orders_orderitem.order_item_returned_within_shipped": ORDERS_LOCK,
    "orders_orderitem.order_item_without_product_holds_none": ORDERS_LOCK,
    "payments_attempt.pkey": OWN_ID,
    "payments_attempt.payment_id -> payments_payment": ORDERS,
    "payments_attempt.attempt_one_capture_or_void_at_a_time": ORDERS_LOCK,
    "payments_gateway.pkey": BY_MIGRATION,
    "payments_gatewayevent.pkey": WRITTEN_ON_CONFLICT,
    "payments_gatewayevent.payment_id -> payments_payment": ORDERS,
    "payments_payment.pkey": OWN_ID,
    "payments_payment.order_id -> orders_order": ORDERS,
    "payments_payment.payment_captured_within_amount": ORDERS_LOCK,
    "payments_payment.payment_refunds_within_captured": ORDERS_LOCK,
}

_CONSTRAINTS = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE contype IN ('p', 'u', 'f', 'c', 'x')
UNION
SELECT indrelid::regclass::text, indexrelid::regclass::text, '' FROM pg_index WHERE indisunique
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
"""


def constraints() -> dict[str, str]:
    """Find the constraints of our own tables: by table and meaning, with their names."""
    with connection.cursor() as cursor:
        cursor.execute(_CONSTRAINTS)
        rows = cursor.fetchall()
    ours = re.compile("(api|inventory|orders|payments)_")
    return {_told(*row): row[1] for row in rows if ours.match(row[0])}


def _told(table: str, name: str, definition: str) -> str:
    """Tell by its meaning what only Django has named."""
    if refers := re.match(r"FOREIGN KEY \((\w+)\) REFERENCES (\w+)", definition):
        return f"{table}.{refers[1]} -> {refers[2]}"
    if definition.startswith("PRIMARY KEY"):
        return f"{table}.pkey"
    if name.endswith("_check") and (check := re.search(r'\(\("?(\w+)"? (>= 0)\)\)', definition)):
        return f"{table}.{check[1]} {check[2]}"
    return f"{table}.{name}"


@pytest.mark.django_db
def test_every_constraint_has_its_refusal_or_a_reason_why_nobody_meets_it():
    found = constraints()
    named = {refusal.constraint for refusal in refusals() if refusal.constraint}

    unnamed = {told for told, name in found.items() if name not in named}

    assert unnamed == UNREACHABLE.keys()
    assert named <= set(found.values())
