"""Of every column of the books: whether the whole audit names what is said of it instead.

Each is changed alone, by somebody whom no trigger stops. What is neither named nor refused by a
constraint stands here with the reason. So does a new column, once somebody has decided.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from django.db import IntegrityError, connection, transaction

from api import clock
from inventory.models import Action, Currency, Location, Stock
from inventory.services import stock as inventory
from orders.models import Order
from orders.services import returns, shipments
from orders.services.returns import TakenBack
from payments.models import Payment
from payments.services import audit, payments
from payments.services.payments import PaymentRequest
from tests.factories import MERCHANT, product, unpaid_order
from tests.tampering import another, columns, tampering

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.thorough]

# What is not tried, since it says who, when, why and by which name, and neither units nor money.
_WHO = ("id", "actor_kind", "actor_id", "actor_name")
_OF_AN_ORDER = (
    *("id", "number", "order_number", "cart_id", "external_ref", "placed_from", "found_by"),
    *("customer_name", "customer_email", "billing_address", "shipping_address"),
    *("custom_attributes", "shipped_at", "created_at", "updated_at", "left_be_at"),
)
_OF_A_PAYMENT = (
    *(*_WHO, "gateway", "token", "reference", "name", "custom_reference", "failure", "action"),
    *("charging_until", "queued_until", "created_at", "updated_at"),
)
WORDS: Mapping[str, tuple[str, ...]] = {
    "inventory_stock": ("id",),
    "inventory_stocktransaction": (*_WHO, "reason"),
    "inventory_stockcount": (*_WHO, "recorded_at", "line_id"),
    "orders_order": _OF_AN_ORDER,
    "orders_orderitem": ("id", "cart_item_id", "position", "name", "sku", "custom_inputs"),
    "orders_shipment": (*_WHO, "number", "carrier", "tracking", "created_at"),
    "orders_shipmentline": ("id",),
    "orders_return": (*_WHO, "number", "reason", "created_at"),
    "orders_returnline": ("id",),
    "payments_payment": _OF_A_PAYMENT,
    "payments_attempt": (
        *(*_WHO, "reference", "reason", "failure"),
        *("charging_until", "created_at", "updated_at"),
    ),
}


@dataclass(frozen=True)
class Row:
    """A row, what is said of it instead, and of which columns nobody notices that, and why."""

    table: str
    where: str
    # Of what it takes more for than another number, moment or word.
    said: Mapping[str, str] = field(default_factory=dict)
    unseen: Mapping[str, str] = field(default_factory=dict)


_PAID = "(SELECT id FROM orders_order WHERE fully_paid_at IS NOT NULL)"
_UNPAID = (
    "(SELECT id FROM orders_order WHERE fully_paid_at IS NULL AND authorized = 0 AND pending = 0)"
)
_OTHER_PRODUCT = "(SELECT id FROM inventory_product WHERE sku = 'CAP')"
_OTHER_STOCK = "(SELECT id FROM inventory_stock WHERE id <> stock_id LIMIT 1)"
_OTHER_ITEM = (
    "(SELECT other.id FROM orders_orderitem AS other "
    "JOIN orders_orderitem AS item USING (order_id) "
    "WHERE item.id = item_id AND other.id <> item.id)"
)
_OTHER_RETURN = "(SELECT id FROM orders_return WHERE number = 2)"

_NO_CURRENCY = "no sum is compared across currencies"
_ENTRY = {
    "sequence": "sequence + 100",
    "action": "'increment'",
    "created_at": "created_at + interval '1 hour'",
    "effective_at": "created_at - interval '1 hour'",
    "stock_id": _OTHER_STOCK,
    "order_id": _UNPAID,
}
_BY_HAND = "no order's units are counted by an entry by hand"
_BY_WHOM = "what is taken away or added is so, whether by hand or by an order"
_NO_COUNT = "no count speaks of the moments in between"
STOCK = {
    "a stock": Row(
        "inventory_stock",
        "sequence > 9",
        {
            "product_id": _OTHER_PRODUCT,
            "location_id": "(SELECT id FROM inventory_location WHERE slug = 'other')",
        },
        {"location_id": "there is one location so far"},
    ),
    "an entry by hand": Row(
        "inventory_stocktransaction",
        "action = 'allocate' AND quantity = 3",
        _ENTRY,
        {"order_id": _BY_HAND, "effective_at": _NO_COUNT},
    ),
    "an entry of an order": Row(
        "inventory_stocktransaction",
        "action = 'decrement' AND quantity = 3",
        _ENTRY,
        {"by_order": _BY_WHOM, "effective_at": _NO_COUNT},
    ),
    "a count's correction": Row(
        "inventory_stocktransaction",
        "reason = 'count of 38'",
        _ENTRY,
        {"by_order": _BY_WHOM, "order_id": _BY_HAND},
    ),
    "a count": Row(
        "inventory_stockcount",
        "true",
        {"stock_id": _OTHER_STOCK},
        {
            "withdrawn_at": "whoever may withdraw counts could withdraw this one",
            "withdrawn_sequence": "nothing looks for what has withdrawn a count",
        },
    ),
}

_ORDER = {"status": "'processing'", "shipping": "'fulfilled'", "currency": "'EUR'"}
_WHICH_RETURN = "a line of a return comes back with its order's line, whatever the return says"
_BECAME = "which entry of the log a line of a return has made is not written down"
ORDERS = {
    "a paid order": Row(
        "orders_order",
        f"id = {_PAID}",
        {
            **_ORDER,
            "payment": "'unpaid'",
            "captured": "captured - 1",
            "allocated_at": "NULL",
            "fully_paid_at": "NULL",
        },
        {"currency": _NO_CURRENCY},
    ),
    "an unpaid order": Row(
        "orders_order",
        f"id = {_UNPAID}",
        {**_ORDER, "payment": "'paid'"},
        {"currency": _NO_CURRENCY},
    ),
    "a line": Row(
        "orders_orderitem",
        "quantity = 5",
        {"product_id": _OTHER_PRODUCT, "order_id": _UNPAID},
        {
            "includes_tax": "is told, and calculated with by nobody",
            "location": "there is one location so far",
        },
    ),
    "a shipment": Row("orders_shipment", "number = 1", {"order_id": _UNPAID}),
    "a line of a shipment": Row(
        "orders_shipmentline",
        "quantity = 3",
        {
            "item_id": _OTHER_ITEM,
            "shipment_id": "(SELECT id FROM orders_shipment WHERE number = 2)",
        },
    ),
    "a return": Row(
        "orders_return",
        "number = 1",
        {"order_id": _UNPAID},
        {"order_id": _WHICH_RETURN, "attempt_id": "a refund is compared with its payment alone"},
    ),
    "a line of a return": Row(
        "orders_returnline",
        "disposition = 'restocked'",
        {
            "item_id": _OTHER_ITEM,
            "of_return_id": _OTHER_RETURN,
            "disposition": "'discarded'",
        },
        {"of_return_id": _WHICH_RETURN, "disposition": _BECAME},
    ),
    "a line that waits for inspection": Row(
        "orders_returnline",
        "disposition = 'inspection'",
        {
            "item_id": _OTHER_ITEM,
            "of_return_id": _OTHER_RETURN,
            "disposition": "'restocked'",
        },
        {"of_return_id": _WHICH_RETURN, "disposition": _BECAME},
    ),
}

_PAYMENT = {"order_id": _UNPAID, "currency": "'EUR'", "status": "'failed'"}
_ATTEMPT = {
    "payment_id": "(SELECT id FROM payments_payment WHERE status = 'pending')",
    "status": "CASE status WHEN 'failed' THEN 'succeeded' ELSE 'failed' END",
    "kind": "CASE kind WHEN 'refund' THEN 'capture' ELSE 'refund' END",
}
_DAY = "says on which day it was captured, and no sum of an order depends on that"
PAYMENTS = {
    "a purchase": Row(
        "payments_payment",
        "refunded_amount = 300",
        {**_PAYMENT, "method": "'authorize'"},
        {"currency": _NO_CURRENCY, "captured_at": _DAY},
    ),
    "a captured authorization": Row(
        "payments_payment",
        "method = 'authorize' AND status = 'complete'",
        {**_PAYMENT, "method": "'purchase'", "captured_amount": "captured_amount - 1"},
        {
            "currency": _NO_CURRENCY,
            "captured_at": _DAY,
            "amount": "what was not captured of it was let go, and is in no sum",
        },
    ),
    "an authorization that was let go": Row(
        "payments_payment",
        "status = 'cancelled'",
        {**_PAYMENT, "order_id": _PAID, "status": "'complete'", "method": "'purchase'"},
        dict.fromkeys(["currency", "order_id", "late"], "it has moved no money"),
    ),
    "a pending payment": Row(
        "payments_payment",
        "status = 'pending'",
        {**_PAYMENT, "method": "'authorize'"},
        {"currency": _NO_CURRENCY, "method": "it has moved no money so far"},
    ),
    "a capture": Row("payments_attempt", "kind = 'capture'", _ATTEMPT),
    "a void": Row(
        "payments_attempt",
        "kind = 'void'",
        _ATTEMPT,
        {"status": "an authorization may lapse, too, without one"},
    ),
    "a refund": Row("payments_attempt", "kind = 'refund' AND status = 'succeeded'", _ATTEMPT),
    "a refund on its way": Row(
        "payments_attempt", "kind = 'refund' AND status = 'pending'", _ATTEMPT
    ),
}


@pytest.fixture
def _shop() -> None:
    shirt, mug, cap = product(40), product(9), product(0, sku="CAP")
    Stock.objects.filter(product=cap).delete()
    Location.objects.create(slug="other", name="Other")
    Currency.objects.create(code="EUR", created_at=clock.now(), updated_at=clock.now())
    inventory.record(shirt.pk, Action.ALLOCATE, 3, actor=MERCHANT)
    inventory.count(shirt.pk, 38, actor=MERCHANT)
    order = unpaid_order({shirt: 5, mug: 2})
    bought = _pay(order, Payment.Method.PURCHASE, 5000)
    kept = _pay(order, Payment.Method.AUTHORIZE, None)
    payments.capture(order.pk, kept.pk, actor=MERCHANT)
    line, other = order.items.order_by("position")
    shipments.ship(order.pk, actor=MERCHANT, units={line.pk: 3})
    undone = shipments.ship(order.pk, actor=MERCHANT, units={line.pk: 1, other.pk: 1})
    shipments.undo(order.pk, undone.pk, actor=MERCHANT, reason="still here")
    back = [TakenBack(line.pk, 1, "restocked"), TakenBack(line.pk, 1, "inspection")]
    returns.take_back(order.pk, back, actor=MERCHANT)
    returns.take_back(order.pk, [TakenBack(line.pk, 1, "missing")], actor=MERCHANT)
    payments.refund(order.pk, bought.pk, amount=300, actor=MERCHANT)
    payments.begin_refund(order.pk, bought.pk, amount=200, actor=MERCHANT)
    let_go = unpaid_order({mug: 1})
    payment = _pay(let_go, Payment.Method.AUTHORIZE, None)
    payments.void(let_go.pk, payment.pk, actor=MERCHANT)
    payments.begin(unpaid_order({mug: 1}).pk, PaymentRequest("test"), actor=MERCHANT)
    assert audit.compare()[1] == []


def _pay(order: Order, method: Payment.Method, amount: int | None) -> Payment:
    return payments.pay(order.pk, PaymentRequest("test", method, amount), actor=MERCHANT)


def _is_noticed(row: Row, column: str, kind: str) -> bool:
    """Say something else of it, for a moment, and have all compared as the whole audit does."""
    said = row.said.get(column) or another(column, kind)
    with transaction.atomic(), connection.cursor() as cursor:
        # What refers to another row is looked at when the transaction ends, which it never does.
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        try:
            with transaction.atomic():
                cursor.execute(f"UPDATE {row.table} SET {column} = {said} WHERE {row.where}")
        except IntegrityError:
            return True
        assert cursor.rowcount == 1
        found = [difference for part in audit._whole() for difference in part().differences]
        transaction.set_rollback(True)
    return bool(found)


@pytest.mark.parametrize("rows", [STOCK, ORDERS, PAYMENTS], ids=["stock", "orders", "payments"])
@pytest.mark.usefixtures("_shop")
def test_f35_what_is_said_instead_of_units_and_money_is_named(rows):
    unseen = {}
    with tampering():
        for name, row in rows.items():
            tried = columns(row.table).items()
            unseen[name] = {
                column
                for column, kind in tried
                if column not in WORDS[row.table] and not _is_noticed(row, column, kind)
            }

    assert unseen == {name: {*row.unseen} for name, row in rows.items()}


def test_nothing_is_left_out_that_is_not_there():
    """Else a column that takes a name of before would never be tried."""
    assert [
        (table, name)
        for table, names in WORDS.items()
        for name in names
        if name not in columns(table)
    ] == []
