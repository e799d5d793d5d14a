"""The audit finds where orders, shipments, returns and log say different things."""

from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection, transaction

from api import clock
from inventory.services import products
from orders.models import Order, OrderItem
from orders.services import audit, returns, shipments
from orders.services.returns import TakenBack
from payments.services import payments
from payments.services.payments import PaymentRequest
from tests.factories import MERCHANT, paid_order, product, undo_ship, unpaid_order
from tests.roles import as_owner
from tests.tampering import tamper

pytestmark = [pytest.mark.django_db, pytest.mark.tampers_with_the_books]


@pytest.mark.parametrize(
    ("tampering", "found"),
    [
        (
            "UPDATE orders_orderitem SET shipped = 2, allocated = 3",
            [
                "order #{} says 2 shipped and 1 returned; shipments and returns say 3 and 1",
                "orders hold 3 units, the stock says 2",
                "the lines of order #{} hold 3, the log says 2",
            ],
        ),
        (
            "UPDATE orders_returnline SET quantity = 2",
            ["order #{} says 3 shipped and 1 returned; shipments and returns say 3 and 2"],
        ),
        (
            "UPDATE orders_shipmentline SET quantity = 4",
            [
                "a shipment of order #{} says 4 units, the log says decrement 3",
                "order #{} says 3 shipped and 1 returned; shipments and returns say 4 and 1",
            ],
        ),
        (
            "UPDATE orders_shipmentline SET entry_id = gen_random_uuid()",
            ["a shipment of order #{} says 3 units, the log says nothing"],
        ),
        (
            "UPDATE orders_order SET shipping = 'fulfilled', shipped_at = now()",
            [
                "it holds units (2), and is complete, paid and fulfilled, with 0 attempts open",
                "the order says complete, fulfilled, 0 of 1 shipments undone; its lines say 3 "
                "shipped and 2 left, and there are 0 of 1",
            ],
        ),
        (
            "UPDATE orders_order SET shipments_made = 2",
            [
                "the order says complete, unfulfilled, 0 of 2 shipments undone; its lines say 3 "
                "shipped and 2 left, and there are 0 of 1"
            ],
        ),
        (
            "UPDATE orders_order SET total = total + 1",
            ["the order comes to 6251, its lines to 6250"],
        ),
        (
            "UPDATE orders_order SET allocated_at = NULL",
            ["its lines hold 2 units, and the order says none"],
        ),
        (
            "UPDATE orders_order SET captured = 0, fully_paid_at = NULL, payment = 'unpaid'",
            ["it holds units (2), and is complete, unpaid and unfulfilled, with 0 attempts open"],
        ),
        (
            "UPDATE orders_order SET attempts_open = 1, cancelled_at = now()",
            [
                "it holds units (2), and is complete, paid and unfulfilled, with 1 attempts open",
                "the order says complete, unfulfilled, 0 of 1 shipments undone; its lines say 3 "
                "shipped and 2 left, and there are 0 of 1",
            ],
        ),
        (
            "UPDATE orders_orderitem SET stocked = false, allocated = 0",
            [
                "order #{} is to be sent 2, and holds none",
                "orders hold 0 units, the stock says 2",
                "the lines of order #{} hold 0, the log says 2",
            ],
        ),
    ],
)
def test_what_does_not_agree_is_named(tampering, found):
    order = paid_order({product(stock=10): 5})
    [line] = order.items.all()
    shipments.ship(order.pk, actor=MERCHANT, units={line.pk: 3})
    returns.take_back(order.pk, [TakenBack(line.pk, 1, "restocked")], actor=MERCHANT)
    assert audit.differences() == []
    tamper(tampering)

    differences = audit.differences()

    assert sorted(each.what for each in differences) == [
        words.replace("{}", str(order.number)) for words in found
    ]


def test_of_some_orders_only_those_are_compared_and_so_many_differences_are_told():
    first, second, third = (paid_order({product(stock=10): 5}) for _ in range(3))
    for order in (first, second, third):
        shipments.ship(order.pk, actor=MERCHANT, units={order.items.get().pk: 3})
    tamper("UPDATE orders_orderitem SET shipped = 2, allocated = 3")

    def lines_of(orders: audit.Orders, limit: int = 100) -> list[str]:
        found = audit.differences_of_orders(orders, limit)
        return [each.what.split(" says")[0] for each in found if each.row == "order item"]

    assert lines_of(audit.among([first.pk, third.pk])) == [f"order {first}", f"order {third}"]
    assert lines_of(audit.between(first.pk, second.pk)) == [f"order {first}", f"order {second}"]
    assert lines_of(audit.ALL, 2) == [f"order {first}", f"order {second}"]
    kinds = Counter(each.what.split()[0] for each in audit.differences(2))
    assert set(kinds.values()) == {2}


def test_the_audit_takes_as_many_queries_for_many_orders(django_assert_num_queries):
    for _ in range(3):
        shipments.ship(paid_order({product(stock=10): 1}).pk, actor=MERCHANT)

    with django_assert_num_queries(10):
        audit.differences()


def test_a_shipment_is_undone_of_a_product_that_was_managed_since_it_was_sold():
    """Its line took no units then, and holds none now; the hours make no difference."""
    made = product(managed=False)
    order = paid_order({made: 2})
    sold_at = clock.now()
    shipments.ship(order.pk, actor=MERCHANT)
    with clock.replaced(lambda: sold_at + timedelta(hours=1)):
        products.start_managing(made.pk, 5, actor=MERCHANT)
    with clock.replaced(lambda: sold_at + timedelta(hours=2)):
        undo_ship(order)

    assert audit.differences() == []


def _take_the_units_of_the_first() -> None:
    """Let the second order hold the first one's units, which no sum of a product shows."""
    first, second = Order.objects.order_by("number")
    OrderItem.objects.filter(order=first).update(allocated=0, stocked=False)
    OrderItem.objects.filter(order=second).update(quantity=5, allocated=5)


def test_an_order_that_holds_the_units_of_another_one_is_named():
    shirt = product(stock=10)
    first, second = (paid_order({shirt: units}) for units in (2, 3))
    _take_the_units_of_the_first()

    found = [each.what for each in audit.differences_of_holders()]

    assert sorted(found) == [
        f"order #{first.number} is to be sent 2, and holds none",
        f"the lines of order #{first.number} hold 0, the log says 2",
        f"the lines of order #{second.number} hold 5, the log says 3",
    ]


def test_a_paid_order_that_holds_nothing_at_all_is_named():
    order = paid_order({product(stock=10): 2})
    payments.begin(unpaid_order({product(stock=10): 1}).pk, PaymentRequest("test"), actor=MERCHANT)
    assert audit.differences() == []
    OrderItem.objects.update(allocated=0, stocked=False)
    Order.objects.update(allocated_at=None)

    found = audit.differences_of_orders(audit.ALL)

    assert [each.what for each in found] == [
        "it is paid, with 0 pending, and holds no units",
        "it is unpaid, with 1250 pending, and holds no units",
    ]
    assert found[0].sku == f"#{order.number}"


def test_a_line_whose_stock_is_managed_only_since_the_order_took_its_units_is_no_difference():
    shirt = product(managed=False)
    paid_order({shirt: 2})
    products.start_managing(shirt.pk, 9, actor=MERCHANT)

    assert audit.differences() == []


def test_units_that_are_held_for_no_order_are_named():
    paid_order({product(stock=10): 5})
    with transaction.atomic():
        with as_owner(), connection.cursor() as cursor:
            # What refers to it is asked for when the transaction ends.
            cursor.execute("DELETE FROM orders_order")
        found = audit.differences()
        transaction.set_rollback(True)

    assert [each.what for each in found] == ["orders hold 0 units, the stock says 5"]
