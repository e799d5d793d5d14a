"""Every constraint of the database: which refusal stands for it, or why no client can reach it."""

import re

import pytest
from django.db import connection

# All the apps' refusals are loaded with it.
import config.urls  # noqa: F401
from tests.api.test_errors import refusals

# Grouped by why no client reaches them.
UNREACHABLE = {
    # Both are set in one place.
    "inventory_product.product_cost_in_a_currency",
    # We make the id, of 74 random bits.
    "api_apiclient.pkey",
    "inventory_category.pkey",
    "inventory_sheet.pkey",
    "inventory_currency.pkey",
    "inventory_delivery.pkey",
    "inventory_picture.pkey",
    "inventory_parent.pkey",
    "inventory_product.pkey",
    "inventory_stock.pkey",
    "inventory_stockcount.pkey",
    "inventory_stocktake.pkey",
    "inventory_stocktransaction.pkey",
    "orders_cartitem.pkey",
    "orders_customernote.pkey",
    "orders_order.pkey",
    "orders_orderevent.pkey",
    "orders_orderitem.pkey",
    "orders_return.pkey",
    "orders_returnline.pkey",
    "orders_shipment.pkey",
    "orders_shipmentline.pkey",
    "payments_attempt.pkey",
    "payments_payment.pkey",
    # Only ever counted up, by us.
    "api_apiclient.version >= 0",
    "api_callcount.calls >= 0",
    "inventory_sheet.failures >= 0",
    "orders_orderitem.position >= 0",
    # The statement that inserts says what to do with a row that is there.
    "api_callcount.pkey",
    "api_change.pkey",
    "api_idempotencykey.pkey",
    "api_jobworker.pkey",
    "api_storesettings.pkey",
    "inventory_sheet.sheet_once",
    "inventory_stockcheckpoint.pkey",
    "orders_auditresult.pkey",
    "orders_cart.pkey",
    "payments_gatewayevent.pkey",
    "payments_installation.pkey",
    # The operating system's number of a process.
    "api_jobworker.process >= 0",
    # It is the status of an answer.
    "api_idempotencykey.status >= 0",
    # There is one row, and no body names its id.
    "api_storesettings.id >= 0",
    "api_storesettings.store_settings_one_row",
    # The serializers and forms refuse such a value, by its field.
    "api_storesettings.store_settings_within_limits",
    "api_storesettings.cart_expiry_days >= 0",
    "api_storesettings.page_length >= 0",
    "api_storesettings.low_stock_threshold >= 0",
    "api_storesettings.unpaid_order_expiry_hours >= 0",
    "api_storesettings.partly_paid_order_expiry_hours >= 0",
    "inventory_currency.currency_at_most_4_decimal_places",
    "inventory_currency.decimal_places >= 0",
    "inventory_price.price_not_negative",
    "inventory_product.product_cost_not_negative",
    "inventory_product.low_stock_threshold >= 0",
    "inventory_stocktransaction.stock_transaction_known_action",
    "inventory_stocktransaction.stock_transaction_positive",
    "orders_cartitem.cart_item_is_product_or_priced",
    # A sequence.
    "inventory_countline.pkey",
    "inventory_productline.pkey",
    "inventory_deliveryline.pkey",
    "inventory_price.pkey",
    "inventory_productpicture.pkey",
    "inventory_stocktakeline.pkey",
    "inventory_product_categories.pkey",
    "orders_order.orders_order_number_key",
    # The lines of a file are numbered as they are read.
    "inventory_countline.count_line_numbered",
    "inventory_productline.product_line_numbered",
    # Made with their file, in one transaction, and deleted with it, under its lock.
    "inventory_countline.sheet_id -> inventory_sheet",
    "inventory_productline.sheet_id -> inventory_sheet",
    "inventory_sheetcontent.pkey",
    "inventory_sheetcontent.sheet_id -> inventory_sheet",
    # Written by a statement that says what to do with a row that is there.
    "inventory_sheetlayout.pkey",
    # Only written under the delivery's lock, after a look at what is there.
    "inventory_deliveryline.delivery_id -> inventory_delivery",
    "inventory_deliveryline.delivery_line_not_negative",
    "inventory_deliveryline.delivery_line_once",
    # And so under the stocktake's.
    "inventory_stocktakeline.stocktake_id -> inventory_stocktake",
    "inventory_stocktakeline.stocktake_line_counted_at_a_moment",
    "inventory_stocktakeline.stocktake_line_once",
    # Made in the same transaction; whoever deletes a sheet empties it here before.
    "inventory_stocktake.sheet_id -> inventory_sheet",
    # Made with it, under the lock of the delivery that it follows, which is not deleted before it.
    "inventory_delivery.follows_id -> inventory_delivery",
    # Only written and deleted under the lock of the tree, after a look at what is there.
    "inventory_category.parent_id -> inventory_category",
    "inventory_product_categories.category_id -> inventory_category",
    "inventory_product_categories.inventory_product_catego_product_id_category_id_3feacc79_uniq",
    # Only written under the lock of all currencies, after a look at what is there.
    "inventory_currency.currency_one_default",
    # Migrations alone make these rows.
    "inventory_location.pkey",
    "inventory_location.inventory_location_slug_key",
    "inventory_stock.location_id -> inventory_location",
    "orders_cartitem.location -> inventory_location",
    "orders_orderitem.location -> inventory_location",
    "payments_gateway.pkey",
    # One body names a currency once, and a product's prices are replaced under its lock.
    "inventory_price.price_once_a_currency",
    # Numbers of pixels and bytes.
    "inventory_picture.height >= 0",
    "inventory_picture.size >= 0",
    "inventory_picture.width >= 0",
    # Whoever meets it looks again, and finds the picture of the same content.
    "inventory_picture.inventory_picture_sha256_key",
    # Only written under the product's lock, after a look at what is there.
    "inventory_productpicture.position >= 0",
    "inventory_productpicture.product_picture_once_a_picture",
    "inventory_productpicture.product_picture_once_a_position",
    # Whoever adds locks the picture, for which whoever deletes it waits.
    "inventory_productpicture.picture_id -> inventory_picture",
    # Nothing deletes the row referred to: products are archived and are kept for good.
    "inventory_deliveryline.product_id -> inventory_product",
    "inventory_price.product_id -> inventory_product",
    "inventory_productpicture.product_id -> inventory_product",
    "inventory_product.parent_id -> inventory_parent",
    "inventory_product_categories.product_id -> inventory_product",
    "inventory_stock.product_id -> inventory_product",
    "inventory_stocktakeline.product_id -> inventory_product",
    "orders_cartitem.product_id -> inventory_product",
    "orders_orderitem.product_id -> inventory_product",
    # Made with its product, and never again.
    "inventory_stock.stock_once_a_product_and_location",
    # Only written under the stock's lock, after a look at what is there.
    "inventory_stock.stock_held_within_allocated",
    "inventory_stock.stock_unmanaged_is_empty",
    "inventory_stocktransaction.stock_transaction_effective_by_then",
    "inventory_stocktransaction.stock_transaction_numbered",
    # There is one row, which no client writes.
    "orders_auditresult.id >= 0",
    "orders_auditresult.audit_result_known_kind",
    # It is the length of a list.
    "orders_auditresult.differences >= 0",
    # Whoever adds holds the cart's lock, for which whoever deletes the cart waits.
    "orders_cartitem.cart_id -> orders_cart",
    # Only written under the cart's lock, after a look at what is there.
    "orders_cartitem.cart_line_once",
    # A line of no units is removed.
    "orders_cartitem.cart_item_quantity_positive",
    # The locked cart refers to the same currency.
    "orders_order.currency -> inventory_currency",
    # Only written under the order's lock, after a look at what is there.
    "orders_order.order_money_not_negative",
    "orders_order.order_never_overpaid",
    "orders_order.order_refunded_within_captured",
    "orders_order.order_attempts_not_negative",
    "orders_order.order_never_cancelled_and_shipped",
    "orders_orderitem.order_item_holds_at_most_its_quantity",
    "orders_orderitem.order_item_returned_within_shipped",
    "orders_orderitem.order_item_without_product_holds_none",
    "orders_orderitem.order_item_stocked_adds_up",
    "orders_order.order_shipped_by_shipments",
    "orders_shipment.shipment_numbered",
    "orders_shipment.shipment_number_positive",
    "orders_shipmentline.shipment_line_once",
    "orders_shipmentline.shipment_line_positive",
    "orders_return.return_numbered",
    "orders_return.return_number_positive",
    "orders_returnline.return_line_positive",
    "orders_returnline.return_line_known_disposition",
    "orders_returnline.return_line_settled_after_inspection",
    "payments_attempt.attempt_one_capture_or_void_at_a_time",
    "payments_attempt.attempt_of_a_known_kind",
    "payments_payment.payment_captured_as_its_status_says",
    "payments_payment.payment_captured_some_time",
    "payments_payment.payment_captured_within_amount",
    "payments_payment.payment_refunds_within_captured",
    # Nothing deletes the row referred to: orders and their payments are kept for good.
    "orders_orderevent.order_id -> orders_order",
    "orders_orderitem.order_id -> orders_order",
    "orders_return.order_id -> orders_order",
    "orders_returnline.item_id -> orders_orderitem",
    "orders_returnline.of_return_id -> orders_return",
    "orders_shipment.order_id -> orders_order",
    "orders_shipmentline.item_id -> orders_orderitem",
    "orders_shipmentline.shipment_id -> orders_shipment",
    "payments_attempt.payment_id -> payments_payment",
    "payments_gatewayevent.payment_id -> payments_payment",
    "payments_payment.order_id -> orders_order",
    # Numbered by the one checkout that writes them.
    "orders_orderitem.order_line_once",
    # Copied from a cart, whose own constraints say it.
    "orders_orderitem.order_item_sane",
}

_CONSTRAINTS = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE contype IN ('p', 'u', 'f', 'c', 'x')
UNION
SELECT indrelid::regclass::text, indexrelid::regclass::text, '' FROM pg_index WHERE indisunique
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
"""


def constraints(of_apps: str) -> dict[str, str]:
    """Find the constraints of these apps' tables: by table and meaning, with their names."""
    with connection.cursor() as cursor:
        cursor.execute(_CONSTRAINTS)
        rows = cursor.fetchall()
    theirs = re.compile(f"({of_apps})_")
    return {_told(*row): row[1] for row in rows if theirs.match(row[0])}


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
    found = constraints("api|inventory|orders|payments")
    named = {refusal.constraint for refusal in refusals() if refusal.constraint}

    unnamed = {told for told, name in found.items() if name not in named}

    assert unnamed == UNREACHABLE
    # Django's own tables are written by a few of our services, too.
    assert named <= {*found.values(), *constraints("auth").values()}
